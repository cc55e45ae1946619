"""The search for the settings of models, within a time budget, on early rows alone, so that later ones can judge."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abloop.blueprint.learning import Label
from abloop.learners.base import Frame, Index
from abloop.learners.regress import LOGISTIC_STRENGTH
from abloop.models.gbdt import TREES, parameters
from abloop.optimize.ax import new_client
from abloop.train.binned import BINS, MOST_BINS
from abloop.train.labels import BLOCKS, CUT_OR_NOT, SEARCHED, can_fit, fit_kind, kind_of, mean_loss, tasks_of
from abloop.train.progress import Progress, further
from abloop.train.table import TrainingTable

MOST_TRIALS = 60  # of each kind
LOGISTIC = ("binary", "multiclass")
Bounds = tuple[float, float, str]
BOUNDS: dict[str, dict[str, Bounds]] = {
    "trees": {
        "learning_rate": (0.02, 0.2, "float"),
        "num_leaves": (4, 64, "int"),
        "min_data_in_leaf": (5, 200, "int"),
        "lambda_l2": (1e-3, 10.0, "float"),
        "rounds": (40, 400, "int"),
    },
    "linear": {"strength": (1e-3, 1e2, "float")},
    "binned": {"strength": (1e-3, 1e2, "float"), "bins": (4, MOST_BINS, "int")},
    "network": {
        "learning_rate": (3e-4, 3e-2, "float"),
        "weight_decay": (1e-5, 1e-1, "float"),
        "dropout": (0.01, 0.5, "float"),
        "squash": (0, 1, "bool"),
    },
}


@dataclass(frozen=True)
class Split:
    """Early rows, of which the latest say how good settings are.

    Attributes:
        inputs: Model inputs of all rows, shape (n, d).
        before: Rows to learn from, as a mask of shape (n,).
        after: Rows to compare settings on, as indices.
        tasks: What each label is learned as, by name.
    """

    inputs: Frame
    before: NDArray[np.bool_]
    after: Index
    tasks: dict[str, str]


def search(
    table: TrainingTable, clock: Callable[[], float], progress: Progress = lambda done, total: None
) -> TrainingTable:
    """Return the table with the settings that predicted its labels best, of each kind of model that they are left.

    The first try of a kind is what it has without a search; the others are proposed by Ax, each judged on the latest of
    the early rows. Rows of the last two fifths of time are not looked at. Kinds share the budget.

    Args:
        table: The rows.
        clock: Seconds, of whatever beginning.
        progress: Called with trials done and trials at most.

    Raises:
        MissingExtraError: ax-platform is not installed, or torch for a network.
    """
    split = _split(table)
    kinds = _kinds(table, split)
    found: dict[str, dict[str, Any]] = {}
    start = clock()
    for place, (kind, labels) in enumerate(kinds.items(), start=1):
        end = start + table.blueprint.model.budget * place / len(kinds)
        done, total = (place - 1) * MOST_TRIALS, len(kinds) * MOST_TRIALS
        found[kind] = _best_settings(
            table, split, kind, labels, partial(_over, clock, end), further(progress, done, total)
        )
    return replace(table, options=found)


def _over(clock: Callable[[], float], end: float) -> bool:
    """Return whether a moment has come."""
    return clock() >= end


def _split(table: TrainingTable) -> Split:
    """Cut the first three fifths of time into rows to learn from and rows to compare on."""
    order = np.argsort(table.time, kind="stable")
    early = order[: len(order) * SEARCHED // BLOCKS]
    first, after = early[: len(early) * 3 // 4], early[len(early) * 3 // 4 :]
    before = np.zeros(len(order), dtype=np.bool_)
    before[first] = True
    return Split(table.inputs(before), before, after, tasks_of(table, before))


def _kinds(table: TrainingTable, split: Split) -> dict[str, list[Label]]:
    """Return the kinds whose settings matter here, each with the labels that it is for."""
    found: dict[str, list[Label]] = {}
    for label in table.blueprint.labels:
        task = split.tasks[label.name]
        kind = kind_of(table, split.inputs, split.before, label, task)
        for each in CUT_OR_NOT if kind in CUT_OR_NOT else (kind,):
            matters = each != "linear" or task in LOGISTIC  # a ridge finds its penalty by itself
            if matters and can_fit(table, label, task, each):
                found.setdefault(each, []).append(label)
    return found


def _best_settings(
    table: TrainingTable,
    split: Split,
    kind: str,
    labels: list[Label],
    over: Callable[[], bool],
    counted: Callable[[int], None],
) -> dict[str, Any]:
    """Return the settings of a kind that predict its labels best on the rows to compare on."""
    tried = _first(kind, int(split.before.sum()), table.blueprint.model.seed)
    best = (float("inf"), tried)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries' own
        client = _client(table.blueprint.model.seed, BOUNDS[kind])
        trial = client.attach_trial(_within(tried, BOUNDS[kind]))
        for number in range(MOST_TRIALS):
            loss = _loss(replace(table, options={kind: tried}), split, kind, labels)
            client.complete_trial(trial, raw_data={"loss": loss})
            best = min(best, (loss, tried), key=lambda each: each[0])
            counted(number + 1)
            if over():
                break
            ((trial, tried),) = client.get_next_trials(max_trials=1).items()
    return best[1]


def _first(kind: str, rows: int, seed: int) -> dict[str, Any]:
    """Return the settings that a kind has without a search."""
    if kind == "network":
        from abloop.models.network_fit import DEFAULTS

        return {name: getattr(DEFAULTS, name) for name in BOUNDS[kind]}
    if kind != "trees":
        return {"strength": LOGISTIC_STRENGTH} | ({"bins": BINS} if kind == "binned" else {})
    defaults = parameters(rows, seed)
    found: dict[str, Any] = {name: defaults[name] for name in ("learning_rate", "num_leaves", "min_data_in_leaf")}
    return found | {"lambda_l2": BOUNDS[kind]["lambda_l2"][0], "rounds": TREES}


def _within(settings: dict[str, Any], bounds: dict[str, Bounds]) -> dict[str, Any]:
    """Return settings inside the bounds."""
    made: dict[str, Callable[[Any], Any]] = {"int": int, "float": float, "bool": bool}
    return {
        name: made[bounds[name][2]](min(max(value, bounds[name][0]), bounds[name][1]))
        for name, value in settings.items()
    }


def _client(seed: int, bounds: dict[str, Bounds]) -> Any:
    """Return an Ax client for the bounds."""
    client = new_client(seed, "model.budget")
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig  # there, as the client is

    parameters: list[Any] = []
    for name, (low, high, kind) in bounds.items():
        if kind == "bool":
            parameters.append(ChoiceParameterConfig(name=name, values=[False, True], parameter_type="bool"))
        else:
            parameters.append(
                RangeParameterConfig(name=name, bounds=(low, high), parameter_type=kind, scaling="log")  # type: ignore[arg-type]
            )
    client.configure_experiment(parameters=parameters)
    client.configure_optimization(objective="-loss")
    return client


def _loss(table: TrainingTable, split: Split, kind: str, labels: list[Label]) -> float:
    """Return the mean over labels of the loss on later rows, relative to what knows no feature."""
    fitted = fit_kind(table, split.inputs, split.before, labels, split.tasks, kind)
    predicted = fitted.predict(split.inputs[split.after], table.positions[split.after])
    found = [mean_loss(table, label, split.tasks[label.name], predicted, split.before, split.after) for label in labels]
    return float(np.mean(found))
