"""Log-ins that failed, and who has to wait because of them."""

from __future__ import annotations

import sqlalchemy as sa

from abloop.store.people import fold
from abloop.store.sql import Database
from abloop.store.tables import attempts

MOST = 10
WINDOW_SECONDS = 15 * 60.0
_LOCK = 0x74726965  # "trie": who holds this advisory lock of Postgres counts attempts


class Attempts:
    """Failed log-ins of each account and of each address, kept for a quarter of an hour.

    Args:
        database: Where they are kept, for all processes.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def begin(self, name: str, address: str, at: float) -> float:
        """Count an attempt as failed until it succeeds, so that attempts at once count too.

        Args:
            name: The account as typed; names that do not exist count as well.
            address: Of the client.
            at: Seconds since 1970.

        Returns:
            Seconds to wait; 0 where the attempt may be made.
        """
        keys = [_account(name), f"address {address}"]
        with self._database.transaction() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            connection.execute(attempts.delete().where(attempts.c.at <= at - WINDOW_SECONDS))
            for key in keys:
                mine = sa.select(attempts.c.at).where(attempts.c.key == key).order_by(attempts.c.at.desc())
                oldest = connection.execute(mine.offset(MOST - 1).limit(1)).scalar()
                if oldest is not None:
                    return max(1.0, float(oldest) + WINDOW_SECONDS - at)
            connection.execute(attempts.insert(), [{"key": key, "at": at} for key in keys])
        return 0.0

    def succeed(self, name: str, address: str, at: float) -> None:
        """Forget the failures of an account, and that the attempt of this moment was one of its address."""
        this = sa.and_(attempts.c.key == f"address {address}", attempts.c.at == at)
        with self._database.transaction() as connection:
            connection.execute(attempts.delete().where(sa.or_(attempts.c.key == _account(name), this)))

    def forget(self, name: str) -> None:
        """Forget the failures of an account, e.g. since its password was reset."""
        with self._database.transaction() as connection:
            connection.execute(attempts.delete().where(attempts.c.key == _account(name)))


def _account(name: str) -> str:
    return f"account {fold(name)}"
