"""Observations that came after their row was complete."""

from __future__ import annotations

import sqlalchemy as sa

from abloop.store.bulk import among, insert_many
from abloop.store.journal import LATE
from abloop.store.sql import Database
from abloop.store.tables import decisions, late, observations

SWEPT = 50_000  # decisions whose observations are moved in one transaction


def sweep(database: Database, strategy: str) -> int:
    """Move observations that came after their row was complete to the late ones, and return how many.

    Args:
        database: Where they are.
        strategy: Its name.

    Raises:
        StoreError: The database refused.
    """
    seen, moved = observations.c, 0
    joined = sa.exists().where(
        decisions.c.strategy == strategy, decisions.c.decision_id == seen.decision_id, decisions.c.body.is_(None)
    )
    after = sa.select(seen.decision_id).where(seen.strategy == strategy, joined).distinct().limit(SWEPT)
    while True:
        with database.transaction() as connection:
            names = list(connection.execute(after).scalars())
            if not names:
                return moved
            gone = observations.delete().where(seen.strategy == strategy, among(connection, seen.decision_id, names))
            found = connection.execute(gone.returning(seen.decision_id, seen.name, seen.key, seen.at, seen.value))
            rows = [(strategy, row[0], "", *row[1:]) for row in found]
            insert_many(connection, late, LATE, rows)
            moved += len(rows)
