"""The predict side of tree ensembles: flat arrays, walked one row at a time or a frame at once.

Compiled Python for one row, NumPy for a frame, the same sums in the same order, so that both equal the
library that fitted the trees to the last bit. Knows no fitting and no storage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import msgspec

from abloop.errors import ArtefactError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEAR_ZERO = 1e-35  # LightGBM's kZeroThreshold
MOST_NESTED = 60  # Python's parser takes 200 nested parentheses
MOST_ADDED = 100  # trees in one expression


class Tree(msgspec.Struct, frozen=True, array_like=True):
    """One binary tree in preorder: the children of a node come after it.

    A child below zero is a leaf: child c is leaf ~c. Rows with value <= threshold go left.

    Attributes:
        feature: Column of each inner node, shape (m,).
        threshold: Split value of each inner node, shape (m,).
        left: Left child of each inner node, shape (m,).
        right: Right child of each inner node, shape (m,).
        missing: Bits of each inner node, shape (m,): 1 a missing value goes left, 2 NaN is missing,
            4 zero (and NaN) is missing. Where neither is, NaN counts as zero.
        leaf: Value of each leaf, shape (m + 1,).
    """

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    missing: tuple[int, ...]
    leaf: tuple[float, ...]

    def check(self, columns: int) -> None:
        """Check counts, ranges, order and finiteness, so that no walk leaves the arrays or turns in a circle.

        Args:
            columns: Number of input columns.

        Raises:
            ArtefactError: The arrays are not one tree.
        """
        inner = len(self.feature)
        lengths = {
            len(self.threshold),
            len(self.left),
            len(self.right),
            len(self.missing),
            len(self.leaf) - 1,
        }
        if lengths != {inner}:
            raise ArtefactError(
                f"tree arrays have lengths {sorted(lengths | {inner})}; allowed: all equal, leaves one more"
            )
        if not all(0 <= column < columns for column in self.feature):
            raise ArtefactError(f"tree reads column {max(self.feature)}; allowed: 0 to {columns - 1}")
        if not all(map(math.isfinite, self.threshold)) or not all(map(math.isfinite, self.leaf)):
            raise ArtefactError("tree holds a value that is not finite; allowed: finite numbers")
        if not all(0 <= bits < 8 for bits in self.missing):
            raise ArtefactError("tree has unknown bits for missing values; allowed: 0 to 7")
        children = sorted([*self.left, *self.right])
        if children != [*range(-inner - 1 if inner else 0, 0), *range(1, inner)]:
            raise ArtefactError("tree children do not name every other node and every leaf once")
        for node, (left, right) in enumerate(zip(self.left, self.right, strict=True)):
            if 0 <= left <= node or 0 <= right <= node:
                raise ArtefactError(f"tree node {node} points back; allowed: children after their parent")


def compile_trees(trees: Sequence[Tree], columns: int) -> tuple[Callable[..., float], ...]:
    """Return checked trees as functions of one row.

    Args:
        trees: Trees that passed their check.
        columns: Number of input columns.

    Returns:
        Functions of a sum and the inputs, each of which adds some of the trees to the sum: a compiled expression of
        many, or a walk of the arrays where a tree is very deep.

    Example:
        >>> stump = Tree((0,), (0.5,), (-1,), (-2,), (2,), (1.0, 3.0))
        >>> [add(10.0, 0.2) for add in compile_trees([stump], columns=1)]
        [11.0]
    """
    steps: list[Callable[..., float]] = []
    named = ", ".join(["s", *_inputs(columns)])
    texts: list[str] = []

    def close() -> None:
        if texts:
            steps.append(_compiled(f"lambda {named}: {' + '.join(['s', *texts])}"))
            texts.clear()

    for tree in trees:
        text = _expression(tree)
        if text is None:
            close()
            steps.append(partial(_walk, tree))
        else:
            texts.append(text)
            if len(texts) == MOST_ADDED:
                close()
    close()
    return tuple(steps)


def compile_sums(ensembles: Sequence[Sequence[Tree]], columns: int) -> Callable[..., tuple[float, ...]] | None:
    """Return several checked ensembles as one function of the inputs, which returns the sum of each.

    One call instead of one for each ensemble: of a row with 100 inputs, a call costs as much as a dozen trees.

    Args:
        ensembles: Trees of each, that passed their check.
        columns: Number of input columns.

    Returns:
        The function; None where a tree is too deep or an ensemble too long for one expression.

    Example:
        >>> stump = Tree((0,), (0.5,), (-1,), (-2,), (2,), (1.0, 3.0))
        >>> compile_sums([[stump], [stump, stump]], columns=1)(0.2)
        (1.0, 2.0)
    """
    texts: list[str] = []
    for trees in ensembles:
        parts = [part for part in map(_expression, trees) if part is not None]
        if len(parts) < len(trees) or len(trees) > MOST_ADDED:
            return None
        texts.append(" + ".join(["0.0", *parts]))
    found: Callable[..., tuple[float, ...]] = _compiled(f"lambda {', '.join(_inputs(columns))}: ({', '.join(texts)},)")
    return found


def _inputs(columns: int) -> list[str]:
    return [f"x{column}" for column in range(columns)]


def _compiled(text: str) -> Callable[..., Any]:
    """Return the function of a text that holds nothing but checked numbers and our own words."""
    found: Callable[..., Any] = eval(text, {"__builtins__": {}})  # noqa: S307
    return found


def _expression(tree: Tree) -> str | None:
    """Return a tree as an expression of Python; None where it is too deep to be parsed."""
    texts = [repr(value) for value in tree.leaf]
    depths = [0] * len(tree.leaf)
    inner: list[tuple[str, int]] = [("", 0)] * len(tree.feature)
    for node in reversed(range(len(tree.feature))):  # children come after their parent
        sides = [
            inner[child] if child >= 0 else (texts[~child], depths[~child])
            for child in (tree.left[node], tree.right[node])
        ]
        (left, deep_left), (right, deep_right) = sides
        depth = 1 + max(deep_left, deep_right)
        if depth > MOST_NESTED:
            return None
        inner[node] = f"({left} if {_goes_left(tree, node)} else {right})", depth
    return inner[0][0] if inner else f"({texts[0]})"


def _goes_left(tree: Tree, node: int) -> str:
    """Return the condition under which a row goes left, missing values included, as an expression.

    A comparison with NaN is false, so that `v <= t` sends it right and `not v > t` sends it left.
    """
    value, threshold, missing = f"x{tree.feature[node]}", tree.threshold[node], tree.missing[node]
    nan_left = bool(missing & 1) if missing & 6 else threshold >= 0.0
    condition = f"not {value} > {threshold!r}" if nan_left else f"{value} <= {threshold!r}"
    if not missing & 4:
        return condition
    zero = f"-{NEAR_ZERO!r} <= {value} <= {NEAR_ZERO!r}"
    return f"({condition} or {zero})" if missing & 1 else f"({condition} and not {zero})"


def _walk(tree: Tree, total: float, *values: float) -> float:
    """Return a sum and the leaf value of one row, found by walking the arrays."""
    node = 0
    while node >= 0:
        value, missing = values[tree.feature[node]], tree.missing[node]
        absent = value != value or (missing & 4 and -NEAR_ZERO <= value <= NEAR_ZERO)
        if absent and missing & 6:
            goes_left = bool(missing & 1)
        else:
            goes_left = (0.0 if value != value else value) <= tree.threshold[node]
        node = tree.left[node] if goes_left else tree.right[node]
    return total + tree.leaf[~node]


class Ensemble:
    """A sum of trees.

    For single rows each tree becomes one nested conditional expression of Python: six times as fast as
    walking the arrays, with the same comparisons. The expression is made of checked numbers only.

    Args:
        trees: The trees, in the order in which they are summed.
        columns: Number of input columns.
        compiled: Whether single rows are asked for; otherwise the first of them waits.

    Raises:
        ArtefactError: A tree fails its check.

    Example:
        >>> stump = Tree((0,), (0.5,), (-1,), (-2,), (2,), (1.0, 3.0))
        >>> Ensemble([stump], columns=1).row([0.7])
        3.0
    """

    def __init__(self, trees: Sequence[Tree], columns: int, *, compiled: bool = True) -> None:
        """Check the trees and compile them for single rows."""
        for tree in trees:
            tree.check(columns)
        self.trees = tuple(trees)
        self.columns = columns
        if compiled:
            _ = self._steps

    @cached_property
    def _steps(self) -> tuple[Callable[..., float], ...]:
        """Return the trees as functions of one row."""
        return compile_trees(self.trees, self.columns)

    def row(self, values: Sequence[float]) -> float:
        """Return the prediction for one row, shape (columns,), NaN where missing."""
        total = 0.0
        for add in self._steps:
            total = add(total, *values)
        return total

    def frame(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predictions for many rows.

        Args:
            values: Shape (n, columns), NaN where missing.

        Returns:
            Shape (n,), equal to `row` of each.
        """
        import numpy as np

        nan = np.isnan(values)
        zeroed = np.where(nan, 0.0, values)
        zero = np.abs(zeroed) <= NEAR_ZERO
        total = np.zeros(len(values))
        for tree in self.trees:
            reached = np.zeros(len(values), dtype=np.int64) if tree.feature else np.full(len(values), -1)
            for node, (feature, threshold, left, right, missing) in enumerate(
                zip(tree.feature, tree.threshold, tree.left, tree.right, tree.missing, strict=True)
            ):
                here = np.flatnonzero(reached == node)
                goes_left = zeroed[here, feature] <= threshold
                if missing & 6:
                    absent = zero[here, feature] if missing & 4 else nan[here, feature]
                    goes_left = np.where(absent, bool(missing & 1), goes_left)
                reached[here] = np.where(goes_left, left, right)
            total += np.asarray(tree.leaf)[~reached]
        return total
