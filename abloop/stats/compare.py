"""Means and their differences with intervals, from moments. Knows no table."""

from __future__ import annotations

import math

import msgspec

from abloop.stats.moments import Moments


class Estimate(msgspec.Struct, frozen=True):
    """A number with its interval.

    Attributes:
        n: Units behind it.
        mean: The estimate.
        low: Lower end of the interval.
        high: Upper end.
    """

    n: int
    mean: float
    low: float
    high: float


def t_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t.

    Args:
        probability: In (0, 1).
        freedom: Degrees of freedom, above 0.

    Example:
        >>> round(t_quantile(0.975, 1e9), 3)
        1.96
    """
    from scipy.special import stdtrit  # here, so that `import abloop` stays light

    return float(stdtrit(freedom, probability))


def estimate(sample: Moments, confidence: float = 0.95) -> Estimate:
    """Return the mean of one arm with its t interval.

    Args:
        sample: The arm's moments.
        confidence: Coverage, in (0, 1).

    Returns:
        The mean; interval ends are NaN below two units.

    Example:
        >>> estimate(Moments(4, 2.0, 4.0, 1.0, 0.0, 0.0)).mean
        0.5
    """
    if sample.units < 2:
        return Estimate(sample.units, sample.mean, math.nan, math.nan)
    half = t_quantile(0.5 + confidence / 2, sample.units - 1) * math.sqrt(sample.variance_of_mean)
    return Estimate(sample.units, sample.mean, sample.mean - half, sample.mean + half)


def difference(treatment: Moments, control: Moments, confidence: float = 0.95) -> Estimate:
    """Return treatment minus control with Welch's interval.

    Degrees of freedom after Welch and Satterthwaite: (v1 + v2)**2 / (v1**2/(n1-1) + v2**2/(n2-1)),
    with v the variance of each mean. Source: Welch, Biometrika 34 (1947).

    Args:
        treatment: Moments of one arm.
        control: Moments of the other.
        confidence: Coverage, in (0, 1).

    Returns:
        The difference over the units of both arms; interval ends are NaN below two units an arm.

    Example:
        >>> a, b = Moments(4, 3.0, 4.0, 0.75, 0.0, 0.0), Moments(4, 1.0, 4.0, 0.75, 0.0, 0.0)
        >>> difference(a, b).mean
        0.5
    """
    n = treatment.units + control.units
    mean = treatment.mean - control.mean
    if treatment.units < 2 or control.units < 2:
        return Estimate(n, mean, math.nan, math.nan)
    v1, v2 = treatment.variance_of_mean, control.variance_of_mean
    total = v1 + v2
    if total == 0.0:
        return Estimate(n, mean, mean, mean)
    freedom = total**2 / (v1**2 / (treatment.units - 1) + v2**2 / (control.units - 1))
    half = t_quantile(0.5 + confidence / 2, freedom) * math.sqrt(total)
    return Estimate(n, mean, mean - half, mean + half)
