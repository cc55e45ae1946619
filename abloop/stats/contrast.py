"""The difference of two arms beside the control's value, with their covariances. Knows no test.

Every test reads this one record: fixed and always valid, absolute and relative, frequentist and Bayesian.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from abloop.stats.cuped import adjusted, coefficients
from abloop.stats.estimand import Estimand, Linear, linear, spread
from abloop.stats.moments import Products

Reason = Literal[
    "",
    "empty_arm",
    "few_units",
    "not_finite",
    "zero_denominator",
    "negative_variance",
    "no_variance",
    "zero_baseline",
    "unbounded",
]
ROUNDING = 1e-12  # a spread below this share of the mean is rounding
CANCELLED = 3e-7  # and one below this share of the spreads it is the difference of


class Contrast(msgspec.Struct, frozen=True):
    """Treatment against control.

    Attributes:
        n: Units of both arms.
        difference: Treatment minus control, adjusted where covariates are given; NaN only with a reason.
        baseline: The control's value, not adjusted.
        variance: Of the difference.
        covariance: Of difference and baseline.
        baseline_variance: Of the baseline.
        freedom: Welch's degrees of freedom of the difference.
        reason: Why there can be no interval; empty where there can.
        detail: The arm and the count, for people.
        slope: Lift at which the variance of the lift is taken; None for that of the values.
    """

    n: int
    difference: float
    baseline: float
    variance: float
    covariance: float
    baseline_variance: float
    freedom: float
    reason: Reason = ""
    detail: str = ""
    slope: float | None = None

    def scaled(self, *, relative: bool) -> tuple[float, float]:
        """Return the effect and its variance.

        The lift is the difference over the size of the baseline, d / |b|, so that its sign is the
        difference's; its variance, by the delta method, is (var d - 2 l cov(d, b) + l**2 var b) / b**2
        with l = d / b. For an adjusted mean GrowthBook takes l without the adjustment, and so does `contrast`:
        both have the same limit.

        Args:
            relative: Whether the lift is wanted instead of the difference.
        """
        if not relative:
            return self.difference, self.variance
        if not self.baseline:
            return math.nan, math.nan
        slope = self.difference / self.baseline if self.slope is None else self.slope
        total = self.variance - 2.0 * slope * self.covariance + slope * slope * self.baseline_variance
        return self.difference / abs(self.baseline), max(0.0, total) / self.baseline / self.baseline


class Arm(msgspec.Struct, frozen=True):
    """An arm's value and the variance of that value, however they were found (a quantile, a clustered mean).

    Attributes:
        units: Number of units.
        value: The arm's value.
        variance: Variance of the value (not of a unit).
    """

    units: int
    value: float
    variance: float


def welch(treatment: tuple[int, float], control: tuple[int, float]) -> float:
    """Return the degrees of freedom of a difference, after Welch and Satterthwaite.

    (v1 + v2)**2 / (v1**2 / (n1 - 1) + v2**2 / (n2 - 1)), with v the variance of each mean. Source: Welch,
    Biometrika 34 (1947).

    Args:
        treatment: Units, at least two, and variance of the mean.
        control: The same of the other arm; one of the variances is above zero.
    """
    (n1, v1), (n2, v2) = treatment, control
    top = max(v1, v2)  # squares of small variances would vanish
    v1, v2 = v1 / top, v2 / top
    return (v1 + v2) ** 2 / (v1 * v1 / (n1 - 1) + v2 * v2 / (n2 - 1))


def contrast(
    treatment: Products, control: Products, estimand: Estimand, theta: Sequence[float] | None = None
) -> Contrast:
    """Return the difference of two arms, adjusted for the covariates of the estimand.

    Args:
        treatment: Moments of one arm.
        control: Moments of the other.
        estimand: What is compared.
        theta: Coefficient of each covariate; where None those of both arms merged, and for a ratio, whose
            linear part differs by arm, of each arm alone and summed.

    Returns:
        The contrast, with a reason where bad data allow no interval.

    Raises:
        UnknownNameError: A column that a sample does not have.

    Example:
        >>> from abloop.stats.moments import products
        >>> a, b = products({"y": [1.0, 1.0, 0.0, 1.0]}), products({"y": [0.0, 1.0, 0.0, 0.0]})
        >>> contrast(a, b, Estimand("y")).difference
        0.5
    """
    arms = {"treatment": treatment, "control": control}
    raw, plain = linear(estimand, treatment), linear(estimand, control)
    if bad := _unfit(arms, estimand):
        return _refused(treatment.units + control.units, raw.value - plain.value, plain.value, *bad)
    if theta is None:
        samples = (treatment, control) if estimand.over else (treatment.merge(control),)
        theta = coefficients(estimand, *samples)
    one, two = adjusted(estimand, treatment, theta), adjusted(estimand, control, theta)
    found = _joined(
        (one.value - two.value, plain.value),
        (treatment.units, spread(estimand, treatment, one, one)),
        (control.units, spread(estimand, control, two, two)),
        (-spread(estimand, control, two, plain), spread(estimand, control, plain, plain)),
        (_noise(treatment, one), _noise(control, two)),
    )
    if not estimand.over and plain.value:
        found = msgspec.structs.replace(found, slope=raw.value / plain.value - 1.0)
    return _impossible(found, arms, estimand)


def contrast_of(treatment: Arm, control: Arm) -> Contrast:
    """Return the difference of two independent values.

    Example:
        >>> contrast_of(Arm(100, 7.5, 0.02), Arm(100, 7.0, 0.02)).variance
        0.04
    """
    both = (treatment.value - control.value, control.value)
    for name, arm in (("treatment", treatment), ("control", control)):
        detail = f"{name}: {arm.units} units, value {arm.value}, variance {arm.variance}"
        reason: Reason = "empty_arm" if not arm.units else "few_units" if arm.units < 2 else "not_finite"
        if arm.units < 2 or not math.isfinite(arm.value) or not math.isfinite(arm.variance):
            return _refused(treatment.units + control.units, *both, reason, detail)
    one, two = (treatment.units, treatment.variance), (control.units, control.variance)
    return _joined(both, one, two, (-control.variance, control.variance), (0.0, 0.0))


def _refused(n: int, difference: float, baseline: float, reason: Reason, detail: str) -> Contrast:
    """Return a contrast without variances."""
    return Contrast(n, difference, baseline, math.nan, math.nan, math.nan, math.nan, reason, detail)


def _joined(
    both: tuple[float, float],
    treatment: tuple[int, float],
    control: tuple[int, float],
    base: tuple[float, float],
    noise: tuple[float, float],
) -> Contrast:
    """Return the contrast of two arms' variances, or why there is none."""
    reason: Reason = ""
    detail = ""
    for name, (units, variance), least in zip(("treatment", "control"), (treatment, control), noise, strict=True):
        if variance * units <= least * least:
            reason = "negative_variance" if variance * units < -least * least else "no_variance"
            detail = f"{name}: {units} units, variance {variance * units:.3g}"
    difference, baseline = both
    n, variance = treatment[0] + control[0], treatment[1] + control[1]
    if not reason and not all(map(math.isfinite, (*both, variance, *base))):
        reason, detail = "not_finite", f"{n} units: difference {difference:.3g}, variance {variance:.3g}"
    freedom = math.nan if reason else welch(treatment, control)
    return Contrast(n, difference, baseline, variance, *base, freedom, reason, detail)


