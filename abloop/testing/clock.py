"""A clock that stands still until it is told to move."""

from __future__ import annotations


class ManualClock:
    """Seconds since 1970 that only `advance` changes; hand it to `abloop.connect(url, clock=...)`.

    Args:
        now: Where it starts.

    Example:
        >>> clock = ManualClock()
        >>> clock.advance(60.0)
        >>> clock() - ManualClock()()
        60.0
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        """Start."""
        self._now = now

    def __call__(self) -> float:
        """Return the time."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self._now += seconds
