"""Numbers and times as text. Pure: a number that was not estimated is a dash, never `nan`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from abloop.stats.compare import Estimate

DASH = "\u2013"  # en dash
MINUS = "\u2212"  # minus sign, as wide as a plus
NARROW = "\u202f"  # narrow space that never breaks
MOST_DECIMALS = 6


class Moment(msgspec.Struct, frozen=True):
    """A time for people and for machines.

    Attributes:
        iso: ISO 8601, UTC; empty if there is none.
        text: To the minute, UTC.
        ago: How long before now.
    """

    iso: str
    text: str
    ago: str


def number(value: float | None, decimals: int, *, sign: bool = False) -> str:
    """Return a number with a fixed number of decimals; a dash for None, NaN and infinity.

    Args:
        value: The number.
        decimals: Digits after the point.
        sign: Whether a plus is written.

    Example:
        >>> number(1234.5, 1), number(0.25, 2, sign=True), number(-0.001, 2, sign=True)
        ('1,234.5', '+0.25', '0.00')
    """
    if value is None or not math.isfinite(value):
        return DASH
    if value and (abs(value) >= 1e12 or abs(value) < 10.0 ** -(MOST_DECIMALS + 2)):
        text = f"{value:{'+' if sign else ''}.3g}"
    else:
        text = f"{value:{'+' if sign else ''},.{decimals}f}"
        text = text.lstrip("+-") if not any(digit in text for digit in "123456789") else text
    return text.replace("-", MINUS)


def interval(estimate: Estimate, decimals: int, *, sign: bool = False) -> str:
    """Return the ends of an interval; one dash if it was not estimated.

    Example:
        >>> interval(Estimate(9, 0.5, 0.25, 0.75), 2)
        '[0.25, 0.75]'
    """
    low, high = number(estimate.low, decimals, sign=sign), number(estimate.high, decimals, sign=sign)
    return DASH if DASH in (low, high) else f"[{low}, {high}]"


def decimals(estimates: Iterable[Estimate | None], digits: int = 2) -> int:
    """Return the decimals that show so many digits of the narrowest interval, so that a column lines up.

    Example:
        >>> decimals([Estimate(9, 0.389, 0.327, 0.451), None])
        3
    """
    found = [estimate for estimate in estimates if estimate is not None]
    halves = [(estimate.high - estimate.low) / 2 for estimate in found]
    sizes = [half for half in halves if math.isfinite(half) and half > 0]
    if not sizes:
        sizes = [abs(e.mean) / 10 for e in found if math.isfinite(e.mean) and e.mean]
    return min(MOST_DECIMALS, max(0, digits - 1 - math.floor(math.log10(min(sizes))))) if sizes else 2


def percent(value: float | None, *, sign: bool = False) -> str:
    """Return a measured share as per cent.

    Example:
        >>> percent(0.1).split(), percent(0.0525, sign=True).split()
        (['10.0', '%'], ['+5.2', '%'])
    """
    return DASH if (text := number(value and value * 100, 1, sign=sign)) == DASH else f"{text}{NARROW}%"


def share(value: float) -> str:
    """Return a chosen share as per cent, as it was written.

    Example:
        >>> share(0.05).split()
        ['5', '%']
    """
    return f"{value * 100:g}{NARROW}%"


def p_value(value: float) -> str:
    """Return a p-value as a comparison.

    Example:
        >>> p_value(0.0449), p_value(1e-9), p_value(0.9981)
        ('p = 0.045', 'p < 0.001', 'p = 0.998')
    """
    if not math.isfinite(value):
        return f"p {DASH}"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def count(value: int, one: str, many: str = "") -> str:
    """Return a count with its noun.

    Example:
        >>> count(1, "row"), count(1200, "row")
        ('1 row', '1,200 rows')
    """
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def moment(at: float, now: float) -> Moment:
    """Return a time as text.

    Args:
        at: Seconds since 1970.
        now: The same, of now.

    Example:
        >>> moment(0.0, 7200.0)
        Moment(iso='1970-01-01T00:00:00Z', text='1970-01-01 00:00 UTC', ago='2 hours ago')
    """
    try:
        then = datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):
        return Moment("", DASH, "")
    return Moment(then.strftime("%Y-%m-%dT%H:%M:%SZ"), then.strftime("%Y-%m-%d %H:%M UTC"), _ago(now - at))


def _ago(seconds: float) -> str:
    if seconds < -60:
        return "in the future"
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{count(int(seconds // size), name)} ago"
    return "just now"
