"""Bounds that stay valid however often one looks. Knows no table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import msgspec

from abloop.errors import DataError
from abloop.stats.compare import SIDES, Effect, Side, refuse
from abloop.stats.contrast import Contrast
from abloop.validate import in_range, one_of

TUNING = 5_000.0  # units at which a confidence sequence is narrowest, where nobody says otherwise


def one_sided_z(alpha: float) -> float:
    """Return the multiple of the standard error that a fixed one-sided bound subtracts.

    Args:
        alpha: False-alarm rate, in (0, 1).

    Example:
        >>> round(one_sided_z(0.05), 3)
        1.645
    """
    return NormalDist().inv_cdf(1.0 - alpha)


def always_valid_z(n: int, alpha: float, planned: int = 5_000) -> float:
    """Return the multiple of the standard error that a one-sided bound subtracts at every look.

    Asymptotic confidence sequence with a normal mixture, width smallest near `planned` units:
    z(n)**2 = 2 (n r + 1) / (n r) * log(1 + sqrt(n r + 1) / (2 alpha)), with r = rho**2 set so that it is
    narrowest at `planned`. Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central
    limit theory and asymptotic confidence sequences", Annals of Statistics 2024, appendix B.1 (one-sided).

    Args:
        n: Units seen, above 0.
        alpha: False-alarm rate over all looks, in (0, 1).
        planned: Units at which the bound is to be narrowest.

    Example:
        >>> always_valid_z(5_000, 0.05) > one_sided_z(0.05)
        True
    """
    return _one_sided_bound(n * mixing_rate(2.0 * alpha, planned), alpha)


def mixing_rate(alpha: float, tuning: float) -> float:
    """Return rho squared of a confidence sequence that is narrowest at `tuning` units.

    (-2 log alpha + log(1 - 2 log alpha)) / tuning. Source: Waudby-Smith et al. (as in `always_valid_z`),
    appendix B.2; a one-sided sequence takes twice its false-alarm rate.

    Args:
        alpha: False-alarm rate, in (0, 1).
        tuning: Units of both arms.
    """
    return (-2.0 * math.log(alpha) + math.log(1.0 - 2.0 * math.log(alpha))) / tuning


def always_valid(
    contrast: Contrast,
    confidence: float = 0.95,
    *,
    relative: bool = False,
    side: Side = "two",
    tuning: float = TUNING,
    null: float = 0.0,
) -> Effect:
    """Return interval and p-value that hold at every look at once, however often one looks.

    Asymptotic confidence sequence: value +- error z(n), with r = n rho**2 and
    z(n)**2 = 2 (r + 1) / r log(sqrt(r + 1) / alpha), or for one side
    z(n)**2 = 2 (r + 1) / r log(1 + sqrt(r + 1) / (2 alpha)). The p-value is the least alpha, with rho held,
    whose interval leaves the null out: sqrt(r + 1) exp(-z**2 r / (2 (r + 1))) for two sides. Source:
    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, Annals of Statistics 2024, theorem 2.2 and appendices B.1, B.4.
    It is GrowthBook's sequential test with the same tuning.

    Asymptotic means that the first look must not come at a handful of units.

    Args:
        contrast: Treatment against control.
        confidence: Coverage at all looks at once, in (0, 1); above .5 for one side.
        relative: Whether the lift is wanted instead of the difference.
        side: `two`, `greater` or `less`, as in `compare.effect`.
        tuning: Units of both arms at which the interval is to be narrowest, above 0.
        null: Effect that the p-value is of.

    Returns:
        The effect at this look; the interval may be cut with those of earlier looks (`running`).

    Raises:
        DataError: An argument outside its range.

    Example:
        >>> found = always_valid(Contrast(5_000, 0.1, 0.5, 0.0004, -0.0002, 0.0002, 4_998.0))
        >>> f"{found.low:.3f} {found.high:.3f} {found.p_value:.5f}"
        '0.039 0.161 0.00005'
    """
    _check(confidence, side, null)
    in_range("tuning", tuning, 0, open_low=True, error=DataError)
    if side != "two":
        in_range("confidence", confidence, 0.5, 1, open_low=True, open_high=True, error=DataError)
    alpha = 1.0 - confidence
    rate = contrast.n * mixing_rate(alpha if side == "two" else 2.0 * alpha, tuning)
    return _bounded(contrast, rate, alpha, relative, side, null)


def mixture(
    contrast: Contrast,
    spread: float,
    confidence: float = 0.95,
    *,
    relative: bool = False,
    side: Side = "two",
    null: float = 0.0,
) -> Effect:
    """Return the mixture sequential probability ratio test, with effects thought to be normal around the null.

    With V the variance of the effect at this look, the ratio is sqrt(V / (V + spread**2))
    exp(spread**2 z**2 / (2 (V + spread**2))); the p-value is one over it, the interval holds the effects whose
    ratio is below 1 / alpha. It is the confidence sequence of `always_valid` with r = spread**2 / V. Source:
    Johari, Koomen, Pekelis, Walsh, "Always Valid Inference: Continuous Monitoring of A/B Tests", Operations
    Research 2022, eq. 11.

    Args:
        contrast: Treatment against control.
        spread: Standard deviation of effects before data, above 0, fixed in advance.
        confidence: Coverage at all looks at once, in (0, 1).
        relative: Whether effect and spread are lifts.
        side: `two`, `greater` or `less`.
        null: Effect in the middle of the mixture.

    Raises:
        DataError: An argument outside its range.
    """
    _check(confidence, side, null)
    in_range("spread", spread, 0, open_low=True, error=DataError)
    _, variance = contrast.scaled(relative=relative)
    rate = min(spread * spread / variance, 1e300) if variance > 0 else math.nan
    return _bounded(contrast, rate, 1.0 - confidence, relative, side, null)


def running(looks: Sequence[Effect]) -> tuple[Effect, ...]:
    """Return looks in time order, each interval cut with the earlier ones and each p-value the least so far.

    Valid for intervals that hold at every look at once, and for them only. An empty cut (the effect moved)
    leaves the look's own interval.

    Args:
        looks: Always-valid effects, in time order.
    """
    cut: list[Effect] = []
    low, high, p_value = -math.inf, math.inf, 1.0
    for look in looks:
        if not look.reason:
            low, high, p_value = max(low, look.low), min(high, look.high), min(p_value, look.p_value)
            if low > high:
                low, high = look.low, look.high
            look = msgspec.structs.replace(look, low=low, high=high, p_value=p_value)
        cut.append(look)
    return tuple(cut)


def _bounded(contrast: Contrast, rate: float, alpha: float, relative: bool, side: Side, null: float) -> Effect:
    """Return the effect between the bounds of a normal mixture of `rate`, r."""
    if refused := refuse(contrast, relative=relative):
        return refused
    value, variance = contrast.scaled(relative=relative)
    error = math.sqrt(variance)
    z = (value - null) / error
    share = rate / (rate + 1.0)
    if side == "two":
        half = error * math.sqrt((2.0 * math.log(1.0 / alpha) + math.log1p(rate)) / share)
        p_value = math.exp(min(0.0, 0.5 * math.log1p(rate) - 0.5 * share * z * z))
        return Effect(contrast.n, value, error, value - half, value + half, p_value, math.inf)
    half = error * _one_sided_bound(rate, alpha)
    towards = z if side == "greater" else -z
    p_value = _one_sided_p(rate, towards)
    low = value - half if side == "greater" else -math.inf
    high = value + half if side == "less" else math.inf
    return Effect(contrast.n, value, error, low, high, p_value, math.inf)


def _one_sided_bound(rate: float, alpha: float) -> float:
    """Return z of the one-sided bound of a normal mixture."""
    return math.sqrt(2.0 * (rate + 1.0) / rate * math.log(1.0 + math.sqrt(rate + 1.0) / (2.0 * alpha)))


def _one_sided_p(rate: float, z: float) -> float:
    """Return the least alpha whose one-sided bound is below z; 1 above one half, where the bound ends."""
    if z <= 0.0:
        return 1.0
    exponent = 0.5 * z * z * rate / (rate + 1.0)
    if exponent > 700.0:  # the exponential would overflow
        return math.exp(0.5 * math.log1p(rate) - exponent) / 2.0
    odds = 2.0 * math.expm1(exponent)
    least = math.sqrt(rate + 1.0) / odds if odds else 1.0
    return least if least < 0.5 else 1.0


def _check(confidence: float, side: Side, null: float) -> None:
    """Refuse arguments outside their range."""
    in_range("confidence", confidence, 0, 1, open_low=True, open_high=True, error=DataError)
    one_of("side", side, SIDES, error=DataError)
    in_range("null", null, error=DataError)
