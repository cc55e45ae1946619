"""The manifest of the training tables: which files are the table, now and at each version before.

A file counts from the transaction on that lists it. Every change of a table makes a new version of it: what is
replaced stays listed for the versions before, until retention removes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from abloop.errors import ConflictError, UnknownNameError
from abloop.store.bulk import among
from abloop.store.counts import raise_count, read_counts
from abloop.store.sql import Database
from abloop.store.tables import files

TABLE = "table"  # counter of a strategy's table versions
FLOOR = "floor"  # the oldest of them that is whole


class TableFile(msgspec.Struct, frozen=True):
    """One file of a training table, as the manifest lists it.

    Attributes:
        name: File name inside the table's directory.
        strategy: Its strategy.
        version: Blueprint version of all its rows.
        rows: Number of rows.
        observed: Metric name to rows on which it was observed; a metric whose window has not ended is not there.
        at: When it was listed, in seconds since 1970.
        oldest: Time of its first decision; None where it was listed before that was kept.
        newest: Time of its last.
        since: Table version from which on it is part of the table.
        until: Table version from which on it is not; None while it is.
    """

    name: str
    strategy: str
    version: int
    rows: int
    observed: dict[str, int]
    at: float
    oldest: float | None = None
    newest: float | None = None
    since: int = 0
    until: int | None = None


class Manifest:
    """The files of the training tables.

    Args:
        database: Where the list is.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def files(self, strategy: str, table_version: int | None = None) -> list[TableFile]:
        """Return the files of a strategy's training table, oldest first.

        Args:
            strategy: Its name.
            table_version: The table as it was then; as it is now where None.

        Raises:
            UnknownNameError: There is no such version of the table, or retention has removed it.
        """
        query = sa.select(files).where(files.c.strategy == strategy).order_by(files.c.oldest, files.c.at, files.c.name)
        if table_version is None:
            query = query.where(files.c.until.is_(None))
        else:
            self._check_version(strategy, table_version)
            later = sa.or_(files.c.until.is_(None), files.c.until > table_version)
            query = query.where(files.c.since <= table_version, later)
        with self._database.reading() as connection:
            return [_file(row) for row in connection.execute(query).mappings()]

    def replaced(self, strategy: str) -> list[TableFile]:
        """Return the files that only earlier versions of the table have."""
        query = sa.select(files).where(files.c.strategy == strategy, files.c.until.is_not(None))
        with self._database.reading() as connection:
            return [_file(row) for row in connection.execute(query.order_by(files.c.until, files.c.name)).mappings()]

    def version(self, strategy: str) -> int:
        """Return the newest version of a strategy's training table; 0 before its first row."""
        return read_counts(self._database, strategy).get(TABLE, 0)

    def oldest_version(self, strategy: str) -> int:
        """Return the oldest version of a strategy's training table that can still be read."""
        return read_counts(self._database, strategy).get(FLOOR, 0)

    def replace(
        self,
        strategy: str,
        old: Sequence[str],
        new: Sequence[TableFile],
        also: Callable[[Connection], None] = lambda connection: None,
    ) -> int:
        """List new files in the place of old ones, all or nothing.

        Args:
            strategy: Its name.
            old: Names of the files that go.
            new: Files, already on disk, that come.
            also: Does what belongs to it in the same transaction.

        Returns:
            The table version that this makes.

        Raises:
            ConflictError: Another worker replaced one of the files first; nothing was changed.
        """
        with self._database.transaction() as connection:
            version = raise_count(connection, strategy, TABLE)
            gone = files.update().where(files.c.until.is_(None), among(connection, files.c.name, list(old)))
            if connection.execute(gone.values(until=version)).rowcount != len(old):
                raise ConflictError(
                    f"strategy {strategy!r}: another worker replaced some of these files of the training table at the "
                    "same time. Nothing was changed; run it again"
                )
            _list(connection, version, new)
            also(connection)
        return version

    def forget(self, names: Sequence[str]) -> None:
        """Take files off the list; table versions that had one of them can then not be read any more.

        Args:
            names: Names of files, n of them. Where one is of the table as it is now, that makes a new version of it.
        """
        with self._database.transaction() as connection:
            those = among(connection, files.c.name, list(names))
            ends = sa.select(
                files.c.strategy, sa.func.max(files.c.until), sa.func.count() - sa.func.count(files.c.until)
            )
            for strategy, until, current in connection.execute(ends.where(those).group_by(files.c.strategy)).all():
                floor = raise_count(connection, strategy, TABLE) if current else until
                there = raise_count(connection, strategy, FLOOR, 0)
                raise_count(connection, strategy, FLOOR, max(floor - there, 0))
            connection.execute(files.delete().where(those))

    @contextmanager
    def frozen(self, strategy: str) -> Iterator[set[str]]:
        """Give the names of the files of all versions of a strategy's table, while nobody can list another."""
        with self._database.transaction() as connection:
            raise_count(connection, strategy, TABLE, 0)  # whoever lists a file raises it first
            yield set(connection.execute(sa.select(files.c.name).where(files.c.strategy == strategy)).scalars())

    def _check_version(self, strategy: str, table_version: int) -> None:
        oldest, newest = self.oldest_version(strategy), self.version(strategy)
        if not oldest <= table_version <= newest:
            removed = "; retention has removed those before" if 0 <= table_version < oldest else ""
            raise UnknownNameError(
                f"strategy {strategy!r}: its training table has versions {oldest} to {newest}{removed}, "
                f"got {table_version}"
            )


def add_files(connection: Connection, strategy: str, new: Sequence[TableFile]) -> int:
    """List files, already on disk, in a new version of a strategy's table, and return that version.

    Args:
        connection: Inside a transaction.
        strategy: Its name.
        new: The files.
    """
    version = raise_count(connection, strategy, TABLE)
    _list(connection, version, new)
    return version


def _list(connection: Connection, version: int, new: Sequence[TableFile]) -> None:
    for file in new:
        values: dict[str, Any] = msgspec.structs.asdict(file)
        values |= {"observed": msgspec.json.encode(file.observed).decode(), "since": version}
        connection.execute(files.insert().values(**values))


def _file(row: Mapping[Any, Any]) -> TableFile:
    return TableFile(**{**row, "observed": msgspec.json.decode(row["observed"])})
