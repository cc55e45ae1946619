"""What `abloop.connect` gives: registration, strategies, and the thread that keeps what they serve fresh."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from abloop.blueprint import Blueprint, from_mapping
from abloop.ids import user
from abloop.online import Strategy
from abloop.snapshot import Snapshot, Split, load_snapshot
from abloop.store.catalogue import Serving
from abloop.store.comparisons import Comparison
from abloop.store.feed import GroupFeed
from abloop.store.online import OnlineStore
from abloop.store.shared import Shared
from abloop.store.sources import Source
from abloop.store.workspace import Clock, Workspace

log = logging.getLogger("abloop")
REFRESH_SECONDS = 5.0
_loops: weakref.WeakSet[Loop] = weakref.WeakSet()


class Loop(Workspace):
    """What `abloop.connect` gives: register blueprints, get strategies, close.

    Args:
        url: SQLAlchemy URL of SQLite or Postgres.
        directory: Where spool and training tables go; beside an SQLite file by default.
        clock: Gives seconds since 1970.
        sources: Where feature groups are fetched from: name to database URL or Python function.
        redis: URL of a Redis in which processes share fetched features; none where empty.
        refresh_seconds: How often the background thread looks for something else to serve.

    Raises:
        StoreError: Database or directory cannot be used.

    Attributes:
        features: The online store of this process: `features.stats()` tells hit rate and age by group.
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
    ) -> None:
        """Open the workspace."""
        super().__init__(url, directory, clock)
        self.features = OnlineStore(clock, shared=Shared(redis) if redis else None)
        self._sources = dict(sources or {})
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
            StoreError: The database refused.
        """
        raw = blueprint if isinstance(blueprint, Mapping) else msgspec.to_builtins(blueprint)
        checked = from_mapping(raw)
        version = self.catalogue.add_blueprint(checked, at=self.clock(), who=who or user(), why=why)
        self.refresh()
        return version

    def strategy(self, name: str) -> Strategy:
        """Return the handle of a registered strategy; the same one for each call.

        Raises:
            UnknownNameError: There is no such strategy.
            StoreError: The database cannot be read.
        """
        if name not in self._strategies:
            serving, comparison = self.catalogue.serving(name), self.comparisons.current().get(name)
            self._strategies[name] = Strategy(self._compile(serving, comparison), self)
        self._watch()
        return self._strategies[name]

    def refresh(self) -> None:
        """Look now for something else to serve, as the background thread does.

        Raises:
            AbloopError: What is served cannot be read; what was served before goes on.
        """
        if not self._strategies:
            return
        compared = self.comparisons.current()
        for name, serving in self.catalogue.servings().items():
            strategy = self._strategies.get(name)
            if strategy and self._served.get(name) != (serving, compared.get(name)):
                strategy.snapshot = self._compile(serving, compared.get(name))

    def close(self) -> None:
        """Seal the spool, stop the background thread, close the database."""
        self._closed.set()
        self.features.close()
        super().close()

    def _compile(self, serving: Serving, comparison: Comparison | None) -> Snapshot:
        """Compile what is served, and what it is compared with."""
        split = None
        if comparison is not None:
            name = serving.strategy
            rivals = [Serving(name, entry.version, entry.phase, entry.release) for entry in comparison.entries]
            shares = [entry.share for entry in comparison.entries]
            split = Split(f"{name}:compare:{comparison.id}", [self._snapshot(rival) for rival in rivals], shares)
        snapshot = self._snapshot(serving, split)
        self._served[serving.strategy] = (serving, comparison)
        return snapshot

    def _snapshot(self, serving: Serving, split: Split | None = None) -> Snapshot:
        """Compile one version, with the feed of its feature groups; refits share the feed."""
        key = serving.strategy, serving.version
        _, blueprint = self.catalogue.blueprint(*key)
        if blueprint.groups and key not in self._feeds:
            self._feeds[key] = GroupFeed(blueprint, key[1], self._database, self.features, self._sources)
        return load_snapshot(self, serving, self._feeds.get(key), split)

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
