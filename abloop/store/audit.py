"""The log of who changed what and why: it only grows, and each entry holds the hash of the one before.

Whoever alters an entry has to alter all that follow; the hash of the newest one, noted elsewhere, shows that too.
A change of a strategy notes itself in its own transaction, whether the command line, Python or a worker asks for it;
what the server does for a person, the server notes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from abloop.store.access_tables import audit, settings
from abloop.store.sql import Database

FIRST = "0" * 64
_LOCK = 0x6175646974  # "audit": who holds this advisory lock of Postgres appends
_HEAD = "audit head"
_BATCH = 1_000


_told: ContextVar[bool] = ContextVar("abloop_told", default=False)


class Entry(msgspec.Struct, frozen=True):
    """One change.

    Attributes:
        id: Its number, from 1 without a gap.
        at: Seconds since 1970.
        who: Name of the person or token.
        kind: `user` or `token` of the server, `command` of the command line, Python or a worker, or `nobody`.
        what: The change, e.g. `create user`.
        target: What was changed.
        why: Why.
        body: More of it, as JSON.
        previous: Hash of the entry before; zeros for the first.
        hash: SHA-256 over all that stands above.
    """

    id: int
    at: float
    who: str
    kind: str
    what: str
    target: str
    why: str
    body: str
    previous: str
    hash: str


class Check(msgspec.Struct, frozen=True):
    """What a look at the whole chain found.

    Attributes:
        entries: How many there are.
        head: Hash of the newest one.
        altered: Number of the first entry that is not as it was written; None where all are.
        said: What is wrong with it, or that nothing is.
    """

    entries: int
    head: str
    altered: int | None
    said: str


class Audit:
    """The log.

    Args:
        database: Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def append(
        self, *, at: float, who: str, kind: str, what: str, target: str, why: str, body: Mapping[str, Any] | None = None
    ) -> Entry:
        """Add an entry at the end of the chain; processes that append at once wait for one another.

        Args:
            at: Seconds since 1970.
            who: Name of the person or token.
            kind: `user`, `token`, `command` or `nobody`.
            what: The change.
            target: What was changed.
            why: Why.
            body: More of it; values that JSON does not know are kept as text.

        Raises:
            StoreError: The database refused.
        """
        with self._database.transaction() as connection:
            return _append(connection, at=at, who=who, kind=kind, what=what, target=target, why=why, body=body)

    def entries(
        self, *, who: str = "", what: str = "", target: str = "", before: int | None = None, most: int = 100
    ) -> list[Entry]:
        """Return entries, newest first.

        Args:
            who: Only of this person or token.
            what: Only changes whose name has this text in it.
            target: Only of targets that have this text in them.
            before: Only those with a lower number.
            most: How many at most.
        """
        query = _chosen(who, what, target).order_by(audit.c.id.desc()).limit(most)
        query = query.where(audit.c.id < before) if before is not None else query
        with self._database.reading() as connection:
            return [Entry(*row) for row in connection.execute(query)]

    def walk(self, *, who: str = "", what: str = "", target: str = "") -> Iterator[Entry]:
        """Yield every entry, or those that are wanted, oldest first; each thousand is read when it is needed."""
        number = 0
        while True:
            query = _chosen(who, what, target).where(audit.c.id > number).order_by(audit.c.id).limit(_BATCH)
            with self._database.reading() as connection:
                entries = [Entry(*row) for row in connection.execute(query)]
            yield from entries
            if len(entries) < _BATCH:
                return
            number = entries[-1].id

    def check(self, head: str = "") -> Check:
        """Compute the chain again.

        Args:
            head: The hash of an entry that was noted elsewhere; it has to be in the chain.
        """
        with self._database.reading() as connection:
            noted = connection.execute(sa.select(settings.c.value).where(settings.c.name == _HEAD)).scalar()
        known, last = not head, Entry(0, 0.0, "", "", "", "", "", "", "", FIRST)
        for entry in self.walk():
            if entry.id != last.id + 1:
                return Check(last.id, last.hash, last.id + 1, f"entry {last.id + 1} is missing")
            if entry.previous != last.hash or entry.hash != digest(entry):
                return Check(last.id, last.hash, entry.id, f"entry {entry.id} is not as it was written")
            known, last = known or entry.hash == head, entry
        number, _, hashed = (noted or f"0 {FIRST}").partition(" ")
        if last.id < int(number):
            return Check(last.id, last.hash, last.id + 1, f"entry {last.id + 1} and those after it are missing")
        if last.id == int(number) and last.hash != hashed:
            return Check(last.id, last.hash, last.id, f"entry {last.id} is not as it was written")
        if not known:
            return Check(last.id, last.hash, 1, f"no entry has the hash {head}: the log was written anew")
        return Check(last.id, last.hash, None, f"all {last.id:,} entries are as they were written")


@contextmanager
def told_elsewhere() -> Iterator[None]:
    """Let changes of strategies note nothing inside: who makes them adds an entry for all of them."""
    before = _told.get()
    _told.set(True)
    try:
        yield
    finally:
        _told.set(before)


def note(
    connection: Connection,
    *,
    at: float,
    who: str,
    what: str,
    target: str,
    why: str,
    body: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry in the transaction of the change that it tells of, unless that is told elsewhere.

    Args:
        connection: Of the transaction.
        at: Seconds since 1970.
        who: Who made the change.
        what: The change; the same words for each change of a kind.
        target: What was changed, e.g. a strategy's name.
        why: Why.
        body: More of it; nothing that names a unit.
    """
    if not _told.get():
        _append(connection, at=at, who=who, kind="command", what=what, target=target, why=why, body=body)


def _append(connection: Connection, *, at: float, body: Mapping[str, Any] | None, **texts: str) -> Entry:
    """Add an entry at the end of the chain."""
    if connection.dialect.name == "postgresql":  # of SQLite a transaction that writes is alone already
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    last = connection.execute(sa.select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)).first()
    number, previous = (last.id + 1, last.hash) if last else (1, FIRST)
    texts["body"] = json.dumps(body or {}, default=str, sort_keys=True)
    cleaned = {name: clean(text) for name, text in texts.items()}
    entry = Entry(id=number, at=float(at), **cleaned, previous=previous, hash="")
    entry = msgspec.structs.replace(entry, hash=digest(entry))
    connection.execute(audit.insert().values(**msgspec.structs.asdict(entry)))
    head = {"value": f"{entry.id} {entry.hash}"}  # apart, so that a log that lost its end is found
    if not connection.execute(settings.update().where(settings.c.name == _HEAD).values(head)).rowcount:
        connection.execute(settings.insert().values(name=_HEAD, **head))
    return entry


def _chosen(who: str, what: str, target: str) -> sa.Select[Any]:
    """Return the query of the entries that are wanted."""
    query = sa.select(audit)
    query = query.where(audit.c.who == clean(who)) if who else query
    query = query.where(audit.c.what.icontains(clean(what), autoescape=True)) if what else query
    return query.where(audit.c.target.icontains(clean(target), autoescape=True)) if target else query


def digest(entry: Entry) -> str:
    """Return the hash that an entry should have."""
    values = msgspec.structs.asdict(entry)
    del values["hash"]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def clean(text: str) -> str:
    """Return a text that every database keeps as it is: without NUL and without halves of characters.

    Example:
        >>> clean("a" + chr(0) + "b")
        'a\ufffdb'
    """
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
