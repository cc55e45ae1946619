"""X-learner: effects imputed from the other arm's outcome model, then regressed and mixed by propensity.

Source: Künzel, Sekhon, Bickel, Yu, "Metalearners for estimating heterogeneous treatment effects", PNAS 2019,
equations 9 to 11, with the known propensity of a randomised trial as the mixing weight.
"""

from __future__ import annotations

import numpy as np

from abloop.learners.base import Base, Effects, Frame, Regression, Sample, contrast
from abloop.learners.regress import fit_trees
from abloop.models.effects import Term


def fit_x(sample: Sample, outcomes: tuple[Regression, ...], seed: int, base: Base = fit_trees) -> Effects:
    """Fit effect k = g tau_k0(x) + (1 - g) tau_k1(x), with g = p_k / (p_0 + p_k).

    tau_k1 regresses y - mu_0(x) on the rows of arm k, tau_k0 regresses mu_k(x) - y on those of control.

    Args:
        sample: Training rows.
        outcomes: Outcome model of each arm, length k.
        seed: Not used, as that of the outcome models is.
        base: Not used: the outcome models are refitted.

    Returns:
        The fitted effects.
    """
    del seed, base
    rows = [sample.arm == arm for arm in range(sample.arms)]
    control = sample.features[rows[0]]
    parts: list[Regression] = []
    terms: list[Term] = []
    for arm in range(1, sample.arms):
        gained = sample.outcome[rows[arm]] - outcomes[0].predict(sample.features[rows[arm]])
        missed = outcomes[arm].predict(control) - sample.outcome[rows[0]]
        share = float(sample.shares[arm] / (sample.shares[0] + sample.shares[arm]))
        for at, imputed, weight in ((0, missed, share), (arm, gained, 1.0 - share)):
            terms.append(Term(len(parts), contrast(sample.arms, arm, weight)))
            parts.append(outcomes[at].refit(imputed))
    return Effects(sample.arms, sample.features.shape[1], tuple(parts), tuple(terms))


def mix(effects: Effects, features: Frame, chances: Frame) -> Frame:
    """Return an X-learner's effects, mixed by each row's own propensities instead of the arms' shares.

    Args:
        effects: What `fit_x` returned.
        features: Shape (n, d).
        chances: Probability of each arm for each row, above 0, shape (n, k).

    Returns:
        Effect of each arm against control, shape (n, k).
    """
    found = np.zeros((len(features), effects.arms))
    for arm in range(1, effects.arms):
        missed, gained = (part.predict(features) for part in effects.parts[2 * arm - 2 : 2 * arm])
        share = chances[:, arm] / (chances[:, 0] + chances[:, arm])
        found[:, arm] = share * missed + (1.0 - share) * gained
    return found
