"""T-learner: one outcome model for each arm.

Source: Künzel, Sekhon, Bickel, Yu, "Metalearners for estimating heterogeneous treatment effects", PNAS 2019.
"""

from __future__ import annotations

from abloop.learners.base import Base, Effects, Regression, Sample, contrast
from abloop.learners.regress import fit_trees
from abloop.models.effects import Term


def fit_t(sample: Sample, outcomes: tuple[Regression, ...], seed: int, base: Base = fit_trees) -> Effects:
    """Fit effect k = mu_k(x) - mu_0(x).

    Args:
        sample: Training rows.
        outcomes: The models themselves, length k.
        seed: Not used: nothing is left to fit.
        base: Not used, likewise.

    Returns:
        The fitted effects.
    """
    del seed, base
    terms = tuple(Term(arm, contrast(sample.arms, arm)) for arm in range(sample.arms))
    return Effects(sample.arms, sample.features.shape[1], outcomes, terms)
