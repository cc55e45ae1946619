"""What stands behind the caches of the online store: memory that all groups share, threads, an optional Redis.

Rows that one product process fetched are in Redis for the others. Only fetching threads talk to it; a Redis that is
down, slow or holds garbage counts as one that does not know the entity.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any, Protocol, cast
from urllib.parse import quote

import msgspec

from abloop.errors import MissingExtraError, StoreError
from abloop.store.sources import Row
from abloop.store.sql import shown_url

PREFIX = "abloop:"
ANSWER_SECONDS = 0.05
REST_SECONDS = 5.0
MOST_DEPTH = 20
IDLE_SECONDS = 30.0
Entry = tuple[Row, float]
Stored = tuple[dict[str, Any] | None, float]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Stored).decode


class Held:
    """The entities of one group that are in memory, in two generations."""

    __slots__ = ("old", "young")

    def __init__(self) -> None:
        self.young: dict[str, Entry] = {}
        self.old: dict[str, Entry] = {}

    def turn(self) -> dict[str, Entry]:
        """Make the young generation the old one and return the one that goes; a reader sees either, never neither."""
        dropped, self.old = self.old, self.young
        self.young = {}
        return dropped


class Memory:
    """Keeps all groups together below a number of entities: those not asked for in a whole generation go."""

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self._held: list[Held] = []
        self.restart()

    def restart(self) -> None:
        """Begin with a lock nobody holds, as a forked child must."""
        self._lock = threading.Lock()
        self._count = sum(len(held.young) for held in self._held)

    def room(self) -> Held:
        """Return room for another group."""
        held = Held()
        with self._lock:
            self._held.append(held)
        return held

    def keep(self, held: Held, entity: str, entry: Entry) -> None:
        """Hold an entry, in the young generation."""
        dropped: list[dict[str, Entry]] = []
        with self._lock:
            if entity not in held.young:
                if self._count >= self._half:
                    dropped = [other.turn() for other in self._held]
                    self._count = 0
                self._count += 1
            held.young[entity] = entry
        for entries in dropped:
            while entries:  # one by one: to free a large dict at once would hold up every other thread
                entries.popitem()

    def promote(self, held: Held, entity: str, entry: Entry) -> None:
        """Hold an entry of the old generation for one more, if that makes nobody wait for another to be dropped."""
        with self._lock:
            if self._count < self._half and entity not in held.young:
                self._count += 1
                held.young[entity] = entry


class Flight:
    """One fetch under way, shared by all who want its entity."""

    __slots__ = ("answered", "at", "began", "done", "entity", "late", "row")

    def __init__(self, entity: str, began: float) -> None:
        self.entity = entity
        self.began = began
        self.done = threading.Event()
        self.answered = False
        self.late = False
        self.row: Row = None
        self.at = math.nan


class Crew:
    """The threads of one group: started when there is work, gone when there was none for a while."""

    def __init__(self, name: str, most: int, run: Callable[[Flight], None]) -> None:
        self._name, self._most, self._run = name, most, run
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Flight | None] = SimpleQueue()
        self._threads: set[threading.Thread] = set()
        self._closed = False

    def send(self, flight: Flight, under_way: int) -> None:
        """Have a fetch done; `under_way` counts it and those not finished."""
        with self._lock:
            self._queue.put(flight)
            if len(self._threads) >= min(self._most, under_way):
                return
            thread = threading.Thread(target=self._work, name=f"abloop-fetch {self._name}", daemon=True)
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the system has no thread to give, or the interpreter ends: the fetch is late
            with self._lock:
                self._threads.discard(thread)

    def _work(self) -> None:
        while True:
            try:
                flight = self._queue.get(timeout=IDLE_SECONDS)
            except Empty:
                flight = None
            if flight is not None:
                self._run(flight)
                continue
            with self._lock:
                if self._closed or self._queue.empty():
                    self._threads.discard(threading.current_thread())
                    return

    def close(self, until: float) -> None:
        """Let every thread end, and wait for them until a point of `perf_counter`."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
            for _ in threads:
                self._queue.put(None)
        for thread in threads:
            thread.join(max(0.0, until - perf_counter()))


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
