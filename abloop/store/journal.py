"""The way of a record: from spool segments into the database, from there as rows into the training table.

Every hop is idempotent: how far a segment was shipped is kept in the transaction that keeps its records, and
a file of the training table counts once the transaction that lists it has marked its decisions as joined.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from abloop.errors import StoreError
from abloop.records import Decision, Observation, decode, encode
from abloop.store.events import Keys, new_events, no_keys, purge, tally
from abloop.store.sql import Database
from abloop.store.tables import decisions, files, observations, segments


class TableFile(msgspec.Struct, frozen=True):
    """One file of a training table, as the manifest lists it.

    Attributes:
        name: File name inside the table's directory.
        strategy: Its strategy.
        version: Blueprint version of all its rows.
        rows: Number of rows.
        observed: Metric name to rows on which it was observed.
        at: When it was listed, in seconds since 1970.
    """

    name: str
    strategy: str
    version: int
    rows: int
    observed: dict[str, int]
    at: float


class Backlog(msgspec.Struct, frozen=True):
    """Where a strategy's records are.

    Attributes:
        waiting: Decisions whose TTL has not ended or that were not joined yet.
        joined: Decisions in the training table.
        observations: Observations that wait for their decision's TTL or whose decision never came.
    """

    waiting: int
    joined: int
    observations: int


class Journal:
    """Decisions, observations and the manifest of the training tables.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def shipped(self, segment: str) -> int:
        """Return the offset up to which a segment was shipped; 0 for a new one."""
        with self._database.reading() as connection:
            return int(
                connection.execute(sa.select(segments.c.shipped).where(segments.c.name == segment)).scalar() or 0
            )

    def ship(
        self, segment: str, records: Sequence[tuple[int, Decision | Observation]], end: int, keys: Keys = no_keys
    ) -> None:
        """Keep records of a segment and, in the same transaction, their tallies and that they were shipped.

        Args:
            segment: Its name.
            records: Offset and record.
            end: Offset up to which the segment is now shipped.
            keys: Context keys that are tallied of a strategy and version; version 0 asks for all versions.
        """
        new_decisions = [
            {
                "strategy": r.strategy,
                "decision_id": r.decision_id,
                "version": r.version,
                "at": r.time,
                "body": encode(r),
            }
            for _, r in records
            if isinstance(r, Decision)
        ]
        new_observations: list[dict[str, Any]] = [
            {
                "strategy": r.strategy,
                "record": f"{r.decision_id}/{r.name}/{r.key}" if r.key else f"{segment}:{offset}",
                "decision_id": r.decision_id,
                "at": r.time,
                "name": r.name,
                "value": r.value,
            }
            for offset, r in records
            if isinstance(r, Observation)
        ]
        counted = [row for row in new_observations if any(keys(row["strategy"], 0))]
        about = [r for _, r in records if isinstance(r, Decision) and any(keys(r.strategy, r.version))]
        with self._database.transaction() as connection:
            fresh = new_events(connection, counted) if counted else []
            if new_observations:
                connection.execute(self._database.insert_new(observations), new_observations)
            if fresh or about:
                tally(connection, self._database, fresh, about, keys)
            if new_decisions:
                connection.execute(self._database.insert_new(decisions), new_decisions)
            connection.execute(self._database.insert_new(segments).values(name=segment, shipped=end))
            connection.execute(segments.update().where(segments.c.name == segment).values(shipped=end))

    def purge_tallies(self, now: float) -> None:
        """Let go of tallies that no window reaches any more."""
        purge(self._database, now)

    def versions_waiting(self, strategy: str) -> list[int]:
        """Return the blueprint versions of the decisions that are not joined yet, in order."""
        query = sa.select(decisions.c.version).distinct()
        query = query.where(decisions.c.strategy == strategy, decisions.c.body.is_not(None))
        with self._database.reading() as connection:
            return sorted(connection.execute(query).scalars())

    def due(
        self, strategy: str, version: int, before: float, most: int
    ) -> tuple[list[Decision], list[tuple[str, Observation]]]:
        """Return the oldest decisions of a version made before a time, with their observations.

        Args:
            strategy: Its name.
            version: Blueprint version.
            before: Seconds since 1970, inclusive.
            most: Most decisions to return.

        Returns:
            Decisions; and record key and observation of each observation of theirs.
        """
        waiting = (
            decisions.c.strategy == strategy,
            decisions.c.version == version,
            decisions.c.body.is_not(None),
            decisions.c.at <= before,
        )
        order = (decisions.c.at, decisions.c.decision_id)
        chosen = sa.select(decisions.c.decision_id).where(*waiting).order_by(*order).limit(most).subquery()
        theirs = sa.select(observations).where(
            observations.c.strategy == strategy,
            observations.c.decision_id.in_(sa.select(chosen.c.decision_id)),
        )
        with self._database.reading() as connection:
            bodies = connection.execute(
                sa.select(decisions.c.body).where(*waiting).order_by(*order).limit(most)
            ).scalars()
            found = [decode(body) for body in bodies]
            rows = connection.execute(theirs).all() if found else []
        return [record for record in found if isinstance(record, Decision)], [
            (row.record, Observation(row.decision_id, row.strategy, row.at, row.name, row.value)) for row in rows
        ]

    def commit(self, file: TableFile, joined: Iterable[str], used: Iterable[str]) -> None:
        """List a file, mark its decisions as joined and let go of their observations, all or nothing.

        Args:
            file: The file, already on disk.
            joined: Ids of its decisions.
            used: Record keys of the observations of these decisions.

        Raises:
            StoreError: Another worker joined one of the decisions first; nothing was changed.
        """
        mark = (
            decisions.update()
            .where(
                decisions.c.strategy == file.strategy,
                decisions.c.decision_id == sa.bindparam("joined"),
                decisions.c.body.is_not(None),
            )
            .values(body=None)
        )
        drop = observations.delete().where(
            observations.c.strategy == file.strategy, observations.c.record == sa.bindparam("used")
        )
        with self._database.transaction() as connection:
            row = {**msgspec.structs.asdict(file), "observed": msgspec.json.encode(file.observed).decode()}
            connection.execute(self._database.insert_new(files).values(**row))
            marks: list[dict[str, Any]] = [{"joined": name} for name in joined]
            drops: list[dict[str, Any]] = [{"used": name} for name in used]
            if marks and connection.execute(mark, marks).rowcount != len(marks):
                raise StoreError(
                    f"strategy {file.strategy!r}: another worker joined some of these decisions at the same time. "
                    "Nothing was listed twice; run the cycle again"
                )
            if drops:
                connection.execute(drop, drops)

    def files(self, strategy: str) -> list[TableFile]:
        """Return the files of a strategy's training table, oldest first."""
        query = sa.select(files).where(files.c.strategy == strategy).order_by(files.c.at, files.c.name)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [
            TableFile(row.name, row.strategy, row.version, row.rows, msgspec.json.decode(row.observed), row.at)
            for row in rows
        ]

    def backlog(self, strategy: str) -> Backlog:
        """Return where the strategy's records are."""
        mine = decisions.c.strategy == strategy
        with self._database.reading() as connection:
            waiting, total = connection.execute(
                sa.select(sa.func.count(decisions.c.body), sa.func.count()).select_from(decisions).where(mine)
            ).one()
            open_observations = connection.execute(
                sa.select(sa.func.count()).select_from(observations).where(observations.c.strategy == strategy)
            ).scalar_one()
        return Backlog(waiting=waiting, joined=total - waiting, observations=open_observations)