def _noise(sample: Products, function: Linear) -> float:
    """Return the standard deviation below which a function of the columns does not vary but for rounding."""
    pairs = [(abs(slope), i) for i, slope in enumerate(function.slopes) if slope]
    deviations = [slope * math.sqrt(max(0.0, sample.products[i][i]) / sample.units) for slope, i in pairs]
    cancelled = CANCELLED * math.fsum(deviations) if len(pairs) > 1 else 0.0
    return max(cancelled, ROUNDING * math.fsum(slope * abs(sample.means[i]) for slope, i in pairs))


def _unfit(arms: dict[str, Products], estimand: Estimand) -> tuple[Reason, str] | None:
    """Return why two samples cannot be compared; None where they can."""
    for name, arm in arms.items():
        if arm.units < 2:
            return ("few_units" if arm.units == 1 else "empty_arm"), f"{name}: {arm.units} units"
        for column in estimand.names:
            i = arm.index(column)
            numbers = (arm.means[i], *(arm.products[i][arm.index(other)] for other in estimand.names))
            if not all(map(math.isfinite, numbers)):
                return "not_finite", f"{name}: {arm.units} units, {column} has mean {arm.means[i]}"
        for part in (estimand, *estimand.covariates):
            if math.isnan(linear(part, arm).value):
                return "zero_denominator", f"{name}: {arm.units} units, {part.over} is 0"
    return None


def _impossible(found: Contrast, arms: dict[str, Products], estimand: Estimand) -> Contrast:
    """Return the contrast with a reason where a column has a variance that no data have."""
    for name, arm in arms.items():
        for column in estimand.names:
            i = arm.index(column)
            if arm.products[i][i] < -arm.units * (ROUNDING * arm.means[i]) ** 2:
                detail = f"{name}: {arm.units} units, variance of {column} {arm.products[i][i] / (arm.units - 1):.3g}"
                return msgspec.structs.replace(found, reason="negative_variance", detail=detail)
    return found
