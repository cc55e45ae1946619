"""Traces of a unit: where its records are, in the database, in a file of the training table, in the spool."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from abloop.errors import StoreError
from abloop.pseudonyms import require_pseudonym
from abloop.records import Decision, Observation, Record, decode, encode
from abloop.store import parquet
from abloop.store.bulk import among
from abloop.store.spool import Segment, segments
from abloop.store.tables import dead, decisions, entities, late, observations, sticky, tallies
from abloop.store.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

Places = dict[str, tuple[sa.Table, sa.ColumnElement[bool]]]


class Place(NamedTuple):
    """Where a record is in the spool: its segment, and the offsets of its first byte and of its end."""

    segment: Segment
    start: int
    end: int


class Sought(msgspec.Struct, frozen=True):
    """A unit of one strategy, as records may hold it, until some time.

    Attributes:
        strategy: The strategy.
        keys: Keys of the context that name its unit, of all versions.
        names: The unit, and its pseudonym where a version writes that.
        until: What the unit did later is not sought, in seconds since 1970.
    """

    strategy: str
    keys: frozenset[str]
    names: tuple[str, ...]
    until: float

    def holds(self, record: Record, ids: Container[str] = ()) -> bool:
        """Return whether a record is of the unit, or of one of some decisions of it, and not from later."""
        return self._names(record, ids) and getattr(record, "time", math.inf) <= self.until

    def had(self, record: Record, came: float, ids: Container[str] = ()) -> bool:
        """Return whether a dead letter is of the unit and not from later, by its time or by when it came.

        Its time may be what is wrong with it.
        """
        return self.holds(record, ids) or (came <= self.until and self._names(record, ids))

    def _names(self, record: Record, ids: Container[str]) -> bool:
        """Return whether a record is of the unit, or of one of some decisions of it, from whenever."""
        if not isinstance(record, Decision | Observation) or record.strategy != self.strategy:
            return False
        its = record.decision_id
        return record.unit in self.names or its in ids or any(its.startswith(start) for start in self.starts())

    def starts(self) -> list[str]:
        """Return how ids of the unit's decisions begin, where another product's calls or an import made them."""
        return [f"{self.strategy}/{name}/" for name in self.names]


def seek(workspace: Workspace, unit: str, strategy: str, until: float) -> list[Sought]:
    """Return how the records of each strategy may hold a unit.

    Args:
        workspace: What `abloop.connect` gave.
        unit: The unit, as product code names it.
        strategy: Only this one; all where empty.
        until: Until when, in seconds since 1970.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: A strategy writes pseudonyms, and their key was not given.
    """
    found = []
    for name in [strategy] if strategy else sorted(workspace.catalogue.servings()):
        keys, names = set(), [unit]
        for _, blueprint in workspace.catalogue.blueprints(name):
            keys.add(blueprint.unit)
            if blueprint.unit in blueprint.pseudonymise:
                names.append(require_pseudonym(workspace.pseudonym, name)(unit))
        found.append(Sought(name, frozenset(keys), tuple(dict.fromkeys(names)), until))
    return found


def places_by_name(sought: Sought) -> Places:
    """Return where the database names the unit itself: table and condition, by what is there."""
    seen, its, whose = observations.c, late.c, entities.c
    return {
        "observations": (
            observations,
            sa.and_(seen.strategy == sought.strategy, seen["at"] <= sought.until, _begins(seen.decision_id, sought)),
        ),
        "late": (
            late,
            sa.and_(
                its.strategy == sought.strategy,
                its["at"] <= sought.until,
                sa.or_(its.unit.in_(sought.names), _begins(its.decision_id, sought)),
            ),
        ),
        "entities": (
            entities,
            sa.and_(
                whose.strategy == sought.strategy,
                whose["at"] <= sought.until,
                whose.key.in_(sorted(sought.keys)),
                whose.entity.in_(sought.names),
            ),
        ),
        "tallies": (
            tallies,
            sa.and_(
                tallies.c.strategy == sought.strategy,
                tallies.c.key.in_(sorted(sought.keys)),
                tallies.c.entity.in_(sought.names),
            ),
        ),
        "sticky": (sticky, sa.and_(sticky.c.strategy == sought.strategy, sticky.c.unit.in_(sought.names))),
    }


def places_by_decision(connection: Connection, strategy: str, ids: Sequence[str]) -> Places:
    """Return where the database names some decisions: table and condition, by what is there.

    Decisions come first, as where a worker joins them: two that lock the same rows do so in one order.
    """
    tables = {"decisions": decisions, "observations": observations, "late": late, "entities": entities}
    return {
        name: (table, sa.and_(table.c.strategy == strategy, among(connection, table.c.decision_id, ids)))
        for name, table in tables.items()
    }


def waiting_decisions(connection: Connection, sought: Sought) -> list[str]:
    """Return the ids of the unit's decisions that are not in the training table yet."""
    body = decisions.c.body
    found = []
    for name in sought.names:
        needle = sa.literal(encode(name), sa.LargeBinary)  # with its length before it, so that u1 is not in u12
        is_postgres = connection.dialect.name == "postgresql"
        place = sa.func.position(needle.op("IN")(body)) if is_postgres else sa.func.instr(body, needle)
        query = sa.select(decisions.c.decision_id, body).where(decisions.c.strategy == sought.strategy, place > 0)
        rows = connection.execute(query.where(body.is_not(None)))
        found += [row.decision_id for row in rows if sought.holds(decode(row.body))]
    return sorted(set(found))


