"""Tallies of events over windows: buckets, what a window covers, and what a feature is of it. Knows no storage.

Events are kept in buckets of a minute, for windows of up to two days, and of an hour, for longer ones. A window
covers whole buckets: all that happened in it but, at its far end, up to one bucket.
"""

from __future__ import annotations

import math

import msgspec

from abloop.features.spec import Feature

MINUTE, HOUR, DAY = 60, 3_600, 86_400
RESOLUTIONS = (MINUTE, HOUR)
KEPT = {MINUTE: 2 * DAY + HOUR, HOUR: 61 * DAY}  # seconds for which buckets are kept


class Tallied(msgspec.Struct, frozen=True):
    """Events of one metric.

    Attributes:
        count: How many.
        sum: Sum of their values.
        last: Value of the latest; NaN where there is none.
        last_at: Its time, in seconds since 1970.
    """

    count: int = 0
    sum: float = 0.0
    last: float = math.nan
    last_at: float = -math.inf

    def plus(self, other: Tallied) -> Tallied:
        """Return the events of both.

        Example:
            >>> Tallied(1, 2.0, 2.0, 10.0).plus(Tallied(1, 3.0, 3.0, 5.0))
            Tallied(count=2, sum=5.0, last=2.0, last_at=10.0)
        """
        late = other if other.last_at > self.last_at else self
        return Tallied(self.count + other.count, self.sum + other.sum, late.last, late.last_at)


def resolution_of(window: float) -> int:
    """Return the size of the buckets that a window reads, in seconds."""
    return MINUTE if window <= 2 * DAY else HOUR


def bucket_of(at: float, resolution: int) -> int:
    """Return the start of the bucket of a time.

    Example:
        >>> bucket_of(130.5, 60)
        120
    """
    return math.floor(at / resolution) * resolution


def first_bucket(now: float, window: float) -> int:
    """Return the start of the oldest bucket that a window covers.

    Example:
        >>> first_bucket(3_600.0, 120.0), first_bucket(3_601.0, 120.0)
        (3480, 3540)
    """
    resolution = resolution_of(window)
    return math.ceil((now - window) / resolution) * resolution


def value_of(feature: Feature, tallied: Tallied) -> float | None:
    """Return what a feature is of the events in its window: a mean or last value of none is missing.

    Example:
        >>> value_of(Feature("n", metric="m", window=60.0), Tallied(2, 3.0, 1.0, 5.0))
        2.0
    """
    if feature.tally == "count":
        return float(tallied.count)
    if feature.tally == "sum":
        return tallied.sum
    if not tallied.count:
        return None
    return tallied.sum / tallied.count if feature.tally == "mean" else tallied.last
