"""Linear models of inputs that are cut by rank: what an input adds is a step function, so that no scale misleads.

They serve as trees, one for each input: predictions are those of any ensemble, bit for bit.
"""

from __future__ import annotations

import numpy as np

from abloop.blueprint.learning import Label
from abloop.learners.base import Frame, Sample
from abloop.learners.regress import LOGISTIC_STRENGTH, MOST_LEVELS, fit_line
from abloop.models.labels import LabelSpec
from abloop.models.trees import Tree
from abloop.train.tasks import Examples, constant_task, link_of

BINS, MOST_BINS = 16, MOST_LEVELS - 2  # of each number, equal in rows; one more is for what is missing
BINNED = ("binary", "regression")  # the tasks that are one line
LOWEST = float(np.finfo(np.float32).min)  # of what devices know; nothing is below it but what is missing
NAN_LEFT, NAN_RIGHT = 3, 2  # bits of a node: a missing value is missing, and goes there


def can_bin(label: Label, task: str, levels: tuple[int, ...]) -> bool:
    """Return whether a label can be learned this way: one score a decision, and an input that is a number.

    Args:
        label: The label.
        task: Its task.
        levels: Levels of each input, 0 for numbers.
    """
    return task in BINNED and not label.by_arm and not label.position and 0 in levels


def fit_task_binned(
    label: Label, task: str, rows: Examples, bins: int = BINS, strength: float = LOGISTIC_STRENGTH
) -> LabelSpec:
    """Fit a ridge or logistic regression on the bins of numbers, the levels of categories and what is missing.

    Args:
        label: The label.
        task: `binary` or `regression`.
        rows: What is learned from.
        bins: Of each number, from 2 to `MOST_BINS`.
        strength: Inverse of the penalty of a logistic regression, above 0.
    """
    if not float(np.ptp(rows.values)):
        return constant_task(label, task, rows)
    edges = [_edges(column, levels, bins) for column, levels in zip(rows.inputs.T, rows.levels, strict=True)]
    codes = np.column_stack([_codes(column, cuts) for column, cuts in zip(rows.inputs.T, edges, strict=True)])
    count = len(rows.values)
    sample = Sample(
        codes, np.zeros(count, dtype=np.intp), rows.values, np.ones(1), tuple(len(cuts) + 2 for cuts in edges)
    )
    line = fit_line(sample, logistic=task == "binary", strength=strength).spec()
    trees = [Tree((), (), (), (), (), (line.intercept,))]
    for column, (cuts, added) in enumerate(zip(edges, line.levels, strict=True)):
        trees.append(step_tree(column, cuts.tolist(), list(added)))
    return LabelSpec(label.name, link_of(task), tuple(trees), rows.inputs.shape[1])


def _edges(column: Frame, levels: int, bins: int) -> Frame:
    """Return where an input is cut: between levels of a category, else so that its bins have equal rows."""
    if levels:
        most = MOST_LEVELS - 1  # one is left for what is missing
        return np.arange(min(levels, most) - 1, dtype=np.float64) + 0.5
    known = column[np.isfinite(column)]
    if not len(known):
        return np.empty(0)
    cuts: Frame = np.unique(np.quantile(known, np.arange(1, bins) / bins, method="lower"))
    below: Frame = cuts[cuts < known.max()]
    return below


def _codes(column: Frame, edges: Frame) -> Frame:
    """Return the bin of each value, from 0, and one more where it is missing; a value at an edge is below it."""
    found = np.searchsorted(edges, column, side="left").astype(np.float64)
    return np.where(np.isnan(column), len(edges) + 1.0, found)


def step_tree(column: int, edges: list[float], added: list[float]) -> Tree:
    """Return a step function of one input as a tree.

    Args:
        column: Which input.
        edges: Where it steps, rising, length b - 1.
        added: What each of the b bins adds, and last what a missing value adds.

    Example:
        >>> from abloop.models.forest import Ensemble
        >>> tree = step_tree(0, [1.0, 3.0], [10.0, 20.0, 30.0, -1.0])
        >>> [Ensemble((tree,), 1).row([value]) for value in (0.5, 1.0, 2.0, 99.0, float("nan"))]
        [10.0, 10.0, 20.0, 30.0, -1.0]
    """
    threshold, left, right, missing = [LOWEST], [~0], [0], [NAN_LEFT]
    leaf = [added[-1]]

    def grow(low: int, high: int) -> int:
        """Lay out the bins from low to high, the children of a node after it, and return where they begin."""
        if low == high:
            leaf.append(added[low])
            return ~(len(leaf) - 1)
        here, middle = len(threshold), (low + high) // 2
        threshold.append(edges[middle])
        left.append(0)
        right.append(0)
        missing.append(NAN_RIGHT)
        left[here] = grow(low, middle)
        right[here] = grow(middle + 1, high)
        return here

    right[0] = grow(0, len(edges))
    return Tree((column,) * len(threshold), tuple(threshold), tuple(left), tuple(right), tuple(missing), tuple(leaf))
