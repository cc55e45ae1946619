"""Arms that units keep: the first arm of a unit, remembered whatever weights and traffic become."""

from __future__ import annotations

from typing import Protocol

import sqlalchemy as sa

from abloop.errors import AbloopError
from abloop.store.sql import Database
from abloop.store.tables import sticky

MOST_CACHED = 100_000
Kept = tuple[str, float]


class StickyStore(Protocol):
    """Where first arms are kept; give your own to `abloop.connect(sticky=...)`. It is asked in `get_decision`."""

    def get(self, strategy: str, unit: str) -> Kept | None:
        """Return the arm of a unit and its propensity then; None where the unit has none."""
        ...

    def put(self, strategy: str, unit: str, arm: str, propensity: float) -> None:
        """Keep the arm of a unit."""
        ...


class DatabaseSticky:
    """First arms in abloop's own database, behind a cache; written in batches by `flush`.

    What a killed process had not written yet is no loss: the unit's hash gives the same arm until weights change.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        """Begin with nothing cached."""
        self._database = database
        self._known: dict[tuple[str, str], Kept] = {}
        self._waiting: dict[tuple[str, str], Kept] = {}

    def get(self, strategy: str, unit: str) -> Kept | None:
        """Return the arm of a unit and its propensity then; None where it has none, or the database is away."""
        found = self._known.get((strategy, unit))
        if found is not None or not self._database.opened:
            return found
        query = sa.select(sticky.c.arm, sticky.c.propensity)
        try:
            with self._database.reading() as connection:
                row = connection.execute(query.where(sticky.c.strategy == strategy, sticky.c.unit == unit)).first()
        except AbloopError:
            return None
        if row is None:
            return None
        return self._remember((strategy, unit), (row.arm, row.propensity))

    def put(self, strategy: str, unit: str, arm: str, propensity: float) -> None:
        """Keep the arm of a unit."""
        self._waiting[strategy, unit] = self._remember((strategy, unit), (arm, propensity))

    def flush(self) -> None:
        """Write what is new to the database.

        Raises:
            StoreError: The database refused; it is tried again the next time.
        """
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        rows = [
            {"strategy": strategy, "unit": unit, "arm": arm, "propensity": propensity}
            for (strategy, unit), (arm, propensity) in sorted(waiting.items())  # two processes lock them in one order
        ]
        insert = self._database.insert_or(sticky)
        insert = insert.on_conflict_do_update(
            index_elements=["strategy", "unit"],
            set_={"arm": insert.excluded.arm, "propensity": insert.excluded.propensity},
        )
        try:
            with self._database.transaction() as connection:
                connection.execute(insert, rows)
        except AbloopError:
            self._waiting = {**waiting, **self._waiting}
            raise

    def _remember(self, key: tuple[str, str], kept: Kept) -> Kept:
        while len(self._known) >= MOST_CACHED:
            try:
                del self._known[next(iter(self._known))]
            except (KeyError, RuntimeError, StopIteration):  # another thread did
                break
        self._known[key] = kept
        return kept
