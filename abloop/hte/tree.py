"""A policy that fits on a slide: few questions, an arm at the end of each path. Fitted by econml on measured values."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abloop.evaluate.gate import Evidence
from abloop.evaluate.ope import Frame, weighted_value
from abloop.hte.results import Branch
from abloop.learners.regress import Design
from abloop.records import Column
from abloop.stats.compare import Estimate

DEPTH = 2
SMALLEST = 50  # a leaf holds at least one row in so many


def names_of(columns: tuple[Column, ...], design: Design) -> list[str]:
    """Return what each input of a design says, as a condition for those that are 0 or 1, length width.

    Args:
        columns: How the features were encoded.
        design: How they became inputs.
    """
    names: list[str] = []
    of = [
        (column, f"{column.name}[{slot}]" if column.width > 1 else column.name)
        for column in columns
        for slot in range(column.width)
    ]
    for (column, name), levels, gaps in zip(of, design.levels, design.gaps, strict=True):
        names += [f"{name} is {level}" for level in column.levels[:levels]] if levels else [name]
        names += [f"{name} is missing"] if gaps and not levels else []
    return names


def grow(inputs: Frame, evidence: Evidence, names: list[str], best: int) -> Branch:
    """Return the policy tree of all rows.

    Args:
        inputs: Shape (n, width), without gaps.
        evidence: Measured value of each arm.
        names: What each input says, length width.
        best: Index of the best single arm.
    """
    fitted = _fit(inputs, evidence.arm_scores)
    tree, rows = fitted.tree_, np.asarray(fitted.decision_path(inputs).todense(), dtype=bool)

    def branch(node: int) -> Branch:
        here = rows[:, node]
        left, right = int(tree.children_left[node]), int(tree.children_right[node])
        if left < 0:
            arm = int(np.argmax(tree.value[node, :, 0]))
            return _end(evidence, here, arm, best)
        yes, no = branch(left), branch(right)
        if yes.arm and yes.arm == no.arm:
            return _end(evidence, here, evidence.names.index(yes.arm), best)
        name, threshold = names[tree.feature[node]], float(tree.threshold[node])
        if " is " in name:  # a 0 or 1: at most one half means that it is not so
            return Branch(question=name, n=yes.n + no.n, yes=no, no=yes)
        return Branch(question=f"{name} <= {threshold:.4g}", n=yes.n + no.n, yes=yes, no=no)

    return branch(0)


def tree_gain(inputs: Frame, evidence: Evidence, best: int) -> Estimate:
    """Return what such a tree gains over the best single arm, each row's arm from a tree of other folds.

    Args:
        inputs: Shape (n, width), without gaps.
        evidence: Measured value of each arm, and folds.
        best: Index of the best single arm.
    """
    arms = np.empty(len(inputs), dtype=np.intp)
    for fold in range(int(evidence.folds.max()) + 1):
        test = evidence.folds == fold
        arms[test] = _fit(inputs[~test], evidence.arm_scores[~test]).predict(inputs[test])
    gained = evidence.arm_scores[np.arange(len(arms)), arms] - evidence.arm_scores[:, best]
    return weighted_value(gained, evidence.groups)


def _end(evidence: Evidence, rows: NDArray[np.bool_], arm: int, best: int) -> Branch:
    """Return the end of a path that some rows take."""
    gained = evidence.arm_scores[rows, arm] - evidence.arm_scores[rows, best]
    return Branch(arm=evidence.names[arm], n=len(gained), gain=weighted_value(gained, evidence.groups[rows]))


def _fit(inputs: Frame, scores: Frame) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # econml warns of its own dependencies
        from econml.policy import PolicyTree

        smallest = max(1, len(inputs) // SMALLEST)
        return PolicyTree(max_depth=DEPTH, min_samples_leaf=smallest, honest=False, random_state=0).fit(inputs, scores)
