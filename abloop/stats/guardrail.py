"""Is a metric that must not suffer shown to be safe? Knows no table."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from abloop.errors import DataError
from abloop.stats.compare import Estimate, t_quantile
from abloop.stats.moments import Moments
from abloop.validate import in_range, one_of

Better = Literal["higher", "lower"]
Verdict = Literal["pass", "fail", "unclear"]


class Guardrail(msgspec.Struct, frozen=True):
    """What is known about a metric that must not suffer.

    Attributes:
        verdict: `pass`: worse by less than the margin. `fail`: worse by more. `unclear`: either may be.
        effect: Treatment minus control, or that over control where the margin is relative; each end of the
            interval is a one-sided bound.
        margin: The worst change that is put up with, with its sign: the effect is held against it.
        p: The chance, at one look, of an effect this good where the true one is just the margin; 1 where nothing
            is known.
        reason: Why, in words.
    """

    verdict: Verdict
    effect: Estimate
    margin: float
    p: float
    reason: str


def guardrail(
    treatment: Moments,
    control: Moments,
    margin: float,
    *,
    relative: bool = False,
    better: Better = "higher",
    alpha: float = 0.05,
    multiple: float | None = None,
) -> Guardrail:
    """Return whether the treatment is no worse than the control by more than a margin.

    Two one-sided Welch tests of m_t - k m_c, with k = 1 -+ margin where it is relative, so that control's own
    error counts; source: Sasabuchi's ratio test as in Hauschke, Kieser, Diletti, Burke, Statistics in Medicine
    18 (1999). The interval of a relative effect is Fieller's (JRSS B 16, 1954), which agrees with the test.

    Args:
        treatment: Moments of one arm.
        control: Moments of the other.
        margin: Loss that is put up with, above 0; .01 is one percent where `relative`.
        relative: Whether the margin is a share of control's mean.
        better: Which way the metric is good.
        alpha: Chance to pass a treatment that is worse by the margin, and to fail one that is not, in (0, .5).
        multiple: Of the standard error, in place of Student's; an always-valid one makes the verdict hold at
            every look.

    Returns:
        The record; `unclear` with the reason where an arm has too few units or nothing varies.

    Raises:
        DataError: A margin or rate that is none, or sums that are not finite.

    Example:
        >>> arm = Moments(10_000, 5_000.0, 10_000.0, 2_500.0, 0.0, 0.0)
        >>> guardrail(arm, arm, 0.05, relative=True).verdict
        'pass'
    """
    _check(treatment, control, margin, relative=relative, better=better, alpha=alpha, multiple=multiple)
    worst = -margin if better == "higher" else margin
    units = treatment.units + control.units
    seen = treatment.mean - control.mean if treatment.m and control.m else 0.0
    nothing = Estimate(units, seen, -math.inf, math.inf)
    if min(treatment.units, control.units) < 2 or not treatment.m or not control.m:
        why = f"treatment has {treatment.units} units, control {control.units}; two each are needed"
        return Guardrail("unclear", nothing, worst, 1.0, why)
    k = 1.0 + worst if relative else 1.0
    v1, v2 = treatment.variance_of_mean, k * k * control.variance_of_mean
    gap = treatment.mean - k * control.mean - (0.0 if relative else worst)
    if v1 + v2 == 0.0:
        return Guardrail("unclear", nothing, worst, 1.0, "the metric has the same value for all units of each arm")
    if relative and control.mean <= 0.0:
        why = f"control's mean is {control.mean:g}: a relative margin needs one above 0; give an absolute one"
        return Guardrail("unclear", nothing, worst, 1.0, why)
    freedom = (v1 + v2) ** 2 / (v1**2 / (treatment.units - 1) + v2**2 / (control.units - 1))
    t = t_quantile(1.0 - alpha, freedom) if multiple is None else multiple
    effect = _fieller(treatment, control, t) if relative else _plain(treatment, control, t)
    if effect is None:
        why = f"control's mean, {control.mean:g}, is not told apart from 0; wait, or give an absolute margin"
        return Guardrail("unclear", nothing, worst, 1.0, why)
    return _judge(effect, worst, better, _p_value(gap if better == "higher" else -gap, v1 + v2, freedom))


def _judge(effect: Estimate, worst: float, better: Better, p: float) -> Guardrail:
    """Return the record for an effect and the worst one that is put up with."""
    low, high = (effect.low, effect.high) if better == "higher" else (-effect.high, -effect.low)
    line = worst if better == "higher" else -worst
    if low > line:
        return Guardrail("pass", effect, worst, p, "worse by less than the margin, if at all")
    if high < line:
        return Guardrail("fail", effect, worst, p, "worse by more than the margin")
    return Guardrail("unclear", effect, worst, p, "the margin lies within the interval; more units would tell")


def _plain(treatment: Moments, control: Moments, t: float) -> Estimate:
    """Return the difference of means with one-sided bounds."""
    mean = treatment.mean - control.mean
    half = t * math.sqrt(treatment.variance_of_mean + control.variance_of_mean)
    return Estimate(treatment.units + control.units, mean, mean - half, mean + half)


def _fieller(treatment: Moments, control: Moments, t: float) -> Estimate | None:
    """Return the ratio of means less one with Fieller's bounds; None where control's mean may be 0."""
    v1, v2 = treatment.variance_of_mean, control.variance_of_mean
    g = t * t * v2 / control.mean**2
    if g >= 1.0:
        return None
    ratio = treatment.mean / control.mean
    half = t / control.mean * math.sqrt(max(0.0, v1 + ratio * ratio * v2 - g * v1))
    low, high = (ratio - half) / (1.0 - g), (ratio + half) / (1.0 - g)
    return Estimate(treatment.units + control.units, ratio - 1.0, low - 1.0, high - 1.0)


def _p_value(gap: float, variance: float, freedom: float) -> float:
    """Return the chance of a gap at least this great where the true one is 0."""
    from scipy.special import stdtr  # here, so that `import abloop` stays light

    return float(stdtr(freedom, -gap / math.sqrt(variance)))


def _check(
    treatment: Moments,
    control: Moments,
    margin: float,
    *,
    relative: bool,
    better: str,
    alpha: float,
    multiple: float | None,
) -> None:
    """Refuse settings and sums that are none."""
    in_range("margin", margin, 0, 1.0 if relative and better == "higher" else math.inf, open_low=True, error=DataError)
    in_range("alpha", alpha, 0, 0.5, open_low=True, open_high=True, error=DataError)
    one_of("better", better, ("higher", "lower"), error=DataError)
    if multiple is not None:
        in_range("multiple", multiple, 0, open_low=True, error=DataError)
    for name, arm in (("treatment", treatment), ("control", control)):
        in_range(f"{name}: units", arm.units, 0, error=DataError)
        for field in ("s", "m", "ss", "sm", "mm"):
            in_range(f"{name}: {field}", getattr(arm, field), error=DataError)
