"""Trees walked by machine code, which numba makes once in each process.

A row crosses over as one packed piece of memory, and eight trees are walked at a time without a branch that a
processor could guess wrongly, so that a hundred trees take about as long as reading the features does. Trees must have
passed their check: nothing is checked here any more.
"""

from __future__ import annotations

import ctypes
import math
import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from abloop.models.trees import Tree

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AT_ONCE = 8  # trees
UNLOOKED = 1  # step before one after which it is looked whether all eight are at a leaf
ROWS = 32  # that go through eight trees before the next eight
PART = 32_768  # rows of a frame that are copied and walked at a time


class Code(NamedTuple):
    """The compiled walk.

    Attributes:
        of_row: Keeps Python's lock: giving it up for microseconds can cost milliseconds of waiting for it.
        of_frame: Gives it up.
        kept: What must live as long as both.
    """

    of_row: Callable[..., None]
    of_frame: Callable[..., None]
    kept: object


@cache
def machine_code() -> Code | None:
    """Return the compiled walk; None where numba is not installed or does not work on this machine."""
    try:
        import numba
        from numba.core import types

        number, whole, count = types.CPointer(types.float64), types.CPointer(types.int32), types.intp  # type: ignore[no-untyped-call]
        step = numba.njit(_step)
        signature = types.void(number, count, count, whole, count, number, whole, whole, whole, number, number)
        compiled = numba.cfunc(signature)(_walk_with(step))
        found = int(compiled.address or 0)
    except Exception:  # whatever is wrong with an optional library, Python alone predicts
        return None
    address, size = ctypes.c_void_p, ctypes.c_ssize_t
    kinds = [address, size, size, address, size, *[address] * 6]
    row, frame = ctypes.PYFUNCTYPE(None, *kinds), ctypes.CFUNCTYPE(None, *kinds)
    return Code(row(found), frame(found), (compiled, step))


def _step(node: Any, values: Any, start: Any, number: Any, whole: Any) -> Any:
    """Return the child of a node that a row goes to; a leaf is its own child. Without a branch."""
    column = whole[4 * node + 2]
    value, right = values[start + (column >> 1)], whole[4 * node + 3]
    left = (1 if value <= number[2 * node] else 0) | ((1 if value != value else 0) & (column & 1))
    return right ^ ((right ^ (node + 1)) & -left)


