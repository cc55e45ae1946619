"""Labels of finished rows: what came late is added to a file of the training table, which becomes a new file.

Which row an outcome belongs to is found by DuckDB; how several become one is said in `abloop.join`, as for those in
time. A row keeps a hash of each observation that is in it, so that none counts there again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import sqlalchemy as sa

from abloop.blueprint import Blueprint, Metric
from abloop.join import Column, Label, combine, observation_hash
from abloop.store import parquet
from abloop.store.bulk import among, select_columns
from abloop.store.manifest import TableFile
from abloop.store.outcomes import Matched, Outcomes
from abloop.store.sql import Database
from abloop.store.tables import late

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

ASKED = 50_000  # decisions or units that are asked for at once
Key = tuple[str, str, str]  # decision, metric and idempotency key of an observation


class Relabelled(msgspec.Struct, frozen=True):
    """What became of one file.

    Attributes:
        old: The file.
        new: What takes its place, already on disk; None where no row changed.
        rows: Rows that changed.
        joined: Observations of decisions that are in their rows now.
        duplicates: Those that were there already.
    """

    old: TableFile
    new: TableFile | None
    rows: int
    joined: list[Key]
    duplicates: list[Key]


class Offered(NamedTuple):
    """Late observations, column by column, each of length m.

    Attributes:
        decision_ids: Their decisions; empty where they are of a unit.
        units: Their units; empty where they are of a decision.
        names: Their metrics.
        keys: Their idempotency keys.
        times: When they happened.
        values: Their values.
    """

    decision_ids: list[str]
    units: list[str]
    names: list[str]
    keys: list[str]
    times: list[float]
    values: list[float]


def is_filled(file: TableFile, metric: Metric) -> bool:
    """Return whether the rows of a file have a metric, observed or its default."""
    return not metric.window or metric.name in file.observed


def relabel(
    file: TableFile,
    blueprint: Blueprint,
    due: Sequence[Metric],
    database: Database,
    outcomes: Outcomes,
    directory: Path,
    now: float,
) -> Relabelled:
    """Add to the rows of a file what is there for them by now; the database still says what it said.

    Args:
        file: The file.
        blueprint: That of its version.
        due: Metrics whose window has ended for all its rows, and which these do not have yet.
        database: Where late observations are.
        outcomes: What was read from the sources of metrics.
        directory: Where training tables are.
        now: Seconds since 1970.

    Raises:
        StoreError: A file cannot be read or written.
    """
    import numpy as np

    (path,) = parquet.paths(directory, [file.name])
    metrics = [metric for metric in blueprint.metrics if metric in due or is_filled(file, metric)]
    parts = [f"{part}.{metric.name}" for metric in metrics for part in ("y", "n", "at")]
    table = parquet.read([path], ["decision_id", "unit", "time", "keys", *parts])
    if "keys" not in table.column_names:  # of a release that kept none: what comes now may be in the row already
        return Relabelled(file, None, 0, [], [])
    offered = _read_late(database, file.strategy, table, metrics)
    sourced = {place: metric for place, metric in enumerate(metrics) if metric.query and metric in due}
    rows = table.select(["decision_id", "unit", "time"])
    found = outcomes.match(rows, _as_table(offered, metrics, blueprint.lifecycle.ttl), sourced)
    again, keys = _add_keys(table["keys"].combine_chunks(), found, offered)
    joined, duplicates = _of_decisions(offered, found.places[~again]), _of_decisions(offered, found.places[again])
    found = found.only(~again)
    names = [offered.keys[place] if place >= 0 else "" for place in found.places.tolist()]
    columns: dict[str, Column] = {}
    for place, metric in enumerate(metrics):
        mine = np.flatnonzero(found.metrics == place)
        if metric in due or len(mine):
            label = Label(metric.name, metric.combine, metric.default)
            more = combine(label, mine, found.rows, found.times, found.values, names, table.num_rows)
            columns[metric.name] = more if metric in due else _add(metric, _column(table, metric.name), more)
    if not columns:
        return Relabelled(file, None, 0, joined, duplicates)
    observed = file.observed | {name: int((column.counts > 0).sum()) for name, column in columns.items()}
    schema = parquet.schema_of(path)
    whole = _with_columns(path, schema, columns, keys)
    name = parquet.write_parts(schema, whole, directory, file.strategy, file.version)
    listed = msgspec.structs.replace(file, name=name, observed=observed, at=now)
    changed = table.num_rows if due else len(np.unique(found.rows))
    return Relabelled(file, listed, changed, joined, duplicates)


def _read_late(database: Database, strategy: str, table: pa.Table, metrics: Sequence[Metric]) -> Offered:
    """Return the late observations of the decisions, and of the units, of a file."""
    import pyarrow.compute as pc

    its, found = late.c, Offered([], [], [], [], [], [])
    columns: Sequence[list[Any]] = found
    for by, asked in (("decision", its.decision_id), ("unit", its.unit)):
        names = [metric.name for metric in metrics if metric.by == by and not metric.query and not metric.measured]
        if not names:
            continue
        ids = table["decision_id"] if by == "decision" else pc.unique(table["unit"])
        query = sa.select(its.decision_id, its.unit, its.name, its.key, its.at, its.value)
        query = query.where(its.strategy == strategy, its.name.in_(names))
        query = query.where(its.decision_id == "") if by == "unit" else query
        for start in range(0, len(ids), ASKED):
            with database.reading() as connection:
                part = query.where(among(connection, asked, ids[start : start + ASKED].to_pylist()))
                for column, values in zip(columns, select_columns(connection, part), strict=True):
                    column += values
    return found


def _as_table(offered: Offered, metrics: Sequence[Metric], ttl: float) -> pa.Table:
    """Return late observations as they are matched."""
    import numpy as np
    import pyarrow as pa

    number = {metric.name: place for place, metric in enumerate(metrics)}
    which = np.array([number[name] for name in offered.names], dtype=np.int64)
    waits = np.array([metric.window or ttl for metric in metrics])
    columns = {
        "decision_id": pa.array(offered.decision_ids, pa.string()),
        "unit": pa.array(offered.units, pa.string()),
        "metric": which,
        "time": np.array(offered.times, dtype=np.float64),
        "value": np.array(offered.values, dtype=np.float64),
        "place": np.arange(len(which)),
        "wait": waits[which],
    }
    return pa.table(columns)


def _add_keys(keys: pa.BinaryArray, found: Matched, offered: Offered) -> tuple[NDArray[np.bool_], pa.Array]:
    """Return which outcomes are in their row already, shape (u,), and the keys of the rows with all others."""
    import numpy as np

    ends = np.frombuffer(keys.buffers()[1], dtype=np.int32)[keys.offset : keys.offset + len(keys) + 1] // 8
    there = np.frombuffer(keys.buffers()[2] or b"", dtype=">u8")[ends[0] : ends[-1]].astype(np.uint64)
    digests = [observation_hash(*pair) for pair in zip(offered.names, offered.keys, strict=True)]
    hashes = np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)
    mine = np.flatnonzero(found.places >= 0)
    rows = np.r_[np.repeat(np.arange(len(keys)), np.diff(ends)), found.rows[mine]]
    both = np.r_[there, hashes[found.places[mine]]]
    order = np.lexsort((np.arange(len(both)), both, rows))  # of equals, that which was there comes first
    equal = (np.diff(rows[order]) == 0) & (np.diff(both[order]) == 0)
    twice = order[np.flatnonzero(equal) + 1]
    again = np.zeros(len(found.rows), dtype=np.bool_)
    again[mine[twice - len(there)]] = True
    left = order[np.r_[True, ~equal]] if len(order) else order
    return again, parquet.key_column(both[left], np.cumsum(np.bincount(rows[left], minlength=len(keys))))


def _of_decisions(offered: Offered, places: NDArray[np.int64]) -> list[Key]:
    """Return those of some observations that are of a decision."""
    of = offered.decision_ids
    return [(of[at], offered.names[at], offered.keys[at]) for at in places.tolist() if at >= 0 and of[at]]


def _column(table: pa.Table, name: str) -> Column:
    """Return a label of a file's rows."""
    import pyarrow.compute as pc

    counts = pc.fill_null(table[f"n.{name}"], 0).to_numpy()
    return Column(table[f"y.{name}"].to_numpy(), counts, table[f"at.{name}"].to_numpy())


def _add(metric: Metric, before: Column, more: Column) -> Column:
    """Return a label with more observations; of two at one time, that which was there stays the last."""
    import numpy as np

    values, seen = before.values.copy(), more.counts > 0
    if metric.combine == "sum":
        values[seen] += more.values[seen]
    elif metric.combine == "max":
        values[seen] = np.maximum(values[seen], more.values[seen])
    else:
        newer = seen & (more.times > before.times)
        values[newer] = more.values[newer]
    first = seen & (before.counts == 0)  # there was the default
    values[first] = more.values[first]
    return Column(values, before.counts + more.counts, np.fmax(before.times, more.times))


def _with_columns(path: str, schema: pa.Schema, columns: dict[str, Column], keys: pa.Array) -> Iterator[pa.Table]:
    """Yield the rows of a whole file with other labels and keys, a part at a time."""
    changed: dict[str, Any] = {"keys": keys}
    for name, column in columns.items():
        changed |= parquet.label_columns(column, name, len(keys))
    start = 0
    for part in parquet.read_parts(path):
        for title, values in changed.items():
            place = schema.get_field_index(title)
            part = part.set_column(place, schema.field(place), values.slice(start, part.num_rows))
        start += part.num_rows
        yield part
