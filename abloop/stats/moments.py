"""Mergeable sums from which every test is computed. Knows no table and no test.

The unit of analysis is the randomised unit: it enters with the sum of its values and the number of its
decisions, so that units with many decisions do not pass for many units. With one decision a unit this is
the plain mean.
"""

from __future__ import annotations

import math

import msgspec


class Moments(msgspec.Struct, frozen=True):
    """Sums over units of s (sum of a unit's values) and m (number of its values).

    Attributes:
        units: Number of units.
        s: Sum of s.
        m: Sum of m.
        ss: Sum of s squared.
        sm: Sum of s times m.
        mm: Sum of m squared.

    Example:
        >>> Moments(units=2, s=3.0, m=2.0, ss=5.0, sm=3.0, mm=2.0).mean
        1.5
    """

    units: int
    s: float
    m: float
    ss: float
    sm: float
    mm: float

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both sets of units; they must be disjoint."""
        return Moments(
            self.units + other.units,
            self.s + other.s,
            self.m + other.m,
            self.ss + other.ss,
            self.sm + other.sm,
            self.mm + other.mm,
        )

    @property
    def mean(self) -> float:
        """Mean of the values; NaN without any."""
        return self.s / self.m if self.m else math.nan

    @property
    def variance_of_mean(self) -> float:
        """Variance of the mean by the delta method for the ratio of two means; NaN below two units.

        Source: Deng, Knoblich, Lu, "Applying the Delta Method in Metric Analytics", KDD 2018, eq. 2.
        """
        if self.units < 2 or not self.m:
            return math.nan
        mean = self.mean
        squares = self.ss - 2 * mean * self.sm + mean * mean * self.mm
        return max(0.0, squares) * self.units / (self.units - 1) / (self.m * self.m)


def moments(sums: list[float], counts: list[float]) -> Moments:
    """Return the moments of units given one by one.

    Args:
        sums: Sum of the values of each unit, shape (n,).
        counts: Number of values of each unit, shape (n,).

    Example:
        >>> moments([1.0, 2.0], [1.0, 1.0]).mean
        1.5
    """
    pairs = list(zip(sums, counts, strict=True))
    return Moments(
        len(pairs),
        math.fsum(sums),
        math.fsum(counts),
        math.fsum(s * s for s in sums),
        math.fsum(s * m for s, m in pairs),
        math.fsum(m * m for m in counts),
    )
