"""Where rows to be read are: Parquet files or a frame, by DuckDB, or any database, by SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from abloop.errors import DataError, StoreError
from abloop.store.measures import literal
from abloop.store.sql import shown_url

if TYPE_CHECKING:
    import duckdb

ONE_THREAD_BYTES = 64 << 20
FRAME = "frame"
Rows = list[tuple[Any, ...]]


class Warehouse(Protocol):
    """What runs a query over rows.

    Attributes:
        quantiles: Whether it knows `QUANTILE_DISC` and `QUANTILE_CONT`.
    """

    quantiles: bool

    def rows(self, query: str) -> Rows:
        """Return the rows of a query."""
        ...

    def columns(self, relation: str) -> list[str]:
        """Return the names of a relation's columns."""
        ...


class Duck:
    """DuckDB over files or a frame.

    Args:
        connection: An open one.
    """

    quantiles = True

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Keep it."""
        self._connection = connection

    def rows(self, query: str) -> Rows:
        """Return the rows of a query.

        Raises:
            StoreError: A file is damaged, or a column is not what the query takes it for.
        """
        import duckdb

        try:
            return self._connection.execute(query).fetchall()
        except duckdb.Error as error:
            said = str(error).splitlines()[0]
            raise StoreError(f"the table cannot be read: {said}. Repair it, or restore it from a backup") from error

    def columns(self, relation: str) -> list[str]:
        """Return the names of a relation's columns."""
        return [row[0] for row in self.rows(f"DESCRIBE SELECT * FROM {relation}")]  # noqa: S608


class Remote:
    """A database of the company's own.

    Args:
        url: An SQLAlchemy URL.

    Raises:
        StoreError: The URL is none.
    """

    def __init__(self, url: str) -> None:
        """Connect at the first query."""
        try:
            self._engine = sa.create_engine(make_url(url))
        except (ArgumentError, ModuleNotFoundError) as error:
            raise StoreError(f"database URL {shown_url(url)!r} cannot be used: {error}") from error
        self._url = shown_url(url)
        self.quantiles = False

    def rows(self, query: str) -> Rows:
        """Return the rows of a query.

        Raises:
            StoreError: The database refuses it.
        """
        try:
            with self._engine.connect() as connection:
                return [tuple(row) for row in connection.exec_driver_sql(query.replace("%", "%%"))]
        except DBAPIError as error:
            said = str(error.orig).strip().splitlines()[0]
            raise StoreError(f"database {self._url}: {said}. Check the table and its columns") from error

    def columns(self, relation: str) -> list[str]:
        """Return the names of a relation's columns."""
        try:
            with self._engine.connect() as connection:
                return list(connection.exec_driver_sql(f"SELECT * FROM {relation} WHERE 1 = 0").keys())  # noqa: S608
        except DBAPIError as error:
            said = str(error.orig).strip().splitlines()[0]
            raise StoreError(f"database {self._url}: {said}. Name a table, or a query in brackets") from error

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


@contextmanager
def open_files(files: Sequence[str | Path]) -> Iterator[tuple[Duck, str]]:
    """Give a warehouse over Parquet files, and the relation that reads them all.

    Args:
        files: Paths, one or more.

    Raises:
        DataError: One is not there.
    """
    import duckdb

    paths = [Path(file) for file in files]
    for path in paths:
        if not path.exists():
            raise DataError(f"file {path} is not there; name Parquet files")
    with duckdb.connect() as connection:
        if sum(path.stat().st_size for path in paths) < ONE_THREAD_BYTES:
            connection.execute("SET threads = 1")  # the order of a sum, and so its last digit, is then fixed
        listed = ", ".join(literal(str(path)) for path in paths)
        yield Duck(connection), f"read_parquet([{listed}], union_by_name = true)"


@contextmanager
def open_frame(frame: Any) -> Iterator[tuple[Duck, str]]:
    """Give a warehouse over a frame of pandas, polars or Arrow, and the relation that reads it.

    Args:
        frame: n rows.

    Raises:
        DataError: It is no frame.
    """
    import duckdb
    import narwhals as nw

    try:
        native = nw.from_native(frame, eager_only=True)
    except TypeError as error:
        raise DataError(
            f"data is a {type(frame).__name__}; allowed: a frame, a Parquet path, a database URL"
        ) from error
    table = frame if type(frame).__module__.startswith("pandas") else native.to_arrow()
    with duckdb.connect() as connection:
        connection.register(FRAME, table)
        yield Duck(connection), FRAME


@contextmanager
def open_database(url: str, table: str) -> Iterator[tuple[Remote, str]]:
    """Give a warehouse over a company's own database, and the relation that is read.

    Args:
        url: An SQLAlchemy URL.
        table: A table, as SQL writes it, or a query.

    Raises:
        StoreError: The URL is none.
        DataError: No table is named.
    """
    if not table:
        raise DataError("a database is named, but no table; allowed: table='exposures', or a query")
    relation = (
        f"({table.strip().rstrip(';')}) AS selected" if table.strip().lower().startswith(("select", "with")) else table
    )
    remote = Remote(url)
    try:
        yield remote, relation
    finally:
        remote.close()
