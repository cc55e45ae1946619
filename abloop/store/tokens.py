"""What programs show instead of a password: tokens of 256 bits, each with its grants, shown once, kept as a hash."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import get_args

import msgspec
import sqlalchemy as sa

from abloop.errors import DataError, UnknownNameError, listed, unknown
from abloop.store.access_tables import tokens
from abloop.store.people import Grant
from abloop.store.secret import hash_secret
from abloop.store.sql import Database

PREFIX = "abl"  # by which scanners of leaked secrets know one
_SIGNS = "abcdefghijklmnopqrstuvwxyz234567"
_ID_SIGNS = 12
_USED_SECONDS = 60.0  # a use is written down at most that often


class Token(msgspec.Struct, frozen=True):
    """One token, without its secret.

    Attributes:
        id: The part of it that is no secret.
        name: What it is for.
        hash: Of its secret part.
        grants: What it may do, sorted.
        who: Who made it.
        at: When it was made, in seconds since 1970.
        expires: From when on it is refused; None for never.
        used: When it was used last, to the minute; None for never.
        revoked: When it was revoked; None where it was not.
    """

    id: str
    name: str
    hash: str
    grants: tuple[Grant, ...]
    who: str
    at: float
    expires: float | None
    used: float | None
    revoked: float | None

    def valid(self, at: float) -> bool:
        """Return whether it is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or at < self.expires)


class Tokens:
    """The tokens of an installation.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def all(self) -> list[Token]:
        """Return every token, newest first."""
        query = sa.select(tokens).order_by(tokens.c.at.desc(), tokens.c.id)
        with self._database.reading() as connection:
            return [_token(row) for row in connection.execute(query)]

    def find(self, key: str) -> Token | None:
        """Return the token of an id; None where there is none."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(tokens).where(tokens.c.id == key)).first()
        return _token(row) if row else None

    def add(self, name: str, grants: Iterable[str], *, who: str, at: float, days: float | None = None) -> str:
        """Make a token and return it whole; it cannot be shown again.

        Args:
            name: What it is for, 1 to 100 characters.
            grants: Some of `read`, `edit`, `ingest`, `admin`.
            who: Who makes it.
            at: Seconds since 1970.
            days: After which it expires; None for never.

        Raises:
            DataError: Name, grants or days are none that are allowed.
        """
        chosen, title = sorted(set(grants)), name.strip()
        if not 1 <= len(title) <= 100 or not title.isprintable():
            raise DataError(f"token name {name!r}; allowed: 1 to 100 printable characters that say what it is for")
        if not chosen or not set(chosen) <= set(get_args(Grant)):
            raise DataError(f"grants {listed(chosen)}; allowed: one or more of {listed(get_args(Grant))}")
        if days is not None and not 0 < days <= 3_650:
            raise DataError(f"a token for {days:g} days; allowed: more than 0, at most 3650, or none to never expire")
        key = "".join(secrets.choice(_SIGNS) for _ in range(_ID_SIGNS))
        secret = secrets.token_urlsafe(32)
        row = {"id": key, "name": title, "hash": hash_secret(secret), "grants": ",".join(chosen), "who": who, "at": at}
        with self._database.transaction() as connection:
            expires = None if days is None else at + days * 86_400
            connection.execute(tokens.insert().values(**row, expires=expires))
        return f"{PREFIX}_{key}_{secret}"

    def revoke(self, key: str, at: float) -> Token:
        """Refuse a token from now on and return it.

        Raises:
            UnknownNameError: There is none, or it is revoked already.
        """
        mine = sa.and_(tokens.c.id == key, tokens.c.revoked.is_(None))
        with self._database.transaction() as connection:
            done = connection.execute(tokens.update().where(mine).values(revoked=at))
            if not done.rowcount:
                known = connection.execute(sa.select(tokens.c.id).where(tokens.c.revoked.is_(None)))
                raise UnknownNameError(unknown("token", key, [str(row.id) for row in known]))
            return _token(connection.execute(sa.select(tokens).where(tokens.c.id == key)).one())

    def note_use(self, token: Token, at: float) -> None:
        """Keep when a token was used, to the minute."""
        if token.used is None or at >= token.used + _USED_SECONDS:
            with self._database.transaction() as connection:
                connection.execute(tokens.update().where(tokens.c.id == token.id).values(used=at))


def split(text: str) -> tuple[str, str]:
    """Return id and secret of a token; empty texts where it is none.

    Example:
        >>> split("abl_id_secret_part")
        ('id', 'secret_part')
    """
    parts = text.split("_", 2)
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == PREFIX else ("", "")


def _token(row: sa.Row[tuple[object, ...]]) -> Token:
    grants = tuple(row.grants.split(","))
    return Token(row.id, row.name, row.hash, grants, row.who, row.at, row.expires, row.used, row.revoked)
