"""Trees as the lists of an ONNX tree ensemble. What a device is never told is decided in them beforehand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from abloop.models.labels import LabelSpec
from abloop.models.trees import Tree


def tree_lists(spec: LabelSpec) -> dict[str, Any]:
    """Return a label's trees as the attributes of `TreeEnsembleRegressor`.

    Args:
        spec: A label model of trees.
    """
    names = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
    found: dict[str, list[Any]] = {f"nodes_{name}": [] for name in (*names, "missing_value_tracks_true")}
    found |= {f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    for number, (tree, target) in enumerate(_outputs(spec)):
        inner = len(tree.feature)
        for node in range(inner):
            children = [child if child >= 0 else inner + ~child for child in (tree.left[node], tree.right[node])]
            limit = _single(tree.threshold[node])
            row = (number, node, tree.feature[node], limit, "BRANCH_LEQ", *children, int(tree.nan_left(node)))
            for name, value in zip(found, row, strict=False):
                found[name].append(value)
        for at, leaf in enumerate(tree.leaf):
            row = (number, inner + at, 0, 0.0, "LEAF", 0, 0, 0)
            for name, value in zip(found, row, strict=False):
                found[name].append(value)
            for name, value in zip(
                ("treeids", "nodeids", "ids", "weights"), (number, inner + at, target, leaf), strict=True
            ):
                found[f"target_{name}"].append(value)
    return found


def decided(tree: Tree, column: int, value: float) -> Tree:
    """Return a tree that no longer asks for one of its columns, whose value is known.

    Args:
        tree: The tree.
        column: Which column.
        value: What is there, finite.

    Example:
        >>> stump = Tree((1,), (0.5,), (-1,), (-2,), (2,), (10.0, 20.0))
        >>> decided(stump, 1, 1.0).leaf
        (20.0,)
    """
    parts: dict[str, list[Any]] = {name: [] for name in ("feature", "threshold", "left", "right", "missing", "leaf")}

    def lay(node: int) -> int:
        """Lay out what is below a node, the children of a node after it, and return where it begins."""
        while node >= 0 and tree.feature[node] == column:
            node = tree.left[node] if value <= tree.threshold[node] else tree.right[node]
        if node < 0:
            parts["leaf"].append(tree.leaf[~node])
            return ~(len(parts["leaf"]) - 1)
        here = len(parts["feature"])
        for name in ("feature", "threshold", "missing"):
            parts[name].append(getattr(tree, name)[node])
        parts["left"].append(0)
        parts["right"].append(0)
        parts["left"][here] = lay(tree.left[node])
        parts["right"][here] = lay(tree.right[node])
        return here

    lay(0 if tree.feature else ~0)
    return Tree(*(tuple(parts[name]) for name in Tree.__struct_fields__))


def _outputs(spec: LabelSpec) -> Iterator[tuple[Tree, int]]:
    """Return each tree with the output that it adds to."""
    for number, tree in enumerate(spec.trees):
        if spec.arms:
            yield from ((decided(tree, spec.columns, float(arm)), arm) for arm in range(spec.arms))
        elif spec.last is not None:
            yield decided(tree, spec.columns, spec.last), 0
        else:
            yield tree, number % spec.classes if spec.classes else 0


def _single(threshold: float) -> float:
    """Return the greatest single-precision number not above a threshold, so that x <= t stays what it was."""
    limit = np.float32(threshold)
    if float(limit) > threshold:
        limit = np.nextafter(limit, np.float32(-math.inf))
    return float(limit)
