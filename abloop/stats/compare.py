"""Means and their differences with intervals, from moments. Knows no table."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from abloop.errors import DataError
from abloop.stats.contrast import Contrast, Reason, welch
from abloop.stats.moments import Moments
from abloop.validate import in_range, one_of

SMALLEST = 1e-290  # of a variance: below, and above one over it, floats have no room
Side = Literal["two", "greater", "less"]
SIDES: tuple[Side, ...] = ("two", "greater", "less")
Law = Literal["t", "z"]
LAWS: tuple[Law, ...] = ("t", "z")
Interval = Literal["delta", "fieller"]
INTERVALS: tuple[Interval, ...] = ("delta", "fieller")


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


class Effect(msgspec.Struct, frozen=True):
    """What a test says of treatment against control.

    Attributes:
        n: Units of both arms.
        value: Difference, or lift over the control.
        error: Its standard error; with a reason it is what the sums say, if anything.
        low: Lower end of the interval; minus infinity where only the upper is asked for.
        high: Upper end.
        p_value: Of no effect, or of the null that was given.
        freedom: Degrees of freedom; infinity under the normal law.
        reason: Why there is no interval (and, but for `unbounded`, no p-value); empty where there is. No number is NaN
            without it.
        detail: The arm and the count behind the reason.
    """

    n: int
    value: float
    error: float
    low: float
    high: float
    p_value: float
    freedom: float
    reason: Reason = ""
    detail: str = ""


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
    if v1 + v2 == 0.0:
        return Estimate(n, mean, mean, mean)
    freedom = welch((treatment.units, v1), (control.units, v2))
    half = t_quantile(0.5 + confidence / 2, freedom) * math.sqrt(v1 + v2)
    return Estimate(n, mean, mean - half, mean + half)


def effect(
    contrast: Contrast,
    confidence: float = 0.95,
    *,
    relative: bool = False,
    side: Side = "two",
    law: Law = "t",
    null: float = 0.0,
    interval: Interval = "delta",
) -> Effect:
    """Return the test of one contrast, to be read once, at the planned end.

    Args:
        contrast: Treatment against control.
        confidence: Coverage, in (0, 1); of one side where only one is asked for.
        relative: Whether the lift over the control is wanted instead of the difference.
        side: `two`; `greater`, for an interval without upper end; `less`, without lower.
        law: Student's t with Welch's degrees of freedom, or the normal law.
        null: Effect that the p-value is of.
        interval: Of a lift: by the delta method, or Fieller's, which holds where the baseline is uncertain.

    Returns:
        The effect; with a reason and without an interval where the contrast has none.

    Raises:
        DataError: An argument outside its range.

    Example:
        >>> found = effect(Contrast(200, 0.1, 0.5, 0.0016, -0.0008, 0.0008, 190.0))
        >>> f"{found.low:.3f} {found.high:.3f} {found.p_value:.3f}"
        '0.021 0.179 0.013'
    """
    from scipy.special import stdtr  # here, so that `import abloop` stays light

    in_range("confidence", confidence, 0, 1, open_low=True, open_high=True, error=DataError)
    one_of("side", side, SIDES, error=DataError)
    one_of("law", law, LAWS, error=DataError)
    one_of("interval", interval, INTERVALS, error=DataError)
    in_range("null", null, error=DataError)
    if refused := refuse(contrast, relative=relative):
        return refused
    value, variance = contrast.scaled(relative=relative)
    error, freedom = math.sqrt(variance), contrast.freedom if law == "t" else math.inf
    times = t_quantile(0.5 + confidence / 2 if side == "two" else confidence, min(freedom, 1e300))
    z = (value - null) / error
    tail = {"two": -abs(z), "greater": -z, "less": z}[side]
    p_value = float(stdtr(min(freedom, 1e300), tail)) * (2.0 if side == "two" else 1.0)
    ends: tuple[float, float] | None = (value - times * error, value + times * error)
    if relative and interval == "fieller":
        ends = fieller(contrast, times)
    if ends is None:
        detail = f"{contrast.n} units: the control's value is not clear of zero"
        return Effect(contrast.n, value, error, math.nan, math.nan, p_value, freedom, "unbounded", detail)
    low = -math.inf if side == "less" else ends[0]
    high = math.inf if side == "greater" else ends[1]
    return Effect(contrast.n, value, error, low, high, p_value, freedom)


def refuse(contrast: Contrast, *, relative: bool) -> Effect | None:
    """Return the effect without interval of a contrast that allows none; None where it allows one.

    Args:
        contrast: Treatment against control.
        relative: Whether the lift is asked for, which no control at zero has.
    """
    value, variance = contrast.scaled(relative=relative)
    reason, detail = contrast.reason, contrast.detail
    if not reason and math.isnan(value):
        reason, detail = "zero_baseline", f"control of {contrast.n} units in both arms: its value is 0"
    if not reason and not SMALLEST < variance < 1.0 / SMALLEST:
        reason = "no_variance" if variance <= SMALLEST else "not_finite"
        detail = f"{contrast.n} units: the variance of the effect is {variance:.3g}"
    if not reason:
        return None
    error = math.sqrt(variance) if variance >= 0.0 else math.nan
    return Effect(contrast.n, value, error, math.nan, math.nan, math.nan, math.nan, reason, detail)


def fieller(contrast: Contrast, times: float) -> tuple[float, float] | None:
    """Return the interval of the lift after Fieller; None where the control's value is not clear of zero.

    The values l for which (d - l b)**2 <= times**2 var(d - l b), with d the difference and b the baseline;
    the sign is that of `Contrast.scaled`. Source: Fieller, JRSS B 16 (1954).

    Args:
        contrast: Treatment against control.
        times: Quantile of the law.
    """
    d, b, square = contrast.difference, contrast.baseline, times * times
    lead = b * b - square * contrast.baseline_variance
    if lead <= 0.0:
        return None
    middle = d * b - square * contrast.covariance
    last = d * d - square * contrast.variance
    half = math.sqrt(max(0.0, middle * middle - lead * last)) / lead
    low, high = middle / lead - half, middle / lead + half
    return (low, high) if b > 0 else (-high, -low)
