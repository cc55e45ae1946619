"""Work that a thread of its own does again and again, until it is closed or what it works for is gone."""

from __future__ import annotations

import logging
import random
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Owner = TypeVar("Owner")
log = logging.getLogger("abloop")
MOST_DOUBLINGS = 16


class Repeater(Generic[Owner]):
    """Does work of an owner every so many seconds, a fifth more or less; after a failure it waits longer.

    Args:
        name: Name of the thread.
        owner: Whose work it is; the thread does not keep it alive.
        work: Is given the owner; may raise.
        every: Seconds from one time to the next.
        longest: Most seconds to wait after failures: each doubles what is waited at most, and what is waited is drawn
            anew each time, so that a thousand processes do not come back together. Without it, failures change nothing.
        said: What is logged before an error.
        done: Called by the thread when it ends.
    """

    def __init__(
        self,
        name: str,
        owner: Owner,
        work: Callable[[Owner], object],
        every: float,
        longest: float = 0.0,
        *,
        said: str = "abloop goes on serving what it has",
        done: Callable[[], object] = bool,
    ) -> None:
        """Start no thread yet."""
        self._name, self._work, self._every, self._longest, self._said = name, work, every, longest, said
        self._done = done
        self._owner: weakref.ref[Any] = weakref.ref(owner)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, *, soon: bool = False) -> None:
        """Start the thread if there is none.

        Args:
            soon: Whether it works at once, and not only after the first pause.
        """
        if self._thread is None and not self._closed.is_set():
            arguments = (self._owner, self._closed, self._work, self._every, self._longest, self._said, soon)
            self._thread = threading.Thread(target=_repeat, args=(self._done, *arguments), name=self._name, daemon=True)
            self._thread.start()

    def restart(self) -> None:
        """In a forked child: start a thread of its own if there was one."""
        if self._thread is not None:
            self._thread = None
            self.start()

    def close(self, wait: float = 0.0) -> None:
        """Let the thread end; wait for it some seconds at most."""
        self._closed.set()
        if wait and self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(wait)


def pause(every: float, longest: float, failed: int) -> float:
    """Return the seconds to wait: about `every`, or after failures a part of what doubles with each of them.

    Example:
        >>> pause(5.0, 0.0, 3) <= 6.0, pause(5.0, 30.0, 9) <= 30.0
        (True, True)
    """
    if not failed or longest <= every:
        return every * random.uniform(0.8, 1.2)
    return random.uniform(0.0, min(longest, every * 2.0 ** min(failed, MOST_DOUBLINGS)))


def _repeat(done: Callable[[], object], *arguments: Any) -> None:
    """Work until closed."""
    try:
        _work(*arguments)
    finally:
        done()


def _work(
    owned: weakref.ref[Any],
    closed: threading.Event,
    work: Callable[[Any], object],
    every: float,
    longest: float,
    said: str,
    soon: bool,
) -> None:
    """Work until closed; a failure is logged, and the thread outlives it."""
    failed = 0
    while not closed.wait(0.0 if soon else pause(every, longest, failed)):
        soon = False
        owner = owned()
        if owner is None:
            return
        try:
            work(owner)
            failed = 0
        except Exception as error:  # the thread must outlive every outage
            failed += 1
            log.warning("%s: %s", said, error)
        del owner
