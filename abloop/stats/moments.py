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

    Second moments are kept around the mean: a metric that is large beside its spread, such as a time stamp,
    would lose its variance in the difference of two raw sums.

    Attributes:
        units: Number of units.
        s: Sum of s.
        m: Sum of m.
        ss: Sum of (s - mean s) squared.
        sm: Sum of (s - mean s) (m - mean m).
        mm: Sum of (m - mean m) squared.

    Example:
        >>> Moments(units=2, s=3.0, m=2.0, ss=0.5, sm=0.0, mm=0.0).mean
        1.5
    """

    units: int
    s: float
    m: float
    ss: float
    sm: float
    mm: float

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both sets of units; they must be disjoint.

        Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances", 1979.
        """
        if not self.units or not other.units:
            return other if not self.units else self
        units = self.units + other.units
        weight = self.units * other.units / units
        gap_s = other.s / other.units - self.s / self.units
        gap_m = other.m / other.units - self.m / self.units
        return Moments(
            units,
            self.s + other.s,
            self.m + other.m,
            self.ss + other.ss + weight * gap_s * gap_s,
            self.sm + other.sm + weight * gap_s * gap_m,
            self.mm + other.mm + weight * gap_m * gap_m,
        )

    @property
    def mean(self) -> float:
        """Mean of the values; NaN without any."""
        return self.s / self.m if self.m else math.nan

    @property
    def squares(self) -> float:
        """Sum of s squared; 0 without units."""
        return self.ss + self.s * self.s / self.units if self.units else 0.0

    @property
    def variance_of_mean(self) -> float:
        """Variance of the mean by the delta method for the ratio of two means; NaN below two units.

        Source: Deng, Knoblich, Lu, "Applying the Delta Method in Metric Analytics", KDD 2018, eq. 2.
        """
        if self.units < 2 or not self.m:
            return math.nan
        mean = self.mean
        spread = self.ss - 2 * mean * self.sm + mean * mean * self.mm
        return max(0.0, spread) * self.units / (self.units - 1) / (self.m * self.m)


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
    units, s, m = len(pairs), math.fsum(sums), math.fsum(counts)
    around = [(a - s / units, b - m / units) for a, b in pairs]
    return Moments(
        units,
        s,
        m,
        math.fsum(a * a for a, _ in around),
        math.fsum(a * b for a, b in around),
        math.fsum(b * b for _, b in around),
    )
