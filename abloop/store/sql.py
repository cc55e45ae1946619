"""The database: its connections, and one way of saying what is wrong with it.

SQLAlchemy is imported here and in the rooms beside it, never by `import abloop`.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from abloop.errors import AwayError, MissingExtraError, StoreError
from abloop.store.migrations import SCHEMA_VERSION, read_version, settle

BUSY_SECONDS = 10.0
CONNECT_SECONDS = 10
LOCK_TRIES = 5
_CONFLICT = ("lock timeout", "deadlock detected")
_AWAY = (
    *("locked", "busy"),  # SQLite
    *_CONFLICT,
    *("connection is bad", "connection is lost", "terminating connection"),
    *("connection refused", "connection failed", "connection timeout", "timeout expired", "could not translate"),
    *("is starting up", "shutting down", "closed the connection", "connection is closed", "too many clients"),
    *("no route to host", "network is unreachable", "connection reset", "not known", "name resolution"),
)
log = logging.getLogger("abloop")


class Database:
    """Connections to one database, its tables made if they are not there.

    Args:
        url: An SQLAlchemy URL of SQLite or Postgres.
        patience: Seconds after which it is opened later, when it is first needed, because it does not answer now;
            None waits, and raises.

    Raises:
        StoreError: The URL is not one, or the database is locked, corrupt or out of reach.

    Attributes:
        migrated: The schema's version when this process came, 0 for none, and now.
    """

    def __init__(self, url: str, patience: float | None = None) -> None:
        """Connect and make sure of the tables."""
        self.url = shown_url(url)
        try:
            self.engine = _engine(url, BUSY_SECONDS if patience is None else patience)
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"database {self.url} needs the package {error.name}: pip install 'abloop[postgres]'"
            ) from error
        except (ArgumentError, NoSuchModuleError) as error:
            raise StoreError(
                f"database URL {self.url!r} cannot be used: {error}. Allowed: 'sqlite:///file.db' or "
                "'postgresql+psycopg://user:password@host/name'"
            ) from error
        self.migrated = (0, 0)
        self._open = threading.Event()
        self._opening = threading.Lock()
        try:
            if patience is None:
                self.open()
            else:
                self._open_within(patience, url)
        except StoreError:
            self.close()
            raise

    @property
    def opened(self) -> bool:
        """Whether it answered once, and its tables are there."""
        return self._open.is_set()

    def open(self) -> None:
        """Make sure of the tables, once; where they are there, no writer is waited for.

        Tables of an older abloop are brought to this one's schema, all or nothing.

        Raises:
            StoreError: The database is locked, corrupt or out of reach, or of a newer abloop.
        """
        if self.opened:
            return
        with self._opening:
            if self._open.is_set():
                return
            with self._connected(begin="BEGIN") as connection:
                found, whole = read_version(connection, self.url)
            self.migrated = (found, found)
            if found != SCHEMA_VERSION or not whole:
                self._settle()
            self._open.set()

    def _settle(self) -> None:
        """Make the tables, or bring those of an older abloop to this version; others are in the way only for a time."""
        started = time.perf_counter()
        for left in reversed(range(LOCK_TRIES)):
            try:
                with self._connected() as connection:
                    found = settle(connection, self.url)
                break
            except AwayError as error:
                if not left or not any(word in str(error) for word in _CONFLICT):
                    raise
        self.migrated = (found, SCHEMA_VERSION)
        if 0 < found < SCHEMA_VERSION:
            log.warning(
                "database %s: its schema was of version %d and is now of version %d, which took %.1f s; "
                "an older abloop refuses it from now on",
                *(self.url, found, SCHEMA_VERSION, time.perf_counter() - started),
            )

    def _open_within(self, patience: float, url: str) -> None:
        """Open, or go on without after some seconds; an obstacle that will last is raised."""
        if self.engine.dialect.name == "sqlite":
            with suppress(AwayError):
                self.open()
            self.engine.dispose()  # whoever writes later can wait; those who decide only read, which waits for nobody
            self.engine = _engine(url, BUSY_SECONDS)
            return
        errors: list[StoreError] = []

        def work() -> None:
            try:
                self.open()
            except StoreError as error:
                errors.append(error)

        thread = threading.Thread(target=work, name="abloop-open", daemon=True)
        thread.start()
        thread.join(patience)
        if errors and not isinstance(errors[0], AwayError):
            raise errors[0]

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection whose changes are all kept, or none.

        Raises:
            StoreError: The database refused.
        """
        self.open()
        with self._connected() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one consistent state and holds up no writer.

        Raises:
            StoreError: The database refused.
        """
        self.open()
        with self._connected(begin="BEGIN") as connection:
            yield connection

    def rewrite(self) -> None:
        """Have SQLite write its file anew, and empty its log; nothing is done on another database.

        `secure_delete` alone leaves copies of deleted rows where a page was split before; while others read the log it
        is emptied later, when they close.

        Raises:
            StoreError: The database refused, e.g. since the disk has no room for a second file.
        """
        if self.engine.dialect.name == "sqlite":
            with self._connected(begin="") as connection:
                connection.exec_driver_sql("VACUUM")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _connected(self, *, begin: str | None = None) -> Iterator[Connection]:
        try:
            if begin is not None:
                with self.engine.connect().execution_options(begin=begin) as connection:
                    yield connection
            else:
                with self.engine.begin() as connection:
                    yield connection
        except DBAPIError as error:
            away = any(word in str(error.orig).lower() for word in _AWAY)
            raise (AwayError if away else StoreError)(explain_refusal(self.url, error)) from error

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


def _engine(url: str, busy: float) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        given = {"connect_timeout": CONNECT_SECONDS} if "connect_timeout" not in parsed.query else {}
        return sa.create_engine(parsed, pool_pre_ping=True, connect_args=given)
    if not parsed.database or parsed.database == ":memory:":
        raise ArgumentError("a database in memory is lost with its process and no worker can reach it")
    engine = sa.create_engine(parsed, connect_args={"timeout": busy})

    @sa.event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions begin where `begin` below says, not at the first write
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA secure_delete=ON")  # what is deleted is written over; most builds do so anyway

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if how := connection.get_execution_options().get("begin", "BEGIN IMMEDIATE"):
            connection.exec_driver_sql(how)

    return engine


def explain_refusal(url: str, error: DBAPIError) -> str:
    """Return what is wrong with the database and what to do."""
    said = str(error.orig)
    low = said.lower()
    if any(word in low for word in ("locked", "busy", *_CONFLICT)):
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
