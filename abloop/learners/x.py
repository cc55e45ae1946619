"""X-learner: effects imputed from the other arm's outcome model, then regressed and mixed by propensity.

Source: Künzel, Sekhon, Bickel, Yu, "Metalearners for estimating heterogeneous treatment effects", PNAS 2019,
equations 9 to 11, with the known propensity of a randomised trial as the mixing weight.
"""

from __future__ import annotations

from lightgbm import Booster

from abloop.learners.base import Effects, Sample, contrast
from abloop.models.effects import Term
from abloop.models.gbdt import fit_gbdt, predict


def fit_x(sample: Sample, outcomes: tuple[Booster, ...], seed: int) -> Effects:
    """Fit effect k = g tau_k0(x) + (1 - g) tau_k1(x), with g = p_k / (p_0 + p_k).

    tau_k1 regresses y - mu_0(x) on the rows of arm k, tau_k0 regresses mu_k(x) - y on those of control.

    Args:
        sample: Training rows.
        outcomes: Outcome model of each arm, length k.
        seed: For the tie breaks of the library.

    Returns:
        The fitted effects.
    """
    control = sample.arm == 0
    boosters: list[Booster] = []
    terms: list[Term] = []
    for arm in range(1, sample.arms):
        treated = sample.arm == arm
        gained = sample.outcome[treated] - predict(outcomes[0], sample.features[treated])
        missed = predict(outcomes[arm], sample.features[control]) - sample.outcome[control]
        share = float(sample.shares[arm] / (sample.shares[0] + sample.shares[arm]))
        for rows, imputed, weight in ((control, missed, share), (treated, gained, 1.0 - share)):
            terms.append(Term(len(boosters), contrast(sample.arms, arm, weight)))
            boosters.append(fit_gbdt(sample.features[rows], imputed, seed))
    return Effects(sample.arms, sample.features.shape[1], tuple(boosters), tuple(terms))
