"""Databases that are not abloop's own: only read, never changed."""

from __future__ import annotations

import os
import weakref
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from abloop.errors import MissingExtraError, StoreError
from abloop.store.sql import shown_url, sqlite_file

# A server that is gone is noticed within seconds, not when the system gives up after hours.
NETWORK = {"connect_timeout": 5, "tcp_user_timeout": 5_000, "keepalives_idle": 5, "keepalives_interval": 2}
_open: weakref.WeakValueDictionary[str, SourceDatabase] = weakref.WeakValueDictionary()


class SourceDatabase:
    """Connections to a database that is only read: no table is made and no setting of it is changed.

    Args:
        url: An SQLAlchemy URL.

    Raises:
        StoreError: The URL is not one, or its SQLite file does not exist.
        MissingExtraError: The package of the database is not installed.
    """

    def __init__(self, url: str) -> None:
        """Connect to nothing yet."""
        self.url = shown_url(url)
        try:
            self.engine = _reading_engine(url)
        except ModuleNotFoundError as error:
            package = "'abloop[postgres]'" if str(error.name).startswith("psycopg") else error.name
            needs = f"source {self.url} needs the package {error.name}: pip install {package}"
            raise MissingExtraError(needs) from error
        except (ArgumentError, NoSuchModuleError) as error:
            raise StoreError(
                f"source URL {self.url!r} cannot be used: {error}. Allowed: 'sqlite:///file.db', "
                "'postgresql+psycopg://user:password@host/name' or a Python function"
            ) from error
        weakref.finalize(self, self.engine.dispose)
        _open[url] = self


def open_source(url: str) -> SourceDatabase:
    """Return the connections to a database; the same ones for each group that names it.

    Raises:
        StoreError: The URL is not one, or its SQLite file does not exist.
        MissingExtraError: The package of the database is not installed.
    """
    return _open.get(url) or SourceDatabase(url)


def _reading_engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        psycopg = parsed.drivername.startswith("postgresql") and parsed.get_driver_name().startswith("psycopg")
        network = {name: value for name, value in NETWORK.items() if psycopg and name not in parsed.query}
        options = {"postgresql_readonly": True} if psycopg else {}
        return sa.create_engine(parsed, pool_pre_ping=True, connect_args=network, execution_options=options)
    file = sqlite_file(url)
    if file is None or parsed.database == ":memory:":
        raise ArgumentError("a database in memory holds nothing to read")
    if not file.exists() and not str(parsed.database).startswith("file:"):
        raise ArgumentError(f"there is no file {file.absolute()}")
    engine = sa.create_engine(parsed, connect_args={"timeout": 1.0})

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.execute("PRAGMA query_only=ON")

    return engine


def _after_fork() -> None:
    for source in list(_open.values()):
        source.engine.dispose(close=False)


os.register_at_fork(after_in_child=_after_fork)