def _walk_with(step: Any) -> Callable[..., None]:
    """Return the walk, written for numba.

    Some rows go through eight trees before the next eight, so that both stay where the processor is quick. Who does not
    move in a step is at a leaf: most rows are there long before the deepest. Leaves are added one after the other, as
    the library that fitted the trees adds them.
    """

    def walk(
        values: Any,
        rows: Any,
        width: Any,
        spans: Any,
        reads: Any,
        number: Any,
        whole: Any,
        root: Any,
        depth: Any,
        leaf: Any,
        out: Any,
    ) -> None:
        for first_row in range(0, rows, ROWS):
            last_row = min(first_row + ROWS, rows)
            for read in range(reads):
                for row in range(first_row, last_row):
                    out[row * reads + read] = 0.0
                for group in range(spans[2 * read], spans[2 * read + 1]):
                    first, deep = 8 * group, -(-depth[group] // (UNLOOKED + 1))
                    for row in range(first_row, last_row):
                        start, place = row * width, row * reads + read
                        a, b, c, d = root[first], root[first + 1], root[first + 2], root[first + 3]
                        e, f, g, h = root[first + 4], root[first + 5], root[first + 6], root[first + 7]
                        for _ in range(deep):
                            for _ in range(UNLOOKED):
                                a, b = step(a, values, start, number, whole), step(b, values, start, number, whole)
                                c, d = step(c, values, start, number, whole), step(d, values, start, number, whole)
                                e, f = step(e, values, start, number, whole), step(f, values, start, number, whole)
                                g, h = step(g, values, start, number, whole), step(h, values, start, number, whole)
                            i, j, k, m, n, o, p, q = a, b, c, d, e, f, g, h
                            a, b = step(a, values, start, number, whole), step(b, values, start, number, whole)
                            c, d = step(c, values, start, number, whole), step(d, values, start, number, whole)
                            e, f = step(e, values, start, number, whole), step(f, values, start, number, whole)
                            g, h = step(g, values, start, number, whole), step(h, values, start, number, whole)
                            if not ((a ^ i) | (b ^ j) | (c ^ k) | (d ^ m) | (e ^ n) | (f ^ o) | (g ^ p) | (h ^ q)):
                                break
                        total = out[place]
                        total += leaf[a]
                        total += leaf[b]
                        total += leaf[c]
                        total += leaf[d]
                        total += leaf[e]
                        total += leaf[f]
                        total += leaf[g]
                        out[place] = total + leaf[h]

    return walk


class Layout:
    """Trees as one piece of memory: nodes in preorder, leaves among them, eight trees a group.

    A node is 16 bytes: its threshold, its column times two plus whether NaN goes left, and its right child; its left
    child follows it. A leaf compares with NaN and is its own right child, so that rows that arrived early wait there.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.threshold: list[float] = []
        self.column: list[int] = []
        self.right: list[int] = []
        self.leaf: list[float] = []
        self.root: list[int] = []
        self.depth: list[int] = []

    def add(self, trees: Sequence[Tree]) -> tuple[int, int]:
        """Add an ensemble and return its first group and the one after its last."""
        start = len(self.depth)
        for first in range(0, len(trees), AT_ONCE):
            group = trees[first : first + AT_ONCE]
            self.depth.append(max(map(self._add_tree, group)))
            for _ in range(AT_ONCE - len(group)):
                self.root.append(self._node(-0.0))
        return start, len(self.depth)

    def _node(self, leaf: float) -> int:
        """Add a leaf, or room for an inner node."""
        self.threshold.append(math.nan)
        self.column.append(0)
        self.right.append(len(self.right))
        self.leaf.append(leaf)
        return len(self.leaf) - 1

    def _add_tree(self, tree: Tree) -> int:
        """Add a tree and return its depth."""
        self.root.append(len(self.leaf))
        deepest = 0
        waiting: list[tuple[int, int, int]] = [(0 if tree.feature else -1, 0, -1)]
        while waiting:
            child, depth, parent = waiting.pop()
            here = self._node(tree.leaf[~child] if child < 0 else 0.0)
            if parent >= 0:
                self.right[parent] = here
            deepest = max(deepest, depth)
            if child >= 0:
                self.threshold[here] = tree.threshold[child]
                self.column[here] = 2 * tree.feature[child] + tree.nan_left(child)
                waiting.append((tree.right[child], depth + 1, here))
                waiting.append((tree.left[child], depth + 1, -1))
        return deepest


class Walked:
    """Reads ensembles by machine code; arguments as for `abloop.models.forest.Forest`, after the code."""

    def __init__(
        self,
        code: Code,
        ensembles: Sequence[Sequence[Tree]],
        columns: int,
        reads: Sequence[tuple[int, float | None]],
    ) -> None:
        """Lay all trees out in one piece, and the reads by the arm that they are given."""
        import numpy as np

        layout = Layout()
        spans = [layout.add(trees) for trees in ensembles]
        nodes = np.empty((len(layout.leaf), 2))
        nodes[:, 0] = layout.threshold
        whole = nodes.view(np.int32).reshape(-1, 4)
        whole[:, 2], whole[:, 3] = layout.column, layout.right
        root, depth = np.asarray(layout.root, dtype=np.int32), np.asarray(layout.depth, dtype=np.int32)
        kept: list[NDArray[Any]] = [nodes, nodes, root, depth, np.asarray(layout.leaf)]
        calls: dict[float | None, list[int]] = {}
        for place, (_, arm) in enumerate(reads):
            calls.setdefault(arm, []).append(place)
        # The last input is the arm; nothing reads it where there is none.
        self._calls = []
        for arm, places in calls.items():
            span = np.asarray([spans[reads[place][0]] for place in places], dtype=np.int32)
            kept.append(span)
            self._calls.append((0.0 if arm is None else arm, places, ctypes.c_void_p(span.ctypes.data)))
        self._trees = tuple(ctypes.c_void_p(array.ctypes.data) for array in kept[:5])
        self._kept, self._reads, self._width = kept, len(reads), columns + 1
        self._code, self._walk = code, code.of_row
        self._pack = struct.Struct(f"{columns + 1}d").pack
        self._out: Callable[[], Any] = ctypes.c_double * len(reads)

    def row(self, values: Sequence[float]) -> Sequence[float]:
        """Return the sums of one row."""
        out, width = self._out(), self._width
        if len(self._calls) == 1:
            ((arm, places, span),) = self._calls
            self._walk(self._pack(*values, arm), 1, width, span, len(places), *self._trees, out)
            scores: Sequence[float] = out
            return scores
        found = [0.0] * self._reads
        for arm, places, span in self._calls:
            self._walk(self._pack(*values, arm), 1, width, span, len(places), *self._trees, out)
            for place, score in zip(places, out, strict=False):
                found[place] = score
        return found

    def frame(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums of many rows, in parts that share the cores."""
        import numpy as np

        parts = [slice(start, start + PART) for start in range(0, len(values), PART)]
        if len(parts) < 2:
            return self._part(values)
        found = np.empty((len(values), self._reads))

        def fill(part: slice) -> None:
            found[part] = self._part(values[part])

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(fill, parts))
        return found

    def _part(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums of some rows; Python's lock is free meanwhile."""
        import numpy as np

        inputs = np.empty((len(values), self._width))
        inputs[:, :-1] = values
        found = np.empty((len(values), self._reads))
        for arm, places, span in self._calls:
            inputs[:, -1] = arm
            out = np.empty((len(values), len(places)))
            self._code.of_frame(
                inputs.ctypes.data, len(values), self._width, span, len(places), *self._trees, out.ctypes.data
            )
            found[:, places] = out
        return found
