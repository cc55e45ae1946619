"""The predict side of linear models: one number an input, or one a level where the input is a category.

What an input adds is looked up or multiplied, column after column, so that one row and a frame give the same bits.
Knows no fitting and no storage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from abloop.errors import ArtefactError
from abloop.models.link import Link, linked, linked_one

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Linear(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A linear model as plain data.

    Attributes:
        intercept: What every row starts with.
        slopes: What one unit of each input adds, shape (d,); not read for categories.
        missing: What a missing input adds, shape (d,); of a category also an input that is none of its levels.
        levels: What each level of a category adds, by its code from 0; empty for numbers, length d.
        link: How the sum becomes the prediction.
    """

    intercept: float
    slopes: tuple[float, ...]
    missing: tuple[float, ...]
    levels: tuple[tuple[float, ...], ...]
    link: Link = "identity"

    def check(self, columns: int) -> None:
        """Check counts and finiteness.

        Args:
            columns: Number of inputs.

        Raises:
            ArtefactError: The numbers are not one model of so many inputs.
        """
        lengths = {len(self.slopes), len(self.missing), len(self.levels)}
        if lengths != {columns}:
            raise ArtefactError(f"linear model has parts for {sorted(lengths)} inputs; allowed: {columns} in each")
        numbers = [self.intercept, *self.slopes, *self.missing, *(each for level in self.levels for each in level)]
        if not all(map(math.isfinite, numbers)):
            raise ArtefactError("linear model holds a value that is not finite; allowed: finite numbers")


class LinearModel:
    """Predicts from a linear model.

    Args:
        spec: The model as data.
        columns: Number of inputs.

    Raises:
        ArtefactError: The data do not fit together.

    Example:
        >>> spec = Linear(1.0, (2.0, 0.0), (0.5, 0.0), ((), (0.0, 10.0)))
        >>> LinearModel(spec, columns=2).row([3.0, 1.0])
        17.0
    """

    def __init__(self, spec: Linear, columns: int) -> None:
        """Check the data."""
        spec.check(columns)
        self.spec = spec
        self._parts = tuple(zip(spec.slopes, spec.missing, spec.levels, strict=True))

    def row(self, values: Sequence[float]) -> float:
        """Return the prediction of one row of inputs, NaN where missing."""
        score = self.spec.intercept
        for value, (slope, missing, levels) in zip(values, self._parts, strict=True):
            if value != value:
                score += missing
            elif levels:
                # An input beyond the levels, or between them, is none of them.
                known = 0 <= value < len(levels) and value == int(value)
                score += levels[int(value)] if known else missing
            else:
                score += slope * value
        return linked_one(score, self.spec.link)

    def frame(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predictions of many rows, equal to `row` of each, shape (n, d) to (n,)."""
        import numpy as np

        scores = np.full(len(values), self.spec.intercept)
        for column, (slope, missing, levels) in zip(values.T, self._parts, strict=True):
            if levels:
                known = (column >= 0) & (column < len(levels)) & (column == np.floor(column))
                codes = np.where(known, column, 0.0).astype(np.intp)
                scores += np.where(known, np.asarray(levels)[codes], missing)
            else:
                scores += np.where(np.isnan(column), missing, slope * column)
        return linked(scores, self.spec.link)
