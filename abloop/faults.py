"""What product code must not see: errors are counted, and said at most once a minute."""

from __future__ import annotations

import logging
import math
import time

from abloop.errors import AbloopError

log = logging.getLogger("abloop")
COMPLAIN_SECONDS = 60.0
LONGEST = 500


class Faults:
    """Counts the errors of one thing that must not raise.

    Attributes:
        count: Errors so far.

    Example:
        >>> faults = Faults()
        >>> faults.count
        0
    """

    __slots__ = ("_said", "count")

    def __init__(self) -> None:
        """Begin with none."""
        self.count = 0
        self._said = -math.inf

    def note(self, what: str, error: Exception) -> None:
        """Count an error, and log at most one a minute.

        Args:
            what: What was answered otherwise, e.g. `strategy 'checkout' answered with its default`.
            error: Why.
        """
        self.count += 1
        now = time.monotonic()
        if now - self._said >= COMPLAIN_SECONDS:
            self._said = now
            log.error("%s (%d errors so far): %s", what, self.count, said(error))


def said(error: Exception) -> str:
    """Return what an error says, which a hostile value may refuse to tell.

    Example:
        >>> said(ValueError("no"))
        'ValueError: no'
    """
    try:
        text = str(error)[:LONGEST]
    except Exception:  # law 1
        return type(error).__name__
    return text if isinstance(error, AbloopError) else f"{type(error).__name__}: {text}"
