"""Erasure: every record of a unit goes, from spool, database and training table, and is looked for again.

Tombstones come first: what of the unit comes later but happened before is dropped (`abloop/store/tombstones.py`).
Workers and products may run meanwhile, the unit's too; where one moved a record in between, the next pass finds it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import sqlalchemy as sa

from abloop.errors import ConflictError, DataError
from abloop.store import parquet, traces
from abloop.store.audit import note
from abloop.store.counts import count
from abloop.store.inspection import Inspector
from abloop.store.manifest import TableFile
from abloop.store.remainder import remainder
from abloop.store.segment import write_over
from abloop.store.ship import ship
from abloop.store.tables import dead, tallies
from abloop.store.tallied import TalliedKeys
from abloop.store.tombstones import ERASED, ERASED_DECISIONS, bury_decisions, bury_units, hash_unit
from abloop.store.traces import Sought
from abloop.store.workspace import Workspace

PASSES = 12
Held = list[tuple[TableFile, list[str]]]  # files of a table, each with the unit's decisions in it
SPOOL, LETTERS = "spool", "dead letters"
TABLE, VERSIONS, UNLISTED = "training table", "its earlier versions", "files of no version"


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

    What product processes hold in memory is not looked at, e.g. a sticky arm that they write some seconds later; Redis,
    where it is used, forgets by itself. A file that a killed worker had half written goes with retention, a day later.

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
    now = workspace.clock()
    sought = traces.seek(workspace, unit, strategy, now)
    with workspace.database.transaction() as connection:
        names = {name for each in sought for name in each.names} or {unit}
        bury_units(connection, [hash_unit(name, strategy) for name in sorted(names)], now, who, why)
        note(connection, at=now, who=who, what="erase unit", target=strategy or "all strategies", why=why)
    found: Counter[str] = Counter(dict.fromkeys(_places(sought), 0))
    found[UNLISTED] = sum(sum(_unlisted(workspace, each).values()) for each in sought)
    for _ in range(PASSES):
        found.update(_erase_once(workspace, sought, now))
        left = Counter(dict.fromkeys(found, 0))
        left.update(_look(workspace, sought))
        if not any(left.values()):
            break
    workspace.database.rewrite()
    mentions = sum(
        traces.named_elsewhere(workspace.table_directory / file.name, each)
        for each in sought
        for file in workspace.manifest.files(each.strategy)
    )
    return Erasure(now, dict(found), dict(left), mentions)


def _places(sought: Sequence[Sought]) -> list[str]:
    """Return the names of all places."""
    tables = [name for each in sought[:1] for name in traces.places_by_name(each)]
    return [SPOOL, *tables, "decisions", TABLE, VERSIONS, UNLISTED, LETTERS]


def _erase_once(workspace: Workspace, sought: Sequence[Sought], now: float) -> Counter[str]:
    """Erase what is there, and return how much that was."""
    held = {each.strategy: _read(workspace, each) for each in sought}
    ids = _decisions(workspace, sought, held)
    found = Counter({SPOOL: sum(1 for _ in traces.spooled(workspace.spool_directory, sought, ids))})
    inspector = Inspector(workspace.catalogue, workspace.clock)
    ship(workspace.spool_directory, workspace.journal, TalliedKeys(workspace.catalogue), inspector, now)
    for segment, start, end in traces.spooled(workspace.spool_directory, sought, ids):
        if end <= workspace.journal.shipped(segment.name):
            write_over(segment, start, end)
    for each in sought:
        found.update(_erase_rows(workspace, each, ids.get(each.strategy, ()), now))
        found.update(_erase_files(workspace, each, held[each.strategy]))
    return found


def _read(workspace: Workspace, sought: Sought) -> Held:
    """Read the files of all versions of a table."""
    directory = workspace.table_directory
    return [(file, traces.rows_of(directory / file.name, sought)) for file in _files(workspace, sought)]


def _files(workspace: Workspace, sought: Sought) -> list[TableFile]:
    """Return the files of all versions of a table."""
    return [*workspace.manifest.files(sought.strategy), *workspace.manifest.replaced(sought.strategy)]


def _decisions(workspace: Workspace, sought: Sequence[Sought], held: dict[str, Held]) -> dict[str, set[str]]:
    """Return the ids of the unit's decisions, by strategy, wherever these are."""
    ids = traces.claimed_decisions(workspace, sought)
    for each in sought:
        rows = {name for _, names in held[each.strategy] for name in names}
        with workspace.database.reading() as connection:
            ids[each.strategy] |= rows | set(traces.waiting_decisions(connection, each))
    return ids


