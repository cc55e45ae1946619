"""The strategies of an installation as flags by name, read before they are asked for: asking never waits.

A name that is not there is an answer, not a query; whoever asks for one wakes the thread that looks for new ones.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from openfeature.exception import FlagNotFoundError, GeneralError, OpenFeatureError, ProviderNotReadyError

from abloop.adapters.openfeature.context import type_name
from abloop.adapters.openfeature.flag import Flag
from abloop.errors import AbloopError
from abloop.faults import said
from abloop.loop import Loop
from abloop.store.serving import MAGIC, Served, recall

log = logging.getLogger("abloop")
LOOK_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 0.1


class Shelf:
    """The flags of one installation.

    Args:
        loop: The installation.
        owned: Whether it was opened for the shelf, and is closed with it.
        looked: Called with the names of new strategies each time that it was looked for some.

    Attributes:
        loop: As given.
        flags: What is known, by name.
        reached: Whether the database told which strategies there are when it was last asked.
    """

    def __init__(self, loop: Loop, owned: bool, looked: Callable[[list[str]], None]) -> None:
        """Read what is served: of the disk where the database is away, so that nothing waits for it."""
        self.loop = loop
        self.flags: dict[str, Flag] = {}
        self.reached = False
        self._looked = looked
        self._owned = owned
        self._unreadable: dict[str, str] = {}
        self._begin()
        if not loop.stale:
            self.look()
        if not self.reached:
            self.load(kept_names(loop.served_directory))

    def _begin(self) -> None:
        """Begin without a thread; in a forked child, the parent's is not there, and its locks may be held for good."""
        self._process = os.getpid()
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def get(self, name: object) -> Flag:
        """Return the flag of a name, as it is served now.

        Raises:
            FlagNotFoundError: There is no such strategy.
            ProviderNotReadyError: The database is away, and nothing is known of it.
            GeneralError: What is served of it cannot be read.
        """
        if type(name) is not str:
            raise FlagNotFoundError(f"flag_key is of type {type_name(name)}; allowed: the name of a strategy")
        found = self.flags.get(name)
        if found is None:
            raise self._missing(name)
        if found.snapshot is not found.handle.snapshot:
            found = self.flags[name] = Flag(found.handle)
        if not found.snapshot.version:
            raise ProviderNotReadyError(f"the database is away, and what {name!r} serves is not known here yet")
        return found

    def look(self) -> list[str]:
        """Read the strategies of the database that are not known yet; return their names."""
        try:
            names = [name for name in self.loop.catalogue.servings() if name not in self.flags]
            self.reached = True
        except AbloopError as error:
            if self.reached:
                log.warning("abloop cannot look for new strategies: %s", error)
            self.reached = False
            return []
        found = self.load(names)
        if self.loop.stale:
            self._refresh()
        return found

    def load(self, names: Iterable[str]) -> list[str]:
        """Read strategies; return the names of those that could be read."""
        found = []
        for name in names:
            try:
                self.flags[name] = Flag(self.loop.strategy(name))
            except AbloopError as error:
                if self._unreadable.get(name) != said(error):
                    log.warning("abloop cannot serve %r: %s", name, error)
                self._unreadable[name] = said(error)
                continue
            self._unreadable.pop(name, None)
            found.append(name)
        return found

    def watch(self) -> None:
        """Start the thread that looks for new strategies, unless it runs."""
        if self._thread is None:
            arguments = (weakref.ref(self), self._wanted, self._closed)
            self._thread = threading.Thread(target=_keep_looking, args=arguments, name="abloop-flags", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop looking, and close what is owned."""
        self._closed.set()
        self._wanted.set()
        if self._owned:
            self.loop.close()

    def tell(self, names: list[str]) -> None:
        """Tell that it was looked for new strategies."""
        self._looked(names)

    def _missing(self, name: str) -> OpenFeatureError:
        """Return why there is no such flag, and let it be looked for."""
        if self._process != os.getpid():
            self._begin()
            self.watch()
        self._wanted.set()
        shown = repr(name[:80])
        if name in self._unreadable:
            return GeneralError(f"strategy {shown} cannot be read: {self._unreadable[name]}")
        if not self.reached:
            return ProviderNotReadyError(f"the database is away, and strategy {shown} is not known here")
        return FlagNotFoundError(f"no strategy {shown} is registered; register it: loop.register(blueprint)")

    def _refresh(self) -> None:
        """Serve what the database has, now that it is back."""
        try:
            self.loop.refresh()
        except AbloopError as error:
            log.warning("abloop goes on serving what it has: %s", error)


def kept_names(directory: Path) -> Iterator[str]:
    """Yield the strategies that were served last as far as a disk knows; see `abloop.store.serving.keep`."""
    start = len(MAGIC) + hashlib.sha256().digest_size
    for path in sorted(directory.glob("*.served")):
        try:
            name = msgspec.json.decode(path.read_bytes()[start:], type=Served).serving.strategy
        except (OSError, msgspec.DecodeError):
            continue
        if recall(directory, name) is not None:
            yield name


def _keep_looking(watched: weakref.ref[Shelf], wanted: threading.Event, closed: threading.Event) -> None:
    """Look for new strategies, soon where one was asked for, until the shelf is closed or gone."""
    every = 0.0
    while True:
        closed.wait(PAUSE_SECONDS)  # at first: until the SDK has said that the provider is ready
        wanted.wait(every)
        shelf = watched()
        if shelf is None or closed.is_set():
            return
        wanted.clear()
        try:
            if not every:
                shelf.tell([])
            shelf.tell(shelf.look())
        except Exception as error:  # the thread must outlive every outage
            log.warning("abloop cannot look for new strategies: %s", said(error))
        if closed.is_set():  # while it was waiting for the database
            shelf.close()
            return
        every = LOOK_SECONDS if shelf.reached else RETRY_SECONDS
        del shelf
