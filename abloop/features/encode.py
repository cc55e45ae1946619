"""Feature values to model inputs: the one code for a single decision and for a training frame.

Numbers stay as they are, categories become the rank of their frequency in the training rows, sparse values one
column for each frequent key, embeddings a column for each number; missing and unseen values become NaN. Knows
no model and no storage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

from abloop.records import Column, FeatureValue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from abloop.features.column import FrameColumn

NAN = math.nan
_PLAIN = ("numeric", "categorical")


class Encoder:
    """A fitted encoding of d features.

    Args:
        columns: One for each feature, length d.

    Attributes:
        columns: As given.
        width: Number of model inputs.
        levels: How many levels each input has where it holds codes of a category, 0 for numbers, length width.

    Example:
        >>> encoder = Encoder([Column("age", "numeric"), Column("channel", "categorical", ("web", "phone"))])
        >>> encoder.row((31.0, "phone"))
        [31.0, 1.0]
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        """Index the levels."""
        self.columns = tuple(columns)
        self.width = sum(column.width for column in self.columns)
        self.levels = tuple(level for column in self.columns for level in _levels(column))
        self._codes = tuple(_numbers_of_levels(column) for column in self.columns)
        self._plain = all(column.type in _PLAIN for column in self.columns)

    def row(self, values: Sequence[FeatureValue]) -> list[float]:
        """Return the model input of one decision, shape (width,), NaN where missing or unseen."""
        # A numeric column holds numbers and a categorical one texts, which the types of a mixed row cannot say.
        if self._plain:
            return [
                (NAN if value is None else value) if codes is None else codes.get(value, NAN)  # type: ignore[misc, arg-type]
                for codes, value in zip(self._codes, values, strict=True)
            ]
        out: list[float] = []
        for column, codes, value in zip(self.columns, self._codes, values, strict=True):
            out.extend(_inputs(column, codes, value))
        return out

    def rows(self, values: Sequence[Sequence[FeatureValue]]) -> NDArray[np.float64]:
        """Return the model inputs of some decisions, `row` of each, n to shape (n, width)."""
        import numpy as np

        if not self._plain or not self.columns:
            return np.asarray([self.row(each) for each in values], dtype=np.float64).reshape(len(values), self.width)
        count = len(values)
        if all(codes is None for codes in self._codes):
            with suppress(TypeError):  # a number is missing
                return np.fromiter(chain.from_iterable(values), float, count * self.width).reshape(count, self.width)
        out = np.empty((count, self.width))
        for at, (codes, column) in enumerate(zip(self._codes, zip(*values, strict=True), strict=True)):
            # NumPy takes None for NaN.
            out[:, at] = np.array(column, dtype=float) if codes is None else [codes.get(value, NAN) for value in column]
        return out

    def frame(self, values: Sequence[FrameColumn]) -> NDArray[np.float64]:
        """Return the model inputs of many decisions.

        Args:
            values: One column of n values for each feature, length d.

        Returns:
            Inputs, shape (n, width), stored column by column, equal to `row` of each decision.
        """
        import numpy as np

        rows = len(values[0]) if values else 0
        out = np.empty((self.width, rows))
        start = 0
        for column, codes, given in zip(self.columns, self._codes, values, strict=True):
            _fill(out[start : start + column.width], column, codes, given)
            start += column.width
        return out.T


def _levels(column: Column) -> list[int]:
    """Return how many levels each input of a feature has; 0 for numbers."""
    return [len(column.levels)] if column.type == "categorical" else [0] * column.width


def _numbers_of_levels(column: Column) -> dict[str, float] | None:
    """Return what each known level becomes: its rank, or of a target encoding its mean; None for numbers."""
    if column.type == "target":
        return dict(zip(column.levels, column.numbers, strict=False))
    if column.type in ("categorical", "sparse"):
        return {level: float(code) for code, level in enumerate(column.levels)}
    return None


def _inputs(column: Column, codes: dict[str, float] | None, value: Any) -> list[float]:
    """Return the inputs of one feature, length `column.width`."""
    if value is None:
        return [NAN] * column.width
    if column.type == "embedding":
        return list(value)
    if column.type == "sparse":
        return [value.get(level, 0.0) for level in column.levels] or [NAN]
    if column.type == "standardise":
        return [(value - column.numbers[0]) / column.numbers[1]]
    if column.type == "target":
        return [codes.get(value, column.numbers[-1])]  # type: ignore[union-attr]  # unseen: the mean of all rows
    return [value if codes is None else codes.get(value, NAN)]


def _fill(out: NDArray[np.float64], column: Column, codes: dict[str, float] | None, given: Any) -> None:
    """Write the inputs of one feature, shape (width, n)."""
    import numpy as np

    if column.type == "numeric":
        out[0] = given
    elif column.type == "standardise":
        np.divide(given - column.numbers[0], column.numbers[1], out=out[0])
    elif column.type == "embedding":
        out[:] = given.T
    elif column.type == "sparse":
        out[:] = NAN
        for row, value in enumerate(given):
            if value is not None and column.levels:
                out[:, row] = [value.get(level, 0.0) for level in column.levels]
    else:
        otherwise = column.numbers[-1] if column.type == "target" else NAN
        get = (codes or {}).get
        out[0] = given.take([get(level, otherwise) for level in given.levels])
