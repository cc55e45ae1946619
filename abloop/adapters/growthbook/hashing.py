"""The point of a unit in [0, 1) and the arm that stands there, as GrowthBook's SDKs compute them.

Specification: https://docs.growthbook.io/lib/build-your-own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from abloop.adapters.growthbook.limits import LONGEST_HASHED
from abloop.assign.fnv import bucket
from abloop.errors import DataError

NEAR_ONE: Final = (0.99, 1.01)  # what weights may sum to; others are replaced by equal ones

Range = Sequence[float]


def point(seed: str, unit: str, version: Any) -> float | None:
    """Return the point of a unit in [0, 1); None for a hash version that does not exist.

    Args:
        seed: Names the draw.
        unit: The unit.
        version: 1 for steps of .001; 2 for steps of .0001, free of the correlation between seeds that 1 has.

    Raises:
        DataError: The texts are too long to be hashed.

    Example:
        >>> point("seed", "b", 2)
        0.2696
    """
    if len(seed) + len(unit) > LONGEST_HASHED:
        raise DataError(f"seed and unit have more than {LONGEST_HASHED} characters")
    return bucket(seed, unit, version) if version in (1, 2) else None


def in_range(place: float, part: Range) -> bool:
    """Return whether a point is in [part[0], part[1])."""
    return part[0] <= place < part[1]


def in_namespace(unit: str, namespace: Sequence[Any]) -> bool:
    """Return whether a unit is in a part (name, low, high) of a namespace."""
    place = point("__" + namespace[0], unit, 1)
    return place is not None and namespace[1] <= place < namespace[2]


def choose(place: float, ranges: Sequence[Range]) -> int:
    """Return the index of the first range a point is in; -1 for none."""
    for index, part in enumerate(ranges):
        if part[0] <= place < part[1]:
            return index
    return -1


def equal_weights(count: int) -> list[float]:
    """Return equal shares for a number of arms."""
    return [1 / count] * count if count >= 1 else []


def usable(weights: Any, count: int) -> bool:
    """Return whether weights are one finite number >= 0 for each arm and sum to one, nearly."""
    if not isinstance(weights, list) or len(weights) != count:
        return False
    try:
        for weight in weights:
            if type(weight) is not float and (isinstance(weight, bool) or not isinstance(weight, int | float)):
                return False
            if not 0 <= weight < math.inf:
                return False
        return NEAR_ONE[0] <= sum(weights) <= NEAR_ONE[1]
    except OverflowError:  # integers beyond any float
        return False


def normalised(weights: Any, count: int) -> list[float]:
    """Return the weights that are drawn by: those given, or equal ones where they cannot be used."""
    return weights if usable(weights, count) else equal_weights(count)


def bucket_ranges(count: int, coverage: float, weights: Any) -> list[tuple[float, float]]:
    """Return the part of [0, 1) that leads to each arm: the first `coverage` of its own share."""
    if coverage < 0:
        coverage = 0
    if coverage > 1:
        coverage = 1
    start: float = 0
    ranges = []
    for weight in normalised(weights, count):
        ranges.append((start, start + coverage * weight))
        start += weight
    return ranges


def shares(ranges: Sequence[Range]) -> list[float]:
    """Return the probability of each arm for a unit that is in any range, where the first range wins.

    Args:
        ranges: Parts of [0, 1), shape (k, 2), in the order of the arms.

    Returns:
        Probabilities, shape (k,), that sum to one; equal ones where the ranges are empty.

    Example:
        >>> shares([(0.0, 0.1), (0.5, 0.8)])
        [0.25, 0.75]
    """
    cuts = sorted({0.0, 1.0, *(min(max(float(end), 0.0), 1.0) for part in ranges for end in part[:2])})
    sizes = [0.0] * len(ranges)
    for low, high in pairwise(cuts):
        owner = choose((low + high) / 2, ranges)
        if owner >= 0:
            sizes[owner] += high - low
    total = sum(sizes)
    if not total > 0.0:
        return equal_weights(len(ranges))
    return [round(size / total, 12) for size in sizes]
