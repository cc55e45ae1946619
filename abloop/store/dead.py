"""Dead letters: records that could not be kept, with the reason, until they can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from abloop.store.sql import Database
from abloop.store.tables import dead


class Dead(msgspec.Struct, frozen=True):
    """A record that could not be kept.

    Attributes:
        segment: The segment it came in.
        offset: Where it ends there.
        strategy: Its strategy; empty where it cannot be read.
        reason: Why it could not be kept.
        at: When it came, in seconds since 1970.
        payload: Its bytes.
        id: Its number among the dead letters; 0 before it is one.
    """

    segment: str
    offset: int
    strategy: str
    reason: str
    at: float
    payload: bytes
    id: int = 0


def bury(connection: Connection, letters: Sequence[Dead]) -> Counter[str]:
    """Keep records among the dead letters, each once, and return how many are new, by strategy.

    Args:
        connection: Inside a transaction.
        letters: The records.
    """
    new: Counter[str] = Counter()
    for letter in letters:
        there = sa.select(dead.c.id).where(dead.c.segment == letter.segment, dead.c.offset == letter.offset)
        if connection.execute(there).first() is None:
            values = msgspec.structs.asdict(letter)
            del values["id"]
            connection.execute(dead.insert().values(**values))
            new[letter.strategy] += 1
    return new


def read_dead(database: Database, strategy: str = "", ids: Sequence[int] = (), most: int = 1_000) -> list[Dead]:
    """Return dead letters, oldest first.

    Args:
        database: Where they are.
        strategy: Only this strategy's; all where empty.
        ids: Only these; all where empty.
        most: Most letters to return.
    """
    query = sa.select(dead).order_by(dead.c.id).limit(most)
    query = query.where(dead.c.strategy == strategy) if strategy else query
    query = query.where(dead.c.id.in_(ids)) if ids else query
    with database.reading() as connection:
        return [Dead(**row) for row in connection.execute(query).mappings()]


def keep_reason(database: Database, letter: Dead, reason: str) -> None:
    """Note why a dead letter still cannot be kept."""
    with database.transaction() as connection:
        connection.execute(dead.update().where(dead.c.id == letter.id).values(reason=reason))
