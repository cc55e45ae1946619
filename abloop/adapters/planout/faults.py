"""What goes wrong in a request: counted for the class, and said at most once a minute."""

from __future__ import annotations

import logging
import math
import time
from typing import ClassVar

log = logging.getLogger("abloop")
COMPLAIN_SECONDS = 60.0


class Faults:
    """Base of what is made anew for each request and must not raise in it.

    Attributes:
        errors: Requests of this class that got a default because something raised.
    """

    errors: ClassVar[int] = 0
    _complained: ClassVar[float] = -math.inf

    def __init_subclass__(cls) -> None:
        """Let every class count for itself."""
        super().__init_subclass__()
        cls.errors, cls._complained = 0, -math.inf

    @classmethod
    def _complain(cls, did: str, error: Exception) -> None:
        """Count an error, and log at most one a minute."""
        cls.errors += 1
        now = time.monotonic()
        if now - cls._complained >= COMPLAIN_SECONDS:
            cls._complained = now
            try:
                said = f"{type(error).__name__}: {error}"
            except Exception:  # a stranger's error that cannot even be printed
                said = type(error).__name__
            log.error("PlanOut experiment %s %s (%d errors so far): %s", cls.__name__, did, cls.errors, said)
