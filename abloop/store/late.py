"""The late join: what came after a row was complete, or is waited for longer, is added to the training table.

Restartable at any point: a file of the table takes the place of another in the transaction that removes from the late
observations what is in it, and a row knows by hash which observations it has.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from abloop.blueprint import Blueprint, Metric
from abloop.errors import AbloopError, ConflictError
from abloop.pseudonyms import require_pseudonym
from abloop.store.bulk import PART, among, delete_many, insert_many
from abloop.store.counts import count, raise_count, read_counts
from abloop.store.journal import LATE
from abloop.store.labels import Relabelled, is_filled, relabel
from abloop.store.manifest import TABLE, TableFile
from abloop.store.outcomes import Outcomes, read_source, with_pseudonyms
from abloop.store.sql import Database
from abloop.store.tables import decisions, files, late, observations
from abloop.store.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SWEPT = 50_000  # decisions whose observations are moved in one transaction
AT_ONCE = 500_000  # rows, and observations, of one transaction
SWEPT_AT, TURN = "swept", "turn"  # counters: all that had happened at the last sweep, and late joins that looked
Blueprints = Mapping[int, Blueprint]


class Job(NamedTuple):
    """One file that may change.

    Attributes:
        file: The file.
        due: Metrics whose window has ended for all its rows, and which these do not have yet.
    """

    file: TableFile
    due: list[Metric]


class LateJoined(msgspec.Struct, frozen=True):
    """What a late join changed.

    Attributes:
        rows: Rows whose labels changed; one that changed twice counts twice.
        joined: Observations of decisions that are in their rows now. Those of units stay late, for they may be of
            several rows.
        duplicates: Observations that were in their rows already, and are gone.
        files: Files that were replaced.
        version: The table's version now.
    """

    rows: int
    joined: int
    duplicates: int
    files: int
    version: int


def join_late(workspace: Workspace, strategy: str) -> LateJoined:
    """Add to the training table what came late, and the metrics whose window has ended, in a new version of it.

    An observation that came after its row was complete, but happened in time, is added by the metric's rule. A metric
    with a window is filled in once that has ended for all rows of a file, from late observations, or from the outcomes
    of the row's unit, or from the metric's source. Where there is nothing to do, no file is opened.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.

    Raises:
        UnknownNameError: There is no such strategy, or no such source of a metric.
        StoreError: Database or table cannot be used, or a source's query cannot be run; all other metrics are done.
        DataError: A source's query gives something else than units, times and values; all other metrics are done.
    """
    database, manifest, now = workspace.database, workspace.manifest, workspace.clock()
    blueprints = {found.version: blueprint for found, blueprint in workspace.catalogue.blueprints(strategy)}
    sweep(database, strategy)
    turn = _claim(database, strategy)  # before the files are listed, so that the rows of all that is claimed are there
    listed = [file for file in manifest.files(strategy) if file.newest is not None and file.version in blueprints]
    touched = _touched(database, strategy, turn, listed, blueprints)
    jobs = [Job(file, _due(file, blueprints[file.version], now)) for file in listed]
    jobs = [job for job in jobs if job.due or job.file.name in touched]
    if not jobs:
        _release(database, strategy, turn, listed)
        return LateJoined(0, 0, 0, 0, manifest.version(strategy))
    done: list[Relabelled] = []
    batch: list[Relabelled] = []
    with Outcomes(workspace.table_directory) as outcomes:
        failed = _read_sources(workspace, outcomes, jobs, blueprints)
        for file, due in jobs:
            filled = [metric for metric in due if metric not in failed]
            blueprint = blueprints[file.version]
            batch.append(relabel(file, blueprint, filled, database, outcomes, workspace.table_directory, now))
            if sum(part.old.rows + len(part.joined) + len(part.duplicates) for part in batch) >= AT_ONCE:
                done += _keep(workspace, strategy, batch)
                batch = []
    done += _keep(workspace, strategy, batch)
    gone = {part.old.name for part in done if part.new is not None}
    _release(database, strategy, turn, [file for file in listed if file.name not in gone])
    for error in failed.values():
        raise error
    return LateJoined(
        sum(part.rows for part in done),
        sum(len(part.joined) for part in done),
        sum(len(part.duplicates) for part in done),
        len(gone),
        manifest.version(strategy),
    )


def sweep(database: Database, strategy: str) -> int:
    """Move observations that came after their row was complete to the late ones, and return how many.

    Args:
        database: Where they are.
        strategy: Its name.

    Raises:
        StoreError: The database refused.
    """
    counted = read_counts(database, strategy)
    happened = counted.get("observations", 0) + counted.get("rows", 0)
    if happened == counted.get(SWEPT_AT, 0):
        return 0
    seen, moved = observations.c, 0
    joined = sa.exists().where(
        decisions.c.strategy == strategy, decisions.c.decision_id == seen.decision_id, decisions.c.body.is_(None)
    )
    after = sa.select(seen.decision_id).where(seen.strategy == strategy, joined).distinct().limit(SWEPT)
    while True:
        with database.transaction() as connection:
            names = list(connection.execute(after).scalars())
            if not names:
                raise_count(connection, strategy, SWEPT_AT, happened - counted.get(SWEPT_AT, 0))
                return moved
            gone = observations.delete().where(seen.strategy == strategy, among(connection, seen.decision_id, names))
            found = connection.execute(gone.returning(seen.decision_id, seen.name, seen.key, seen.at, seen.value))
            rows = [(strategy, row[0], "", *row[1:]) for row in found]
            again = len(rows) - insert_many(connection, late, LATE, rows)
            count(connection, {(strategy, "duplicates"): again})
            moved += len(rows) - again


def _claim(database: Database, strategy: str) -> int:
    """Mark late observations that were not looked at as this turn's, and return its number; 0 where there are none."""
    fresh = (late.c.strategy == strategy, late.c.fresh > 0)
    with database.reading() as connection:
        if connection.execute(sa.select(late.c.name).where(*fresh).limit(1)).first() is None:
            return 0
    with database.transaction() as connection:
        turn = 1 + raise_count(connection, strategy, TURN)  # 1 is what nobody has claimed
        connection.execute(late.update().where(*fresh).values(fresh=turn))
    return turn


