"""What goes wrong in an evaluation: counted for the client, and said at most once a minute in a process."""

from __future__ import annotations

import logging
import math
import time
from typing import Any, ClassVar

from abloop.faults import COMPLAIN_SECONDS, said

log = logging.getLogger("abloop")


class Faults:
    """Counts the errors of one client.

    Attributes:
        errors: Evaluations, rules, conditions and callbacks that could not be answered as they were asked.
    """

    complained: ClassVar[float] = -math.inf  # of all clients: a product may make one for each request

    def __init__(self) -> None:
        """Start with none."""
        self.errors = 0

    def complain(self, where: str, error: Exception, given: str) -> None:
        """Count an error, and log at most one a minute.

        Args:
            where: What could not be answered, e.g. `feature 'checkout', rule 2`.
            error: Why.
            given: What is given instead.
        """
        self.errors += 1
        now = time.monotonic()
        if now - Faults.complained >= COMPLAIN_SECONDS:
            Faults.complained = now
            log.error("GrowthBook %s: %s; %s (%d errors of this client so far)", where, said(error), given, self.errors)


def shown(value: Any) -> str:
    """Return a name for a message, or its type where it is none."""
    return repr(value[:80]) if type(value) is str else f"of type {type(value).__name__}"
