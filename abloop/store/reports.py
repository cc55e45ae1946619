"""Reports that take long to make, kept whole: the newest of a strategy is read at once."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from abloop.store.sql import Database
from abloop.store.tables import reports


class Kept(msgspec.Struct, frozen=True):
    """One report as it is kept.

    Attributes:
        strategy: Its strategy.
        kind: What it is of, e.g. `effects`.
        version: Blueprint version.
        at: When it was made, in seconds since 1970.
        rows: Complete rows then.
        who: Who asked for it.
        body: The report.
        id: Its number.
    """

    strategy: str
    kind: str
    version: int
    at: float
    rows: int
    who: str
    body: bytes
    id: int = 0


class Reports:
    """Reports of strategies; of each kind the newest few are kept.

    Args:
        database: Where they are.
    """

    MOST = 20  # of a strategy and kind

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def add(self, report: Kept) -> None:
        """Keep a report, and let go of those that are older than the newest few."""
        mine = (reports.c.strategy == report.strategy, reports.c.kind == report.kind)
        row = {name: value for name, value in msgspec.structs.asdict(report).items() if name != "id"}
        newest = sa.select(reports.c.id).where(*mine).order_by(reports.c.id.desc()).limit(self.MOST)
        with self._database.transaction() as connection:
            connection.execute(reports.insert().values(**row))
            keep = list(connection.execute(newest).scalars())
            connection.execute(reports.delete().where(*mine, reports.c.id < min(keep)))

    def newest(self, strategy: str, kind: str) -> Kept | None:
        """Return the newest report of a strategy; None where there is none."""
        query = sa.select(reports).where(reports.c.strategy == strategy, reports.c.kind == kind)
        with self._database.reading() as connection:
            row = connection.execute(query.order_by(reports.c.id.desc()).limit(1)).mappings().first()
        return None if row is None else Kept(**row)
