"""What happened after one decision: observations that wait, values in its row, and what is still waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from abloop.blueprint import Metric
from abloop.records import Decision, Observation, decode
from abloop.store.parquet import damaged, paths, schema_of
from abloop.store.spool import segments
from abloop.store.tables import late, observations
from abloop.store.workspace import Workspace

Stage = Literal["joined", "default", "missing", "waiting", "window", "late", "none"]


class Outcome(msgspec.Struct, frozen=True):
    """One metric of one decision.

    Attributes:
        metric: The metric.
        stage: `joined` in its row; `default`, nothing was logged; `missing`, likewise, and it has no default;
            `waiting`, logged, for the end of the TTL; `window`, for the end of its own window; `late`, logged after
            the TTL and not in the row; `none`, nothing logged yet.
        value: Its value; None where there is none.
        count: Observations behind it.
        at: Time of the last of them, in seconds since 1970; None where there is none.
    """

    metric: str
    stage: Stage
    value: float | None = None
    count: int = 0
    at: float | None = None


class Logged(msgspec.Struct, frozen=True):
    """One observation that is not in a row."""

    metric: str
    value: float
    at: float
    late: bool = False


def read_outcomes(workspace: Workspace, decision: Decision) -> tuple[Outcome, ...]:
    """Return what became of each metric of a decision, in the order of its blueprint.

    Args:
        workspace: What `abloop.connect` gave.
        decision: The decision.

    Raises:
        StoreError: Database or table cannot be read.
    """
    _, blueprint = workspace.catalogue.blueprint(decision.strategy, decision.version)
    row = _row(workspace, decision)
    logged = _logged(workspace, decision)
    return tuple(
        _outcome(metric, row, [one for one in logged if one.metric == metric.name]) for metric in blueprint.metrics
    )


def _outcome(metric: Metric, row: dict[str, Any] | None, logged: list[Logged]) -> Outcome:
    """Return what became of one metric."""
    name = metric.name
    if row is not None and row.get(f"n.{name}") is not None:
        count, value = int(row[f"n.{name}"]), row[f"y.{name}"]
        if count:
            return Outcome(name, "joined", value, count, row.get(f"at.{name}"))
        if not logged:
            return Outcome(name, "missing" if value is None else "default", value)
    if not logged:
        return Outcome(name, "none" if row is None else "window")
    values = [one.value for one in sorted(logged, key=lambda one: one.at)]
    value = {"last": values[-1], "sum": sum(values), "max": max(values)}[metric.combine]
    stage: Stage = "waiting" if row is None else "window" if row.get(f"n.{name}") is None else "late"
    return Outcome(name, stage, value, len(values), max(one.at for one in logged))


def _row(workspace: Workspace, decision: Decision) -> dict[str, Any] | None:
    """Return the decision's row of the training table; None where it has none yet."""
    listed = [
        file.name
        for file in workspace.manifest.files(decision.strategy)
        if file.version == decision.version
        and (file.oldest is None or file.oldest <= decision.time)
        and (file.newest is None or file.newest >= decision.time)
    ]
    return _read_row(paths(workspace.table_directory, listed), decision.decision_id)


def _read_row(files: Sequence[str], decision_id: str) -> dict[str, Any] | None:
    """Return what the files say of a decision's outcomes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in files:
        wanted = [name for name in schema_of(path).names if name.startswith(("y.", "n.", "at."))]
        try:
            its = [("decision_id", "==", decision_id)]
            here = pq.read_table(path, columns=wanted, filters=its, partitioning=None)
        except (pa.ArrowException, OSError) as error:
            raise damaged(path, error) from error
        if here.num_rows:
            row: dict[str, Any] = here.slice(0, 1).to_pylist()[0]
            return row
    return None


def _logged(workspace: Workspace, decision: Decision) -> list[Logged]:
    """Return the observations of a decision that are in no row: in the database, late, and in the spool."""
    found = {}
    with workspace.database.reading() as connection:
        for table, is_late in ((observations, False), (late, True)):
            mine = (table.c.strategy == decision.strategy, table.c.decision_id == decision.decision_id)
            for row in connection.execute(sa.select(table).where(*mine)):
                found[row.name, row.key] = Logged(row.name, row.value, row.at, is_late)
    for segment in segments(workspace.spool_directory):
        try:
            for offset, payload in segment.records(workspace.journal.shipped(segment.name)):
                record = decode(payload)
                its = isinstance(record, Observation) and record.decision_id == decision.decision_id
                if isinstance(record, Observation) and its and record.strategy == decision.strategy:
                    key = (record.name, record.key or f"{segment.name}:{offset}")
                    found.setdefault(key, Logged(record.name, record.value, record.time))
        except FileNotFoundError:  # shipped and removed meanwhile
            continue
    return list(found.values())
