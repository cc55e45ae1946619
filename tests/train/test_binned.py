"""Linear models of inputs cut by rank: what they serve is what they fitted, and no scale misleads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from abloop.blueprint.learning import Label
from abloop.models.labels import LabelSet
from abloop.train.binned import BINS, can_bin, fit_task_binned
from abloop.train.labels import fit_labels
from abloop.train.tasks import Examples, fit_task_linear, fit_task_trees
from tests.train.test_labels import table

LEVELS = (0, 0, 0, 40, 0)


def examples(rows: int, seed: int, binary: bool) -> Examples:
    """Return rows in which heavy-tailed numbers act by their logarithm, a category of many levels acts, and gaps do."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.lognormal(0, 2, (rows, 3)), rng.integers(0, 40, rows), np.full(rows, 7.0)])
    gaps = rng.random(rows) < 0.2
    score = np.log(x[:, :3]) @ [1.0, -1.0, 0.5] + (x[:, 3] % 3) + np.where(gaps, 2.0, 0.0)
    x[gaps, 2] = np.nan
    x[rng.random(rows) < 0.1, 3] = np.nan
    noise = rng.logistic(size=rows) if binary else rng.normal(size=rows)
    values = (score + noise > 0).astype(float) if binary else score + noise
    nothing = np.zeros(rows, dtype=np.intp)
    return Examples(x, LEVELS, values, nothing, 1, nothing, np.full(rows, np.nan), np.arange(rows))


def loss(spec: Any, rows: Examples, binary: bool) -> float:
    """Return the mean loss of a model on rows."""
    (found,) = LabelSet((spec,)).frame(rows.inputs).values()
    if binary:
        return float(-np.log(np.where(rows.values == 1, found, 1 - found)).mean())
    return float(((found - rows.values) ** 2).mean())


@pytest.mark.parametrize("binary", [True, False])
def test_no_tail_misleads(binary: bool) -> None:
    """Where numbers act by their logarithm, bins predict rows they never saw better than lines and than trees."""
    task = "binary" if binary else "regression"
    seen, later, label = examples(2_000, 0, binary), examples(4_000, 1, binary), Label(name="y")
    binned = loss(fit_task_binned(label, task, seen), later, binary)
    assert binned < loss(fit_task_linear(label, task, seen, 0), later, binary)
    assert binned < loss(fit_task_trees(label, task, seen, 0, "medium", {}), later, binary)


@pytest.mark.parametrize("binary", [True, False])
def test_one_row_and_a_frame_give_the_same_bits(binary: bool) -> None:
    """Decided alone or together, with gaps, unseen levels and numbers beyond all that were seen."""
    rows = examples(500, 2, binary)
    spec = fit_task_binned(Label(name="y"), "binary" if binary else "regression", rows)
    for tree in spec.trees:
        tree.check(spec.columns)
    strange = np.array([[1e300, -1e30, 0.0, 99.0, 7.0], [np.nan] * 5])
    inputs = np.vstack([rows.inputs, strange])
    served = LabelSet((spec,))
    (frame,) = served.frame(inputs).values()
    assert [served.row(row)[0] for row in inputs.tolist()] == frame.tolist()
    assert np.isfinite(frame).all()


def test_bins_are_of_equal_rows_and_steps_are_few() -> None:
    """An input has a tree of its own, of at most so many steps and one for what is missing; a constant has none."""
    rows = examples(1_000, 3, binary=False)
    spec = fit_task_binned(Label(name="y"), "regression", rows)
    leaves = [len(tree.leaf) for tree in spec.trees]
    assert leaves[0] == 1
    assert leaves[1:4] == [BINS + 1] * 3
    assert leaves[5] == 2
    values = rows.inputs[:, 0]
    cuts = sorted(spec.trees[1].threshold)[1:]
    shares = np.diff(np.concatenate([[0], [(values <= cut).mean() for cut in cuts], [1]]))
    assert shares == pytest.approx(1 / BINS, abs=2 / len(values))


def test_auto_cuts_numbers_where_that_predicts_later_rows() -> None:
    """With `kind: auto`, a label that moves with the logarithms of heavy-tailed inputs is learned from bins."""
    rows = table([{"name": "spend"}], {"kind": "auto", "size": "small"})
    x, rng = rows.sample.features, np.random.default_rng(5)
    first, second = [at for at, levels in enumerate(rows.encoder.levels) if not levels][:2]
    x[:, [first, second]] = rng.lognormal(0, 2, (len(x), 2))
    rows.metrics["spend"] = np.log(x[:, first]) - np.log(x[:, second]) + rng.normal(size=len(x))
    (spec,) = fit_labels(rows, x, np.ones(len(x), dtype=bool)).specs
    assert len(spec.trees) == x.shape[1] + 1


def test_what_is_no_single_line_is_not_cut() -> None:
    """Classes, quantiles, orders, labels by arm or with positions, and inputs without a number are left to others."""
    assert can_bin(Label(name="y"), "binary", (0, 3))
    assert not can_bin(Label(name="y"), "binary", (3, 3))
    assert not can_bin(Label(name="y"), "multiclass", (0,))
    assert not can_bin(Label(name="y", by_arm=True), "binary", (0,))
    assert not can_bin(Label(name="y", position=True), "binary", (0,))
