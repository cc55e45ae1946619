"""The limit of the store: rows into tables by the bare driver, with the keys and indexes that abloop's have."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from abloop.records import Decision, Observation, decode
from abloop.store.sql import Database, sqlite_file
from abloop.store.tables import decisions, observations

BATCH = 20_000
DECISIONS = "abloop_decisions (strategy, decision_id, version, at, digest, body)"
OBSERVATIONS = "abloop_observations (strategy, decision_id, name, key, at, value)"
Payloads = Sequence[tuple[int, bytes]]


class Driven:
    """Inserts by `executemany`, in order of the keys, 20,000 rows a transaction.

    Args:
        url: A new database.
    """

    def __init__(self, url: str) -> None:
        """Make the tables and connect."""
        Database(url).close()
        file = sqlite_file(url)
        self._mark = "?" if file else "%s"
        self._connection: Any
        if file:
            self._connection = sqlite3.connect(file, isolation_level=None)
            self._connection.execute("PRAGMA synchronous=NORMAL")
        else:
            import psycopg

            self._connection = psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)
        self._rows: list[tuple[str, list[tuple[Any, ...]]]] = []

    def prepare(self, payloads: Payloads) -> None:
        """Make the rows."""
        found = [decode(payload) for _, payload in payloads]
        made_rows = [
            (made.strategy, made.decision_id, made.version, made.time, 1, payload)
            for made, (_, payload) in zip(found, payloads, strict=True)
            if isinstance(made, Decision)
        ]
        seen_rows = [
            (seen.strategy, seen.decision_id, seen.name, seen.key, seen.time, seen.value)
            for seen in found
            if isinstance(seen, Observation)
        ]
        self._rows = [(DECISIONS, sorted(made_rows)), (OBSERVATIONS, sorted(seen_rows))]

    def run(self, _: Payloads) -> None:
        """Insert them."""
        cursor = self._connection.cursor()
        for table, rows in self._rows:
            for start in range(0, len(rows), BATCH):
                cursor.execute("BEGIN")
                self._insert(cursor, table, rows[start : start + BATCH])
                cursor.execute("COMMIT")

    def _insert(self, cursor: Any, table: str, rows: list[tuple[Any, ...]]) -> None:
        marks = ", ".join([self._mark] * 6)
        cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - constants of this file

    def __enter__(self) -> Driven:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._connection.close()


class Stated(Driven):
    """Inserts by SQLAlchemy's Core: one statement and a list of mappings, 20,000 rows a transaction."""

    def __init__(self, url: str) -> None:
        """Make the tables and connect."""
        self._database = Database(url)

    def run(self, _: Payloads) -> None:
        """Insert them."""
        for (_, rows), table in zip(self._rows, (decisions, observations), strict=True):
            names = [column.name for column in table.columns]
            for start in range(0, len(rows), BATCH):
                with self._database.transaction() as connection:
                    part = [dict(zip(names, row, strict=True)) for row in rows[start : start + BATCH]]
                    connection.execute(table.insert(), part)

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._database.close()


class Copied(Driven):
    """Copies by Postgres's `COPY`, which knows no rows that are there already."""

    def _insert(self, cursor: Any, table: str, rows: list[tuple[Any, ...]]) -> None:
        with cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
