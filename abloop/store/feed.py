"""The feature groups of a blueprint version at decision time: fetched through the online store, tallies live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abloop.blueprint import Blueprint
from abloop.features.read import Fetched, read_categorical
from abloop.features.spec import fetched
from abloop.store.live import Live, compile_tallies
from abloop.store.online import OnlineStore
from abloop.store.rows import Fetch, Source
from abloop.store.sources import compile_fetch
from abloop.store.sql import Database

MISSING: Mapping[str, Any] = {}


class AwayFeed:
    """The feed while the database is away: everything is missing.

    Args:
        blueprint: A checked blueprint with groups.
    """

    def __init__(self, blueprint: Blueprint) -> None:
        """Make the answer."""
        none = len(blueprint.groups)
        self._keys = tuple(group.key for group in blueprint.groups)
        self._rows, self._ages = (MISSING,) * none, (None,) * none

    def fetch(self, context: Mapping[str, Any], now: float) -> Fetched:
        """Return that nothing is known of the entities of a context."""
        return Fetched(self._rows, tuple(read_categorical(context.get(key)) or "" for key in self._keys), self._ages)

    def decided(self, decision_id: str, entities: tuple[str, ...]) -> None:
        """Remember nothing."""

    def observed(self, decision_id: str, name: str, value: float, at: float, where: tuple[str, int]) -> None:
        """Count nothing; the spool has it."""


class GroupFeed:
    """What a snapshot fetches from: never raises, and waits at most each group's budget.

    Args:
        blueprint: A checked blueprint with groups.
        version: Its version.
        database: abloop's own.
        store: The cache of this process.
        sources: Name to database URL or Python function, as given to `abloop.connect`.

    Raises:
        AbloopError: A table, column, query or source does not exist.
    """

    def __init__(
        self, blueprint: Blueprint, version: int, database: Database, store: OnlineStore, sources: Mapping[str, Source]
    ) -> None:
        """Look at every source once."""
        self._keys = tuple(group.key for group in blueprint.groups)
        self._caches = []
        self._events = tuple(place for place, group in enumerate(blueprint.groups) if group.events)
        self._live = Live(blueprint.groups, blueprint.features) if self._events else None
        for place, group in enumerate(blueprint.groups):
            features = fetched(blueprint.features, group.name)
            fetch: Fetch
            if self._live is not None and group.events:
                fetch = compile_tallies(blueprint.strategy, group, place, features, database, self._live, store.clock)
            else:
                fetch = compile_fetch(group, features, database, sources)
            name = f"{blueprint.strategy} {version} {group.name}"
            self._caches.append(store.group(name, fetch, group.budget, group.max_age))

    def fetch(self, context: Mapping[str, Any], now: float) -> Fetched:
        """Return what the groups give for a context."""
        rows: list[Mapping[str, Any]] = []
        entities: list[str] = []
        ages: list[float | None] = []
        for place, (key, cache) in enumerate(zip(self._keys, self._caches, strict=True)):
            entity = read_categorical(context.get(key)) or ""
            row, age = cache.fetch(entity) if entity else (None, None)
            if place in self._events and self._live is not None and age is not None:
                row = self._live.values(place, entity, row, now)
            rows.append(MISSING if row is None else row)
            entities.append(entity)
            ages.append(age)
        return Fetched(tuple(rows), tuple(entities), tuple(ages))

    def decided(self, decision_id: str, entities: tuple[str, ...]) -> None:
        """Remember what a decision was about, so that its observations count at once."""
        if self._live is not None:
            self._live.decided(decision_id, entities)

    def observed(self, decision_id: str, name: str, value: float, at: float, where: tuple[str, int]) -> None:
        """Count an observation at once, before the database has it."""
        if self._live is not None:
            self._live.observed(decision_id, name, value, at, where)
