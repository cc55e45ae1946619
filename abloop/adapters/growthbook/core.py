"""The functions of `growthbook.core` that evaluations are made of, under their names there. None of them raises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abloop.adapters.growthbook import hashing, values
from abloop.adapters.growthbook.condition import evaluate
from abloop.adapters.growthbook.experiment import url_override


def gbhash(seed: str, value: str, version: int) -> float | None:
    """Return the point of a unit in [0, 1); None for a hash version that does not exist, or what is no text.

    Example:
        >>> gbhash("seed", "b", 2), gbhash("abc", "def", 99)
        (0.2696, None)
    """
    try:
        return hashing.point(seed, value, version)
    except Exception:  # law 1
        return None


def inRange(n: float, range: Sequence[float]) -> bool:  # noqa: A002, N802 - GrowthBook's names
    """Return whether a point is in [range[0], range[1])."""
    try:
        return hashing.in_range(n, range)
    except Exception:  # law 1
        return False


def inNamespace(userId: str, namespace: Sequence[Any]) -> bool:  # noqa: N802 - GrowthBook's name
    """Return whether a unit is in a part (name, low, high) of a namespace.

    Example:
        >>> inNamespace("1", ("namespace1", 0.4, 1))
        True
    """
    try:
        return hashing.in_namespace(userId, namespace)
    except Exception:  # law 1
        return False


def chooseVariation(n: float, ranges: Sequence[Sequence[float]]) -> int:  # noqa: N802 - GrowthBook's name
    """Return the index of the first range a point is in; -1 for none.

    Example:
        >>> chooseVariation(0.6, [(0, 0.5), (0.5, 1)])
        1
    """
    try:
        return hashing.choose(n, ranges)
    except Exception:  # law 1
        return -1


def getEqualWeights(numVariations: int) -> list[float]:  # noqa: N802 - GrowthBook's name
    """Return equal shares for a number of arms."""
    try:
        return hashing.equal_weights(numVariations)
    except Exception:  # law 1
        return []


def getBucketRanges(  # noqa: N802 - GrowthBook's name
    numVariations: int, coverage: float = 1, weights: list[float] | None = None
) -> list[tuple[float, float]]:
    """Return the part of [0, 1) that leads to each arm.

    Example:
        >>> getBucketRanges(2, 0.5)
        [(0, 0.25), (0.5, 0.75)]
    """
    try:
        return hashing.bucket_ranges(numVariations, coverage, weights)
    except Exception:  # law 1
        return []


def evalCondition(  # noqa: N802 - GrowthBook's name
    attributes: dict[str, Any], condition: dict[str, Any], savedGroups: dict[str, Any] | None = None
) -> bool:
    """Return whether attributes meet a condition; what is malformed is not met.

    Example:
        >>> evalCondition({"country": "FI", "visits": 3}, {"country": {"$in": ["FI", "SE"]}, "visits": {"$gt": 2}})
        True
    """
    return evaluate(attributes, condition, savedGroups)


def getQueryStringOverride(id: str, url: str, numVariations: int) -> int | None:  # noqa: A002, N802 - as above
    """Return the index of the arm that an address asks for by `?ID=INDEX`; None for none."""
    try:
        return url_override(id, url, numVariations)
    except Exception:  # law 1
        return None


def paddedVersionString(input: Any) -> str:  # noqa: A002, N802 - GrowthBook's names
    """Return a version as a text that sorts as versions do.

    Example:
        >>> paddedVersionString("v1.2.3-rc.1+build")
        '    1-    2-    3-rc-    1'
    """
    try:
        return values.padded_version(input)
    except Exception:  # law 1
        return values.padded_version("0")


__all__ = [
    "chooseVariation",
    "evalCondition",
    "gbhash",
    "getBucketRanges",
    "getEqualWeights",
    "getQueryStringOverride",
    "inNamespace",
    "inRange",
    "paddedVersionString",
]
