"""The shipper: spool segments to the database. Restartable at any point."""

from __future__ import annotations

from pathlib import Path

import msgspec

from abloop.records import Record, decode
from abloop.store.events import Keys, no_keys
from abloop.store.journal import Journal
from abloop.store.spool import MAGIC, segments

BATCH = 20_000


class Shipped(msgspec.Struct, frozen=True):
    """What one shipping moved.

    Attributes:
        records: Records that reached the database.
        torn_bytes: Bytes at the end of dead segments that are no whole record.
        refused: Records that this version of abloop cannot read.
    """

    records: int
    torn_bytes: int
    refused: int


def ship(directory: Path, journal: Journal, keys: Keys = no_keys) -> Shipped:
    """Ship every whole record in a spool directory; remove segments that are finished and shipped.

    Args:
        directory: The spool.
        journal: The database side.
        keys: Context keys that are tallied of a strategy and version.

    Returns:
        What was moved.
    """
    moved = torn = refused = 0
    for segment in segments(directory):
        finished = segment.finished()  # before reading: nothing can be added to it after
        end = start = journal.shipped(segment.name)
        batch: list[tuple[int, Record]] = []
        for end, payload in segment.records(start):
            try:
                batch.append((end, decode(payload)))
            except msgspec.DecodeError:
                refused += 1
            if len(batch) >= BATCH:
                journal.ship(segment.name, batch, end, keys)
                moved += len(batch)
                batch = []
        if end > start:
            journal.ship(segment.name, batch, end, keys)
            moved += len(batch)
        if finished:
            torn += _torn(segment.path, end)
            segment.path.unlink(missing_ok=True)
    return Shipped(moved, torn, refused)


def _torn(path: Path, end: int) -> int:
    """Return how many bytes after the last whole record are not empty."""
    with path.open("rb") as file:
        file.seek(max(end, len(MAGIC)))
        return len(file.read().rstrip(b"\0"))
