"""The shipper: spool segments to the database. Restartable at any point."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from abloop.records import Record, decode
from abloop.store.dead import Dead
from abloop.store.events import Keys, no_keys
from abloop.store.journal import Journal, Shipment
from abloop.store.spool import MAGIC, Segment, segments

BATCH = 20_000
LARGEST = 256 << 10  # bytes of a record
Inspect = Callable[[Record, Segment], str]


class Shipped(msgspec.Struct, frozen=True):
    """What one shipping moved.

    Attributes:
        records: Records that reached the database.
        torn_bytes: Bytes at the end of dead segments that are no whole record.
        refused: Records that went to the dead letters.
    """

    records: int
    torn_bytes: int
    refused: int


def accept(record: Record, segment: Segment) -> str:
    """Find nothing wrong with a record."""
    del record, segment
    return ""


def ship(
    directory: Path,
    journal: Journal,
    keys: Keys = no_keys,
    inspect: Inspect = accept,
    now: float = 0.0,
) -> Shipped:
    """Ship every whole record in a spool directory; remove segments that are finished and shipped.

    Args:
        directory: The spool.
        journal: The database side.
        keys: Context keys that are tallied of a strategy and version.
        inspect: Says what is wrong with a record; such go to the dead letters.
        now: Seconds since 1970.

    Returns:
        What was moved.
    """
    moved = torn = refused = 0
    for segment in segments(directory):
        finished = segment.finished()  # before reading: nothing can be added to it after
        part = _Part(segment, journal, keys, inspect, now)
        for end, payload in segment.records(part.start):
            part.take(end, payload)
            if part.size >= BATCH and not part.send():
                break
        else:
            tail = _torn(segment.path, part.end) if finished else 0
            if part.send(tail) and finished:
                torn += tail
                segment.path.unlink(missing_ok=True)
        moved, refused = moved + part.moved, refused + part.refused
    return Shipped(moved, torn, refused)


class _Part:
    """What is to be shipped of a segment in one transaction.

    Attributes:
        start: Offset up to which it is shipped.
        end: Offset up to which this goes.
        moved: Records that were shipped so far.
        refused: Records that went to the dead letters so far.
    """

    def __init__(self, segment: Segment, journal: Journal, keys: Keys, inspect: Inspect, now: float) -> None:
        self._segment, self._journal, self._keys, self._inspect, self._now = segment, journal, keys, inspect, now
        self.start = self.end = journal.shipped(segment.name)
        self.moved = self.refused = 0
        self._records: list[Shipment] = []
        self._dead: list[Dead] = []

    @property
    def size(self) -> int:
        """Number of records."""
        return len(self._records) + len(self._dead)

    def take(self, end: int, payload: bytes) -> None:
        """Add a record, to those that are kept or to the dead letters."""
        self.end, strategy = end, ""
        try:
            record = decode(payload)
            strategy = getattr(record, "strategy", "")
            reason = self._inspect(record, self._segment)
            if len(payload) > LARGEST:
                reason = f"it is {len(payload):,} bytes long; allowed: {LARGEST:,}. Pass less in the context"
            if not reason:
                self._records.append(Shipment(end, payload, record))
                return
        except msgspec.DecodeError as error:
            reason = f"it cannot be read: {error}"
        self._dead.append(Dead(self._segment.name, end, strategy, reason, self._now, payload))

    def send(self, torn: int = 0) -> bool:
        """Ship what was added; return whether no other worker was at it."""
        part = (self.start, self.end + torn)  # so that what is torn is counted once
        if part[0] != part[1] and not self._journal.ship(
            self._segment.name, self._records, part, self._keys, self._dead, torn
        ):
            return False
        self.moved += len(self._records)
        self.refused += len(self._dead)
        self.start, self._records, self._dead = self.end, [], []
        return True


def _torn(path: Path, end: int) -> int:
    """Return how many bytes after the last whole record are not empty."""
    with path.open("rb") as file:
        file.seek(max(end, len(MAGIC)))
        return len(file.read().rstrip(b"\0"))
