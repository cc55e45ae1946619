"""What is made of features without learning anything: each transform for one decision and for a frame.

The two forms give the same bits: whole numbers and comparisons are exact, logarithms come from one library.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from abloop.features.read import hash_token
from abloop.features.spec import Feature
from abloop.libm import signed_log, signed_log_all
from abloop.records import FeatureValue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from abloop.features.column import FrameColumn

RowStep = Callable[..., FeatureValue]
FrameStep = Callable[..., "FrameColumn"]
DAY = 86_400.0
FARTHEST = 1e11  # seconds from 1970; times beyond are no times


def row_step(feature: Feature) -> RowStep:
    """Return the function of one decision's input values that gives a derived feature."""
    steps: dict[str, RowStep] = {
        "log": _log,
        "bucketise": partial(_bucketise, feature.edges),
        "date": partial(_date, feature.part),
        "cross": _cross,
        "hash": partial(_hash, feature.size),
    }
    return steps[feature.transform]


def frame_step(feature: Feature) -> FrameStep:
    """Return the function of input columns that gives a derived feature's column, equal to `row_step` of each."""
    steps: dict[str, FrameStep] = {
        "log": signed_log_all,
        "bucketise": partial(_bucketise_all, feature.edges),
        "date": partial(_date_all, feature.part),
        "cross": _cross_all,
        "hash": partial(_hash_all, feature.size),
    }
    return steps[feature.transform]


def _log(value: float | None) -> float | None:
    return None if value is None else signed_log(value)


def _bucketise(edges: Sequence[float], value: float | None) -> float | None:
    return None if value is None else float(bisect_right(edges, value))


def _bucketise_all(edges: Sequence[float], values: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    passed = np.searchsorted(np.asarray(edges, dtype=np.float64), values, side="right")
    return np.where(np.isnan(values), np.nan, passed)


def _part(part: str, days: Any, seconds: Any) -> Any:
    """Return a part of a date from whole days since 1970 and seconds of the day, as integers or arrays of them.

    Days to year, month and day: H. Hinnant, `civil_from_days`, https://howardhinnant.github.io/date_algorithms.html
    """
    if part == "hour":
        return seconds // 3_600
    if part == "weekday":
        return (days + 3) % 7
    shifted = days + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    turned = (5 * of_year + 2) // 153  # months since March
    if part == "day":
        return of_year - (153 * turned + 2) // 5 + 1
    month = (turned + 2) % 12 + 1
    return month if part == "month" else year_of_era + era * 400 + (month <= 2)


def _date(part: str, value: float | None) -> float | None:
    if value is None or not -FARTHEST < value < FARTHEST:
        return None
    whole = math.floor(value)
    return float(_part(part, whole // 86_400, whole % 86_400))


def _date_all(part: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    there = np.abs(values) < FARTHEST
    whole = np.floor(np.where(there, values, 0.0)).astype(np.int64)
    return np.where(there, _part(part, whole // 86_400, whole % 86_400), np.nan)


def _cross(*values: float | str | None) -> str | None:
    texts = []
    for value in values:
        if value is None:
            return None
        texts.append(value if isinstance(value, str) else f"{value + 0.0:g}")
    return "|".join(texts)


def _cross_all(*columns: FrameColumn) -> FrameColumn:
    import numpy as np

    from abloop.features.column import Categories

    parts = [_categories(column) for column in columns]
    codes = parts[0].codes
    names: list[str] = list(parts[0].levels)
    for part in parts[1:]:
        missing = (codes < 0) | (part.codes < 0)
        pairs = np.where(missing, -1, codes * max(len(part.levels), 1) + part.codes)
        there, inverse = np.unique(pairs, return_inverse=True)
        joined: dict[str, int] = {}
        place = np.full(len(there), -1, dtype=np.int64)
        for position, pair in enumerate(there.tolist()):
            if pair >= 0:
                left, right = divmod(pair, max(len(part.levels), 1))
                place[position] = joined.setdefault(f"{names[left]}|{part.levels[right]}", len(joined))
        codes, names = place[inverse.reshape(-1)], list(joined)
    return Categories(codes, tuple(names))


def _categories(column: FrameColumn) -> Any:
    """Return a column of categories as it is, and numbers as their texts."""
    import numpy as np

    from abloop.features.column import Categories

    if isinstance(column, Categories):
        return column
    numbers, inverse = np.unique(np.asarray(column, dtype=np.float64) + 0.0, return_inverse=True)
    found: dict[str, int] = {}
    place = [-1 if math.isnan(number) else found.setdefault(f"{number:g}", len(found)) for number in numbers.tolist()]
    return Categories(np.asarray(place, dtype=np.int64)[inverse.reshape(-1)], tuple(found))


def _hash(size: int, value: str | dict[str, float] | None) -> tuple[float, ...] | None:
    if value is None:
        return None
    out = [0.0] * size
    for token, weight in ((value, 1.0),) if isinstance(value, str) else value.items():
        point = hash_token(token)
        out[(point >> 1) % size] += weight if point & 1 else -weight
    return tuple(out)


def _hash_all(size: int, column: FrameColumn) -> FrameColumn:
    import numpy as np

    from abloop.features.column import Categories, to_column

    if isinstance(column, Categories):
        table = to_column([*(_hash(size, level) for level in column.levels), None], "embedding", size)
        return np.asarray(table)[column.codes]
    return to_column([_hash(size, value) for value in column], "embedding", size)
