"""Outcomes of units: read from a company's own database, and matched with rows by DuckDB in small memory."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from abloop.blueprint import Metric
from abloop.errors import DataError, StoreError, UnknownNameError, unknown
from abloop.pseudonyms import Pseudonym
from abloop.store.outside import open_source
from abloop.store.rows import Source
from abloop.store.sources import is_wrong_sql
from abloop.store.sql import explain_refusal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

COLUMNS = ("unit", "time", "value")
CHUNK = 20_000
MEMORY = "512MB"  # beyond it DuckDB goes to the disk


class Matched(NamedTuple):
    """Outcomes that are in the window of a row, each of length u; one may be there for several rows.

    Attributes:
        rows: The row.
        metrics: Which metric.
        times: When it happened, in seconds since 1970.
        values: Its value.
        places: Its place among what was offered; -1 where it is from a source.
    """

    rows: NDArray[np.int64]
    metrics: NDArray[np.int64]
    times: NDArray[np.float64]
    values: NDArray[np.float64]
    places: NDArray[np.int64]

    def only(self, those: NDArray[np.bool_]) -> Matched:
        """Return some of them, shape (u,)."""
        return Matched(self.rows[those], self.metrics[those], self.times[those], self.values[those], self.places[those])


class Outcomes:
    """Outcomes of sources, and the matching of outcomes with rows.

    Args:
        directory: Where what does not fit into memory goes for a time.
    """

    def __init__(self, directory: Path) -> None:
        """Open an empty DuckDB."""
        import duckdb

        spill = str(directory / ".outcomes")
        self._connection = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": spill, "threads": 2})
        self._connection.execute("CREATE TABLE sourced (metric BIGINT, unit VARCHAR, time DOUBLE, value DOUBLE)")
        self._numbers: dict[Metric, int] = {}

    def __enter__(self) -> Outcomes:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of everything."""
        self._connection.close()

    def add(self, metric: Metric, chunks: Iterable[pa.Table]) -> None:
        """Keep the outcomes of a metric, a chunk at a time; all of them, or none where reading them fails.

        Args:
            metric: As one blueprint version has it.
            chunks: Tables with the columns `unit`, `time` and `value`.
        """
        number = self._numbers.setdefault(metric, len(self._numbers))
        self._connection.begin()
        try:
            for chunk in chunks:
                self._connection.register("chunk", chunk)
                self._connection.execute("INSERT INTO sourced SELECT ?, unit, time, value FROM chunk", [number])
                self._connection.unregister("chunk")
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()

    def match(self, rows: pa.Table, offered: pa.Table, sourced: Mapping[int, Metric]) -> Matched:
        """Return which outcome is in the window of which row.

        Args:
            rows: `decision_id`, `unit` and `time` of n rows.
            offered: Observations: `decision_id`, or `unit` where that is empty, `metric` (a number), `time`, `value`,
                `place`, and `wait`, the seconds after a decision in which they count.
            sourced: Number of a metric to the metric, where its outcomes are from a source.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        after = "o.time BETWEEN r.time AND r.time"  # and so many seconds
        parts = [
            _match("metric", "place", "offered", "o.decision_id = r.decision_id AND o.time <= r.time + wait"),
            _match("metric", "place", "offered", f"o.decision_id = '' AND o.unit = r.unit AND {after} + wait"),
        ]
        first, last = pc.min_max(rows["time"]).as_py().values()
        for number, metric in sourced.items():
            near = f"o.metric = {self._numbers[metric]} AND o.time BETWEEN {first!r} AND {last + metric.window!r}"
            mine = f"{near} AND o.unit = r.unit AND {after} + {metric.window!r}"
            parts.append(_match(f"{number}::BIGINT", "-1::BIGINT", "sourced", mine))
        self._connection.register("rows", rows.append_column("row", pa.array(np.arange(rows.num_rows))))
        self._connection.register("offered", offered)
        found = self._connection.execute(" UNION ALL ".join(parts)).fetchnumpy()
        return Matched(*(np.asarray(column) for column in found.values()))


def _match(metric: str, place: str, offered: str, condition: str) -> str:
    """Return SQL that says which outcome belongs to which row; numbers and names in it are our own."""
    return f"SELECT row, {metric}, o.time, value, {place} FROM {offered} o JOIN rows r ON {condition}"  # noqa: S608


def read_source(metric: Metric, sources: Mapping[str, Source], start: float, end: float) -> Iterator[pa.Table]:
    """Yield the outcomes of a metric from its source, a chunk at a time.

    The query binds `:start` and `:end` to whole seconds since 1970. Where times are kept otherwise, it converts them:
    `paid_at >= to_timestamp(:start)` on Postgres, `paid_at >= datetime(:start, 'unixepoch')` for ISO texts in SQLite.
    What it selects as `time` may be seconds since 1970, a timestamp or an ISO text; without a time zone it is UTC.

    Args:
        metric: Its source and query.
        sources: Name to database URL.
        start: Seconds since 1970, inclusive.
        end: Seconds since 1970, inclusive.

    Raises:
        UnknownNameError: There is no such source.
        StoreError: The database refuses, or cannot run the query.
        DataError: The query gives other columns, or a value that is none of its column.
    """
    database = open_source(_url(metric, sources))
    query = sa.text(metric.query)
    named = sorted(set(query.compile().params) - {"start", "end"})
    if named:
        came = f"metric {metric.name!r}: its query has the parameter :{named[0]}; allowed: :start and :end"
        raise DataError(f"{came}; write \\: for a colon that names none")
    bound = {"start": math.floor(start), "end": math.ceil(end) + 1}
    try:
        with database.engine.connect().execution_options(begin="BEGIN", yield_per=CHUNK) as connection:
            result = connection.execute(query, bound)
            places = _places(metric, list(result.keys()) if result.returns_rows else [])
            for part in result.partitions():
                yield _chunk(metric, *([row[place] for row in part] for place in places))
    except DBAPIError as error:
        if is_wrong_sql(error):
            said = str(error.orig).strip().splitlines()[0]
            raise StoreError(f"metric {metric.name!r}: its query cannot be run: {said}. Repair it") from error
        raise StoreError(f"metric {metric.name!r}: {explain_refusal(database.url, error)}") from error


def with_pseudonyms(chunks: Iterable[pa.Table], pseudonym: Pseudonym) -> Iterator[pa.Table]:
    """Yield outcomes by their units and again by their pseudonyms, for versions of a blueprint write one or the other.

    Args:
        chunks: As `read_source` yields them.
        pseudonym: Gives the pseudonym of a text.
    """
    import pyarrow as pa

    for chunk in chunks:
        yield chunk
        hidden = pa.array([pseudonym(unit) for unit in chunk["unit"].to_pylist()], pa.string())
        yield chunk.set_column(chunk.column_names.index("unit"), "unit", hidden)


def _url(metric: Metric, sources: Mapping[str, Source]) -> str:
    """Return the URL of a metric's source."""
    found = sources.get(metric.source, metric.source)
    if not isinstance(found, str):
        came = f"metric {metric.name!r}: its source {metric.source!r} is a Python function"
        raise StoreError(f"{came}; allowed: a database URL, e.g. connect(..., sources={{{metric.source!r}: URL}})")
    if "://" not in found:
        hint = "give it to connect(..., sources={NAME: URL}), or name a database URL"
        raise UnknownNameError(f"metric {metric.name!r}: {unknown('source', metric.source, sources)}; {hint}")
    return found


