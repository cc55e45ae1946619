"""Feature values of many decisions, column by column. One type each, with missing kept missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abloop.records import FeatureType, FeatureValue


@dataclass(frozen=True)
class Categories:
    """Texts, each distinct one kept once.

    Attributes:
        codes: Position of each row's text in `levels`, -1 where missing, shape (n,).
        levels: The distinct texts, in any order.
    """

    codes: NDArray[np.int64]
    levels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, values: Sequence[float], missing: float = np.nan) -> NDArray[np.float64]:
        """Return a number for each row, given one for each level, shape (n,)."""
        out: NDArray[np.float64] = np.asarray([*values, missing], dtype=np.float64)[self.codes]
        return out

    def texts(self) -> NDArray[np.object_]:
        """Return the texts, None where missing, shape (n,)."""
        out: NDArray[np.object_] = np.asarray([*self.levels, None], dtype=object)[self.codes]
        return out


# Numbers: shape (n,), NaN where missing. Embeddings: shape (n, m). Sparse values: one mapping, or None, a row.
FrameColumn = NDArray[np.float64] | Categories | list[dict[str, float] | None]


def to_column(values: Sequence[FeatureValue], kind: FeatureType, size: int = 1) -> FrameColumn:
    """Return the values of one feature as a column.

    Args:
        values: One for each decision, n of them.
        kind: Type of the feature.
        size: Of embeddings: their length.

    Example:
        >>> to_column(["web", None, "web"], "categorical").codes.tolist()
        [0, -1, 0]
    """
    plain: Any = values
    if kind == "categorical":
        found: dict[str, int] = {}
        codes = [-1 if value is None else found.setdefault(value, len(found)) for value in plain]
        return Categories(np.asarray(codes, dtype=np.int64), tuple(found))
    if kind == "sparse":
        return list(plain)
    if kind == "embedding":
        nothing = (np.nan,) * size
        rows = [nothing if value is None else value for value in plain]
        return np.asarray(rows, dtype=np.float64).reshape(len(rows), size)
    return np.asarray(plain, dtype=np.float64)


def rows_of(column: FrameColumn, rows: NDArray[np.bool_]) -> FrameColumn:
    """Return the column of some of the rows, given as a mask of shape (n,)."""
    if isinstance(column, Categories):
        return Categories(column.codes[rows], column.levels)
    if isinstance(column, list):
        return [value for value, kept in zip(column, rows, strict=True) if kept]
    return column[rows]
