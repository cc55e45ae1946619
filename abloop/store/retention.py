"""Retention: what is older than its strategy's blueprint keeps goes, from the database and from the training table.

Files are taken off the list first and off the disk at the next turn, so that who reads them can finish.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from abloop.store import parquet
from abloop.store.counts import count
from abloop.store.manifest import TableFile
from abloop.store.remainder import remainder
from abloop.store.sql import Database
from abloop.store.tables import dead, decisions, entities, files, late, observations
from abloop.store.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

DAY = 86_400.0
READABLE = 7 * DAY  # how long versions of the table before the newest can be read
BATCH = 50_000


class Retained(msgspec.Struct, frozen=True):
    """What was let go of.

    Attributes:
        rows: Rows of the training table.
        files: Files that were taken off the list.
        observations: Observations that were in no row.
        decisions: Decisions that were in no row.
        letters: Dead letters.
        deleted: Files that are gone from the disk.
    """

    rows: int = 0
    files: int = 0
    observations: int = 0
    decisions: int = 0
    letters: int = 0
    deleted: int = 0


def retain(workspace: Workspace, strategy: str) -> Retained:
    """Let go of what is older than a strategy keeps, and of versions of its table that nobody reads any more.

    Of `lifecycle.retention` the served version counts. What is older is gone from list and database when this
    returns, but for files with younger rows, which may keep it a day longer; from the disk a turn later. Sticky arms
    have no time, and stay until `erase`. Run it as often as you like.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.

    Raises:
        UnknownNameError: There is no such strategy.
        StoreError: Database or table cannot be used, or another worker changed the same files; run it again.
    """
    serving = workspace.catalogue.serving(strategy)
    kept = workspace.catalogue.blueprint(strategy, serving.version)[1].lifecycle.retention
    now = workspace.clock()
    deleted = _delete_unlisted(workspace, strategy)
    if not kept:
        return Retained(files=_forget_replaced(workspace, strategy, now - READABLE, -1.0), deleted=deleted)
    limit, rows, gone = now - kept, 0, []
    for file in workspace.manifest.files(strategy):
        if file.oldest is None or file.newest is None:  # of a release that did not say
            file = _with_range(workspace, file)
        if (file.newest or 0.0) <= limit:
            rows += file.rows
            gone.append(file.name)
        elif (file.oldest or 0.0) <= limit - DAY:
            left = remainder(workspace, file, _younger(limit))
            workspace.manifest.replace(strategy, [file.name], [left])
            rows += file.rows - left.rows
    if gone:
        workspace.manifest.forget(gone)
    forgotten = len(gone) + _forget_replaced(workspace, strategy, now - READABLE, limit)
    expired = _expire(workspace.database, strategy, limit)
    return Retained(
        rows=rows,
        files=forgotten,
        observations=expired["expired"],
        decisions=expired["expired_decisions"],
        letters=expired["expired_letters"],
        deleted=deleted,
    )


def _with_range(workspace: Workspace, file: TableFile) -> TableFile:
    """Return a file with the range of its rows' times, as it is on the disk."""
    import pyarrow.compute as pc

    (path,) = parquet.paths(workspace.table_directory, [file.name])
    first, last = pc.min_max(parquet.read([path], ["time"])["time"]).as_py().values()
    return msgspec.structs.replace(file, oldest=first, newest=last)


def _younger(limit: float) -> Callable[[pa.Table], pa.Table]:
    """Return what keeps the rows after a time."""
    import pyarrow.compute as pc

    return lambda part: part.filter(pc.greater(part["time"], limit))


def _forget_replaced(workspace: Workspace, strategy: str, replaced: float, limit: float) -> int:
    """Take files off the list that only earlier versions of the table have, where they are old or hold what is."""
    its, newer = files.c, files.alias()
    made = sa.select(sa.func.min(newer.c["at"])).where(newer.c.strategy == strategy, newer.c.since == its.until)
    old = sa.or_(sa.func.coalesce(made.scalar_subquery(), 0.0) <= replaced, its.oldest <= limit)
    query = sa.select(its.name).where(its.strategy == strategy, its.until.is_not(None), old)
    with workspace.database.reading() as connection:
        names = list(connection.execute(query).scalars())
    if names:
        workspace.manifest.forget(names)
    return len(names)


def _expire(database: Database, strategy: str, limit: float) -> Counter[str]:
    """Delete what is older in the database, a batch in a transaction, and count it."""
    expired: Counter[str] = Counter()
    places = (
        (observations, observations.c["at"], "expired"),
        (late, late.c["at"], "expired"),
        (entities, entities.c["at"], ""),
        (dead, dead.c["at"], "expired_letters"),
        (decisions, decisions.c["at"], "expired_decisions"),
    )
    for table, at, name in places:
        while True:
            with database.transaction() as connection:
                gone, counted = _delete_some(connection, table, (table.c.strategy == strategy) & (at <= limit))
                expired[name] += counted
                count(connection, {(strategy, name): counted} if name else {})
            if gone < BATCH:
                break
    return expired


def _delete_some(connection: Connection, table: sa.Table, old: sa.ColumnElement[bool]) -> tuple[int, int]:
    """Delete some rows; return how many, and how many of these count: a decision that is in a row counts there."""
    key = list(table.primary_key.columns)
    some = sa.select(*key).where(old).limit(BATCH).correlate(None)
    those = sa.tuple_(*key).in_(some) if len(key) > 1 else key[0].in_(some)
    gone = table.delete().where(those)
    if table is not decisions:
        rows = connection.execute(gone).rowcount
        return rows, rows
    bodies = connection.execute(gone.returning(decisions.c.body.is_(None))).scalars().all()
    return len(bodies), len(bodies) - sum(map(bool, bodies))


def _changed(path: Path) -> float:
    """Return when a file was written; never, where another worker has deleted it meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return math.inf


def _delete_unlisted(workspace: Workspace, strategy: str) -> int:
    """Delete files of a strategy that no version of the table has and that nobody can be about to list."""
    stem = parquet.stem_of(strategy)
    old = workspace.clock() - DAY
    found: list[Path] = [
        path
        for pattern in (f"{stem}-v*.parquet", f".{stem}-*")
        for path in workspace.table_directory.glob(pattern)
        if _changed(path) <= old
    ]
    with workspace.database.reading() as connection:
        listed = set(connection.execute(sa.select(files.c.name)).scalars())
    gone = [path for path in found if path.name not in listed]
    for path in gone:
        path.unlink(missing_ok=True)
    return len(gone)
