"""Decision ids, and the name of who acts. Knows nothing of what they name."""

from __future__ import annotations

import getpass
import os
import random
import time

_random = random.Random()  # our own: a product that seeds the global one would get the same ids again
os.register_at_fork(after_in_child=_random.seed)


def new_decision_id() -> str:
    """Return a fresh decision id: 28 characters, unique, sorting by time of creation.

    The first 12 hexadecimal digits are milliseconds since 1970, the other 16 are random.

    Example:
        >>> len(new_decision_id())
        28
    """
    return f"{int(time.time() * 1000):012x}{_random.getrandbits(64):016x}"


def user() -> str:
    """Return who runs this process, for the record of who changed what."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
