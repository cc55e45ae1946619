"""Comparisons of blueprint versions in production, in the database: what is compared, since when, by whom and why."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from abloop.store.audit import note
from abloop.store.serving import Comparison, Entry
from abloop.store.sql import Database
from abloop.store.tables import comparisons


class Comparisons:
    """What is compared.

    Args:
        database: Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def add(self, comparison: Comparison) -> Comparison:
        """Begin a comparison, or end the one before where it has no entries; return it as kept."""
        row = msgspec.structs.asdict(comparison)
        del row["id"]
        row["entries"] = msgspec.json.encode(comparison.entries).decode()
        with self._database.transaction() as connection:
            key = connection.execute(comparisons.insert().values(**row)).inserted_primary_key
            what = "compare versions" if comparison.entries else "end comparison"
            note(
                connection,
                at=comparison.at,
                who=comparison.who,
                what=what,
                target=comparison.strategy,
                why=comparison.why,
                body={"versions": [entry.version for entry in comparison.entries]},
            )
        return msgspec.structs.replace(comparison, id=int(key[0]) if key else 0)

    def current(self) -> dict[str, Comparison]:
        """Return the running comparison of each strategy that has one."""
        newest = sa.select(sa.func.max(comparisons.c.id)).group_by(comparisons.c.strategy)
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(comparisons).where(comparisons.c.id.in_(newest))).all()
        found = [_comparison(row) for row in rows]
        return {comparison.strategy: comparison for comparison in found if comparison.entries}

    def began(self, comparison: Comparison) -> float:
        """Return when the units of a comparison were drawn, in seconds since 1970."""
        query = sa.select(comparisons.c.at).where(comparisons.c.id == comparison.draw)
        with self._database.reading() as connection:
            found = connection.execute(query).scalar()
        return comparison.at if found is None else float(found)

    def last(self, strategy: str) -> Comparison | None:
        """Return the newest comparison of a strategy, running or ended; None if there never was one."""
        query = sa.select(comparisons).where(comparisons.c.strategy == strategy, comparisons.c.entries != "[]")
        with self._database.reading() as connection:
            row = connection.execute(query.order_by(comparisons.c.id.desc()).limit(1)).first()
        return _comparison(row) if row else None


def _comparison(row: Any) -> Comparison:
    entries = msgspec.json.decode(row.entries, type=tuple[Entry, ...])
    return Comparison(row.strategy, entries, row.at, row.who, row.why, row.id)
