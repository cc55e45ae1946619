"""Mergeable sums from which every test is computed. Knows no table and no test.

The unit of analysis is the randomised unit: it enters with the sum of its values and the number of its
decisions, so that units with many decisions do not pass for many units. With one decision a unit this is
the plain mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from abloop.errors import DataError, UnknownNameError, unknown


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

    def products(self) -> Products:
        """Return the same moments as a record of the two columns `s` and `m`."""
        means = (self.s / self.units, self.m / self.units) if self.units else (0.0, 0.0)
        return Products(("s", "m"), self.units, means, ((self.ss, self.sm), (self.sm, self.mm)))

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


class Products(msgspec.Struct, frozen=True):
    """Means and centred cross-products of any number of columns, one value a unit in each.

    `Moments` is the case of two columns. Whatever is a smooth function of column means (a ratio, an adjusted
    mean, a lift) has its value and its variance from this record; records of disjoint units merge.

    Attributes:
        columns: Names, each once.
        units: Number of units.
        means: Mean of each column, shape (k,); 0 without units.
        products: Sums of products of deviations from the means, shape (k, k), symmetric.

    Example:
        >>> both = products({"y": [1.0, 2.0]}).merge(products({"y": [6.0]}))
        >>> both.units, both.means, both.products
        (3, (3.0,), ((14.0,),))
    """

    columns: tuple[str, ...]
    units: int
    means: tuple[float, ...]
    products: tuple[tuple[float, ...], ...]

    def merge(self, other: Products) -> Products:
        """Return the record of both sets of units; they must be disjoint.

        Source: as in `Moments.merge`.

        Raises:
            DataError: The columns differ.
        """
        if self.columns != other.columns:
            raise DataError(f"columns are {other.columns!r}; allowed: {self.columns!r}, to be merged with their like")
        if not self.units or not other.units:
            return other if not self.units else self
        units = self.units + other.units
        share, weight = other.units / units, self.units * other.units / units
        gaps = tuple(b - a for a, b in zip(self.means, other.means, strict=True))
        means = tuple(a + share * gap for a, gap in zip(self.means, gaps, strict=True))
        rows = tuple(
            tuple(p + q + weight * gap * g for p, q, g in zip(one, two, gaps, strict=True))
            for one, two, gap in zip(self.products, other.products, gaps, strict=True)
        )
        return Products(self.columns, units, means, rows)

    def index(self, column: str) -> int:
        """Return where a column stands.

        Raises:
            UnknownNameError: There is none of this name.
        """
        if column not in self.columns:
            raise UnknownNameError(unknown("column", column, self.columns))
        return self.columns.index(column)

    def covary(self, one: Sequence[float], two: Sequence[float]) -> float:
        """Return the sum of products of two weighted sums of columns, each around its mean.

        Args:
            one: Weight of each column, shape (k,).
            two: Weight of each column, shape (k,).
        """
        return _total(
            a * b * cell
            for a, row in zip(one, self.products, strict=True)
            if a
            for b, cell in zip(two, row, strict=True)
            if b
        )


def products(columns: Mapping[str, Sequence[float]]) -> Products:
    """Return the record of units given one by one.

    Args:
        columns: Values of each column, shape (n,), by name.

    Raises:
        DataError: Columns of different length.

    Example:
        >>> products({"y": [1.0, 3.0], "x": [0.0, 2.0]}).products
        ((2.0, 2.0), (2.0, 2.0))
    """
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"columns have {lengths!r} values; allowed: one value a unit in each")
    units = max(lengths.values(), default=0)
    means = tuple(_total(values) / units if units else 0.0 for values in columns.values())
    around = [[value - mean for value in values] for values, mean in zip(columns.values(), means, strict=True)]
    rows = tuple(tuple(_total(a * b for a, b in zip(one, two, strict=True)) for two in around) for one in around)
    return Products(tuple(columns), units, means, rows)


def products_of_sums(
    columns: Sequence[str], units: int, sums: Sequence[float], squares: Sequence[Sequence[float]]
) -> Products:
    """Return the record of a warehouse's raw sums.

    Digits are lost where means are large beside the spread: prefer deviations from the mean. What is left of a
    column that does not vary is rounding, and taken as zero.

    Args:
        columns: Names, shape (k,).
        units: Number of units.
        sums: Sum of each column, shape (k,).
        squares: Sum of products of each pair of columns, shape (k, k).

    Example:
        >>> products_of_sums(["y"], 3, [9.0], [[41.0]]).products
        ((14.0,),)
    """
    means = tuple(total / units if units else 0.0 for total in sums)
    rows = tuple(
        tuple(_left(cell, total * mean) for cell, mean in zip(row, means, strict=True))
        for row, total in zip(squares, sums, strict=True)
    )
    return Products(tuple(columns), units, means, rows)


def _total(values: Iterable[float]) -> float:
    """Return the sum to the last digit; NaN where it is infinite."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        return math.nan


def _left(square: float, taken: float) -> float:
    """Return the difference of two numbers; 0 where it is no more than their rounding."""
    left = square - taken
    return 0.0 if abs(left) <= 1e-15 * max(abs(square), abs(taken)) else left
