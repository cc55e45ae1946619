"""Where the lines of a forest plot go: estimates to coordinates. Knows no HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from abloop.stats.compare import Estimate
from server.numbers import number

WIDTH = 340.0
LEFT = 116.0
RIGHT = 322.0
TOP = 14.0
ROW = 30.0
LONGEST = 15


class Line(msgspec.Struct, frozen=True):
    """One estimate, in the coordinates of the plot.

    Attributes:
        name: What it is an estimate of.
        label: The same, cut to the room there is.
        y: Height of the line.
        low: Left end; None without an interval.
        mid: The estimate; None if it was not estimated.
        high: Right end; None without an interval.
        clear: Whether the interval leaves out zero.
    """

    name: str
    label: str
    y: float
    low: float | None
    mid: float | None
    high: float | None
    clear: bool


class Tick(msgspec.Struct, frozen=True):
    """One number on the axis."""

    x: float
    text: str


class Forest(msgspec.Struct, frozen=True):
    """A plot.

    Attributes:
        width: Of the drawing.
        height: Of the drawing.
        left: Where the axis begins.
        right: Where it ends.
        axis: Height of the axis.
        zero: Where zero is.
        lines: Estimates, first on top.
        ticks: Numbers on the axis.
        alt: What it shows, for those who cannot see it.
    """

    width: float
    height: float
    left: float
    right: float
    axis: float
    zero: float
    lines: tuple[Line, ...]
    ticks: tuple[Tick, ...]
    alt: str


def forest(estimates: Mapping[str, Estimate], alt: str, *, percent: bool = False) -> Forest | None:
    """Return the plot of differences from zero; None where none has an interval.

    Args:
        estimates: Name to difference with its interval.
        alt: What it shows, in words.
        percent: Whether they are shares, to be read in per cent.
    """
    ends = [end for e in estimates.values() for end in (e.low, e.mean, e.high) if _whole(e) and math.isfinite(end)]
    if not ends:
        return None
    low, high = min(0.0, *ends), max(0.0, *ends)
    span = high - low
    if not math.isfinite(span):
        return None
    low, high = (low - 0.05 * span, high + 0.05 * span) if span else (-1.0, 1.0)
    scale = (RIGHT - LEFT) / (high - low)

    def x(value: float) -> float:
        return round(LEFT + (value - low) * scale, 1)

    lines = []
    for row, (name, e) in enumerate(estimates.items()):
        label = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
        left, mid, right = (x(e.low), x(e.mean), x(e.high)) if _whole(e) else (None, None, None)
        lines.append(Line(name, label, TOP + ROW * (row + 0.5), left, mid, right, e.low > 0 or e.high < 0))
    axis = TOP + ROW * len(lines)
    times = 100.0 if percent else 1.0
    found = _ticks(low * times, high * times)
    ticks = tuple(Tick(x(value / times), f"{text} %" if percent else text) for value, text in found)
    return Forest(WIDTH, axis + 24.0, LEFT, RIGHT, axis, x(0.0), tuple(lines), ticks, alt)


def _whole(estimate: Estimate) -> bool:
    return all(map(math.isfinite, (estimate.low, estimate.mean, estimate.high)))


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return three to five round numbers in a range, with their texts."""
    rough = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * times for times in (1, 2, 5, 10) if size * times >= rough)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    places = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [(place * step, number(place * step, decimals, sign=True)) for place in places]
