"""What the hot path needs of an installation, whatever it is: where records go, and what tells the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from abloop.pseudonyms import Pseudonym
from abloop.store.spool import Spool


class Home(Protocol):
    """Where records go, and what tells the time."""

    @property
    def spool(self) -> Spool:
        """Where this process writes records."""

    @property
    def clock(self) -> Callable[[], float]:
        """Gives seconds since 1970."""

    @property
    def pseudonym(self) -> Pseudonym | None:
        """Gives the pseudonym of a text; None where there is no key."""
