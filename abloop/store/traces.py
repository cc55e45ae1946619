"""Traces of a unit: where its records are, in the database, in a file of the training table, in the spool."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

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
    """A unit of one strategy, as records may hold it.

    Attributes:
        strategy: The strategy.
        keys: Keys of the context that name its unit, of all versions.
        names: The unit, and its pseudonym where a version writes that.
    """

    strategy: str
    keys: frozenset[str]
    names: tuple[str, ...]

    def holds(self, record: Record, ids: Container[str] = ()) -> bool:
        """Return whether a record is of the unit, or of one of some decisions of it."""
        if not isinstance(record, Decision | Observation) or record.strategy != self.strategy:
            return False
        its = record.decision_id
        return record.unit in self.names or its in ids or any(its.startswith(start) for start in self.starts())

    def starts(self) -> list[str]:
        """Return how ids of the unit's decisions begin, where another product's calls or an import made them."""
        return [f"{self.strategy}/{name}/" for name in self.names]


def seek(workspace: Workspace, unit: str, strategy: str = "") -> list[Sought]:
    """Return how the records of each strategy may hold a unit.

    Args:
        workspace: What `abloop.connect` gave.
        unit: The unit, as product code names it.
        strategy: Only this one; all where empty.

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
        found.append(Sought(name, frozenset(keys), tuple(dict.fromkeys(names))))
    return found


def places_by_name(sought: Sought) -> Places:
    """Return where the database names the unit itself: table and condition, by what is there."""
    seen, its, whose = observations.c, late.c, entities.c
    return {
        "observations": (observations, sa.and_(seen.strategy == sought.strategy, _begins(seen.decision_id, sought))),
        "late": (
            late,
            sa.and_(
                its.strategy == sought.strategy, sa.or_(its.unit.in_(sought.names), _begins(its.decision_id, sought))
            ),
        ),
        "entities": (
            entities,
            sa.and_(
                whose.strategy == sought.strategy, whose.key.in_(sorted(sought.keys)), whose.entity.in_(sought.names)
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
    """Return where the database names some decisions: table and condition, by what is there."""
    tables = {"observations": observations, "late": late, "entities": entities, "decisions": decisions}
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
    for row in connection.execute(sa.select(dead.c.id, dead.c.payload)):
        try:
            mine = sought.holds(decode(row.payload), ids)
        except msgspec.DecodeError:
            mine = any(needle in row.payload for needle in needles)
        if mine:
            found.append(row.id)
    return found


def rows_of(path: Path, sought: Sought) -> list[str]:
    """Return the ids of the unit's decisions in a file of the training table.

    Raises:
        StoreError: The file is damaged.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    units = parquet.read([str(path)], ["unit"])["unit"]
    mine = pc.is_in(units, value_set=pa.array(sought.names, pa.string()))
    if not pc.any(mine).as_py():
        return []
    found: list[str] = parquet.read([str(path)], ["decision_id"])["decision_id"].filter(mine).to_pylist()
    return found


def others(sought: Sought) -> Callable[[pa.Table], pa.Table]:
    """Return what keeps the rows of a part of a file that are not the unit's."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = pa.array(sought.names, pa.string())
    return lambda part: part.filter(pc.invert(pc.is_in(part["unit"], value_set=names)))


def named_elsewhere(path: Path, sought: Sought) -> int:
    """Return how many rows of other units in a file have the unit as the value of a feature."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    fields = [field for field in pq.read_schema(path) if field.name.startswith("x.") and field.type == pa.string()]
    table = parquet.read([str(path)], [field.name for field in fields])
    names = pa.array(sought.names, pa.string())
    return sum(pc.sum(pc.is_in(table[field.name], value_set=names)).as_py() or 0 for field in fields)


def spooled(directory: Path, sought: Sequence[Sought], ids: dict[str, set[str]]) -> Iterator[Place]:
    """Yield the unit's records in the spool; decisions that are found there are added to `ids`.

    Args:
        directory: The spool.
        sought: The unit, by strategy.
        ids: Strategy to decisions of the unit.
    """
    for segment in segments(directory):
        try:
            for end, payload in segment.records():
                try:
                    record = decode(payload)
                except msgspec.DecodeError:
                    continue
                if any(each.holds(record, ids.get(each.strategy, ())) for each in sought):
                    if isinstance(record, Decision):
                        ids.setdefault(record.strategy, set()).add(record.decision_id)
                    yield Place(segment, end - len(payload), end)
        except FileNotFoundError:  # shipped and removed meanwhile
            continue


def _begins(column: sa.ColumnElement[Any], sought: Sought) -> sa.ColumnElement[bool]:
    """Return the condition that a decision's id begins as those of the unit do; LIKE would not mind case."""
    return sa.or_(*(sa.func.substr(column, 1, len(start)) == start for start in sought.starts()))
