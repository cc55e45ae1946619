"""S-learner: one outcome model with the arm as a feature.

Source: Künzel, Sekhon, Bickel, Yu, "Metalearners for estimating heterogeneous treatment effects", PNAS 2019.
"""

from __future__ import annotations

from lightgbm import Booster

from abloop.learners.base import Effects, Sample, contrast, with_arm
from abloop.models.effects import Term
from abloop.models.gbdt import fit_gbdt


def fit_s(sample: Sample, outcomes: tuple[Booster, ...], seed: int) -> Effects:
    """Fit effect k = mu(x, k) - mu(x, 0).

    Args:
        sample: Training rows.
        outcomes: Not used: this learner fits its own single model.
        seed: For the tie breaks of the library.

    Returns:
        The fitted effects.
    """
    del outcomes
    booster = fit_gbdt(with_arm(sample.features, sample.arm), sample.outcome, seed)
    terms = tuple(Term(0, contrast(sample.arms, arm), arm) for arm in range(sample.arms))
    return Effects(sample.arms, sample.features.shape[1], (booster,), terms)
