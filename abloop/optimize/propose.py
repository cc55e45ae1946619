"""Weights to try next, from the weights tried so far and from what logs say.

What cannot be fitted is no reason to stop: the proposal is then spread over the space instead, and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from abloop.errors import DataError, MissingExtraError
from abloop.optimize.learn import FEWEST, Learned, learn
from abloop.optimize.search import Points, Progress, Search, silent
from abloop.optimize.trials import Lift, Point, Trial, keeps

NEAR = 0.2  # of the range of every weight: two such arms of a round that rests on logs alone are one,
HALF = 0.5  # but so many of its arms stay
AWAY = 0.35  # how far arms keep away from each other, for each root of the weights, while no trial kept the limits,
BESIDE = 0.1  # and those of a log's first round
BELIEVED = 0.3  # scale of a log below which it says nothing


def propose(
    search: Search,
    trials: Sequence[Trial],
    count: int,
    scored: Sequence[Point] = (),
    progress: Progress = silent,
) -> list[tuple[dict[str, float], str]]:
    """Return weights to try, each with how they were found: by the `model`, from `logs`, or `spread`.

    Args:
        search: What is searched.
        trials: All so far; those that were read are learned from.
        count: How many.
        scored: Weights with the change that logs expect of them.
        progress: Called with weights found and weights in all.

    Raises:
        DataError: Next to no weights keep the sums.
        MissingExtraError: botorch is not installed.
    """
    read = [trial for trial in trials if trial.lifts]  # those that were abandoned among them
    found = []
    try:
        learned = learn(search, trials, scored)
        from abloop.optimize.acquire import acquire

        wanted = count - _hedged(learned, read, count, bool(scored))
        kept = any(keeps(trial.lifts, search.limits) for trial in read)
        apart = 0.0 if kept else AWAY if read else BESIDE
        points = acquire(learned, wanted, apart, progress) if wanted else np.empty((0, len(search.bounds)))
        points = points if read else spaced(points)
        found = [(weights, "model" if read else "logs") for weights in search.weights(points)]
    except MissingExtraError:
        raise
    except Exception as error:  # a fit that fails costs a model, never a round
        if not isinstance(error, DataError) or len(read) >= FEWEST or scored:
            logging.getLogger(__name__).warning("no model could be fitted to %d trials: %s", len(read), error)
    missing = count - len(found)
    if missing:
        found += [(weights, "spread") for weights in search.weights(search.spread(missing, len(trials)))]
    return found


def _hedged(learned: Learned, read: Sequence[Trial], count: int, told: bool) -> int:
    """Return how many arms are spread whatever the model says, because tests proved that logs mislead."""
    if not told or not read or count < 2:
        return 0
    doubted = any(learned.trusted[each.metric] < BELIEVED for each in learned.search.objectives)
    return min(count, max(0, FEWEST - sum(trial.source == "spread" for trial in read))) if doubted else 0


def spaced(points: Points) -> Points:
    """Return points that rest on logs alone, the first half, and of the others those that are near none before them.

    These would win little if the logs are right, and nothing if they mislead: spread over the space, they tell which.
    """
    apart: list[int] = []
    for at, point in enumerate(points):
        if at < HALF * len(points) or all(np.abs(point - points[other]).max() >= NEAR for other in apart):
            apart.append(at)
    return points[apart]


def foresee(
    search: Search, trials: Sequence[Trial], points: Sequence[Mapping[str, float]], scored: Sequence[Point] = ()
) -> list[dict[str, Lift]]:
    """Return what a model of all trials expects weights to change, each metric with its uncertainty.

    Raises:
        DataError: Too few trials were read, or no model could be fitted.
        MissingExtraError: botorch is not installed.
    """
    return learn(search, trials, scored).expect(points)


def draw(search: Search, trials: Sequence[Trial], among: Sequence[Mapping[str, float]], count: int) -> list[int]:
    """Return which of given weights to try next, by Thompson sampling over all rounds at once.

    One draw of what each changes picks those that no other beats within the limits, and of them one at random, until
    there are enough; weights that were never tried are drawn from as wide a distribution as all that were.

    Args:
        search: What is searched.
        trials: All so far.
        among: The weights to choose among.
        count: How many, at most as many as there are.
    """
    rng = np.random.default_rng((search.seed, len(trials)))
    mean, error = _pooled(search, trials, among)
    chosen: list[int] = []
    while len(chosen) < min(count, len(among)):
        found = rng.normal(mean, error)
        open_ = [at for at in range(len(among)) if at not in chosen]
        kept = [at for at in open_ if _within(search, found[at])] or open_
        goods = {at: _goods(search, found[at]) for at in kept}
        best = [
            at for at in kept if not any((goods[o] >= goods[at]).all() and (goods[o] > goods[at]).any() for o in kept)
        ]
        chosen.append(int(rng.choice(best)))
    return chosen


def _pooled(
    search: Search, trials: Sequence[Trial], among: Sequence[Mapping[str, float]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard error of each weights' change in each metric, over all rounds by inverse variance."""
    read = [trial for trial in trials if trial.status == "read" and set(search.metrics) <= set(trial.lifts)]
    mean = np.zeros((len(among), len(search.metrics)))
    error = np.zeros_like(mean)
    for column, metric in enumerate(search.metrics):
        seen = [trial.lifts[metric] for trial in read]
        wide = max([0.1, *(abs(lift.mean) + lift.error for lift in seen)])
        for row, weights in enumerate(among):
            own = [trial.lifts[metric] for trial in read if dict(trial.weights) == dict(weights)]
            precision = sum(lift.error**-2 for lift in own) + wide**-2
            mean[row, column] = sum(lift.mean * lift.error**-2 for lift in own) / precision
            error[row, column] = precision**-0.5
    return mean, error


def _goods(search: Search, changes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the objectives of drawn changes, higher better."""
    signs = [1.0 if each.better == "higher" else -1.0 for each in search.objectives]
    found: NDArray[np.float64] = (
        np.array(signs) * changes[[search.metrics.index(each.metric) for each in search.objectives]]
    )
    return found


def _within(search: Search, changes: NDArray[np.float64]) -> bool:
    """Return whether drawn changes keep all limits."""
    return keeps({name: Lift(float(x), 0.0) for name, x in zip(search.metrics, changes, strict=True)}, search.limits)
