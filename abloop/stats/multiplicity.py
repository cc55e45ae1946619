"""P-values and confidence levels where many things are tested at once. Knows no table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from abloop.errors import DataError
from abloop.validate import in_range, one_of

Method = Literal["holm", "benjamini_hochberg"]
METHODS: tuple[Method, ...] = ("holm", "benjamini_hochberg")


class Adjusted(msgspec.Struct, frozen=True):
    """One of many p-values.

    Attributes:
        p: As it came.
        adjusted: To be compared with alpha; 1 at most.
        significant: Whether it is at or below alpha.
        confidence: Level of the interval to be shown beside it.
    """

    p: float
    adjusted: float
    significant: bool
    confidence: float


def adjust(p_values: Sequence[float], alpha: float = 0.05, method: Method = "holm") -> tuple[Adjusted, ...]:
    """Return p-values and confidence levels that allow for their number.

    `holm` keeps the chance of any false discovery at alpha whatever the dependence; source: Holm, Scandinavian
    Journal of Statistics 6 (1979). Its intervals are Bonferroni's, 1 - alpha / m, which hold all at once; so a
    p-value may be significant whose interval just holds zero. `benjamini_hochberg` keeps the expected share of
    false discoveries at alpha for independent or positively dependent tests; source: Benjamini, Hochberg, JRSS B
    57 (1995). Its intervals are at 1 - R alpha / m with R discoveries, of which on average a share alpha misses;
    source: Benjamini, Yekutieli, JASA 100 (2005).

    Args:
        p_values: In [0, 1], shape (m,).
        alpha: Error rate to be kept, in (0, 1).
        method: Which error rate.

    Returns:
        One record for each p-value, in their order.

    Raises:
        DataError: No p-values, or one outside [0, 1].

    Example:
        >>> [round(one.adjusted, 3) for one in adjust([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    one_of("method", method, METHODS, error=DataError)
    in_range("alpha", alpha, 0, 1, open_low=True, open_high=True, error=DataError)
    if not len(p_values):
        raise DataError("no p-values; allowed: one or more")
    for index, p in enumerate(p_values):
        in_range(f"p_values[{index}]", float(p), 0, 1, error=DataError)
    adjusted = _holm(p_values) if method == "holm" else _benjamini_hochberg(p_values)
    significant = [bool(value <= alpha) for value in adjusted]
    count = max(1, sum(significant)) if method == "benjamini_hochberg" else 1
    confidence = 1.0 - count * alpha / len(p_values)
    return tuple(
        Adjusted(float(p), float(value), found, confidence)
        for p, value, found in zip(p_values, adjusted, significant, strict=True)
    )


def _holm(p_values: Sequence[float]) -> list[float]:
    """Return the i-th smallest of m p-values times m - i, never falling, at most one (statsmodels takes 80 ms)."""
    order, worst = sorted(range(len(p_values)), key=lambda index: p_values[index]), 0.0
    found = [0.0] * len(p_values)
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * float(p_values[index])))
        found[index] = worst
    return found


def _benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    from scipy.stats import false_discovery_control  # here, so that `import abloop` stays light

    found: list[float] = false_discovery_control(p_values).tolist()
    return found
