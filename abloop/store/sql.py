"""The database: its tables, its connections, and one way of saying what is wrong with it.

SQLAlchemy is imported here and in the rooms beside it, never by `import abloop`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from abloop.errors import MissingExtraError, StoreError

SCHEMA_VERSION = 1
BUSY_SECONDS = 10.0
metadata = sa.MetaData()
_Text, _Float, _Int = sa.Text, sa.Double, sa.BigInteger

schema = sa.Table("abloop_schema", metadata, sa.Column("version", _Int, primary_key=True, autoincrement=False))
blueprints = sa.Table(
    "abloop_blueprints",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("version", _Int, primary_key=True, autoincrement=False),
    sa.Column("hash", _Text, nullable=False),
    sa.Column("body", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("who", _Text, nullable=False),
    sa.Column("why", _Text, nullable=False),
)
servings = sa.Table(
    "abloop_servings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("strategy", _Text, nullable=False, index=True),
    sa.Column("version", _Int, nullable=False),
    sa.Column("phase", _Text, nullable=False),
    sa.Column("release", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("who", _Text, nullable=False),
    sa.Column("why", _Text, nullable=False),
)
artefacts = sa.Table(
    "abloop_artefacts",
    metadata,
    sa.Column("name", _Text, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("at", _Float, nullable=False),
)
verdicts = sa.Table(
    "abloop_verdicts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("strategy", _Text, nullable=False, index=True),
    sa.Column("version", _Int, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("body", _Text, nullable=False),
)
segments = sa.Table(
    "abloop_segments",
    metadata,
    sa.Column("name", _Text, primary_key=True),
    sa.Column("shipped", _Int, nullable=False),
)
decisions = sa.Table(
    "abloop_decisions",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("decision_id", _Text, primary_key=True),
    sa.Column("version", _Int, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("body", sa.LargeBinary),
    sa.Index(
        "abloop_decisions_waiting",
        "strategy",
        "version",
        "at",
        sqlite_where=sa.text("body IS NOT NULL"),
        postgresql_where=sa.text("body IS NOT NULL"),
    ),
)
observations = sa.Table(
    "abloop_observations",
    metadata,
    sa.Column("strategy", _Text, primary_key=True),
    sa.Column("record", _Text, primary_key=True),
    sa.Column("decision_id", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False),
    sa.Column("name", _Text, nullable=False),
    sa.Column("value", _Float, nullable=False),
    sa.Index("abloop_observations_decision", "strategy", "decision_id"),
)
files = sa.Table(
    "abloop_files",
    metadata,
    sa.Column("name", _Text, primary_key=True),
    sa.Column("strategy", _Text, nullable=False, index=True),
    sa.Column("version", _Int, nullable=False),
    sa.Column("rows", _Int, nullable=False),
    sa.Column("observed", _Text, nullable=False),
    sa.Column("at", _Float, nullable=False),
)


class Database:
    """Connections to one database, its tables made if they are not there.

    Args:
        url: An SQLAlchemy URL of SQLite or Postgres.

    Raises:
        StoreError: The URL is not one, or the database is locked, corrupt or out of reach.
    """

    def __init__(self, url: str) -> None:
        """Connect and make sure of the tables."""
        self.url = shown_url(url)
        try:
            self.engine = _engine(url)
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"database {self.url} needs the package {error.name}: pip install 'abloop[postgres]'"
            ) from error
        except (ArgumentError, NoSuchModuleError) as error:
            raise StoreError(
                f"database URL {self.url!r} cannot be used: {error}. Allowed: 'sqlite:///file.db' or "
                "'postgresql+psycopg://user:password@host/name'"
            ) from error
        with self.transaction() as connection:
            metadata.create_all(connection)
            found = connection.execute(sa.select(sa.func.max(schema.c.version))).scalar()
            if found is None:
                connection.execute(schema.insert().values(version=SCHEMA_VERSION))
            elif found != SCHEMA_VERSION:
                raise StoreError(
                    f"database {self.url} has schema version {found}; this abloop reads {SCHEMA_VERSION}. "
                    "Install the abloop that wrote it, or name another database"
                )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection whose changes are all kept, or none.

        Raises:
            StoreError: The database refused.
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise StoreError(explain_refusal(self.url, error)) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one consistent state and holds up no writer.

        Raises:
            StoreError: The database refused.
        """
        try:
            with self.engine.connect().execution_options(reading=True) as connection:
                yield connection
        except DBAPIError as error:
            raise StoreError(explain_refusal(self.url, error)) from error

    def insert_or(self, table: sa.Table) -> Any:
        """Return an insert of this database's dialect, which can say what to do with rows that are there already."""
        dialect = postgresql if self.engine.dialect.name == "postgresql" else sqlite
        return dialect.insert(table)

    def insert_new(self, table: sa.Table) -> Any:
        """Return an insert that passes over rows whose key is there already."""
        return self.insert_or(table).on_conflict_do_nothing()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's connections without closing them."""
        self.engine.dispose(close=False)


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite URL; None for another database, or no URL at all.

    Example:
        >>> sqlite_file("sqlite:///shop.db")
        PosixPath('shop.db')
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        return None
    name = parsed.database
    return Path(name) if parsed.get_backend_name() == "sqlite" and name else None


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, pool_pre_ping=True)
    if not parsed.database or parsed.database == ":memory:":
        raise ArgumentError("a database in memory is lost with its process and no worker can reach it")
    engine = sa.create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions begin where `begin` below says, not at the first write
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("reading")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def explain_refusal(url: str, error: DBAPIError) -> str:
    """Return what is wrong with the database and what to do."""
    said = str(error.orig)
    low = said.lower()
    if "locked" in low or "busy" in low:
        fix = (
            f"another process held it for over {BUSY_SECONDS:g} s; close that process, or use Postgres for many writers"
        )
    elif "not a database" in low or "malformed" in low:
        fix = "the file is not a SQLite database or is damaged; restore it from a backup, or name another file"
    elif "unable to open" in low or "readonly" in low or "read-only" in low:
        fix = "the file or its directory is missing or may not be written; make it, or name another file"
    elif "disk is full" in low or "no space" in low:
        fix = "the disk is full; make room and try again"
    else:
        fix = "check that the server runs and that the URL names it"
    return f"database {url}: {said.strip()}: {fix}"


def shown_url(url: str) -> str:
    """Return the URL without its password and without its query, which may hold one."""
    try:
        return make_url(url).set(query={}).render_as_string(hide_password=True)
    except ArgumentError:
        return url