def _erase_rows(workspace: Workspace, sought: Sought, ids: Iterable[str], now: float) -> Counter[str]:
    """Delete a unit's records from the database."""
    found: Counter[str] = Counter()
    strategy = sought.strategy
    with workspace.database.transaction() as connection:
        waiting = traces.waiting_decisions(connection, sought)
        ids = sorted({*ids, *waiting})
        bury_decisions(connection, strategy, ids, now)
        letters = traces.letters(connection, sought, set(ids))
        places = [traces.places_by_decision(connection, strategy, ids), traces.places_by_name(sought)]
        for name, (table, mine) in (item for part in places for item in part.items()):
            found[name] += connection.execute(table.delete().where(mine)).rowcount
        if letters:
            found[LETTERS] += connection.execute(dead.delete().where(dead.c.id.in_(letters))).rowcount
        gone = {ERASED: found["observations"] + found["late"], ERASED_DECISIONS: len(waiting)}
        count(connection, {(strategy, name): number for name, number in gone.items()})
    return found


def _erase_files(workspace: Workspace, sought: Sought, held: Held) -> Counter[str]:
    """Write files again without a unit, and remove those that hold it, also those of earlier versions."""
    found: Counter[str] = Counter()
    manifest = workspace.manifest
    for file, mine in held:
        if mine and file.until is None:
            try:
                left = remainder(workspace, file, traces.others(sought))
                manifest.replace(sought.strategy, [file.name], [left] if left.rows else [])
            except ConflictError:  # a worker has put another in its place, which the next pass finds
                continue
        if mine:
            manifest.forget([file.name])
            found[TABLE if file.until is None else VERSIONS] += len(mine)
    _remove_unlisted(workspace, sought, {file.name for file, mine in held if not mine})
    return found


def _unlisted(workspace: Workspace, sought: Sought) -> dict[Path, int]:
    """Return the files that hold a unit but are of no version of the table, e.g. of a killed worker, and its rows."""
    there = list(workspace.table_directory.glob(f"{parquet.stem_of(sought.strategy)}-v*.parquet"))
    listed = {file.name for file in _files(workspace, sought)}
    rows = {path: len(traces.rows_of(path, sought)) for path in there if path.name not in listed}
    return {path: number for path, number in rows.items() if number}


def _remove_unlisted(workspace: Workspace, sought: Sought, clean: set[str]) -> None:
    """Remove the files of no version of the table that hold a unit.

    While no file can be listed, and none that is holds the unit: then a worker that is about to list one of these made
    it of files or decisions that are gone, and will be refused.
    """
    unlisted = _unlisted(workspace, sought)
    if not unlisted:
        return
    directory = workspace.table_directory
    with workspace.manifest.frozen(sought.strategy) as listed:
        if not any(traces.rows_of(directory / name, sought) for name in listed - clean):  # else the next pass does
            for path in unlisted.keys() - {directory / name for name in listed}:
                path.unlink(missing_ok=True)


def _look(workspace: Workspace, sought: Sequence[Sought]) -> Counter[str]:
    """Return what is there of a unit, read anew from everywhere."""
    held = {each.strategy: _read(workspace, each) for each in sought}
    ids = _decisions(workspace, sought, held)
    left: Counter[str] = Counter()
    left[SPOOL] = sum(1 for _ in traces.spooled(workspace.spool_directory, sought, ids))
    for each in sought:
        for file, mine in held[each.strategy]:
            left[TABLE if file.until is None else VERSIONS] += len(mine)
        left[UNLISTED] += sum(_unlisted(workspace, each).values())
        with workspace.database.reading() as connection:
            mine = sorted(ids.get(each.strategy, ()))
            places = [traces.places_by_decision(connection, each.strategy, mine), traces.places_by_name(each)]
            for name, (table, condition) in (item for part in places for item in part.items()):
                query = sa.select(sa.func.count()).select_from(table).where(condition)
                if table is tallies:  # those of before went all at once; what the unit did since has made others
                    query = query.where(tallies.c.last_at <= each.until)
                left[name] += connection.execute(query).scalar_one()
            left[LETTERS] += len(traces.letters(connection, each, set(mine)))
    return left
