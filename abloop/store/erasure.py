"""Erasure: every record of a unit goes, from spool, database and training table, and is looked for again.

Tombstones come first: what of the unit comes later but happened before is dropped (`abloop/store/tombstones.py`).
Workers and products may run meanwhile; where one moved a record in between, the next pass finds it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing

import msgspec
import sqlalchemy as sa

from abloop.errors import DataError
from abloop.store import parquet, traces
from abloop.store.counts import count
from abloop.store.inspection import Inspector
from abloop.store.manifest import TableFile
from abloop.store.remainder import remainder
from abloop.store.segment import write_over
from abloop.store.ship import ship
from abloop.store.tables import dead
from abloop.store.tallied import TalliedKeys
from abloop.store.tombstones import ERASED, ERASED_DECISIONS, bury_decisions, bury_units, hash_unit
from abloop.store.traces import Sought
from abloop.store.workspace import Workspace

PASSES = 5
SPOOL, TABLE, VERSIONS, LETTERS = "spool", "training table", "its earlier versions", "dead letters"


class Erasure(msgspec.Struct, frozen=True):
    """What was erased, and what a second look found.

    Attributes:
        at: When, in seconds since 1970: what the unit did until then is dropped, what it does later is kept.
        found: Place to records of the unit that were there.
        left: Place to records that are there now; 0 everywhere, or it is not proven.
        mentions: Rows of other units that have the unit as the value of a feature; they stay.
    """

    at: float
    found: dict[str, int]
    left: dict[str, int]
    mentions: int

    @property
    def proven(self) -> bool:
        """Whether nothing is left."""
        return not any(self.left.values())


def erase(workspace: Workspace, unit: str, strategy: str = "", *, who: str = "", why: str = "") -> Erasure:
    """Erase a unit, and prove it.

    What product processes hold in memory until they end is not looked at; Redis, where it is used, forgets by itself.

    Args:
        workspace: What `abloop.connect` gave.
        unit: The unit, as product code names it.
        strategy: Only from this one; from all where empty.
        who: Who asks for it; kept with a hash of the unit.
        why: Why.

    Raises:
        DataError: The unit is empty, or a strategy writes pseudonyms and their key was not given.
        UnknownNameError: There is no such strategy.
        StoreError: Database or table cannot be used; run it again.
    """
    if not unit:
        raise DataError("the unit is empty; allowed: the unit's name, as in the context of its decisions")
    sought, now = traces.seek(workspace, unit, strategy), workspace.clock()
    with workspace.database.transaction() as connection:
        names = {name for each in sought for name in each.names} or {unit}
        bury_units(connection, [hash_unit(name, strategy) for name in sorted(names)], now, who, why)
    found: Counter[str] = Counter(dict.fromkeys(_places(sought), 0))
    for _ in range(PASSES):
        passed = _erase_once(workspace, sought, now)
        found.update(passed)
        if not any(passed.values()):
            break
    _empty_log(workspace)
    left = Counter(dict.fromkeys(found, 0))
    left.update(_look(workspace, sought))
    mentions = sum(
        traces.named_elsewhere(workspace.table_directory / file.name, each)
        for each in sought
        for file in workspace.manifest.files(each.strategy)
    )
    return Erasure(now, dict(found), dict(left), mentions)


def _places(sought: Sequence[Sought]) -> list[str]:
    """Return the names of all places."""
    tables = [name for each in sought[:1] for name in traces.places_by_name(each)]
    return [SPOOL, *tables, "decisions", TABLE, VERSIONS, LETTERS]


def _erase_once(workspace: Workspace, sought: Sequence[Sought], now: float) -> Counter[str]:
    """Erase what is there, and return how much that was."""
    ids = _decisions(workspace, sought)
    found = Counter({SPOOL: sum(1 for _ in traces.spooled(workspace.spool_directory, sought, ids))})
    inspector = Inspector(workspace.catalogue, workspace.clock)
    ship(workspace.spool_directory, workspace.journal, TalliedKeys(workspace.catalogue), inspector, now)
    for segment, start, end in traces.spooled(workspace.spool_directory, sought, ids):
        if end <= workspace.journal.shipped(segment.name):
            write_over(segment, start, end)
    for each in sought:
        found.update(_erase_rows(workspace, each, sorted(ids.get(each.strategy, ())), now))
        found.update(_erase_files(workspace, each))
    return found


def _decisions(workspace: Workspace, sought: Sequence[Sought]) -> dict[str, set[str]]:
    """Return the ids of the unit's decisions, by strategy: of those in files, and of those that wait."""
    ids: dict[str, set[str]] = {}
    for each in sought:
        rows = {name for file in _files(workspace, each) for name in _rows(workspace, file, each)}
        with workspace.database.reading() as connection:
            ids[each.strategy] = rows | set(traces.waiting_decisions(connection, each))
    return ids


