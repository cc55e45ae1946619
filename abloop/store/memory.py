"""Rows of feature groups in memory, bounded over all groups together."""

from __future__ import annotations

import threading

import msgspec

from abloop.store.rows import Row

Entry = tuple[Row, float]


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


class CacheStats(msgspec.Struct, frozen=True):
    """What became of the calls for one group in this process.

    Attributes:
        hits: Calls answered from memory.
        misses: Calls that were not.
        late: Of those, calls not answered within the budget, or not at all because waiting was of no use.
        failed: Fetches whose source raised.
        entities: Entities in memory.
        median_age: Median seconds since their values were read, of those still used; None where there are none.
        oldest_age: Likewise, of the oldest.
        shut: Whether nobody waits for the source because it was late or failed several times in a row.
    """

    hits: int
    misses: int
    late: int
    failed: int
    entities: int
    median_age: float | None
    oldest_age: float | None
    shut: bool

    @property
    def hit_rate(self) -> float | None:
        """Share of calls answered from memory; None before the first."""
        calls = self.hits + self.misses
        return self.hits / calls if calls else None
