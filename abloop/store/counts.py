"""Counters of what became of every record, kept in the transaction that does it."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from abloop.store.sql import Database
from abloop.store.tables import counts


def count(connection: Connection, added: Mapping[tuple[str, str], int]) -> None:
    """Add to counters; do it last in a transaction, for others wait for it from here on.

    Args:
        connection: Inside a transaction.
        added: Strategy and name of the counter to what is added.
    """
    for (strategy, name), number in sorted(added.items()):
        if number:
            raise_count(connection, strategy, name, number)


def raise_count(connection: Connection, strategy: str, name: str, number: int = 1) -> int:
    """Add to one counter and return what it is now; no other transaction gets the same number."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(counts).values(strategy=strategy, name=name, count=number)
    raised = insert.on_conflict_do_update(
        index_elements=[counts.c.strategy, counts.c.name], set_={"count": counts.c.count + insert.excluded["count"]}
    )
    return int(connection.execute(raised.returning(counts.c["count"])).scalar_one())


def read_counts(database: Database, strategy: str) -> dict[str, int]:
    """Return the counters of a strategy, by name; an empty name has those of records without one.

    Raises:
        StoreError: The database cannot be read.
    """
    query = sa.select(counts.c.name, counts.c["count"]).where(counts.c.strategy == strategy)
    with database.reading() as connection:
        return {name: int(number) for name, number in connection.execute(query)}