def _release(database: Database, strategy: str, turn: int, left: Sequence[TableFile]) -> None:
    """Mark this turn's observations as looked at, unless another worker replaced files that this one left as they were.

    What it put there may be a metric that some of them wait for; the next turn then looks at them again.
    """
    if not turn:
        return
    with database.transaction() as connection:
        raise_count(connection, strategy, TABLE, 0)  # nobody else changes the table until this has ended
        names = [file.name for file in left]
        there = sa.select(sa.func.count()).where(files.c.until.is_(None), among(connection, files.c.name, names))
        if connection.execute(there).scalar_one() == len(names):
            its = late.c
            connection.execute(late.update().where(its.strategy == strategy, its.fresh == turn).values(fresh=0))


def _due(file: TableFile, blueprint: Blueprint, now: float) -> list[Metric]:
    """Return the metrics whose window has ended for all rows of a file, and which these do not have yet."""
    newest = file.newest or 0.0
    return [metric for metric in blueprint.metrics if not is_filled(file, metric) and newest + metric.window <= now]


def _touched(
    database: Database, strategy: str, turn: int, listed: Sequence[TableFile], blueprints: Blueprints
) -> set[str]:
    """Return the names of the files whose rows may get something from this turn's observations."""
    import numpy as np

    times = _times(database, strategy, turn, blueprints) if turn else {}
    found = set()
    for file in listed:
        for metric in blueprints[file.version].metrics if times else ():
            at = times.get((file.version, metric.name))
            if at is None or not is_filled(file, metric):
                continue
            reach = metric.window if metric.by == "unit" else 0.0
            first, last = np.searchsorted(at, [file.oldest, np.nextafter((file.newest or 0.0) + reach, np.inf)])
            if first < last:
                found.add(file.name)
                break
    return found


