"""Those who want to know when something else is served, or when what serves it went away; and what a fork leaves."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable

log = logging.getLogger("abloop")
_all: weakref.WeakSet[Listening] = weakref.WeakSet()


class Listening:
    """What tells its listeners; a forked child `abandon`s what is its parent's.

    Attributes:
        listeners: Called with the name of a strategy when something else is served, and with an empty text when the
            database or the server went away or came back; see `stale`.
        stale: Whether it did not answer the last time it was asked.
    """

    def _listen(self, *, stale: bool) -> None:
        """Begin without listeners."""
        self.listeners: list[Callable[[str], None]] = []
        self.stale = stale
        _all.add(self)

    def _tell(self, name: str) -> None:
        """Tell the listeners."""
        for listener in list(self.listeners):
            try:
                listener(name)
            except Exception:
                log.exception("a listener of abloop failed")

    def _away(self, away: bool) -> None:
        """Keep whether there was an answer, and tell the listeners when that changed."""
        if self.stale != away:
            self.stale = away
            self._tell("")

    def abandon(self) -> None:
        """In a forked child: leave what is the parent's alone."""
        raise NotImplementedError  # each kind of loop has other things of its parent's


def _after_fork() -> None:
    for each in list(_all):
        each.abandon()


os.register_at_fork(after_in_child=_after_fork)
