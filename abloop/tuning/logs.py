"""What the journal says of weights before any test: each is scored on the decisions that were made.

A randomised choice is scored from its logged propensities; a list is put in the order that the weights give, and what
its candidates would have brought there is predicted. Either may be biased, and is believed as far as tests confirm it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from abloop.blueprint import Blueprint
from abloop.optimize.search import Search
from abloop.optimize.trials import Lift, Point
from abloop.store.workspace import Workspace
from abloop.tuning.plan import search_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from abloop.train.table import TrainingTable

SCORED = 128  # weights that the journal is asked about
FEWEST = 200  # rows, below which it is not asked
MOST = 50_000  # rows of which it is asked, the newest
TREES = 60  # of each prediction
LEAST_LOOK = 1e-3  # outcome at a position, of the first's


def score(
    workspace: Workspace, strategy: str, blueprint: Blueprint, progress: Callable[[int, int], None]
) -> tuple[Point, ...]:
    """Return weights with the change that the journal expects of them; none where it says nothing of weights.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        blueprint: The version that serves.
        progress: Called with weights done and weights in all.
    """
    kind = blueprint.space.type
    if kind not in ("choice", "boolean", "ordering"):
        return ()
    from abloop.train.table import load_table

    table = load_table(workspace, strategy)
    if len(table.propensity) < FEWEST:
        return ()
    search = search_of(blueprint)
    predictions = _predicted(workspace, strategy, table)
    valued = _lists(table, search, predictions) if kind == "ordering" else _choices(table, search, predictions)
    if valued is None:
        return ()
    found = []
    for number, weights in enumerate(search.weights(search.spread(SCORED))):
        lifts = valued(weights)
        if set(lifts) >= set(search.metrics):
            found.append(Point(weights, lifts))
        progress(number + 1, SCORED)
    return tuple(found)


def _predicted(workspace: Workspace, strategy: str, table: TrainingTable) -> dict[str, Any]:
    """Return what the served release predicts of all rows; nothing where there is none."""
    from abloop.snapshot import load_snapshot

    snapshot = load_snapshot(workspace, workspace.catalogue.serving(strategy))
    if snapshot.encoder is None:
        return {}
    inputs = snapshot.encoder.frame([table.features[slot] for slot in snapshot.graph.slots])
    found: dict[str, Any] = {}
    if snapshot.effects is not None:
        found["effect"] = snapshot.effects.frame(inputs)[:, : len(snapshot.names)]
    if snapshot.labels is not None:
        found |= snapshot.labels.frame(inputs)
    return found


Valued = Callable[[Mapping[str, float]], dict[str, Lift]]


def _choices(table: TrainingTable, search: Search, predictions: Mapping[str, Any]) -> Valued | None:
    """Return how weights of a randomised choice are valued; None where nothing was randomised.

    By self-normalised propensity scores, weights and what serves on the same rows, with the error of their ratio.
    """
    import numpy as np

    from abloop.blueprint.policy import Policy
    from abloop.evaluate.offpolicy import Log, overlap
    from abloop.evaluate.ope import clustered_mean

    policy, rows = Policy(table.blueprint), len(table.propensity)
    arm, propensity = table.sample.arm, table.propensity
    if not (propensity < 1).any() or (policy.needs_release and not predictions):
        return None
    ones = np.ones(rows)

    def likelier(weights: Mapping[str, float]) -> NDArray[np.float64] | None:
        shares = policy.frame(table.features, predictions, rows, weights)
        log = Log(arm=arm, outcome=ones, propensity=propensity, policy=shares)
        return None if overlap(log).alarm else log.weights()

    served = likelier(search.served)
    if served is None:
        return None

    def valued(weights: Mapping[str, float]) -> dict[str, Lift]:
        mine, found = likelier({**search.served, **weights}), {}
        if mine is None:
            return {}
        for metric in search.metrics:
            known = ~np.isnan(table.metrics[metric])
            y, groups = table.metrics[metric][known], table.groups[known]
            if not known.any():
                continue
            before, after = (float(np.average(y, weights=w[known])) for w in (served, mine))
            if not before or not math.isfinite(before):
                continue
            told = mine[known] / mine[known].mean() * (y - after)
            told -= after / before * served[known] / served[known].mean() * (y - before)
            _, error = clustered_mean(told, groups)
            found[metric] = Lift((after - before) / abs(before), max(error / abs(before), 1e-6))
        return found

    return valued


def _lists(table: TrainingTable, search: Search, predictions: Mapping[str, Any]) -> Valued | None:
    """Return how weights of an ordering are valued: candidates bring what they are worth, as far as they are seen.

    What a position sees and what a candidate is worth are taken as factors; both come from the lists that were shown.
    """
    import numpy as np

    from abloop.blueprint.policy import Policy

    policy = Policy(table.blueprint)
    shown = np.flatnonzero(~np.isnan(table.positions))
    if len(shown) < FEWEST or (policy.needs_release and not predictions):
        return None
    shown = shown[np.argsort(table.time[shown], kind="stable")][-MOST:]
    lists = np.unique(table.lists[shown], return_inverse=True)[1]
    at = table.positions[shown].astype(np.intp)
    worth = {metric: _worth(table, metric, shown, lists, at) for metric in search.metrics}
    rows, count = len(table.propensity), int(lists.max()) + 1

    def brought(weights: Mapping[str, float]) -> dict[str, NDArray[np.float64]]:
        scores = policy.scores(table.features, predictions, rows, weights)[shown]
        order = np.lexsort((-np.nan_to_num(scores, nan=-np.inf), lists))
        starts = np.r_[0, np.flatnonzero(np.diff(lists[order])) + 1]
        place = np.empty(len(order), dtype=np.intp)
        place[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
        return {
            metric: np.asarray(
                np.bincount(lists, looks[np.minimum(place, len(looks) - 1)] * each, count), dtype=np.float64
            )
            for metric, (looks, each) in worth.items()
        }

    before = brought(search.served)

    def valued(weights: Mapping[str, float]) -> dict[str, Lift]:
        found = {}
        for metric, after in brought({**search.served, **weights}).items():
            mean = float(before[metric].mean())
            if mean and math.isfinite(mean):
                change = (after - before[metric]) / abs(mean)
                found[metric] = Lift(float(change.mean()), max(float(change.std() / math.sqrt(count)), 1e-6))
        return found

    return valued


def _worth(
    table: TrainingTable, metric: str, shown: NDArray[np.intp], lists: NDArray[np.intp], at: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what each position sees, the first 1, and what each candidate is worth there, by models of other lists."""
    import numpy as np

    from abloop.models.gbdt import bin_rows, fit_binned, predict

    y = np.nan_to_num(table.metrics[metric][shown])
    places = int(at.max()) + 1
    rate = np.bincount(at, y, places) / np.maximum(np.bincount(at, minlength=places), 1)
    looks = np.maximum(rate / rate[0], LEAST_LOOK) if rate[0] > 0 else np.ones(places)
    inputs, worth = table.sample.features[shown], np.full(len(y), y.mean())
    for half in (0, 1):
        train, test = lists % 2 != half, lists % 2 == half
        if inputs.shape[1] and train.any() and test.any():
            booster = fit_binned(
                bin_rows(inputs[train], looks[at[train]] ** 2), y[train] / looks[at[train]], rounds=TREES
            )
            worth[test] = predict(booster, inputs[test])
    return looks, worth
