"""An optional Redis beside the database: rows that one product process fetched are there for the others.

Only the fetching threads of the online store talk to it. A Redis that is down, slow or holds garbage counts as one
that does not know the entity.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Protocol, cast
from urllib.parse import quote

import msgspec

from abloop.errors import MissingExtraError, StoreError
from abloop.store.rows import Row

PREFIX = "abloop:"
ANSWER_SECONDS = 0.05
REST_SECONDS = 5.0
MOST_DEPTH = 20
Stored = tuple[dict[str, Any] | None, float]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Stored).decode


class Client(Protocol):
    """What is asked of a Redis client."""

    def get(self, name: bytes) -> bytes | None:
        """Return the value of a key."""

    def set(self, name: bytes, value: bytes, *, px: int) -> object:
        """Keep a value for some milliseconds."""

    def close(self) -> None:
        """Close every connection."""


class Shared:
    """Rows of feature groups in Redis, kept for as long as they may be used.

    Keys are `abloop:GROUP:ENTITY`. Installations whose strategies have the same names need a Redis database each,
    e.g. `redis://host/1`.

    Args:
        url: `redis://`, `rediss://` or `unix://`.

    Raises:
        MissingExtraError: The package redis is not installed.
        StoreError: The URL is not one.

    Attributes:
        failed: Calls that Redis did not answer in time, or not at all.
    """

    def __init__(self, url: str) -> None:
        """Connect to nothing yet."""
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise MissingExtraError(
                "features shared in Redis need the package redis: pip install 'abloop[redis]'"
            ) from error
        try:
            client = redis.Redis.from_url(
                url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0)
            )
        except ValueError as error:
            from abloop.store.sql import shown_url  # here, so that a client of a server loads no database library

            shown = shown_url(url).rpartition("@")[2]
            allowed = "'redis://host:6379/0', 'rediss://...' or 'unix:///path'"
            raise StoreError(f"Redis URL {shown!r} cannot be used; allowed: {allowed}") from error
        self._client = cast(Client, client)
        self._rests_until = 0.0
        self.failed = 0

    def get(self, group: str, entity: str) -> Stored | None:
        """Return an entity's row and when it was read, None where Redis does not know; never raises.

        Args:
            group: Name of the group's cache.
            entity: Id of the entity.
        """
        if time.monotonic() < self._rests_until:
            return None
        try:
            found = self._client.get(_key(group, entity))
        except Exception:  # whatever it is, the database has the row as well
            self._rest()
            return None
        try:
            return None if found is None else _decode(found)
        except Exception:  # not written by us
            return None

    def put(self, group: str, entity: str, row: Row, at: float, max_age: float) -> None:
        """Keep an entity's row; never raises, and keeps nothing that MessagePack cannot hold.

        Args:
            group: Name of the group's cache.
            entity: Id of the entity.
            row: Its row, None where there is no such entity.
            at: When it was read, seconds since 1970.
            max_age: Seconds for which it may be used.
        """
        milliseconds = int(max_age * 1_000)
        if milliseconds < 1 or time.monotonic() < self._rests_until:
            return
        try:
            packed = _encode((packable(row), at))
        except Exception:  # a stranger's object: the other processes fetch it themselves
            return
        try:
            self._client.set(_key(group, entity), packed, px=milliseconds)
        except Exception:  # nothing is lost: it is a copy
            self._rest()

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def _rest(self) -> None:
        """Ask nothing for a while: waiting for it would make every fetch late."""
        self.failed += 1
        self._rests_until = time.monotonic() + REST_SECONDS


def packable(value: Any, depth: int = 0) -> Any:
    """Return a value as MessagePack holds it, read as the same feature: times as ISO text, decimals as floats.

    Raises:
        TypeError: It is nested deeper than 20 levels.

    Example:
        >>> packable({"spent": Decimal("9.5"), "since": date(2024, 5, 1), "tags": ("a", "b")})
        {'spent': 9.5, 'since': '2024-05-01', 'tags': ['a', 'b']}
    """
    if depth > MOST_DEPTH:
        raise TypeError("nested too deep")
    if value is None or type(value) in (float, int, str, bool):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: packable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [packable(item, depth + 1) for item in value]
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return value.tolist()
    return value


def _key(group: str, entity: str) -> bytes:
    """Return the key: the group's name cannot run into the entity's id."""
    return f"{PREFIX}{quote(group, safe='', errors='surrogatepass')}:{entity}".encode("utf-8", "surrogatepass")
