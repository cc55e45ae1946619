"""A decision tree as plain data, and the check that it is one. Knows no fitting, no storage and no walking."""

from __future__ import annotations

import math

import msgspec

from abloop.errors import ArtefactError

NEAR_ZERO = 1e-35  # LightGBM's kZeroThreshold


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

    def nan_left(self, node: int) -> bool:
        """Return whether a row whose value is NaN goes left at a node."""
        return bool(self.missing[node] & 1) if self.missing[node] & 6 else self.threshold[node] >= 0.0