def _places(metric: Metric, given: Sequence[str]) -> list[int]:
    """Return where a query's three columns are."""
    if missing := [name for name in COLUMNS if name not in given]:
        came = f"metric {metric.name!r}: its query gives no column {missing[0]!r}, but {', '.join(given) or 'no rows'}"
        raise DataError(f"{came}; allowed: unit, time and value. Name them: SELECT user_id AS unit, ...")
    return [given.index(name) for name in COLUMNS]


def _chunk(metric: Metric, units: Sequence[Any], times: Sequence[Any], values: Sequence[Any]) -> pa.Table:
    """Return a part of a query's rows as a table."""
    import pyarrow as pa

    plain, numbers = set(map(type, units)) <= {str}, {int, float}
    columns: dict[str, Sequence[Any]] = {
        "unit": units if plain else [_unit(metric, unit) for unit in units],
        "time": times if set(map(type, times)) <= numbers else [_seconds(metric, time) for time in times],
        "value": values if set(map(type, values)) <= numbers else [_number(metric, value) for value in values],
    }
    for name in ("time", "value"):
        if not all(map(math.isfinite, columns[name])):
            raise _refusal(metric, name, next(v for v in columns[name] if not math.isfinite(v)), "finite numbers")
    kinds = {"unit": pa.string(), "time": pa.float64(), "value": pa.float64()}
    return pa.table({name: pa.array(columns[name], kind) for name, kind in kinds.items()})


def _unit(metric: Metric, unit: Any) -> str:
    """Return a unit as `get_decision` makes text of it."""
    if isinstance(unit, str | UUID) or (isinstance(unit, int) and not isinstance(unit, bool)):
        return str(unit)
    raise _refusal(metric, "unit", unit, "texts and whole numbers. Cast it, or leave such rows out")


def _seconds(metric: Metric, value: Any) -> float:
    """Return a time in seconds since 1970."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):  # refused below
            value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return float(value)
    raise _refusal(metric, "time", value, "seconds since 1970, timestamps and ISO texts")


def _number(metric: Metric, value: Any) -> float:
    if isinstance(value, int | float | Decimal):
        return float(value)
    raise _refusal(metric, "value", value, "numbers. Cast it, or leave such rows out: WHERE value IS NOT NULL")


def _refusal(metric: Metric, column: str, value: Any, allowed: str) -> DataError:
    came = f"metric {metric.name!r}: its query gives {column} {value!r:.80}, a {type(value).__name__}"
    return DataError(f"{came}; allowed: {allowed}")
