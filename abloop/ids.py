"""Decision ids. Knows nothing of what they name."""

from __future__ import annotations

import os
import time


def new_decision_id() -> str:
    """Return a fresh decision id: 28 characters, unique, sorting by time of creation.

    The first 12 hexadecimal digits are milliseconds since 1970, the other 16 are random.

    Example:
        >>> len(new_decision_id())
        28
    """
    return f"{int(time.time() * 1000):012x}{os.urandom(8).hex()}"
