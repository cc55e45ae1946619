"""How many trees are fitted: as many as the latest rows that are learned from call for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from abloop.blueprint.learning import Label
from abloop.learners.base import Frame
from abloop.models.labels import LabelModel
from abloop.train.tasks import LEAST_STOPPED, TREE_SIZES, Examples, fit_task_trees

MOST = TREE_SIZES["medium"][0]
SEEN = 1_500
OPTIONS = {"num_leaves": 31, "min_data_in_leaf": 5}  # enough to learn noise by heart


def examples(kind: str, task: str, rows: int = 2 * SEEN) -> Examples:
    """Return rows whose label is almost all noise, or almost none."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(rows, 5))
    score = (0.1 if kind == "noise" else 3.0) * np.sin(2 * x[:, 0]) + (0.0 if kind == "noise" else x[:, 1] * x[:, 2])
    values = score + rng.normal(0, 1.0 if kind == "noise" else 0.1, rows)
    values = {"binary": (values > 0).astype(float), "multiclass": np.digitize(values, [-0.5, 0.5]).astype(float)}.get(
        task, values
    )
    index = np.arange(rows)
    nothing = np.zeros(rows, dtype=np.intp)
    return Examples(x, (0,) * 5, values, nothing, 1, index, np.full(rows, np.nan), index, index.astype(float))


def loss(task: str, predicted: Frame, values: Frame) -> float:
    """Return the squared error of means, the log loss of probabilities, the pinball loss of quantiles."""
    if task == "binary":
        return float(-np.log(np.where(values == 1, predicted, 1 - predicted)).mean())
    if task == "multiclass":
        return float(-np.log(predicted[np.arange(len(values)), values.astype(int)]).mean())
    error = values - predicted
    return float((np.maximum(0.8 * error, -0.2 * error) if task == "quantile" else error**2).mean())


@pytest.mark.parametrize("task", ["binary", "regression", "quantile", "multiclass"])
@pytest.mark.parametrize("kind", ["noise", "signal"])
def test_trees_stop_when_later_rows_say_so(kind: str, task: str) -> None:
    """Of noise fewer trees are fitted, and later rows are predicted better; of a strong signal most are kept."""
    label = Label(name="y", task=task, classes=3 if task == "multiclass" else 0, quantile=0.8)  # type: ignore[arg-type]
    rows = examples(kind, task)
    before, after = rows.of(np.arange(SEEN)), rows.of(np.arange(SEEN, 2 * SEEN))
    stopped = fit_task_trees(label, task, before, 0, "medium", OPTIONS)
    fixed = fit_task_trees(label, task, replace(before, time=None), 0, "medium", OPTIONS)
    classes = label.classes or 1
    assert len(fixed.trees) == MOST * classes
    losses = [loss(task, LabelModel(spec).frame(after.inputs), after.values) for spec in (stopped, fixed)]
    if kind == "noise":
        assert len(stopped.trees) < MOST * classes // 2
        assert losses[0] < losses[1]
    else:
        assert len(stopped.trees) > MOST * classes // 2
        assert losses[0] <= 1.02 * losses[1]


def test_what_is_held_back_is_the_latest() -> None:
    """The order in which rows come changes nothing; their times do, since other rows are the latest."""
    label, rows = Label(name="y"), examples("noise", "regression", 1_000)
    rows.values[800:] += 3.0 * rows.inputs[800:, 4]  # lately something else counts
    late = fit_task_trees(label, "regression", rows, 0, "medium", OPTIONS)
    early = fit_task_trees(label, "regression", replace(rows, time=-np.arange(1_000.0)), 0, "medium", OPTIONS)
    assert len(late.trees) != len(early.trees)
    shuffled = rows.of(np.random.default_rng(0).permutation(1_000))
    assert abs(len(fit_task_trees(label, "regression", shuffled, 0, "medium", OPTIONS).trees) - len(late.trees)) <= 2


def test_few_rows_get_all_trees() -> None:
    """Below 500 rows, or where only the latest rows vary, nothing can be held back: all trees are fitted."""
    label, rows = Label(name="y"), examples("noise", "regression", LEAST_STOPPED)
    assert len(fit_task_trees(label, "regression", rows, 0, "medium", OPTIONS).trees) < MOST
    few = rows.of(np.arange(LEAST_STOPPED - 1))
    assert len(fit_task_trees(label, "regression", few, 0, "medium", OPTIONS).trees) == MOST
    rows.values[: LEAST_STOPPED * 4 // 5] = 1.0
    assert len(fit_task_trees(label, "regression", rows, 0, "medium", OPTIONS).trees) == MOST
