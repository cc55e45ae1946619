"""Secrets: how they are drawn, hashed and compared. No secret is ever kept as it is, but the one that signs cookies."""

from __future__ import annotations

import hashlib
import secrets
from functools import cache
from typing import TYPE_CHECKING

import sqlalchemy as sa

from abloop.errors import DataError, MissingExtraError
from abloop.store.access_tables import settings
from abloop.store.sql import Database

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SECRET_BYTES = 32
LEAST_CHARACTERS = 12
MOST_CHARACTERS = 256
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without signs that look alike
_SECRET = "cookie secret"  # noqa: S105 - its name, not the secret


def installation_secret(database: Database) -> str:
    """Return the secret that signs this installation's cookies; the first who asks draws it.

    Raises:
        StoreError: The database refused.
    """
    query = sa.select(settings.c.value).where(settings.c.name == _SECRET)
    with database.reading() as connection:
        found = connection.execute(query).scalar()
    if found is None:
        with database.transaction() as connection:
            row = {"name": _SECRET, "value": secrets.token_hex(SECRET_BYTES)}
            connection.execute(database.insert_new(settings).values(row))
            found = connection.execute(query).scalar_one()
    return str(found)


def draw_password() -> str:
    """Return a password to be used once: 20 signs that are easily typed, 99 bits.

    Example:
        >>> len(draw_password())
        23
    """
    parts = ["".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4)]
    return "-".join(parts)


def require_password(password: str, name: str) -> None:
    """Check a password that a person chose.

    Args:
        password: It.
        name: The person's name, which must not be in it.

    Raises:
        DataError: It is too short, too long or easily guessed.

    Example:
        >>> require_password("correct horse battery", "maria")
    """
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise DataError(
            f"the password has {len(password)} characters; allowed: {LEAST_CHARACTERS} to {MOST_CHARACTERS}. "
            "Several words that do not belong together are easily kept in mind"
        )
    if len(set(password.casefold())) < 5 or name.casefold() in password.casefold():
        raise DataError("the password is easily guessed: it needs five different signs, and not your name")


def hash_secret(secret: str) -> str:
    """Return the argon2id hash of a password or token, with its salt and cost in it.

    Raises:
        MissingExtraError: argon2-cffi is not installed.
    """
    return _hasher().hash(_bytes(secret))


def verify_secret(hashed: str, secret: str) -> bool:
    """Return whether a secret is the one that was hashed; an empty hash takes the same time and is never right.

    Raises:
        MissingExtraError: argon2-cffi is not installed.
    """
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return _hasher().verify(hashed or _nobodys(), _bytes(secret)) and bool(hashed)
    except (VerificationError, InvalidHashError):
        return False


def fingerprint(secret: str) -> str:
    """Return the SHA-256 of a secret of 256 random bits, which nobody can guess: a fast hash is enough for it."""
    return hashlib.sha256(_bytes(secret)).hexdigest()


def _bytes(secret: str) -> bytes:
    return secret.encode("utf-8", "surrogatepass")


@cache
def _hasher() -> PasswordHasher:
    """Return argon2id with the cost that OWASP names: 19 MiB, two passes, one lane."""
    try:
        from argon2 import PasswordHasher
    except ModuleNotFoundError as error:
        raise MissingExtraError("passwords need the package argon2-cffi: pip install 'abloop[server]'") from error
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@cache
def _nobodys() -> str:
    """Return a hash that no secret has, for names that do not exist."""
    return _hasher().hash(secrets.token_hex(SECRET_BYTES))
