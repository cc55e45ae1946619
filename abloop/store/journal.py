"""The way of a record: from spool segments into the database, from there as rows into the training table.

Every hop is idempotent: how far a segment was shipped is kept in the transaction that keeps its records, and
a file of the training table counts once the transaction that lists it has marked its decisions as joined.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from xxhash import xxh3_64_intdigest

from abloop.errors import ConflictError
from abloop.join import Seen
from abloop.records import Decision, Loss, Observation, decode_many, encode
from abloop.store.bulk import Values, among, insert_many, select_columns
from abloop.store.counts import count
from abloop.store.dead import Dead, bury
from abloop.store.events import Keys, new_events, no_keys, purge, tally
from abloop.store.manifest import TableFile, add_files
from abloop.store.sql import Database
from abloop.store.tables import dead, decisions, late, observations, segments
from abloop.store.tombstones import sieve

DECISION = ("strategy", "decision_id", "version", "at", "digest", "body")
OBSERVATION = ("strategy", "decision_id", "name", "key", "at", "value")
LATE = ("strategy", "decision_id", "unit", "name", "key", "at", "value")
UNKNOWN = 0  # digest of what was kept before there were any
AGAIN = "the same decision id came again with different content; the first counts"

Counted = tuple[str, str]


class Part(msgspec.Struct):
    """What is shipped of a segment in one transaction.

    Attributes:
        segment: Its name.
        start: Offset from which on.
        end: Offset up to which.
        decisions: Offset, bytes and record of each decision.
        observations: Offset and record of each observation.
        losses: What the segment's process could not write.
        dead: Records that go to the dead letters.
        torn: Bytes that are no whole record.
        letters: Ids of the dead letters that these records were; they are none any more once they are kept.
        dropped: Strategy and counter to records that were left out.
    """

    segment: str
    start: int
    end: int
    decisions: list[tuple[int, bytes, Decision]] = []
    observations: list[tuple[int, Observation]] = []
    losses: list[Loss] = []
    dead: list[Dead] = []
    torn: int = 0
    letters: list[int] = []
    dropped: dict[Counted, int] = {}

    @property
    def records(self) -> int:
        """Number of records that are kept."""
        return len(self.decisions) + len(self.observations) + len(self.losses)


class Due(msgspec.Struct, frozen=True):
    """Decisions whose TTL has ended.

    Attributes:
        strategy: Their strategy.
        decisions: The decisions, oldest first.
        bodies: The decisions as they were logged.
        seen: All observations there are of theirs.
    """

    strategy: str
    decisions: list[Decision]
    bodies: list[bytes]
    seen: Seen


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
    """Decisions and observations on their way to the training tables.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def shipped(self, segment: str) -> int:
        """Return the offset up to which a segment was shipped; 0 for a new one."""
        with self._database.reading() as connection:
            found = connection.execute(sa.select(segments.c.shipped).where(segments.c.name == segment)).scalar()
        return int(found or 0)

    def ship(self, part: Part, keys: Keys = no_keys) -> bool:
        """Keep records of a segment and, in the same transaction, their tallies and that they were shipped.

        Args:
            part: What is shipped.
            keys: Context keys that are tallied of a strategy and version; version 0 asks for all versions.

        Returns:
            Whether they were kept; False where another worker has shipped this part.
        """
        with self._database.transaction() as connection:
            if not self._claim(connection, part):
                return False
            lost = sum(loss.decisions + loss.observations for loss in part.losses)
            added = Counter({("", "torn"): part.torn, ("", "lost"): lost, **part.dropped}) + sieve(connection, part)
            self._keep_observations(connection, part, keys, added)
            again = _keep_decisions(connection, part, added)
            for strategy, number in bury(connection, [*part.dead, *again]).items():
                added[strategy, "dead"] += number
            count(connection, added)
        return True

    def _claim(self, connection: Connection, part: Part) -> bool:
        """Mark a part as shipped, or its dead letters as gone; return False where another worker did."""
        if part.letters:
            return connection.execute(dead.delete().where(dead.c.id.in_(part.letters))).rowcount == len(part.letters)
        connection.execute(self._database.insert_new(segments).values(name=part.segment, shipped=0))
        mine = (segments.c.name == part.segment, segments.c.shipped == part.start)
        return bool(connection.execute(segments.update().where(*mine).values(shipped=part.end)).rowcount)

    def _keep_observations(self, connection: Connection, part: Part, keys: Keys, added: Counter[Counted]) -> None:
        """Keep observations and tally those that are new; their decisions are kept after that."""
        found, outcomes = _observation_rows(part)
        tallied = {
            name for name in {(made.strategy, made.version) for _, _, made in part.decisions} if any(keys(*name))
        }
        about = [made for _, _, made in part.decisions if (made.strategy, made.version) in tallied] if tallied else []
        counted = [row for strategy, rows in found.items() if any(keys(strategy, 0)) for row in rows]
        fresh = new_events(connection, counted)
        for strategy, rows in found.items():
            added[strategy, "observations"] += insert_many(connection, observations, OBSERVATION, rows)
        for strategy, rows in outcomes.items():
            added[strategy, "observations"] += insert_many(connection, late, LATE, rows)
        if fresh or about:
            tally(connection, self._database, fresh, about, keys)

    def purge_tallies(self, now: float) -> None:
        """Let go of tallies that no window reaches any more."""
        purge(self._database, now)

    def versions_waiting(self, strategy: str) -> list[int]:
        """Return the blueprint versions of the decisions that are not joined yet, in order."""
        query = sa.select(decisions.c.version).distinct()
        query = query.where(decisions.c.strategy == strategy, decisions.c.body.is_not(None))
        with self._database.reading() as connection:
            return sorted(connection.execute(query).scalars())

    def due(self, strategy: str, version: int, before: float, most: int) -> Due:
        """Return the oldest decisions of a version made before a time, with their observations.

        Args:
            strategy: Its name.
            version: Blueprint version.
            before: Seconds since 1970, inclusive.
            most: Most decisions to return.
        """
        oldest = (
            sa.select(decisions.c.decision_id, decisions.c.body)
            .where(
                decisions.c.strategy == strategy,
                decisions.c.version == version,
                decisions.c.body.is_not(None),
                decisions.c.at <= before,
            )
            .order_by(decisions.c.at, decisions.c.decision_id)
            .limit(most)
        )
        its = observations.c
        theirs = sa.select(its.decision_id, its.name, its.key, its.at, its.value).where(its.strategy == strategy)
        with self._database.reading() as connection:
            names, bodies = select_columns(connection, oldest)
            found = select_columns(connection, theirs.where(among(connection, its.decision_id, names)))
        made: Any = decode_many(bodies)
        return Due(strategy, made, bodies, Seen(*found))

    def complete(self, file: TableFile, due: Due, left: Sequence[int]) -> bool:
        """List a file, mark its decisions as joined and let go of their observations, all or nothing.

        Args:
            file: The file, already on disk.
            due: What it was made of.
            left: Places of the observations that are not in it: they came from after the TTL, or their metric waits
                longer.

        Returns:
            Whether it was listed; False where observations of its decisions came meanwhile, and it must be made again.

        Raises:
            ConflictError: Another worker joined one of the decisions first; nothing was changed.
        """
        strategy, names = file.strategy, [made.decision_id for made in due.decisions]
        seen, received = due.seen, len(due.seen.names)
        kept = [
            (strategy, seen.decision_ids[at], "", seen.names[at], seen.keys[at], seen.times[at], seen.values[at])
            for at in left
        ]
        with self._database.transaction() as connection:
            mark = decisions.update().where(
                decisions.c.strategy == strategy,
                decisions.c.body.is_not(None),
                among(connection, decisions.c.decision_id, names),
            )
            if connection.execute(mark.values(body=None)).rowcount != len(names):
                connection.rollback()
                raise ConflictError(
                    f"strategy {strategy!r}: another worker joined some of these decisions at the same time. "
                    "Nothing was listed twice; run the cycle again"
                )
            theirs = (observations.c.strategy == strategy, among(connection, observations.c.decision_id, names))
            if connection.execute(observations.delete().where(*theirs)).rowcount != received:
                connection.rollback()
                return False
            insert_many(connection, late, LATE, kept)
            add_files(connection, strategy, [file])
            count(connection, {(strategy, "rows"): len(names), (strategy, "joined"): received - len(kept)})
        return True

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


