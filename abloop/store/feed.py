"""The feature groups of a blueprint version at decision time: fetched through the online store, tallies live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abloop.blueprint import Blueprint
from abloop.features.read import read_categorical
from abloop.features.spec import fetched
from abloop.features.read import Fetched
from abloop.store.events import Live, compile_tallies
from abloop.store.online import OnlineStore
from abloop.store.sources import Source, compile_fetch
from abloop.store.sql import Database

MISSING: Mapping[str, Any] = {}


class GroupFeed:
    """What `Snapshot` fetches from; never raises and waits at most each group's budget.

    Args:
        blueprint: A checked blueprint with groups.
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
        self._caches, self._live = [], []
        for group in blueprint.groups:
            features = fetched(blueprint.features, group.name)
            if group.events:
                fetch = compile_tallies(blueprint.strategy, group, features, database, store.clock)
            else:
                fetch = compile_fetch(group, features, database, sources)
            name = f"{blueprint.strategy} {version} {group.name}"
            self._caches.append(store.group(name, fetch, budget=group.budget, max_age=group.max_age))
