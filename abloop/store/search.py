"""Decisions found again, wherever they are: in the spool, waiting for their TTL, or in the training table."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from abloop.errors import StoreError
from abloop.records import Decision, Phase, decode, encode
from abloop.store.measures import literal
from abloop.store.parquet import paths
from abloop.store.spool import segments
from abloop.store.tables import decisions
from abloop.store.traces import seek
from abloop.store.workspace import Workspace

Where = Literal["spool", "waiting", "joined", ""]
MOST_SPOOLED = 200_000  # records of the spool that one search looks at


class Found(msgspec.Struct, frozen=True):
    """One decision.

    Attributes:
        decision_id: Its id.
        strategy: Its strategy.
        version: Blueprint version that decided.
        unit: The unit, as it was written.
        time: Seconds since 1970.
        arm: Its arm.
        propensity: Probability with which that was drawn.
        phase: Why.
        where: In the `spool`, in the database `waiting` for its TTL, or `joined` in the training table;
            empty where nobody looked.
    """

    decision_id: str
    strategy: str
    version: int
    unit: str
    time: float
    arm: str
    propensity: float
    phase: Phase
    where: Where

    @property
    def place(self) -> tuple[float, str]:
        """Where it stands among all, newest first: time and id."""
        return self.time, self.decision_id


class Asked(msgspec.Struct, frozen=True):
    """What is searched for.

    Attributes:
        strategy: The strategy.
        names: The unit as it may be written; everybody where empty.
        since: From when on, in seconds since 1970.
        until: Until when, inclusive.
        before: Time and id of a decision: only what is older.
        most: How many at most.
    """

    strategy: str
    names: tuple[str, ...] = ()
    since: float = -math.inf
    until: float = math.inf
    before: tuple[float, str] | None = None
    most: int = 50

    def wants(self, made: Decision) -> bool:
        """Return whether a decision is one of them."""
        return (
            made.strategy == self.strategy
            and (not self.names or made.unit in self.names)
            and self.since <= made.time <= self.until
            and (self.before is None or (made.time, made.decision_id) < self.before)
        )


def search(
    workspace: Workspace,
    strategy: str,
    *,
    unit: str = "",
    since: float = -math.inf,
    until: float = math.inf,
    before: tuple[float, str] | None = None,
    most: int = 50,
) -> list[Found]:
    """Return decisions of a strategy, newest first; those that were joined before come from the training table.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        unit: Only of this unit, as product code names it; of all where empty.
        since: From when on, in seconds since 1970.
        until: Until when, inclusive.
        before: `place` of the last one of the page before.
        most: How many at most.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: It writes pseudonyms, and their key was not given.
        StoreError: Database or table cannot be read.
    """
    workspace.catalogue.serving(strategy)
    names = seek(workspace, unit, strategy, math.inf)[0].names if unit else ()
    return _search(workspace, [Asked(strategy, names, since, until, before, most)], most)


def search_unit(workspace: Workspace, unit: str, *, most: int = 50) -> list[Found]:
    """Return the decisions of a unit in all strategies, newest first.

    Args:
        workspace: What `abloop.connect` gave.
        unit: The unit, as product code names it.
        most: How many at most.

    Raises:
        DataError: A strategy writes pseudonyms, and their key was not given.
        StoreError: Database or table cannot be read.
    """
    sought = seek(workspace, unit, "", math.inf)
    return _search(workspace, [Asked(each.strategy, each.names, most=most) for each in sought], most)


def _search(workspace: Workspace, wanted: Sequence[Asked], most: int) -> list[Found]:
    """Return what is asked for, each decision once: from the table where it is there, or as it is on its way."""
    found: dict[tuple[str, str], Found] = {}
    for asked in wanted:
        for one in (*_joined(workspace, asked), *_waiting(workspace, asked)):
            found.setdefault((one.strategy, one.decision_id), one)
    for one in _spooled(workspace, {asked.strategy: asked for asked in wanted}, most):
        found.setdefault((one.strategy, one.decision_id), one)
    return heapq.nlargest(most, found.values(), key=lambda one: one.place)


def found_of(made: Decision, where: Where = "") -> Found:
    """Return a decision as a search finds it."""
    return Found(
        decision_id=made.decision_id,
        strategy=made.strategy,
        version=made.version,
        unit=made.unit,
        time=made.time,
        arm=made.arm,
        propensity=made.propensity,
        phase=made.phase,
        where=where,
    )


def _spooled(workspace: Workspace, wanted: Mapping[str, Asked], most: int) -> list[Found]:
    """Return decisions that were not shipped yet, of the newest segments."""
    kept: list[Decision] = []
    looked = 0
    for segment in reversed(segments(workspace.spool_directory)):
        try:
            for _, payload in segment.records(workspace.journal.shipped(segment.name)):
                looked += 1
                record = decode(payload)
                asked = wanted.get(record.strategy) if isinstance(record, Decision) else None
                if asked is not None and isinstance(record, Decision) and asked.wants(record):
                    kept.append(record)
        except FileNotFoundError:  # shipped and removed meanwhile
            continue
        if looked >= MOST_SPOOLED:
            break
    newest = heapq.nlargest(most, kept, key=lambda made: (made.time, made.decision_id))
    return [found_of(made, "spool") for made in newest]


def _waiting(workspace: Workspace, asked: Asked) -> list[Found]:
    """Return decisions in the database whose TTL has not ended."""
    its = decisions.c
    query = sa.select(its.body).where(its.strategy == asked.strategy, its.body.is_not(None))
    if math.isfinite(asked.since):
        query = query.where(its["at"] >= asked.since)
    if math.isfinite(asked.until):
        query = query.where(its["at"] <= asked.until)
    if asked.before is not None:
        at, name = asked.before
        query = query.where(sa.or_(its["at"] < at, sa.and_(its["at"] == at, its.decision_id < name)))
    query = query.order_by(its["at"].desc(), its.decision_id.desc())
    kept: list[Decision] = []
    with workspace.database.reading() as connection:
        if asked.names:
            query = query.where(sa.or_(*(_holds(connection, name) for name in asked.names)))
        for body in connection.execute(query).yield_per(1_000).scalars():
            record = decode(body)
            if isinstance(record, Decision) and asked.wants(record):
                kept.append(record)
            if len(kept) >= asked.most:
                break
    return [found_of(made, "waiting") for made in kept]


def _holds(connection: sa.engine.Connection, name: str) -> sa.ColumnElement[bool]:
    """Return the condition that a text is in a record, with its length before it, so that u1 is not in u12."""
    needle = sa.literal(encode(name), sa.LargeBinary)
    if connection.dialect.name == "postgresql":
        return sa.func.position(needle.op("IN")(decisions.c.body)) > 0
    return sa.func.instr(decisions.c.body, needle) > 0


def _joined(workspace: Workspace, asked: Asked) -> list[Found]:
    """Return decisions of the training table."""
    until = asked.until if asked.before is None else min(asked.until, asked.before[0])
    files = [
        file.name
        for file in workspace.manifest.files(asked.strategy)
        if (file.newest is None or file.newest >= asked.since) and (file.oldest is None or file.oldest <= until)
    ]
    if not files:
        return []
    wanted = ["unit IN (" + ", ".join("?" * len(asked.names)) + ")"] if asked.names else []
    given: list[Any] = list(asked.names)
    for condition, value in (("time >= ?", asked.since), ("time <= ?", asked.until)):
        if math.isfinite(value):
            wanted.append(condition)
            given.append(value)
    if asked.before is not None:
        wanted.append("(time < ? OR (time = ? AND decision_id < ?))")
        given += [asked.before[0], asked.before[0], asked.before[1]]
    rows = _query(paths(workspace.table_directory, files), wanted, [*given, asked.most])
    return [Found(row[0], asked.strategy, *row[1:], "joined") for row in rows]  # type: ignore[call-arg]


def _query(files: Sequence[str], wanted: Sequence[str], given: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the newest rows that meet some conditions, whose values are bound."""
    import duckdb

    query = (  # file names are quoted, conditions are ours
        "SELECT decision_id, version, unit, time, arm, propensity, phase "  # noqa: S608
        f"FROM read_parquet([{', '.join(map(literal, files))}], union_by_name = true) "
        f"WHERE {' AND '.join(wanted) or 'true'} ORDER BY time DESC, decision_id DESC LIMIT ?"
    )
    try:
        with duckdb.connect() as connection:
            return connection.execute(query, list(given)).fetchall()
    except duckdb.Error as error:
        missing = [file for file in files if not Path(file).exists()]
        said = f"{missing[0]} is missing" if missing else str(error).splitlines()[0]
        raise StoreError(f"training table cannot be read: {said}. Restore the file from a backup") from error
