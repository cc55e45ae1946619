"""Arms that units keep, in abloop's own database."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from abloop.errors import AwayError
from abloop.store.sql import Database
from abloop.store.sticky import CachedSticky, Kept, KeptArm
from abloop.store.tables import sticky


class DatabaseSticky(CachedSticky):
    """First arms in abloop's own database; see `CachedSticky`.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        """Begin with nothing cached."""
        self._database = database
        super().__init__(self.read, self.write)

    def read(self, strategy: str, unit: str) -> Kept | None:
        """Return the arm of a unit as the database has it; None where it has none.

        Raises:
            StoreError: The database refused, or never answered yet.
        """
        if not self._database.opened:  # nobody waits for it here
            raise AwayError(f"database {self._database.url}: it does not answer yet")
        query = sa.select(sticky.c.arm, sticky.c.propensity)
        with self._database.reading() as connection:
            row = connection.execute(query.where(sticky.c.strategy == strategy, sticky.c.unit == unit)).first()
        return None if row is None else (row.arm, row.propensity)

    def write(self, arms: Sequence[KeptArm]) -> None:
        """Keep arms, in the order of their units: two processes then lock them in one order.

        Raises:
            StoreError: The database refused.
        """
        insert = self._database.insert_or(sticky)
        insert = insert.on_conflict_do_update(
            index_elements=["strategy", "unit"],
            set_={"arm": insert.excluded.arm, "propensity": insert.excluded.propensity},
        )
        with self._database.transaction() as connection:
            connection.execute(insert, [msgspec.structs.asdict(arm) for arm in arms])
