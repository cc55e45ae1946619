"""Trees read by Python and NumPy alone: one row as a compiled expression, a frame node by node.

The same sums in the same order as `abloop.models.machine`, so that both equal the library that fitted the trees to the
last bit; what serves where numba is not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from abloop.models.trees import NEAR_ZERO, Tree

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_NESTED = 60  # Python's parser takes 200 nested parentheses
MOST_ADDED = 100  # trees in one expression


class Spelled:
    """Reads ensembles as expressions of Python; arguments as for `abloop.models.forest.Forest`."""

    def __init__(
        self, ensembles: Sequence[Sequence[Tree]], columns: int, reads: Sequence[tuple[int, float | None]]
    ) -> None:
        """Compile the trees for single rows."""
        self._ensembles = ensembles
        self._reads = [(ensemble, [] if arm is None else [arm]) for ensemble, arm in reads]
        armed = {ensemble: bool(arms) for ensemble, arms in self._reads}
        plain = bool(reads) and not any(armed.values())
        self._sums = compile_sums([ensembles[ensemble] for ensemble, _ in reads], columns) if plain else None
        if self._sums is None:
            self._steps = [compile_trees(trees, columns + armed.get(at, 0)) for at, trees in enumerate(ensembles)]

    def row(self, values: Sequence[float]) -> Sequence[float]:
        """Return the sums of one row."""
        if self._sums is not None:
            return self._sums(*values)
        found = []
        for ensemble, armed in self._reads:
            total, inputs = 0.0, [*values, *armed]
            for add in self._steps[ensemble]:
                total = add(total, *inputs)
            found.append(total)
        return found

    def frame(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums of many rows."""
        import numpy as np

        out = np.empty((len(values), len(self._reads)))
        for read, (ensemble, armed) in enumerate(self._reads):
            inputs = np.column_stack([values, np.full(len(values), armed[0])]) if armed else values
            out[:, read] = _sum_frame(self._ensembles[ensemble], inputs)
        return out


def _sum_frame(trees: Sequence[Tree], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of trees for many rows, shape (n, d) to (n,)."""
    import numpy as np

    nan = np.isnan(values)
    zeroed = np.where(nan, 0.0, values)
    zero = np.abs(zeroed) <= NEAR_ZERO
    total = np.zeros(len(values))
    for tree in trees:
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
    condition = f"not {value} > {threshold!r}" if tree.nan_left(node) else f"{value} <= {threshold!r}"
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
