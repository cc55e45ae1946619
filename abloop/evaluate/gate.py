"""The gate: personalise, ship one arm, or not enough evidence. Knows no learner and no storage.

It sees only out-of-fold doubly-robust scores: no row is scored by a model that saw it. Three rules keep it
honest. To personalise, the policy must beat *every* single arm, each at the full level: an intersection-union
test, which needs no correction. The learner that earns a fold's value is chosen on the other folds, so that
picking the luckiest learner earns nothing. And a gate that is asked again and again uses a bound that holds
at every look.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from abloop.evaluate.calibration import effect_slope
from abloop.evaluate.ope import Frame, Index, clustered_mean
from abloop.evaluate.verdict import Answer, Verdict
from abloop.stats.compare import Estimate
from abloop.stats.sequential import always_valid_z, one_sided_z

MOST_UNITS = 10**10  # more than there are people: not worth a promise


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate looks at: scores in value net of costs, none from a model that saw its row.

    Attributes:
        names: Arm names, control first, length k.
        arm_scores: Doubly-robust score of each arm, averaged over r repeats of cross-fitting, shape (n, k).
        policy_scores: Score of each learner's choice, averaged likewise, shape (l, n).
        learners: Learner names, length l.
        effects: Predicted effect of each arm less its mean in the fold, averaged over learners and repeats,
            shape (n, k).
        folds: Fold of each row, shape (n,).
        groups: Unit of each row, 0 to g - 1, shape (n,).
    """

    names: Sequence[str]
    arm_scores: Frame
    policy_scores: Frame
    learners: Sequence[str]
    effects: Frame
    folds: Index
    groups: Index


def cross_select(scores: Frame, folds: Index) -> tuple[Frame, int]:
    """Return the value of choosing the learner honestly, and the learner that all rows together choose.

    Args:
        scores: Score of each learner's choice, shape (l, n).
        folds: Fold of each row, shape (n,).

    Returns:
        Score of each row by the learner that is best on the other folds, shape (n,); and the index of the
        learner with the best mean overall.
    """
    sums = np.stack([np.bincount(folds, learner) for learner in scores])
    others = (sums.sum(axis=1, keepdims=True) - sums) / (len(folds) - np.bincount(folds))
    return scores[others.argmax(axis=0)[folds], np.arange(len(folds))], int(scores.mean(axis=1).argmax())


def judge(evidence: Evidence, alpha: float = 0.05, *, always_valid: bool = False) -> Verdict:
    """Return the verdict on the evidence.

    Args:
        evidence: Out-of-fold scores.
        alpha: Error rate of a wrong switch, in (0, 0.5).
        always_valid: Whether the gate will be asked again as rows come in.

    Returns:
        The verdict, in numbers and words.
    """
    names, groups = evidence.names, evidence.groups
    units = len(np.unique(groups))

    def level(error_rate: float) -> float:
        return always_valid_z(units, error_rate) if always_valid else one_sided_z(error_rate)

    arms = {}
    for arm, name in enumerate(names):
        mean, error = clustered_mean(evidence.arm_scores[:, arm], groups)
        arms[name] = Estimate(units, mean, mean - 1.96 * error, mean + 1.96 * error)
    best = int(evidence.arm_scores.mean(axis=0).argmax())
    policy, winner = cross_select(evidence.policy_scores, evidence.folds)
    gains = [clustered_mean(policy - evidence.arm_scores[:, arm], groups) for arm in range(len(names))]
    z = level(alpha)
    gain, error = gains[best]
    low = min(mean - z * spread for mean, spread in gains)
    ships = _ships(evidence, best, level, alpha)
    needed = needed_units(gains, units, alpha, always_valid=always_valid)
    answer: Answer = "personalise" if low > 0 else "ship" if ships else "not enough evidence"
    return Verdict(
        verdict=answer,
        arm=names[best],
        gain=gain,
        low=low,
        high=gain + z * error,
        learner=evidence.learners[winner],
        reason=_explain(answer, names, best, gain, low, units, needed),
        arms=arms,
        n=units,
        heterogeneity={
            name: effect_slope(
                evidence.effects[:, arm], evidence.arm_scores[:, arm] - evidence.arm_scores[:, 0], groups
            )
            for arm, name in enumerate(names)
            if arm
        },
        alpha=alpha,
        always_valid=always_valid,
        needed=needed,
    )


def needed_units(
    gains: Sequence[tuple[float, float]], units: int, alpha: float, *, always_valid: bool = False
) -> int | None:
    """Return how many units would put every lower bound above zero, if gains and spreads stay as they are.

    A standard error shrinks with the root of the units: gain > z(n) * error * sqrt(units / n).

    Args:
        gains: Gain against each single arm and its standard error.
        units: Units behind them, above 0.
        alpha: Error rate of each bound, in (0, 0.5).
        always_valid: Whether the bound holds at every look.

    Returns:
        The fewest units; None where a gain is not above zero, or more than `MOST_UNITS` would be needed.

    Example:
        >>> needed_units([(0.1, 0.1)], 1_000, 0.05)
        2706
    """

    def proven(n: int) -> bool:
        z = always_valid_z(n, alpha) if always_valid else one_sided_z(alpha)
        return all(gain > z * error * math.sqrt(units / n) for gain, error in gains)

    if not proven(MOST_UNITS):
        return None
    return int(bisect.bisect_left(range(1, MOST_UNITS), True, key=proven)) + 1


def _ships(evidence: Evidence, best: int, level: Callable[[float], float], alpha: float) -> bool:
    """Return whether the best arm may be shipped.

    A treatment must beat control, with Bonferroni's correction for having picked the best of the treatments;
    control must beat every treatment. Each side has half the error rate, so that arms that do not differ are
    told apart at most at the whole of it.
    """
    scores, groups = evidence.arm_scores, evidence.groups
    treatments = len(evidence.names) - 1
    rivals, z = ([0], level(alpha / 2 / treatments)) if best else (range(1, treatments + 1), level(alpha / 2))
    margins = [clustered_mean(scores[:, best] - scores[:, rival], groups) for rival in rivals]
    return all(mean - z * error > 0 for mean, error in margins)


def _explain(
    answer: Answer, names: Sequence[str], best: int, gain: float, low: float, n: int, needed: int | None
) -> str:
    """Return the verdict in words."""
    arm = names[best]
    found = f"choosing the best arm for each unit would change value by {gain:+.4g} a decision against {arm!r} for all"
    bound = f"lower bound {low:+.4g}, {n:,} units"
    if answer == "personalise":
        return f"Personalise: {found}, and it beats every single arm ({bound})."
    why = f"Personalising is not proven: {found} ({bound}; it must be above zero)."
    if needed is not None and needed > n:
        why += f" If that is its true gain, about {_rounded(needed - n):,} more units would show it."
    if answer == "ship":
        over = f"it beats {names[0]!r}" if best else "it beats every treatment"
        return f"Ship {arm!r}: {over}. {why}"
    short = f"No arm is proven better either: {arm!r} leads" if best else f"{arm!r} leads, but not provably"
    return f"Not enough evidence: keep the experiment running. {why} {short}."


def _rounded(units: int) -> int:
    """Return a number of units to two digits, rounded up: it is an outlook, not a count."""
    step: int = 10 ** max(0, len(str(units)) - 2)
    return -(-units // step) * step
