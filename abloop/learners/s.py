"""S-learner: one outcome model with the arm as a feature.

Source: Künzel, Sekhon, Bickel, Yu, "Metalearners for estimating heterogeneous treatment effects", PNAS 2019.
"""

from __future__ import annotations

from dataclasses import replace

from abloop.learners.base import Base, Effects, Regression, Sample, contrast, with_arm
from abloop.learners.regress import fit_trees
from abloop.models.effects import Term


def fit_s(sample: Sample, outcomes: tuple[Regression, ...], seed: int, base: Base = fit_trees) -> Effects:
    """Fit effect k = mu(x, k) - mu(x, 0).

    Args:
        sample: Training rows.
        outcomes: Not used: this learner fits its own single model.
        seed: For the tie breaks of the library.
        base: Fits the model; a linear one gives everybody the same effect.

    Returns:
        The fitted effects.
    """
    del outcomes
    columns = sample.features.shape[1]
    levels = (*(sample.levels or (0,) * columns), sample.arms)
    model = base(replace(sample, features=with_arm(sample.features, sample.arm), levels=levels), seed)
    terms = tuple(Term(0, contrast(sample.arms, arm), arm) for arm in range(sample.arms))
    return Effects(sample.arms, columns, (model,), terms)
