"""How much of the space of trade-offs is reached: one number for a whole frontier."""

from __future__ import annotations

import math
from collections.abc import Sequence

from abloop.blueprint.tuning import Limit, Objective
from abloop.optimize.trials import Trial, frontier, value_of


def volume(trials: Sequence[Trial], objectives: tuple[Objective, ...], limits: tuple[Limit, ...]) -> float:
    """Return the hypervolume that the frontier of trials dominates above the weights that serve.

    Each objective counts as its change from the worst that still counts: its limit where it has one, else what serves.
    Of one objective it is the best change.
    Source: Zitzler, Thiele, IEEE Trans. Evolutionary Computation 1999; of three or more objectives by slices: While et
    al., IEEE Trans. Evolutionary Computation 2006.

    Args:
        trials: Those tried.
        objectives: What is made better.
        limits: What must be kept.

    Example:
        >>> from abloop.optimize.trials import Lift
        >>> lifts = {"a": Lift(0.2, 0.01), "b": Lift(0.1, 0.01)}
        >>> goals = (Objective(metric="a"), Objective(metric="b"))
        >>> round(volume([Trial(0, 0, {}, "read", lifts=lifts)], goals, ()), 9)
        0.02
    """
    best = frontier(tuple(trials), objectives, limits)
    worst = [_worst(each, limits) for each in objectives]
    points = [[value_of(trial, each) - at for each, at in zip(objectives, worst, strict=True)] for trial in best]
    better = [point for point in points if all(value > 0 and not math.isnan(value) for value in point)]
    if not better:
        return 0.0
    if len(objectives) == 1:
        return max(point[0] for point in better)
    return dominated(better)


def dominated(points: Sequence[Sequence[float]]) -> float:
    """Return the volume that points above the origin dominate, in two dimensions or more.

    It is cut into slices along the last dimension, at each point; a slice has the points that reach it.

    Example:
        >>> dominated([(1.0, 1.0, 2.0), (2.0, 1.0, 1.0)])
        3.0
    """
    if len(points[0]) == 2:
        return _area(points)
    found, ordered = 0.0, sorted(points, key=lambda point: -point[-1])
    for at, point in enumerate(ordered):
        below = ordered[at + 1][-1] if at + 1 < len(ordered) else 0.0
        if point[-1] > below:
            found += (point[-1] - below) * dominated([each[:-1] for each in ordered[: at + 1]])
    return found


def _area(points: Sequence[Sequence[float]]) -> float:
    """Return the area that points above the origin dominate.

    Example:
        >>> _area([(1.0, 3.0), (2.0, 1.0), (1.0, 1.0)])
        4.0
    """
    found, height = 0.0, 0.0
    for across, upwards in sorted(
        map(tuple, points), reverse=True
    ):  # from the right: each adds what stands out above those before
        found += across * max(0.0, upwards - height)
        height = max(height, upwards)
    return found


def _worst(objective: Objective, limits: tuple[Limit, ...]) -> float:
    """Return the worst of an objective that still counts, higher better."""
    sign = 1.0 if objective.better == "higher" else -1.0
    for limit in limits:
        bound = limit.least if sign > 0 else limit.most
        if limit.metric == objective.metric and bound is not None:
            return sign * bound
    return 0.0
