"""What is compared between arms: a function of column means, with its slope in each. Knows no test."""

from __future__ import annotations

import math

import msgspec

from abloop.stats.moments import Products


class Estimand(msgspec.Struct, frozen=True):
    """A mean, a proportion or a ratio of means, adjusted for what was known before or not.

    Attributes:
        value: Column whose mean it is.
        over: Column whose mean divides it; empty for a plain mean.
        proportion: Whether values are 0 or 1, with the variance p (1 - p) / n instead of that over n - 1.
        covariates: What is adjusted for: means or ratios of columns from before the unit's first decision.

    Example:
        >>> Estimand("clicks", over="views", covariates=(Estimand("clicks_before", over="views_before"),)).names
        ('clicks', 'views', 'clicks_before', 'views_before')
    """

    value: str
    over: str = ""
    proportion: bool = False
    covariates: tuple[Estimand, ...] = ()

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Columns of the value itself."""
        return (self.value, self.over) if self.over else (self.value,)

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, covariates last."""
        names = [*self.outcomes, *(name for covariate in self.covariates for name in covariate.outcomes)]
        return tuple(dict.fromkeys(names))


class Linear(msgspec.Struct, frozen=True):
    """A function of column means near the means of one arm.

    Attributes:
        value: At those means; NaN where a denominator is zero.
        slopes: Its derivative by the mean of each column, shape (k,).
    """

    value: float
    slopes: tuple[float, ...]


def linear(estimand: Estimand, sample: Products) -> Linear:
    """Return a mean or ratio, without adjustment, and its derivatives (the delta method).

    Source: Deng, Knoblich, Lu, "Applying the Delta Method in Metric Analytics", KDD 2018, section 2.

    Raises:
        UnknownNameError: A column that the sample does not have.

    Example:
        >>> from abloop.stats.moments import products
        >>> linear(Estimand("a", over="b"), products({"a": [1.0, 2.0], "b": [2.0, 4.0]}))
        Linear(value=0.5, slopes=(0.3333333333333333, -0.16666666666666666))
    """
    slopes = [0.0] * len(sample.columns)
    top = sample.index(estimand.value)
    if not estimand.over:
        slopes[top] = 1.0
        return Linear(sample.means[top] if sample.units else math.nan, tuple(slopes))
    bottom = sample.index(estimand.over)
    over = sample.means[bottom]
    if not over:
        return Linear(math.nan, tuple(slopes))
    value = sample.means[top] / over
    slopes[top] += 1.0 / over
    slopes[bottom] -= value / over
    return Linear(value, tuple(slopes))


def spread(estimand: Estimand, sample: Products, one: Linear, two: Linear) -> float:
    """Return the covariance of two such functions over samples of this size."""
    units = sample.units if estimand.proportion else sample.units - 1
    return sample.covary(one.slopes, two.slopes) / units / sample.units
