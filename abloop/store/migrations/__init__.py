"""The schema's way from version to version. Alembic is imported only where there is a way to go.

The version is kept in one place, the table `abloop_schema`, and changes in the transaction that changes the tables.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from abloop.errors import StoreError
from abloop.store.access_tables import metadata
from abloop.store.tables import schema

SCHEMA_VERSION = 5
LOCK_SECONDS = 2  # a change waits that long for others' transactions, and holds up those that come after it
_LOCK = 0x61626C6F6F70  # "abloop": who holds this advisory lock of Postgres changes the schema


def migrate(url: str) -> tuple[int, int]:
    """Bring a database to the schema of this abloop; every connection does so, this one only tells.

    Args:
        url: An SQLAlchemy URL of SQLite or Postgres.

    Returns:
        The schema's version before, 0 for an empty database, and now.

    Raises:
        StoreError: The database is locked, corrupt or out of reach, or of a newer abloop.

    Example:
        >>> import tempfile
        >>> url = f"sqlite:///{tempfile.mkdtemp()}/abloop.db"
        >>> migrate(url)[0], len(set(migrate(url)))
        (0, 1)
    """
    from abloop.store.sql import Database  # which imports this

    database = Database(url)
    database.close()
    return database.migrated


def read_version(connection: Connection, url: str) -> tuple[int, bool]:
    """Return the version of the schema, 0 for none, and whether every table of the model is there.

    Args:
        connection: To the database.
        url: How the database is called where it is refused.

    Raises:
        StoreError: The schema is of a newer abloop.
    """
    known = sa.inspect(connection).get_table_names()
    newest = sa.select(sa.func.max(schema.c.version))
    found = int(connection.execute(newest).scalar() or 0) if schema.name in known else 0
    if found > SCHEMA_VERSION:
        raise StoreError(
            f"database {url} has schema version {found}; this abloop reads {SCHEMA_VERSION} and those before. "
            "Install the abloop that wrote it, or name another database"
        )
    return found, set(metadata.tables) <= set(known)


def settle(connection: Connection, url: str) -> int:
    """Make the tables, or bring those of an older abloop to this version; one process at a time does so.

    Args:
        connection: Inside a transaction, which of SQLite is alone already.
        url: How the database is called where it is refused.

    Returns:
        The version that was there; another process may just have brought it to the newest.

    Raises:
        StoreError: The schema is of a newer abloop.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
    found, _ = read_version(connection, url)
    if 0 < found < SCHEMA_VERSION:
        move(connection, found, SCHEMA_VERSION)
    metadata.create_all(connection)
    if not found:
        connection.execute(schema.insert().values(version=SCHEMA_VERSION))
    return found


def move(connection: Connection, old: int, new: int) -> None:
    """Change the tables from one version of the schema to another, up or down.

    Args:
        connection: Inside a transaction, which is the caller's to end.
        old: The version that is there; 0 for none.
        new: The version that is wanted.
    """
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(Path(__file__).parent)
    upper, lower = (f"{version:04d}" if version else "base" for version in (max(old, new), min(old, new)))
    revisions = list(script.iterate_revisions(upper, lower))
    with Operations.context(MigrationContext.configure(connection)):
        for revision in revisions if new < old else reversed(revisions):
            (revision.module.downgrade if new < old else revision.module.upgrade)()
    connection.execute(schema.delete())
    if new:
        connection.execute(sa.insert(schema).values(version=new))
