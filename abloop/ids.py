"""Ids of decisions and observations, and the name of who acts. Knows nothing of what they name."""

from __future__ import annotations

import getpass
import itertools
import os
import random
import time

_random = random.Random()  # our own: a product that seeds the global one would get the same ids again
_process = f"{_random.getrandbits(48):012x}"
_count = itertools.count().__next__


def _after_fork() -> None:
    global _process
    _random.seed()
    _process = f"{_random.getrandbits(48):012x}"


os.register_at_fork(after_in_child=_after_fork)


def new_decision_id() -> str:
    """Return a fresh decision id: 28 characters, unique, sorting by time of creation.

    The first 12 hexadecimal digits are milliseconds since 1970, the other 16 are random.

    Example:
        >>> len(new_decision_id())
        28
    """
    return f"{int(time.time() * 1000):012x}{_random.getrandbits(64):016x}"


def new_key() -> str:
    """Return a fresh idempotency key: unique, and sorting by time of creation within this process.

    Example:
        >>> first, second = new_key(), new_key()
        >>> first < second
        True
    """
    return f"{_process}{_count():09x}"


def user() -> str:
    """Return who runs this process, for the record of who changed what."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
