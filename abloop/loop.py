"""What `abloop.connect` gives: registration, strategies, and the thread that keeps what they serve fresh."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from abloop.blueprint import Blueprint, from_mapping
from abloop.errors import AbloopError, AwayError
from abloop.ids import user
from abloop.online import Strategy
from abloop.overlap import check_neighbours
from abloop.pseudonyms import require_pseudonym
from abloop.snapshot import Snapshot, Split, compile_served, waiting
from abloop.store.catalogue import Serving
from abloop.store.comparisons import Comparison
from abloop.store.feed import AwayFeed, GroupFeed
from abloop.store.online import OnlineStore
from abloop.store.served import Served, change_token, keep, read_served, recall
from abloop.store.shared import Shared
from abloop.store.sources import Source
from abloop.store.spool import SPOOL_BYTES, Durability
from abloop.store.sticky import DatabaseSticky, StickyStore
from abloop.store.workspace import Clock, Workspace

log = logging.getLogger("abloop")
REFRESH_SECONDS = 5.0
PATIENCE_SECONDS = 0.08
_loops: weakref.WeakSet[Loop] = weakref.WeakSet()


class Loop(Workspace):
    """What `abloop.connect` gives: register blueprints, get strategies, close.

    Args:
        url: SQLAlchemy URL of SQLite or Postgres.
        directory: Where spool and training tables go; beside an SQLite file by default.
        clock: Gives seconds since 1970.
        sources: Where feature groups are fetched from: name to database URL or Python function.
        redis: URL of a Redis in which processes share fetched features; none where empty.
        sticky: Where the arms are kept that units keep; abloop's own database where None.
        refresh_seconds: How often the background thread looks for something else to serve.
        durability: What records in the spool survive: `process`, `power` or `memory`; see `Spool`.
        spool_bytes: Most that the spool may take on the disk, in bytes.
        pseudonym_key: Secret for blueprints that pseudonymise; ABLOOP_PSEUDONYM_KEY of the environment where empty.

    Raises:
        StoreError: Database or directory cannot be used, or `durability` or `spool_bytes` is none that is allowed.
        DataError: The key is too short or too long.

    Attributes:
        features: The online store of this process: `features.stats()` tells hit rate and age by group.
        listeners: Called with the name of a strategy when something else is served, and with an empty text when
            the database went away or came back; see `stale`.
        stale: Whether the database did not answer the last time it was asked.
    """

    def __init__(
        self,
        url: str,
        directory: str | Path | None = None,
        clock: Clock = time.time,
        refresh_seconds: float = REFRESH_SECONDS,
        *,
        sources: Mapping[str, Source] | None = None,
        redis: str = "",
        sticky: StickyStore | None = None,
        durability: Durability = "process",
        spool_bytes: int = SPOOL_BYTES,
        pseudonym_key: bytes | str = b"",
    ) -> None:
        """Open the workspace; where the database is away, go on without."""
        super().__init__(
            url,
            directory,
            clock,
            patience=PATIENCE_SECONDS,
            durability=durability,
            spool_bytes=spool_bytes,
            pseudonym_key=pseudonym_key,
        )
        self.listeners: list[Callable[[str], None]] = []
        self.stale = not self._database.opened
        self._sticky = sticky or DatabaseSticky(self._database)
        self._token: tuple[int, int] | None = None
        self.features = OnlineStore(clock, shared=Shared(redis) if redis else None)
        self.sources = dict(sources or {})
        self._feeds: dict[tuple[str, int], GroupFeed] = {}
        self._strategies: dict[str, Strategy] = {}
        self._served: dict[str, tuple[Serving, Comparison | None]] = {}
        self._every = refresh_seconds
        self._refresher: threading.Thread | None = None
        self._closed = threading.Event()
        _loops.add(self)

    def register(self, blueprint: Blueprint | Mapping[str, Any], *, who: str = "", why: str = "") -> int:
        """Keep a blueprint as the newest version of its strategy and serve it.

        Args:
            blueprint: A `Blueprint`, or a mapping as read from YAML.
            who: Who registers it; the current user where empty.
            why: Why.

        Returns:
            Its version, from 1; the newest version if nothing changed.

        Raises:
            BlueprintError: With path, value, what is allowed and the fix.
            DataError: It pseudonymises, and the key is not here.
            StoreError: The database refused.
        """
        raw = blueprint if isinstance(blueprint, Mapping) else msgspec.to_builtins(blueprint)
        checked = from_mapping(raw)
        if checked.pseudonymise:
            require_pseudonym(self.pseudonym, checked.strategy)
        check_neighbours(self, checked)
        version = self.catalogue.add_blueprint(checked, at=self.clock(), who=who or user(), why=why)
        self.refresh()
        return version

    def strategy(self, name: str, default: Any = None) -> Strategy:
        """Return the handle of a registered strategy; the same one for each call.

        While the database is away it serves what was served last, as far as this machine's disk knows.

        Args:
            name: Its name.
            default: What it answers where nothing at all is known of it yet, because the database is away.

        Raises:
            UnknownNameError: There is no such strategy.
            DataError: It pseudonymises, and the key is not here.
            StoreError: The database cannot be read.
        """
        if name not in self._strategies:
            first = self._first(name, default)
            if first.conceals:
                require_pseudonym(self.pseudonym, name)
            self._strategies[name] = Strategy(first, self, self._sticky)
        found = self._strategies[name]
        if default is not None and not found.snapshot.version:
            found.snapshot = waiting(name, default)
        self._watch()
        return found

    @property
    def handles(self) -> Mapping[str, Strategy]:
        """The handles that this process has, by strategy."""
        return self._strategies

    def refresh(self) -> None:
        """Look now for something else to serve, as the background thread does.

        Raises:
            AbloopError: What is served cannot be read; what was served before goes on.
        """
        if not self._strategies:
            return
        try:
            if isinstance(self._sticky, DatabaseSticky):
                self._sticky.flush()
            token = change_token(self._database)
            changed = self._changed() if token != self._token else {}
        except AwayError:
            self._away(True)
            raise
        self._away(False)
        refused = None
        for name, what in changed.items():
            try:
                self._strategies[name].snapshot = self._read(*what)
                self._tell(name)
            except AbloopError as error:  # the others must not wait for this one
                refused = error
        if refused is not None:
            raise refused
        self._token = token

    def _changed(self) -> dict[str, tuple[Serving, Comparison | None]]:
        """Return what else is to be served by the strategies of this process."""
        compared, servings = self.comparisons.current(), self.catalogue.servings()
        wanted = {name: (servings[name], compared.get(name)) for name in self._strategies if name in servings}
        return {name: what for name, what in wanted.items() if self._served.get(name) != what}

    def close(self) -> None:
        """Stop the background thread, close spool and database."""
        self._closed.set()
        self.features.close()
        if isinstance(self._sticky, DatabaseSticky) and self._database.opened:
            try:
                self._sticky.flush()
            except AwayError as error:
                log.warning("abloop could not keep the newest sticky arms: %s", error)
        super().close()

    def _first(self, name: str, default: Any) -> Snapshot:
        """Return what a strategy serves; from the disk, or its default, while the database is away."""
        try:
            if self._database.opened:
                return self._read(self.catalogue.serving(name), self.comparisons.current().get(name))
            log.warning("abloop starts without its database %s: it does not answer", self._database.url)
        except AwayError as error:
            log.warning("abloop starts without its database: %s", error)
        self._away(True)
        served = recall(self.served_directory, name)
        return waiting(name, default) if served is None else self._compile(served, away=True)

    def _read(self, serving: Serving, comparison: Comparison | None) -> Snapshot:
        """Read and compile what is served, and keep it on the disk for a time without the database."""
        served = read_served(self.catalogue, serving, None if serving.phase == "paused" else comparison)
        snapshot = self._compile(served)
        self._served[serving.strategy] = (serving, comparison)
        try:
            keep(self.served_directory, served)
        except OSError as error:
            log.warning("abloop could not keep what it serves in %s: %s", self.served_directory, error.strerror)
        return snapshot

    def _compile(self, served: Served, *, away: bool = False) -> Snapshot:
        """Compile what is served, and what it is compared with, each with the feed of its feature groups."""
        split = None
        if served.comparison is not None:
            name = f"{served.serving.strategy}:compare:{served.comparison.draw}"
            rivals = [compile_served(rival, self._feed(rival, away)) for rival in served.rivals]
            split = Split(name, rivals, [entry.share for entry in served.comparison.entries])
        return compile_served(served, self._feed(served, away), split)

    def _feed(self, served: Served, away: bool) -> GroupFeed | AwayFeed | None:
        """Return where a version's feature groups are fetched from; refits share it."""
        blueprint, key = served.blueprint, (served.serving.strategy, served.serving.version)
        if not blueprint.groups:
            return None
        if away:
            return AwayFeed(blueprint)
        if key not in self._feeds:
            self._feeds[key] = GroupFeed(blueprint, key[1], self._database, self.features, self.sources)
        return self._feeds[key]

    def _tell(self, name: str) -> None:
        """Tell the listeners."""
        for listener in list(self.listeners):
            try:
                listener(name)
            except Exception:
                log.exception("a listener of abloop failed")

    def _away(self, away: bool) -> None:
        """Keep whether the database answers, and tell the listeners when that changed."""
        if self.stale != away:
            self.stale = away
            self._tell("")

    def _watch(self) -> None:
        """Start the background thread if there is none."""
        if self._refresher is None:
            arguments = (weakref.ref(self), self._closed, self._every)
            self._refresher = threading.Thread(target=_keep_fresh, args=arguments, name="abloop-refresh", daemon=True)
            self._refresher.start()

    def abandon(self) -> None:
        """In a forked child: leave the parent's connections alone, and refresh in a thread of its own if it had one."""
        self._database.abandon()
        if self._refresher is not None and not self._closed.is_set():
            self._refresher = None
            self._watch()


def _after_fork() -> None:
    for loop in list(_loops):
        loop.abandon()


os.register_at_fork(after_in_child=_after_fork)


def _keep_fresh(watched: weakref.ref[Loop], closed: threading.Event, every: float) -> None:
    """Refresh until the loop is closed or gone; what was served last goes on when the database is away."""
    while not closed.wait(every * random.uniform(0.8, 1.2)):
        loop = watched()
        if loop is None:
            return
        try:
            loop.refresh()
        except Exception as error:  # the thread must outlive every outage
            log.warning("abloop goes on serving what it has: %s", error)
        del loop
