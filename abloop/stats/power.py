"""How many units and days a test needs, and what it can find, before and while it runs. Knows no table.

Everything rests on one number: the variance of the effect times the units of both arms. It is the same for means,
proportions, ratios, adjusted means and relative effects, planned or measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Literal

import msgspec

from abloop.errors import DataError
from abloop.stats.compare import Side
from abloop.stats.contrast import Contrast
from abloop.stats.group_sequential import SPENDINGS, Spending, crossing, looks
from abloop.stats.moments import Moments
from abloop.stats.sequential import TUNING, always_valid
from abloop.validate import in_range, one_of

Kind = Literal["fixed", "student", "always_valid", "group_sequential"]
KINDS: tuple[Kind, ...] = ("fixed", "student", "always_valid", "group_sequential")
MOST_UNITS = 1e15


class Design(msgspec.Struct, frozen=True):
    """How a test is read.

    Attributes:
        kind: Once at the end, by the normal or by Student's distribution; at every look; or at a few.
        alpha: False-alarm rate; divide it by the number of tests where there are many.
        two_sided: Whether both signs are tested.
        target: Power that is wanted, in (alpha, 1).
        tuning: Units of both arms at which an always-valid bound is narrowest.
        looks: Number of looks of a group-sequential test, evenly spaced.
        spending: How it spends alpha.
    """

    kind: Kind = "fixed"
    alpha: float = 0.05
    two_sided: bool = True
    target: float = 0.8
    tuning: float = TUNING
    looks: int = 14
    spending: Spending = "obrien_fleming"


FIXED = Design()


class Outlook(msgspec.Struct, frozen=True):
    """Where a running test stands.

    Attributes:
        units: In both arms so far.
        needed: Units at which the effect is found with the wanted power, rounded up.
        days: Days until then at the present pace, 0 if they are there; None where there is a reason.
        power: Chance to find the effect at a look now.
        smallest: Effect that would be found now with the wanted power.
        reason: Why there are no days; empty where there are.
    """

    units: int
    needed: int
    days: int | None
    power: float
    smallest: float
    reason: str = ""


def planned_variance(treatment: float, control: float, share: float = 0.5) -> float:
    """Return the variance of the difference times the units of both arms, from the variance of a unit in each.

    Args:
        treatment: Variance of a unit's value, above 0; p (1 - p) for a proportion.
        control: The same of the other arm.
        share: Treatment's share of the units of both arms, in (0, 1).

    Example:
        >>> planned_variance(0.25, 0.25)
        1.0
    """
    in_range("treatment", treatment, 0, open_low=True, error=DataError)
    in_range("control", control, 0, open_low=True, error=DataError)
    in_range("share", share, 0, 1, open_low=True, open_high=True, error=DataError)
    return treatment / share + control / (1.0 - share)


def measured_variance(treatment: Moments, control: Moments, *, relative: bool = False) -> float:
    """Return the same from the moments of a running test, also of a ratio, or of a relative difference.

    The relative one is the delta method for a ratio of means: (v_t + (m_t / m_c)**2 v_c) / m_c**2.

    Args:
        treatment: Moments of one arm.
        control: Moments of the other.
        relative: Whether effects are shares of control's mean.

    Raises:
        DataError: Fewer than two units in an arm, no variance, or a control at 0 where effects are relative.
    """
    for name, arm in (("treatment", treatment), ("control", control)):
        if arm.units < 2 or not arm.m:
            raise DataError(f"{name} has {arm.units} units, {arm.m:g} values; allowed: two units or more, with values")
        in_range(f"{name}: mean", arm.mean, error=DataError)
    ratio, scale = 1.0, 1.0
    if relative:
        if control.mean == 0.0:
            raise DataError("control's mean is 0; allowed: another one, where effects are relative")
        ratio, scale = treatment.mean / control.mean, control.mean**2
    found = (treatment.variance_of_mean + ratio**2 * control.variance_of_mean) / scale
    in_range("variance of the effect", found, 0, open_low=True, error=DataError)
    return found * (treatment.units + control.units)


def power(effect: float, variance: float, units: float, design: Design = FIXED) -> float:
    """Return the chance to find an effect.

    `fixed` is exact for normal means, `student` for normal values. `always_valid` is the chance at a single look
    at these units, by the bound of `sequential.always_valid`; looks before can only add to it. `group_sequential`
    is the chance at any of the evenly spaced looks that end there, by their joint density.

    Args:
        effect: True effect; its sign matters where the test is one-sided.
        variance: Of the effect, times units (`planned_variance`, `measured_variance`).
        units: In both arms, above 2.
        design: How the test is read.

    Raises:
        DataError: A number outside its range.

    Example:
        >>> round(power(0.5, 4.0, 128), 3)  # 64 an arm, half a standard deviation
        0.807
    """
    _check(variance, units, design)
    in_range("effect", effect, error=DataError)
    return _power(effect * math.sqrt(units / variance), units, design)


def required_units(effect: float, variance: float, design: Design = FIXED) -> float:
    """Return the units in both arms at which an effect is found with the wanted power; not rounded.

    Args:
        effect: Not 0; above 0 where the test is one-sided.
        variance: Of the effect, times units.
        design: How the test is read.

    Raises:
        DataError: A number outside its range, or more units than anybody has.

    Example:
        >>> round(required_units(0.5, 4.0))
        126
    """
    _check(variance, 3.0, design)
    in_range("effect", effect if design.two_sided else max(0.0, effect), error=DataError)
    if effect == 0.0 or (effect < 0.0 and not design.two_sided):
        raise DataError(
            f"effect is {effect!r}; allowed: {'not 0' if design.two_sided else 'above 0'}: no units find it"
        )
    signal = abs(effect) / math.sqrt(variance)
    if design.kind == "group_sequential":
        return max(3.0, (_root(lambda z: _power(z, 1.0, design), design.target, 0.0, 1.0) / signal) ** 2)
    found = _root(lambda units: _power(signal * math.sqrt(units), units, design), design.target, 3.0, 6.0)
    if found > MOST_UNITS:
        raise DataError(f"effect {effect!r} with variance {variance!r} needs more than {MOST_UNITS:g} units")
    return found


def smallest_effect(variance: float, units: float, design: Design = FIXED) -> float:
    """Return the effect that is found with the wanted power (minimal detectable effect), above 0.

    Args:
        variance: Of the effect, times units.
        units: In both arms, above 2.
        design: How the test is read.

    Raises:
        DataError: A number outside its range.

    Example:
        >>> round(smallest_effect(4.0, 126), 2)
        0.5
    """
    _check(variance, units, design)
    return _root(lambda z: _power(z, units, design), design.target, 0.0, 1.0) * math.sqrt(variance / units)


def outlook(effect: float, variance: float, units: int, per_day: float, design: Design = FIXED) -> Outlook:
    """Return what a running test still needs.

    Args:
        effect: The smallest effect that matters.
        variance: Of the effect, times units.
        units: In both arms so far.
        per_day: New units in both arms on a day, 0 or more.
        design: How the test is read.

    Raises:
        DataError: A number outside its range.

    Example:
        >>> outlook(0.1, 4.0, 1_000, 200).days
        11
    """
    in_range("per_day", per_day, 0, error=DataError)
    needed = math.ceil(required_units(effect, variance, design))
    left = max(0, needed - units)
    reason = f"no new units come, and {left:,} are missing" if left and not per_day else ""
    days = None if reason else math.ceil(left / per_day) if left else 0
    smallest = smallest_effect(variance, units, design)
    return Outlook(units, needed, days, power(effect, variance, units, design), smallest, reason)


def _power(z: float, units: float, design: Design) -> float:
    """Return the chance to find an effect of z standard errors."""
    sides = 2 if design.two_sided else 1
    if design.kind == "student":
        return _student_power(z, units - 2.0, design)
    if design.kind == "group_sequential":
        steps = [(step + 1) / design.looks for step in range(design.looks)]
        bounds = looks(steps, 1.0, design.alpha, kind=design.spending, two_sided=design.two_sided)
        return crossing(steps, [look.z for look in bounds], z, two_sided=design.two_sided)[-1]
    normal = NormalDist()
    fixed = design.kind == "fixed"
    bound = normal.inv_cdf(1.0 - design.alpha / sides) if fixed else _always_valid_bound(units, design)
    return normal.cdf(z - bound) + (normal.cdf(-z - bound) if design.two_sided else 0.0)


def _always_valid_bound(units: float, design: Design) -> float:
    """Return the multiple of the standard error that an always-valid test asks for at a look."""
    one = Contrast(1, 0.0, 0.0, 1.0, 0.0, 0.0, math.inf)  # only the units over the tuning matter
    side: Side = "two" if design.two_sided else "greater"
    return -always_valid(one, 1.0 - design.alpha, side=side, tuning=design.tuning / units).low


def _student_power(z: float, freedom: float, design: Design) -> float:
    """Return the same by the noncentral t distribution.

    statsmodels' `ttest_power` is NaN where the tail on the other side is below 1e-16; here it is 0.
    """
    from scipy.special import nctdtr, stdtrit  # here, so that `import abloop` stays light

    if not design.two_sided:
        here = float(nctdtr(freedom, z, stdtrit(freedom, 1.0 - design.alpha)))
        return float(z > 0) if math.isnan(here) else 1.0 - here
    bound = float(stdtrit(freedom, 1.0 - design.alpha / 2.0))
    here, there = float(nctdtr(freedom, abs(z), bound)), float(nctdtr(freedom, abs(z), -bound))
    return (1.0 if math.isnan(here) else 1.0 - here) + (0.0 if math.isnan(there) else there)


def _root(rising: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Return where a rising function reaches a target; `low` if it is there already."""
    from scipy.optimize import brentq  # here, so that `import abloop` stays light

    if rising(low) >= target:
        return low
    while rising(high) < target and high <= MOST_UNITS:
        low, high = high, 2.0 * high
    if high > MOST_UNITS:
        return math.inf
    return float(brentq(lambda x: rising(x) - target, low, high, xtol=1e-12 * high, rtol=1e-13))


def _check(variance: float, units: float, design: Design) -> None:
    """Refuse numbers and designs that are none."""
    in_range("variance", variance, 0, open_low=True, error=DataError)
    in_range("units", units, 2, open_low=True, error=DataError)
    one_of("kind", design.kind, KINDS, error=DataError)
    one_of("spending", design.spending, SPENDINGS, error=DataError)
    in_range("alpha", design.alpha, 0, 0.5, open_low=True, open_high=True, error=DataError)
    in_range("target", design.target, design.alpha, 1, open_low=True, open_high=True, error=DataError)
    in_range("tuning", design.tuning, 0, open_low=True, error=DataError)
    in_range("looks", design.looks, 1, error=DataError)
