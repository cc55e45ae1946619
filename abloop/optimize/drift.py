"""Weights that were tried in several rounds: whether what they change stays the same, and how unsure that makes us."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from scipy.stats import chi2

from abloop.optimize.search import Search
from abloop.optimize.trials import Lift, State, Trial, frontier

ALARM = 0.01  # p-value below which effects are said to drift


class Drift(msgspec.Struct, frozen=True):
    """What repeated arms say of one metric.

    Attributes:
        metric: Its name.
        arms: Weights that were read in two rounds or more.
        p_value: Of the changes being the same in all rounds, by Cochran's Q.
        spread: Standard deviation of a change between rounds, beyond its standard error.
        words: The same as a sentence.
    """

    metric: str
    arms: int
    p_value: float
    spread: float
    words: str


def drift(trials: Sequence[Trial]) -> tuple[Drift, ...]:
    """Return what repeated arms say of each metric; nothing where no arm was read twice.

    Source: Cochran, Biometrics 1954; the spread by DerSimonian, Laird, Controlled Clinical Trials 1986.

    Example:
        >>> trials = [Trial(n, n, {"w": 1.0}, "read", lifts={"m": Lift(0.1 * n, 0.01)}) for n in range(2)]
        >>> drift(trials)[0].p_value < 1e-6
        True
    """
    groups: dict[tuple[tuple[str, float], ...], list[Trial]] = {}
    for trial in trials:
        if trial.status == "read":
            groups.setdefault(tuple(sorted(trial.weights.items())), []).append(trial)
    repeated = [group for group in groups.values() if len({trial.round for trial in group}) > 1]
    metrics = dict.fromkeys(metric for group in repeated for trial in group for metric in trial.lifts)
    return tuple(_drift(metric, repeated) for metric in metrics)


def _drift(metric: str, groups: Sequence[Sequence[Trial]]) -> Drift:
    q = freedom = scale = 0.0
    arms = 0
    for group in groups:
        lifts = [trial.lifts[metric] for trial in group if metric in trial.lifts]
        if len(lifts) < 2:
            continue
        precise = [lift.error**-2 for lift in lifts]
        mean = sum(w * lift.mean for w, lift in zip(precise, lifts, strict=True)) / sum(precise)
        q += sum(w * (lift.mean - mean) ** 2 for w, lift in zip(precise, lifts, strict=True))
        scale += sum(precise) - sum(w * w for w in precise) / sum(precise)
        freedom += len(lifts) - 1
        arms += 1
    if not arms:
        return Drift(metric, 0, 1.0, 0.0, f"{metric}: no arm was read twice")
    p_value = float(chi2.sf(q, freedom))
    spread = math.sqrt(max(0.0, (q - freedom) / scale))
    if p_value < ALARM:
        words = (
            f"{metric}: what {arms} repeated arm{'s' * (arms > 1)} changed differs between rounds by ±{spread:.1%} "
            f"(p = {p_value:.1g}); older rounds count less"
        )
    else:
        words = f"{metric}: {arms} repeated arm{'s' * (arms > 1)} changed the same in all rounds (p = {p_value:.2f})"
    return Drift(metric, arms, p_value, spread, words)


def widened(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Return trials whose errors hold what repeated arms say of drift, where they do."""
    spread = {each.metric: each.spread for each in drift(trials) if each.p_value < ALARM}
    if not spread:
        return tuple(trials)
    return tuple(
        msgspec.structs.replace(
            trial,
            lifts={
                metric: Lift(lift.mean, math.hypot(lift.error, spread.get(metric, 0.0)))
                for metric, lift in trial.lifts.items()
            },
        )
        for trial in trials
    )


def again_of(state: State, search: Search, count: int) -> list[tuple[dict[str, float], str]]:
    """Return weights of the frontier to try again, those tried least often first.

    Args:
        state: All that is known.
        search: What is searched.
        count: How many, at most.
    """
    best = frontier(state.trials, search.objectives, search.limits) or list(state.read())
    often = [sum(other.weights == trial.weights for other in state.trials) for trial in best]
    ordered = [trial for _, _, trial in sorted(zip(often, range(len(best)), best, strict=True), key=lambda x: x[:2])]
    chosen = list({tuple(trial.weights.items()): trial.weights for trial in ordered}.values())
    inside = [
        weights
        for weights in chosen
        if set(weights) == set(search.bounds)
        and all(low <= weights[name] <= high for name, (low, high) in search.bounds.items())
    ]
    return [(weights, "again") for weights in inside[: max(0, count)]]
