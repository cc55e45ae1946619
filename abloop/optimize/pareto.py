"""The frontier that a model expects: which trade-offs are to be had, how sure that is, and which is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from abloop.blueprint.tuning import Limit, Objective
from abloop.errors import DataError, UnknownNameError, unknown
from abloop.optimize.learn import Learned
from abloop.optimize.trials import Lift, Point, Trial

LOOKED = 2_048  # weights looked at over the whole space,
CLOSER = 3  # and so often again about the best of them, each time closer
SLIGHT, MUCH = 0.02, 0.05  # shares of the frontier: a point that wins the first and loses the second is no trade-off
LIKELY = 0.5  # least probability that a point keeps the limits


def pareto(learned: Learned, trials: Sequence[Trial] = (), most: int = 25) -> tuple[Point, ...]:
    """Return the weights that nothing is expected to beat within the limits, best at the first objective first.

    Args:
        learned: A model of all trials.
        trials: Those trials; a point that one has is named by it.
        most: Points at most, spread along the frontier.
    """
    search = learned.search
    tried = [trial for trial in trials if trial.status == "read" and set(trial.weights) >= set(search.bounds)]
    x = np.vstack([search.spread(LOOKED), search.place([search.served, *(trial.weights for trial in tried)])])
    rng = np.random.default_rng(search.seed)
    for turn in range(CLOSER + 1):
        lifts = learned.expect(search.weights(x))
        kept = np.array([_kept(each, search.limits) for each in lifts])
        goods = _goods(lifts, search.objectives)
        best = _undominated(goods, kept >= LIKELY)
        if not len(best):
            return ()
        if turn < CLOSER:
            near = x[rng.choice(best, LOOKED // 2)] + rng.normal(scale=0.1 / 3**turn, size=(LOOKED // 2, x.shape[1]))
            near = np.clip(near, 0.0, 1.0)
            x = np.vstack([x[best], near[search.keeps(near)]])
    chosen = _thinned(goods, _worthwhile(goods, best), most)
    named = {tuple(trial.weights[name] for name in search.bounds): trial.number for trial in tried}
    found = []
    for at in chosen:
        weights = search.weights(x[at][None])[0]
        number = named.get(tuple(weights[name] for name in search.bounds), -1)
        found.append(Point(weights, lifts[at], float(kept[at]), number))
    return tuple(sorted(found, key=lambda point: -_goods([point.lifts], search.objectives)[0][0]))


def closest(points: Sequence[Point], keep: Sequence[Limit], wanted: Objective) -> Point:
    """Return the point that keeps something and is best at a metric: at most -1 % engagement, least cost.

    Args:
        points: A frontier.
        keep: What its expected changes must keep.
        wanted: What it is to be best at.

    Raises:
        DataError: No point keeps it; the nearest is named.
        UnknownNameError: A metric is not known.

    Example:
        >>> points = [Point({"w": w}, {"a": Lift(-w, 0.01), "c": Lift(-9 * w, 0.01)}) for w in (0.005, 0.05)]
        >>> closest(points, [Limit(metric="a", least=-0.01)], Objective(metric="c", better="lower")).weights
        {'w': 0.005}
    """
    if not points:
        raise DataError("the frontier has no point: no weights are expected to keep the limits; widen tuning.limits")
    known = sorted(points[0].lifts)
    for metric in (*(limit.metric for limit in keep), wanted.metric):
        if metric not in known:
            raise UnknownNameError(unknown("metric", metric, known))
    sign = 1.0 if wanted.better == "higher" else -1.0
    kept = [point for point in points if all(_excess(point.lifts, limit) <= 0 for limit in keep)]
    if not kept:
        nearest = min(points, key=lambda point: max(_excess(point.lifts, limit) for limit in keep))
        raise DataError(f"no point of the frontier keeps that; the nearest has {said(nearest.lifts)}")
    return max(kept, key=lambda point: sign * point.lifts[wanted.metric].mean)


def said(lifts: Mapping[str, Lift]) -> str:
    """Return changes as words, with 95 % intervals."""
    return ", ".join(
        f"{metric} {lift.mean:+.1%} ({lift.low:+.1%} to {lift.high:+.1%})" for metric, lift in lifts.items()
    )


def _excess(lifts: Mapping[str, Lift], limit: Limit) -> float:
    """Return by how much a change is beyond a limit; at most 0 where it is kept."""
    mean = lifts[limit.metric].mean
    above = -np.inf if limit.most is None else mean - limit.most
    below = -np.inf if limit.least is None else limit.least - mean
    return float(max(above, below))


def _kept(lifts: Mapping[str, Lift], limits: Sequence[Limit]) -> float:
    """Return the probability that all limits are kept, metrics taken as independent."""
    chance = 1.0
    for limit in limits:
        law = NormalDist(lifts[limit.metric].mean, max(lifts[limit.metric].error, 1e-12))
        low = 0.0 if limit.least is None else law.cdf(limit.least)
        high = 1.0 if limit.most is None else law.cdf(limit.most)
        chance *= max(0.0, high - low)
    return chance


def _goods(lifts: Sequence[Mapping[str, Lift]], objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """Return the objectives, higher better, shape (n, m)."""
    signs = np.array([1.0 if each.better == "higher" else -1.0 for each in objectives])
    found: NDArray[np.float64] = signs * np.array([[lift[each.metric].mean for each in objectives] for lift in lifts])
    return found


def _undominated(goods: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the rows that are allowed and that no other such row beats."""
    rows = np.flatnonzero(allowed)
    rows = rows[np.lexsort((*(-goods[rows].T[1:]), -goods[rows, 0]))]
    kept: list[int] = []
    for row in rows:
        if not kept or not (goods[kept] >= goods[row]).all(axis=1).any():
            kept.append(int(row))
    return np.array(kept, dtype=np.intp)


def _worthwhile(goods: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return rows that gain more than a slight share of one objective over any row that is much better at another."""
    here = goods[rows] / np.maximum(np.ptp(goods[rows], axis=0), 1e-12)
    lead = here[None] - here[:, None]  # of the second over the first
    beaten = ((lead >= -SLIGHT).all(axis=2) & (lead > MUCH).any(axis=2)).any(axis=1)
    found: NDArray[np.intp] = rows[~beaten]
    return found


def _thinned(goods: NDArray[np.float64], rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """Return rows far from each other, the best at each objective among them."""
    if len(rows) <= most:
        return rows
    here = goods[rows]
    here = (here - here.min(axis=0)) / np.maximum(np.ptp(here, axis=0), 1e-12)
    chosen = list(dict.fromkeys(int(at) for at in here.argmax(axis=0)))
    while len(chosen) < most:
        away = np.linalg.norm(here[:, None] - here[chosen][None], axis=2).min(axis=1)
        chosen.append(int(away.argmax()))
    return rows[chosen]
