"""The search for the settings of trees, within a time budget, on early rows alone, so that later ones can judge."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from abloop.learners.base import Frame
from abloop.models.gbdt import TREES, parameters
from abloop.optimize.ax import new_client
from abloop.train.labels import BLOCKS, SEARCHED, Labels, fit_tree_label, mean_loss
from abloop.train.progress import Progress
from abloop.train.table import TrainingTable
from abloop.train.tasks import settled

MOST_TRIALS = 60
BOUNDS: dict[str, tuple[float, float, str]] = {
    "learning_rate": (0.02, 0.2, "float"),
    "num_leaves": (4, 64, "int"),
    "min_data_in_leaf": (5, 200, "int"),
    "lambda_l2": (1e-3, 10.0, "float"),
    "rounds": (40, 400, "int"),
}


def search(
    table: TrainingTable, clock: Callable[[], float], progress: Progress = lambda done, total: None
) -> TrainingTable:
    """Return the table with the settings of trees that predicted its labels best.

    The first try is the settings without a search; the others are proposed by Ax, each judged on the latest of the
    early rows. Rows of the last two fifths of time are not looked at.

    Args:
        table: The rows.
        clock: Seconds, of whatever beginning.
        progress: Called with trials done and trials at most.

    Raises:
        MissingExtraError: ax-platform is not installed.
    """
    model, ends = table.blueprint.model, clock() + table.blueprint.model.budget
    order = np.argsort(table.time, kind="stable")
    early = order[: len(order) * SEARCHED // BLOCKS]
    first, after = early[: len(early) * 3 // 4], early[len(early) * 3 // 4 :]
    before = np.zeros(len(order), dtype=np.bool_)
    before[first] = True
    inputs = table.inputs(before)
    defaults = parameters(len(first), model.seed)
    tried: dict[str, Any] = {name: defaults[name] for name in ("learning_rate", "num_leaves", "min_data_in_leaf")}
    tried |= {"lambda_l2": BOUNDS["lambda_l2"][0], "rounds": TREES}
    best = (float("inf"), tried)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries' own
        client = _client(model.seed)
        trial = client.attach_trial(_within(tried))
        for number in range(MOST_TRIALS):
            loss = _loss(replace(table, options=tuple(sorted(tried.items()))), inputs, before, after)
            client.complete_trial(trial, raw_data={"loss": loss})
            best = min(best, (loss, tried), key=lambda each: each[0])
            progress(number + 1, MOST_TRIALS)
            if clock() >= ends:
                break
            ((trial, tried),) = client.get_next_trials(max_trials=1).items()
    return replace(table, options=tuple(sorted(best[1].items())))


def _within(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings inside the bounds."""
    return {
        name: (int if BOUNDS[name][2] == "int" else float)(min(max(value, BOUNDS[name][0]), BOUNDS[name][1]))
        for name, value in settings.items()
    }


def _client(seed: int) -> Any:
    """Return an Ax client for the bounds."""
    client = new_client(seed, "model.budget")
    from ax.api.configs import RangeParameterConfig  # there, as the client is

    client.configure_experiment(
        parameters=[
            RangeParameterConfig(name=name, bounds=(low, high), parameter_type=kind, scaling="log")  # type: ignore[arg-type]
            for name, (low, high, kind) in BOUNDS.items()
        ]
    )
    client.configure_optimization(objective="-loss")
    return client


def _loss(table: TrainingTable, inputs: Frame, before: Any, after: Any) -> float:
    """Return the mean over labels of the loss on later rows, relative to what knows no feature."""
    found = []
    for label in table.blueprint.labels:
        values = table.metrics[label.name]
        task = settled(label, values[before & ~np.isnan(values)])
        fitted = Labels((fit_tree_label(table, inputs, before, label, task),))
        found.append(
            mean_loss(table, label, task, fitted.predict(inputs[after], table.positions[after]), before, after)
        )
    return float(np.mean(found))
