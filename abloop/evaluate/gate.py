"""The gate: personalise, ship one arm, or not enough evidence. Knows no learner and no storage.

It sees only out-of-fold doubly-robust scores: no row is scored by a model that saw it. Three rules keep it
honest. To personalise, the policy must beat *every* single arm, each at the full level: an intersection-union
test, which needs no correction. The learner that earns a fold's value is chosen on the other folds, by how close
its effects come to the measured ones, so that picking the luckiest learner earns nothing; where none is closer than
one effect for everybody, that is chosen. And a gate that is asked again and again uses a bound that holds
at every look.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from abloop.evaluate.calibration import effect_slope
from abloop.evaluate.choice import choose
from abloop.evaluate.ope import Frame, Index, clustered_mean, count_units
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
        losses: Squared distance of each learner's effects to the measured ones, averaged likewise, shape (l, n).
        learners: Learner names, the constant last, length l.
        effects: Each learner's predicted effect of each arm less its mean in the fold, averaged likewise,
            shape (l, n, k).
        folds: Fold of each row, shape (n,).
        groups: Unit of each row, 0 to g - 1, shape (n,).
    """

    names: Sequence[str]
    arm_scores: Frame
    policy_scores: Frame
    losses: Frame
    learners: Sequence[str]
    effects: Frame
    folds: Index
    groups: Index


def cross_choose(scores: Frame, losses: Frame, folds: Index, groups: Index) -> tuple[Index, int]:
    """Return the learner of each row, chosen on other folds, and the learner that all rows together choose.

    Args:
        scores: Score of each learner's choice, shape (l, n).
        losses: Squared distance of each learner's effects, those of a constant last, shape (l, n).
        folds: Fold of each row, shape (n,).
        groups: Unit of each row, shape (n,).

    Returns:
        Index of each row's learner, shape (n,); and the index of the one to serve.
    """
    others = [folds != fold for fold in range(int(folds.max()) + 1)]
    chosen = np.asarray([choose(losses[:, rows], groups[rows], scores[:, rows]) for rows in others])
    return chosen[folds], choose(losses, groups, scores)


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
    units = count_units(groups)

    def level(error_rate: float) -> float:
        return always_valid_z(units, error_rate) if always_valid else one_sided_z(error_rate)

    arms = {}
    for arm, name in enumerate(names):
        mean, error = clustered_mean(evidence.arm_scores[:, arm], groups)
        arms[name] = Estimate(units, mean, mean - 1.96 * error, mean + 1.96 * error)
    best = int(evidence.arm_scores.mean(axis=0).argmax())
    learner, winner = cross_choose(evidence.policy_scores, evidence.losses, evidence.folds, groups)
    every = np.arange(len(groups))
    policy, effects = evidence.policy_scores[learner, every], evidence.effects[learner, every]
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
        closest=evidence.learners[int(evidence.losses[:-1].mean(axis=1).argmin())],
        reason=_explain(answer, names, best, gain, low, units, needed, constant=winner == len(evidence.learners) - 1),
        arms=arms,
        n=units,
        heterogeneity=_slopes(effects, evidence),
        alpha=alpha,
        always_valid=always_valid,
        needed=needed,
    )


def _slopes(effects: Frame, evidence: Evidence) -> dict[str, Estimate]:
    """Return the slope of measured on predicted effects of each treatment whose prediction varies."""
    measured = evidence.arm_scores - evidence.arm_scores[:, :1]
    slopes = {
        name: effect_slope(effects[:, arm], measured[:, arm], evidence.groups)
        for arm, name in enumerate(evidence.names)
        if arm
    }
    return {name: slope for name, slope in slopes.items() if not math.isnan(slope.mean)}


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
    answer: Answer,
    names: Sequence[str],
    best: int,
    gain: float,
    low: float,
    n: int,
    needed: int | None,
    *,
    constant: bool,
) -> str:
    """Return the verdict in words."""
    arm = names[best]
    found = f"choosing the best arm for each unit would change value by {gain:+.4g} a decision against {arm!r} for all"
    bound = f"lower bound {low:+.4g}, {n:,} units"
    if answer == "personalise":
        return f"Personalise: {found}, and it beats every single arm ({bound})."
    why = f"Personalising is not proven: {found} ({bound}; it must be above zero)."
    if constant:
        why = f"Personalising is not proven: one effect for everybody is as close as any learner's ({n:,} units)."
    elif needed is not None and needed > n:
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