def _times(
    database: Database, strategy: str, turn: int, blueprints: Blueprints
) -> dict[tuple[int, str], NDArray[np.float64]]:
    """Return the times of the decisions that this turn's observations are of, or of units' outcomes, rising.

    By version and metric; what happened too late for its row is left out.
    """
    import numpy as np

    waits = {
        (version, metric.name): (metric.by, metric.window or blueprint.lifecycle.ttl)
        for version, blueprint in blueprints.items()
        for metric in blueprint.metrics
        if not metric.measured
    }
    found: dict[tuple[int, str], array[float]] = defaultdict(lambda: array("d"))
    mine = (late.c.strategy == strategy, late.c.fresh == turn)
    of = sa.and_(decisions.c.strategy == late.c.strategy, decisions.c.decision_id == late.c.decision_id)
    query = sa.select(late.c.name, late.c.at, decisions.c.version, decisions.c.at).select_from(
        late.outerjoin(decisions, of)
    )
    with database.reading() as connection:
        for name, at, version, decided in connection.execution_options(yield_per=PART).execute(query.where(*mine)):
            if version is None:
                for each in blueprints:
                    if waits.get((each, name), ("",))[0] == "unit":
                        found[each, name].append(at)
                continue
            by, wait = waits.get((version, name), ("", 0.0))
            if by == "decision" and at <= decided + wait:
                found[version, name].append(decided)
    return {key: np.sort(np.asarray(times)) for key, times in found.items()}


def _read_sources(
    workspace: Workspace, outcomes: Outcomes, jobs: Sequence[Job], blueprints: Blueprints
) -> dict[Metric, AbloopError]:
    """Read what is due from the sources of metrics, and return what went wrong, by metric."""
    hidden = [blueprint.strategy for blueprint in blueprints.values() if blueprint.unit in blueprint.pseudonymise]
    wanted: dict[Metric, list[TableFile]] = defaultdict(list)
    for file, due in jobs:
        for metric in due:
            if metric.query:
                wanted[metric].append(file)
    failed: dict[Metric, AbloopError] = {}
    for metric, those in wanted.items():
        start = min(file.oldest or 0.0 for file in those)
        end = max(file.newest or 0.0 for file in those) + metric.window
        try:
            chunks = read_source(metric, workspace.sources, start, end)
            if hidden:
                chunks = with_pseudonyms(chunks, require_pseudonym(workspace.pseudonym, hidden[0]))
            outcomes.add(metric, chunks)
        except AbloopError as error:
            failed[metric] = error
    return failed


def _keep(workspace: Workspace, strategy: str, batch: Sequence[Relabelled]) -> Sequence[Relabelled]:
    """List the new files of a batch, and let go of what is in them now, all or nothing."""
    joined = [key for part in batch for key in part.joined]
    duplicates = [key for part in batch for key in part.duplicates]

    def settle(connection: Connection) -> None:
        gone = [(strategy, decision, "", name, key) for decision, name, key in (*joined, *duplicates)]
        if delete_many(connection, late, LATE[:5], gone) != len(gone):
            raise ConflictError(
                f"strategy {strategy!r}: some late observations were removed while they were joined. "
                "Nothing was changed; run it again"
            )
        count(connection, {(strategy, "joined"): len(joined), (strategy, "duplicates"): len(duplicates)})

    changed = [(part.old.name, part.new) for part in batch if part.new is not None]
    if changed:
        workspace.manifest.replace(strategy, [old for old, _ in changed], [new for _, new in changed], settle)
    elif duplicates:
        with workspace.database.transaction() as connection:
            settle(connection)
    return batch