def letters(connection: Connection, sought: Sought, ids: Container[str]) -> list[int]:
    """Return the numbers of the dead letters that are of the unit, or of some decisions of it."""
    needles = [encode(name) for name in sought.names]
    found = []
    for row in connection.execute(sa.select(dead.c.id, dead.c["at"].label("came"), dead.c.payload)):
        try:
            mine = sought.had(decode(row.payload), row.came, ids)
        except msgspec.DecodeError:
            mine = any(needle in row.payload for needle in needles)
        if mine:
            found.append(row.id)
    return found


def rows_of(path: Path, sought: Sought) -> list[str]:
    """Return the ids of the unit's decisions in a file of the training table; none where it is gone meanwhile.

    Raises:
        StoreError: The file is damaged.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        units = parquet.read([str(path)], ["unit"])["unit"]
        if not pc.any(pc.is_in(units, value_set=pa.array(sought.names, pa.string()))).as_py():
            return []
        its = parquet.read([str(path)], ["decision_id", "unit", "time"])
    except StoreError:
        if path.exists():
            raise
        return []
    found: list[str] = its.filter(_mine(its, sought))["decision_id"].to_pylist()
    return found


def _mine(rows: pa.Table, sought: Sought) -> pa.ChunkedArray:
    """Return which rows of a training table are of the unit, and not from later."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = pa.array(sought.names, pa.string())
    return pc.and_(pc.is_in(rows["unit"], value_set=names), pc.less_equal(rows["time"], sought.until))


def others(sought: Sought) -> Callable[[pa.Table], pa.Table]:
    """Return what keeps the rows of a part of a file that are not the unit's."""
    import pyarrow.compute as pc

    return lambda part: part.filter(pc.invert(_mine(part, sought)))


def named_elsewhere(path: Path, sought: Sought) -> int:
    """Return how many rows of other units in a file have the unit as the value of a feature."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    fields = [field for field in pq.read_schema(path) if field.name.startswith("x.") and field.type == pa.string()]
    table = parquet.read([str(path)], [field.name for field in fields])
    names = pa.array(sought.names, pa.string())
    return sum(pc.sum(pc.is_in(table[field.name], value_set=names)).as_py() or 0 for field in fields)


def claimed_decisions(workspace: Workspace, sought: Sequence[Sought]) -> dict[str, set[str]]:
    """Return the ids of the unit's decisions in spool and dead letters, by strategy; none that another decision has.

    Product code may have given an id twice: then it is that of the decision which came first, and its outcomes too.
    """
    found: dict[str, set[str]] = {each.strategy: set() for each in sought}
    spool = [(math.inf, payload) for _, _, payload in _payloads(workspace.spool_directory)]
    with workspace.database.reading() as connection:
        for came, payload in [*spool, *connection.execute(sa.select(dead.c["at"], dead.c.payload))]:
            for record in _decoded([payload]):
                if isinstance(record, Decision) and any(each.had(record, came) for each in sought):
                    found[record.strategy].add(record.decision_id)
        for strategy, ids in found.items():
            there = (decisions.c.strategy == strategy, among(connection, decisions.c.decision_id, sorted(ids)))
            ids -= set(connection.execute(sa.select(decisions.c.decision_id).where(*there)).scalars())
    return found


def spooled(directory: Path, sought: Sequence[Sought], ids: Mapping[str, Container[str]]) -> Iterator[Place]:
    """Yield where the unit's records are in the spool.

    Args:
        directory: The spool.
        sought: The unit, by strategy.
        ids: Strategy to decisions of the unit.
    """
    for segment, end, payload in _payloads(directory):
        for record in _decoded([payload]):
            if any(each.holds(record, ids.get(each.strategy, ())) for each in sought):
                yield Place(segment, end - len(payload), end)


def _payloads(directory: Path) -> Iterator[tuple[Segment, int, bytes]]:
    """Yield all records of a spool, each with its segment and the offset of its end."""
    for segment in segments(directory):
        try:
            for end, payload in segment.records():
                yield segment, end, payload
        except FileNotFoundError:  # shipped and removed meanwhile
            continue


def _decoded(payloads: Iterable[bytes]) -> Iterator[Record]:
    """Yield the records that can be read."""
    for payload in payloads:
        try:
            yield decode(payload)
        except msgspec.DecodeError:
            continue


def _begins(column: sa.ColumnElement[Any], sought: Sought) -> sa.ColumnElement[bool]:
    """Return the condition that a decision's id begins as those of the unit do; LIKE would not mind case."""
    return sa.or_(*(sa.func.substr(column, 1, len(start)) == start for start in sought.starts()))
