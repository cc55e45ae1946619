"""Many rows at once: what SQLite and Postgres each do quickest, in one place."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection

Values = tuple[Any, ...]
PART = 2_000


@contextmanager
def uncollected() -> Iterator[None]:
    """Let the cyclic collector rest while a batch is in hand: records hold no cycles, and it would walk them all."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def insert_many(connection: Connection, table: sa.Table, names: Sequence[str], rows: Sequence[Values]) -> int:
    """Insert many rows in the order of their keys; those whose key is there already are passed over.

    Args:
        connection: Inside a transaction.
        table: The table.
        names: The columns that are given, those of the key first.
        rows: Values in the order of `names`, n of them.

    Returns:
        Rows that were not there.
    """
    if not rows:
        return 0
    key = itemgetter(*range(len(table.primary_key.columns)))
    ordered = sorted(rows, key=key)  # neighbours in the index, locks taken in one order, the first of equals first
    into = f"INSERT INTO {table.name} ({', '.join(names)})"  # names are our own, values are bound
    given: list[Values] = ordered
    if connection.dialect.name == "sqlite":
        statement = f"{into} VALUES ({', '.join('?' * len(names))}) ON CONFLICT DO NOTHING"
    else:  # one statement with an array for each column
        kinds = [table.c[name].type.compile(connection.dialect) for name in names]
        arrays = ", ".join(f"%s::{kind}[]" for kind in kinds)
        statement = f"{into} SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING"  # noqa: S608
        given = [tuple(map(list, zip(*ordered, strict=True)))]
    return connection.exec_driver_sql(statement, given, execution_options={"preserve_rowcount": True}).rowcount


def delete_many(connection: Connection, table: sa.Table, names: Sequence[str], rows: Sequence[Values]) -> int:
    """Delete many rows by their keys, in the order of these.

    Args:
        connection: Inside a transaction.
        table: The table.
        names: The columns of its key.
        rows: Values in the order of `names`, n of them.

    Returns:
        Rows that were there.
    """
    if not rows:
        return 0
    given: list[Values] = sorted(rows)
    if connection.dialect.name == "sqlite":
        statement = f"DELETE FROM {table.name} WHERE " + " AND ".join(f"{name} = ?" for name in names)  # noqa: S608
    else:
        arrays = ", ".join(f"%s::{table.c[name].type.compile(connection.dialect)}[]" for name in names)
        same = " AND ".join(f"{table.name}.{name} = gone.{name}" for name in names)
        statement = f"DELETE FROM {table.name} USING unnest({arrays}) AS gone({', '.join(names)}) WHERE {same}"  # noqa: S608
        given = [tuple(map(list, zip(*given, strict=True)))]
    return connection.exec_driver_sql(statement, given, execution_options={"preserve_rowcount": True}).rowcount


def select_columns(connection: Connection, query: sa.Select[Any]) -> list[list[Any]]:
    """Return the columns of a query's rows; a part of the rows at a time, so that few are in memory as rows.

    Args:
        connection: Where it is asked.
        query: It.

    Returns:
        A list for each column, of length n.
    """
    columns: list[list[Any]] = [[] for _ in query.selected_columns]
    cursor = connection.execute(query).cursor
    while part := cursor.fetchmany(PART):
        for column, values in zip(columns, zip(*part, strict=True), strict=True):
            column.extend(values)
    return columns


def among(connection: Connection, column: sa.ColumnElement[str], values: Sequence[str]) -> sa.ColumnElement[bool]:
    """Return the condition that a column is one of many texts, which are bound as one parameter.

    Args:
        connection: Where it will be asked.
        column: A column of texts.
        values: The texts, n of them.
    """
    if connection.dialect.name == "sqlite":
        given = sa.literal(msgspec.json.encode(list(values)).decode())
        return column.in_(sa.select(sa.func.json_each(given).table_valued("value").c.value))
    return column == sa.func.any(sa.literal(list(values), ARRAY(sa.Text)))
