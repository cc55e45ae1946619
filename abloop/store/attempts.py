"""Proofs of identity that failed, and who has to wait because of them."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from abloop.store.access_tables import attempts
from abloop.store.people import fold
from abloop.store.sql import Database

MOST = 10
WINDOW_SECONDS = 15 * 60.0
_LOCK = 0x74726965  # "trie": who holds this advisory lock of Postgres counts attempts


class Attempts:
    """Failures of each account and of each address, kept for a quarter of an hour, for all processes.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def begin(self, keys: Sequence[str], at: float) -> float:
        """Count an attempt as failed until it succeeds, so that attempts at the same moment count too.

        Args:
            keys: What it is counted for, e.g. `account maria` and `address 10.0.0.1`; names that do not exist too.
            at: Seconds since 1970.

        Returns:
            Seconds to wait where one of them failed ten times in fifteen minutes; 0 where the attempt may be made.

        Raises:
            StoreError: The database refused.
        """
        with self._database.transaction() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            connection.execute(attempts.delete().where(attempts.c.at <= at - WINDOW_SECONDS))
            for key in keys:
                mine = sa.select(attempts.c.at).where(attempts.c.key == key).order_by(attempts.c.at.desc())
                tenth = connection.execute(mine.offset(MOST - 1).limit(1)).scalar()
                if tenth is not None:
                    return max(1.0, float(tenth) + WINDOW_SECONDS - at)
            connection.execute(attempts.insert(), [{"key": key, "at": at} for key in keys])
        return 0.0

    def succeed(self, keys: Sequence[str], at: float) -> None:
        """Take back the attempt of a moment; it was none that failed."""
        with self._database.transaction() as connection:
            for key in keys:
                mine = sa.select(attempts.c.id).where(attempts.c.key == key, attempts.c.at == at).limit(1)
                connection.execute(attempts.delete().where(attempts.c.id.in_(mine.scalar_subquery())))

    def forget(self, key: str) -> None:
        """Forget every failure of an account, e.g. since its password was right or was reset."""
        with self._database.transaction() as connection:
            connection.execute(attempts.delete().where(attempts.c.key == key))


def account(name: str) -> str:
    """Return the key under which the failures of an account are counted."""
    return f"account {fold(name)}"