def _files(workspace: Workspace, sought: Sought) -> list[TableFile]:
    """Return the files of all versions of a table."""
    return [*workspace.manifest.files(sought.strategy), *workspace.manifest.replaced(sought.strategy)]


def _rows(workspace: Workspace, file: TableFile, sought: Sought) -> list[str]:
    """Return the unit's decisions in a file; none where it is gone meanwhile."""
    path = workspace.table_directory / file.name
    return traces.rows_of(path, sought) if path.exists() else []


def _erase_rows(workspace: Workspace, sought: Sought, ids: Sequence[str], now: float) -> Counter[str]:
    """Delete a unit's records from the database."""
    found: Counter[str] = Counter()
    strategy = sought.strategy
    with workspace.database.transaction() as connection:
        bury_decisions(connection, strategy, ids, now)
        letters = traces.letters(connection, sought, set(ids))
        waiting = len(traces.waiting_decisions(connection, sought))
        places = [traces.places_by_decision(connection, strategy, ids), traces.places_by_name(sought)]
        for name, (table, mine) in (item for part in places for item in part.items()):
            found[name] += connection.execute(table.delete().where(mine)).rowcount
        if letters:
            found[LETTERS] += connection.execute(dead.delete().where(dead.c.id.in_(letters))).rowcount
        gone = {ERASED: found["observations"] + found["late"], ERASED_DECISIONS: waiting}
        count(connection, {(strategy, name): number for name, number in gone.items()})
    return found


def _erase_files(workspace: Workspace, sought: Sought) -> Counter[str]:
    """Write files again without a unit, and remove those that hold it, also those of earlier versions."""
    found: Counter[str] = Counter()
    directory, manifest = workspace.table_directory, workspace.manifest
    for file in manifest.replaced(sought.strategy):
        if rows := len(_rows(workspace, file, sought)):
            found[VERSIONS] += rows
            manifest.forget([file.name])
    for file in manifest.files(sought.strategy):
        if rows := len(_rows(workspace, file, sought)):
            found[TABLE] += rows
            left = remainder(workspace, file, traces.others(sought))
            manifest.replace(sought.strategy, [file.name], [left] if left.rows else [])
            manifest.forget([file.name])
    listed = {file.name for file in _files(workspace, sought)}
    for path in directory.glob(f"{parquet.stem_of(sought.strategy)}-v*.parquet"):  # also what a killed worker left
        if path.name not in listed and traces.rows_of(path, sought):
            path.unlink(missing_ok=True)
    return found


def _empty_log(workspace: Workspace) -> None:
    """Have SQLite write its log into the file, where what was deleted is written over; later where others read it."""
    if workspace.database.engine.dialect.name != "sqlite":
        return
    with closing(workspace.database.engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _look(workspace: Workspace, sought: Sequence[Sought]) -> Counter[str]:
    """Return what is there of a unit, read anew from everywhere."""
    ids = _decisions(workspace, sought)
    left: Counter[str] = Counter()
    left[SPOOL] = sum(1 for _ in traces.spooled(workspace.spool_directory, sought, ids))
    for each in sought:
        left[TABLE] += sum(len(_rows(workspace, file, each)) for file in workspace.manifest.files(each.strategy))
        left[VERSIONS] += sum(len(_rows(workspace, file, each)) for file in workspace.manifest.replaced(each.strategy))
        with workspace.database.reading() as connection:
            mine = sorted(ids.get(each.strategy, ()))
            places = [traces.places_by_decision(connection, each.strategy, mine), traces.places_by_name(each)]
            for name, (table, condition) in (item for part in places for item in part.items()):
                query = sa.select(sa.func.count()).select_from(table).where(condition)
                left[name] += connection.execute(query).scalar_one()
            left[LETTERS] += len(traces.letters(connection, each, set(mine)))
    return left
