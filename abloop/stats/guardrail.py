"""Is a metric that must not suffer shown to be safe? Knows no table."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from abloop.errors import DataError
from abloop.stats.compare import Estimate, fieller, t_quantile
from abloop.stats.contrast import Contrast
from abloop.validate import in_range, one_of

Better = Literal["higher", "lower"]
Verdict = Literal["pass", "fail", "unclear"]


class Guardrail(msgspec.Struct, frozen=True):
    """What is known about a metric that must not suffer.

    Attributes:
        verdict: `pass`: worse by less than the margin. `fail`: worse by more. `unclear`: either may be.
        effect: Treatment minus control, or that over control where the margin is relative; each end of the
            interval is a one-sided bound. Without ends where nothing is known.
        margin: The worst change that is put up with, with its sign: the effect is held against it.
        p_value: The chance, at one look, of an effect this good where the true one is just the margin; 1 where
            nothing is known.
        reason: Why, in words.
    """

    verdict: Verdict
    effect: Estimate
    margin: float
    p_value: float
    reason: str


def guardrail(
    contrast: Contrast,
    margin: float,
    *,
    relative: bool = False,
    better: Better = "higher",
    alpha: float = 0.05,
    multiple: float | None = None,
) -> Guardrail:
    """Return whether the treatment is no worse than the control by more than a margin.

    Two one-sided tests of d - w b, with d the difference, b the baseline and w the worst lift (for an absolute
    margin, of d alone), so that the baseline's own error counts; source: Sasabuchi's ratio test as in Hauschke,
    Kieser, Diletti, Burke, Statistics in Medicine 18 (1999). The interval of a lift is Fieller's, which agrees
    with the test.

    Args:
        contrast: Treatment against control, of a metric of any kind.
        margin: Loss that is put up with, above 0; .01 is one percent where `relative`.
        relative: Whether the margin is a share of the baseline.
        better: Which way the metric is good.
        alpha: Chance to pass a treatment that is worse by the margin, and to fail one that is not, in (0, .5).
        multiple: Of the standard error, in place of Student's; an always-valid one makes the verdict hold at
            every look.

    Returns:
        The record; `unclear` with the reason where the contrast has no interval.

    Raises:
        DataError: A margin or rate that is none.

    Example:
        >>> guardrail(Contrast(20_000, 0.0, 0.5, 5e-5, -2.5e-5, 2.5e-5, 19_998.0), 0.05, relative=True).verdict
        'pass'
    """
    in_range("margin", margin, 0, 1.0 if relative and better == "higher" else math.inf, open_low=True, error=DataError)
    in_range("alpha", alpha, 0, 0.5, open_low=True, open_high=True, error=DataError)
    one_of("better", better, ("higher", "lower"), error=DataError)
    if multiple is not None:
        in_range("multiple", multiple, 0, open_low=True, error=DataError)
    worst = -margin if better == "higher" else margin
    if contrast.reason:
        return _unclear(contrast, worst, contrast.detail)
    if relative and contrast.baseline <= 0.0:
        why = f"the baseline is {contrast.baseline:g}: a relative margin needs one above 0; give an absolute one"
        return _unclear(contrast, worst, why)
    times = t_quantile(1.0 - alpha, contrast.freedom) if multiple is None else multiple
    value, error = contrast.difference, math.sqrt(contrast.variance)
    ends: tuple[float, float] | None = (value - times * error, value + times * error)
    if relative:
        value, ends = value / contrast.baseline, fieller(contrast, times)
    if ends is None:
        why = f"the baseline, {contrast.baseline:g}, is not told apart from 0; wait, or give an absolute margin"
        return _unclear(contrast, worst, why)
    p_value = _p_value(contrast, worst, relative=relative, better=better)
    return _judge(Estimate(contrast.n, value, *ends), worst, better, p_value)


def _judge(effect: Estimate, worst: float, better: Better, p_value: float) -> Guardrail:
    """Return the record for an effect and the worst one that is put up with."""
    low, high = (effect.low, effect.high) if better == "higher" else (-effect.high, -effect.low)
    line = worst if better == "higher" else -worst
    if low > line:
        return Guardrail("pass", effect, worst, p_value, "worse by less than the margin, if at all")
    if high < line:
        return Guardrail("fail", effect, worst, p_value, "worse by more than the margin")
    return Guardrail("unclear", effect, worst, p_value, "the margin lies within the interval; more units would tell")


def _unclear(contrast: Contrast, worst: float, reason: str) -> Guardrail:
    """Return the record where there is no interval."""
    seen = contrast.difference if math.isfinite(contrast.difference) else 0.0
    return Guardrail("unclear", Estimate(contrast.n, seen, -math.inf, math.inf), worst, 1.0, reason)


def _p_value(contrast: Contrast, worst: float, *, relative: bool, better: Better) -> float:
    """Return the chance of an effect at least this good where the true one is the worst that is put up with."""
    from scipy.special import stdtr  # here, so that `import abloop` stays light

    gap, variance = contrast.difference - worst, contrast.variance
    if relative:
        gap = contrast.difference - worst * contrast.baseline
        variance += worst * worst * contrast.baseline_variance - 2.0 * worst * contrast.covariance
    z = gap / math.sqrt(variance) if better == "higher" else -gap / math.sqrt(variance)
    return float(stdtr(min(contrast.freedom, 1e300), -z))
