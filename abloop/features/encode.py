"""Feature values to model inputs: the one code for a single decision and for a training frame.

Numbers stay as they are, categories become the rank of their frequency in the training rows, missing and
unseen values become NaN. Knows no model and no storage.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from abloop.features.spec import Feature
from abloop.records import Column, FeatureValue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAN = math.nan
MOST_LEVELS = 255


class Encoder:
    """A fitted encoding of d features.

    Args:
        columns: One for each feature, length d.

    Example:
        >>> encoder = Encoder([Column("age", "numeric"), Column("channel", "categorical", ("web", "phone"))])
        >>> encoder.row((31.0, "phone"))
        [31.0, 1.0]
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        """Index the levels."""
        self.columns = tuple(columns)
        self._codes = tuple(
            {level: float(code) for code, level in enumerate(column.levels)} if column.type == "categorical" else None
            for column in self.columns
        )

    def row(self, values: Sequence[FeatureValue]) -> list[float]:
        """Return the model input of one decision, length d, NaN where missing or unseen."""
        # A numeric column holds numbers and a categorical one texts, which the types of a mixed row cannot say.
        return [
            (NAN if value is None else value) if codes is None else codes.get(value, NAN)  # type: ignore[misc, arg-type]
            for codes, value in zip(self._codes, values, strict=True)
        ]

    def frame(self, values: Sequence[Sequence[FeatureValue]]) -> NDArray[np.float64]:
        """Return the model inputs of many decisions.

        Args:
            values: One sequence of n values for each feature, shape (d, n).

        Returns:
            Inputs, shape (n, d), equal to `row` of each decision.
        """
        import numpy as np

        rows = len(values[0]) if values else 0
        out = np.empty((rows, len(self.columns)))
        for position, (codes, column) in enumerate(zip(self._codes, values, strict=True)):
            if codes is None:
                out[:, position] = np.asarray(column, dtype=np.float64)
            else:
                get = codes.get
                out[:, position] = [get(value, NAN) for value in column]  # type: ignore[arg-type]
        return out


def fit_encoder(features: Sequence[Feature], values: Sequence[Sequence[FeatureValue]]) -> Encoder:
    """Learn the levels of the categorical features.

    Args:
        features: Declared features, length d.
        values: One sequence of n values for each feature, shape (d, n).

    Returns:
        The encoder; levels by falling frequency, ties in alphabetical order.

    Example:
        >>> fit_encoder([Feature("channel", "categorical")], [["web", "phone", "web", None]]).columns[0].levels
        ('web', 'phone')
    """
    columns = []
    for feature, column in zip(features, values, strict=True):
        levels: tuple[str, ...] = ()
        if feature.type == "categorical":
            counts = Counter(value for value in column if isinstance(value, str))
            levels = tuple(sorted(counts, key=lambda level: (-counts[level], level))[:MOST_LEVELS])
        columns.append(Column(feature.name, feature.type, levels))
    return Encoder(columns)
