"""Tallies of a strategy's metrics per entity, counted as records are shipped.

A record is tallied in the transaction that ships it, and only if it was not there before, so that every event counts
once, whatever is sent or shipped again, and in whatever order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from abloop.features.tally import KEPT, RESOLUTIONS, Tallied, bucket_of
from abloop.records import Decision
from abloop.store.bulk import Values, among
from abloop.store.sql import Database
from abloop.store.tables import decisions, entities, observations, tallies

Keys = Callable[[str, int], tuple[str, ...]]


def no_keys(strategy: str, version: int) -> tuple[str, ...]:
    """Return the context keys that are tallied of a strategy's version where nothing is."""
    del strategy, version
    return ()


def new_events(connection: Connection, rows: Sequence[Values]) -> list[dict[str, Any]]:
    """Return the observations that are to be tallied: not there yet, each once, and not of a joined decision.

    Observations of a joined decision came after its TTL; one that was sent again with its key would not be
    recognised any more.

    Args:
        connection: Inside the transaction that will insert them.
        rows: Strategy, decision id, name, key, time and value of each.
    """
    unique = {row[:4]: row for row in reversed(rows)}
    known: set[Values] = set()
    after: set[tuple[str, str]] = set()
    seen = observations.c
    for strategy, names in _by_strategy((row[0], row[1]) for row in rows):
        mine = (seen.strategy == strategy, among(connection, seen.decision_id, names))
        known |= {
            (strategy, *row)
            for row in connection.execute(sa.select(seen.decision_id, seen.name, seen.key).where(*mine))
        }
        joined = sa.select(decisions.c.decision_id).where(decisions.c.strategy == strategy, decisions.c.body.is_(None))
        joined = joined.where(among(connection, decisions.c.decision_id, names))
        after |= {(strategy, name) for name in connection.execute(joined).scalars()}
    return [
        dict(zip(("strategy", "decision_id", "name", "key", "at", "value"), row, strict=True))
        for key, row in unique.items()
        if key not in known and row[:2] not in after
    ]


def tally(
    connection: Connection, database: Database, fresh: Sequence[dict[str, Any]], found: Sequence[Decision], keys: Keys
) -> None:
    """Tally new observations, and all there are of new decisions, each once whichever came first.

    Args:
        connection: Inside the transaction that has inserted the observations, and the decisions not yet.
        database: Where they are.
        fresh: From `new_events`.
        found: Decisions of the same batch.
        keys: Context keys that are tallied, in the order of a decision's entities; empty where one is not.
    """
    sums: dict[tuple[Any, ...], Tallied] = {}
    about = _entities_of(connection, {(row["strategy"], row["decision_id"]) for row in fresh})
    for row in fresh:
        for key, entity in about.get((row["strategy"], row["decision_id"]), ()):
            _add(sums, row["strategy"], key, entity, row)
    mine = {(decision.strategy, decision.decision_id): decision for decision in reversed(found)}
    there = _decided(connection, mine)
    rows: list[dict[str, Any]] = [
        {"strategy": strategy, "decision_id": name, "key": key, "entity": entity, "at": decision.time}
        for (strategy, name), decision in mine.items()
        if (strategy, name) not in there
        for key, entity in dict(zip(keys(strategy, decision.version), decision.entities, strict=False)).items()
        if key and entity
    ]
    if rows:
        connection.execute(database.insert_new(entities), rows)
    owners: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        owners[row["strategy"], row["decision_id"]].append((row["key"], row["entity"]))
    for strategy, names in _by_strategy(owners):
        theirs = (observations.c.strategy == strategy, among(connection, observations.c.decision_id, names))
        for seen in connection.execute(sa.select(observations).where(*theirs)).mappings():
            for key, entity in owners[strategy, seen["decision_id"]]:
                _add(sums, strategy, key, entity, dict(seen))
    _upsert(connection, database, sums)


def purge(database: Database, now: float) -> None:
    """Let go of buckets and entities that no window reaches any more."""
    with database.transaction() as connection:
        for resolution in RESOLUTIONS:
            old = (tallies.c.resolution == resolution, tallies.c.bucket < now - KEPT[resolution])
            connection.execute(tallies.delete().where(*old))
        connection.execute(entities.delete().where(entities.c.at < now - max(KEPT.values())))


def _by_strategy(names: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for strategy, name in names:
        found[strategy][name] = None
    for strategy, each in found.items():
        yield strategy, list(each)


def _entities_of(
    connection: Connection, names: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Return key and entity of what each decision was about."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for strategy, each in _by_strategy(names):
        mine = (entities.c.strategy == strategy, among(connection, entities.c.decision_id, each))
        for row in connection.execute(sa.select(entities).where(*mine)):
            found[strategy, row.decision_id].append((row.key, row.entity))
    return found


def _decided(connection: Connection, names: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the decisions that were there before."""
    found: set[tuple[str, str]] = set()
    for strategy, each in _by_strategy(names):
        mine = (decisions.c.strategy == strategy, among(connection, decisions.c.decision_id, each))
        found |= {
            (strategy, name) for name in connection.execute(sa.select(decisions.c.decision_id).where(*mine)).scalars()
        }
    return found


def _add(sums: dict[tuple[Any, ...], Tallied], strategy: str, key: str, entity: str, row: Mapping[str, Any]) -> None:
    event = Tallied(1, row["value"], row["value"], row["at"])
    for resolution in RESOLUTIONS:
        name = (strategy, key, entity, row["name"], resolution, bucket_of(row["at"], resolution))
        sums[name] = sums[name].plus(event) if name in sums else event


def _upsert(connection: Connection, database: Database, sums: Mapping[tuple[Any, ...], Tallied]) -> None:
    if not sums:
        return
    columns = ("strategy", "key", "entity", "metric", "resolution", "bucket")
    rows = [{**dict(zip(columns, name, strict=True)), **msgspec.structs.asdict(each)} for name, each in sums.items()]
    insert = database.insert_or(tallies)
    new = insert.excluded
    later = new.last_at > tallies.c.last_at
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=[tallies.c[name] for name in columns],
            set_={
                "count": tallies.c.count + new["count"],
                "sum": tallies.c.sum + new["sum"],
                "last": sa.case((later, new.last), else_=tallies.c.last),
                "last_at": sa.case((later, new.last_at), else_=tallies.c.last_at),
            },
        ),
        rows,
    )
