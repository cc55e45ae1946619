"""Which learner, or none: the one whose effects come closest to the measured ones, if a constant does not.

No effect is ever seen, but its doubly-robust score is right on average: the squared distance to it ranks learners as
the true error does. Source: Foster, Syrgkanis, "Orthogonal statistical learning", Annals of Statistics 2023;
Curth, van der Schaar, "In search of insights, not magic bullets", ICML 2023.
"""

from __future__ import annotations

import numpy as np

from abloop.evaluate.ope import Frame, Index, clustered_mean

MARGIN = 1.0  # standard errors by which a learner must be closer than a constant


def constant_effects(scores: Frame, folds: Index) -> Frame:
    """Return the mean measured effect of each arm on the other folds.

    Args:
        scores: Doubly-robust score of each arm, control first, shape (n, k).
        folds: Fold of each row, 0 to f - 1, each with rows, shape (n,).

    Returns:
        The same effects for every row of a fold, shape (n, k).
    """
    measured = scores - scores[:, :1]
    sums = np.stack([np.bincount(folds, column) for column in measured.T], axis=1)
    others = (sums.sum(axis=0) - sums) / (len(folds) - np.bincount(folds))[:, None]
    found: Frame = others[folds]
    return found


def effect_losses(effects: Frame, scores: Frame) -> Frame:
    """Return the squared distance of predicted to measured effects, averaged over treatments.

    Args:
        effects: Out-of-fold predicted effect of each arm against control, shape (n, k).
        scores: Doubly-robust score of each arm, control first, shape (n, k).

    Returns:
        Shape (n,).
    """
    found: Frame = ((scores - scores[:, :1] - effects)[:, 1:] ** 2).mean(axis=1)
    return found


def choose(losses: Frame, groups: Index, values: Frame | None = None) -> int:
    """Return the index of the learner to trust: the closest, or the constant where that is no closer than it.

    Args:
        losses: Squared distance of each learner's effects, those of a constant last, shape (l, n).
        groups: Unit of each row, shape (n,).
        values: What each learner's choices are worth, shape (l, n): decides among learners that are as close as the
            closest, to one standard error. None leaves it at the closest.

    Returns:
        Index of the learner of least mean loss; of the constant, l - 1, where that learner's lead is not above one
        standard error, so that no heterogeneity is invented.

    Example:
        >>> losses = np.array([[1.0, 2.0, 1.5, 1.1], [1.1, 1.8, 1.6, 1.2]])
        >>> choose(losses, np.arange(4))
        1
    """
    constant = len(losses) - 1
    best = int(losses.mean(axis=1).argmin())

    def leads(other: int) -> bool:
        lead, error = clustered_mean(losses[other] - losses[best], groups)
        return lead > MARGIN * error

    if best == constant or not leads(constant):
        return constant
    if values is None:
        return best
    close = [index for index in range(constant) if index == best or not leads(index)]
    return max(close, key=lambda index: float(values[index].mean()))