def _observation_rows(part: Part) -> tuple[dict[str, list[Values]], dict[str, list[Values]]]:
    """Return the rows of observations of decisions, and those of units, by strategy."""
    found: dict[str, list[Values]] = defaultdict(list)
    outcomes: dict[str, list[Values]] = defaultdict(list)
    for offset, seen in part.observations:
        key = seen.key or f"{part.segment}:{offset}"
        if seen.unit:
            outcomes[seen.strategy].append((seen.strategy, "", seen.unit, seen.name, key, seen.time, seen.value))
        else:
            found[seen.strategy].append((seen.strategy, seen.decision_id, seen.name, key, seen.time, seen.value))
    return found, outcomes


def _keep_decisions(connection: Connection, part: Part, added: Counter[Counted]) -> list[Dead]:
    """Keep decisions, and return those whose id is taken by one of different content."""
    found: dict[str, list[Values]] = defaultdict(list)
    for _, payload, made in part.decisions:
        row = (made.strategy, made.decision_id, made.version, made.time, digest(made), payload)
        found[made.strategy].append(row)
    again: set[Values] = set()
    for strategy, rows in found.items():
        fresh = insert_many(connection, decisions, DECISION, rows)
        added[strategy, "decisions"] += fresh
        if fresh == len(rows):
            continue
        mine = (decisions.c.strategy == strategy, among(connection, decisions.c.decision_id, [row[1] for row in rows]))
        query = sa.select(decisions.c.decision_id, decisions.c.digest).where(*mine)
        there = {row[0]: row[1] for row in connection.execute(query)}
        again |= {(strategy, row[1], row[4]) for row in rows if there[row[1]] not in (row[4], UNKNOWN)}
    return [
        Dead(part.segment, offset, made.strategy, AGAIN, made.time, payload)
        for offset, payload, made in (part.decisions if again else ())
        if (made.strategy, made.decision_id, digest(made)) in again
    ]


def digest(made: Decision) -> int:
    """Return a hash of what a decision says, when it was made and how long that took left out."""
    said = (made.version, made.unit, made.features, made.predictions, made.arm, made.phase, made.decision, made.share)
    return xxh3_64_intdigest(encode(said)) - (1 << 63)
