"""Feature groups and kept arms of a client: its own functions, or the server's, through the cache of the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from abloop.blueprint import Blueprint
from abloop.errors import AwayError, BlueprintError, StoreError
from abloop.features.read import Fetched, read_categorical
from abloop.features.spec import Group
from abloop.remote.transport import Transport
from abloop.store.online import OnlineStore
from abloop.store.rows import Fetch, Row
from abloop.store.sticky import CachedSticky, Kept, KeptArm

MISSING: Mapping[str, Any] = {}
FETCH_SECONDS = 5.0  # a decision waits for its group's budget; what comes later is there for the next one
STICKY_BUDGET = 0.02
STICKY_SECONDS = 60.0
Functions = Mapping[str, Callable[[str], Mapping[str, Any] | None]]


class _Features(msgspec.Struct):
    row: dict[str, Any] | None
    age: float | None


class _Arms(msgspec.Struct):
    arms: list[KeptArm]


class RemoteFeed:
    """What a snapshot of a client fetches from: never raises, and waits at most each group's budget.

    Args:
        blueprint: A checked blueprint with groups.
        version: Its version.
        store: The cache of this process.
        transport: The server, which fetches what this process has no function for.
        sources: Name to Python function, as given to `abloop.connect`.

    Raises:
        BlueprintError: A source is no function.
    """

    def __init__(
        self, blueprint: Blueprint, version: int, store: OnlineStore, transport: Transport, sources: Functions
    ) -> None:
        """Make a cache for each group."""
        self._keys = tuple(group.key for group in blueprint.groups)
        self._caches = []
        for group in blueprint.groups:
            fetch = _own(group, sources) if group.source in sources else _asked(blueprint, version, group, transport)
            self._caches.append(
                store.group(f"{blueprint.strategy} {version} {group.name}", fetch, group.budget, group.max_age)
            )

    def fetch(self, context: Mapping[str, Any], now: float) -> Fetched:
        """Return what the groups give for a context."""
        del now
        entities = tuple(read_categorical(context.get(key)) or "" for key in self._keys)
        found = [
            cache.fetch(entity) if entity else (None, None)
            for cache, entity in zip(self._caches, entities, strict=True)
        ]
        rows = tuple(MISSING if row is None else row for row, _ in found)
        return Fetched(rows, entities, tuple(age for _, age in found))

    def decided(self, decision_id: str, entities: tuple[str, ...]) -> None:
        """Remember nothing: the server tallies what is pushed."""

    def observed(self, decision_id: str, name: str, value: float, at: float, where: tuple[str, int]) -> None:
        """Count nothing: the server tallies what is pushed."""


def _own(group: Group, sources: Functions) -> Fetch:
    """Return the fetch of a function of this process."""
    function = sources[group.source]
    if not callable(function):
        raise BlueprintError(f"group {group.name!r}: source {group.source!r}; allowed: a function of the entity's id")

    def fetch(entity: str) -> Row:
        row = function(entity)
        return None if row is None else dict(row)

    return fetch


def _asked(blueprint: Blueprint, version: int, group: Group, transport: Transport) -> Fetch:
    """Return a fetch that asks the server."""
    asked = {"strategy": blueprint.strategy, "version": version, "group": group.name}

    def fetch(entity: str) -> Row:
        body = msgspec.json.encode({**asked, "entity": entity})
        found: _Features = read(
            transport.request("POST", "/v1/features", body=body, deadline=FETCH_SECONDS).body, _Features
        )
        if found.age is None:
            raise StoreError(f"group {group.name!r}: the server did not know {entity!r:.60} in time")
        return found.row

    return fetch


def remote_sticky(store: OnlineStore, transport: Transport) -> CachedSticky:
    """Return the arms that units keep, as the server has them; a unit it does not tell of in time has none.

    Args:
        store: The cache of this process, whose threads ask.
        transport: The server.
    """

    def ask(key: str) -> Row:
        body = msgspec.json.encode(dict(zip(("strategy", "unit"), msgspec.json.decode(key), strict=True)))
        arms = read(transport.request("POST", "/v1/sticky/read", body=body, deadline=FETCH_SECONDS).body, _Arms).arms
        return {"arm": arms[0].arm, "propensity": arms[0].propensity} if arms else None

    cache = store.group("units that keep their arm", ask, STICKY_BUDGET, STICKY_SECONDS)

    def look(strategy: str, unit: str) -> Kept | None:
        row, age = cache.fetch(msgspec.json.encode((strategy, unit)).decode())
        if age is None:
            raise AwayError(f"the server did not tell in time which arm unit {unit!r:.60} keeps")
        return None if row is None else (row["arm"], row["propensity"])

    def write(arms: Sequence[KeptArm]) -> None:
        for at in range(0, len(arms), 1_000):
            transport.request("POST", "/v1/sticky", body=msgspec.json.encode({"arms": arms[at : at + 1_000]}))

    return CachedSticky(look, write)


def read(body: bytes, kind: Any) -> Any:
    """Return an answer as its type.

    Raises:
        StoreError: It is none.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreError(f"the server answers as no abloop server does: {error}") from error
