"""The shipper: spool segments to the database. Restartable at any point."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from abloop.records import Decision, Loss, Observation, Record, decode, decode_many
from abloop.store.dead import Dead
from abloop.store.events import Keys, no_keys
from abloop.store.inspection import EXPIRED
from abloop.store.journal import Journal, Part
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
        try:
            finished = segment.finished()  # before reading: nothing can be added to it after
            start = journal.shipped(segment.name)
            for part in _parts(segment, start, inspect, now):
                if not journal.ship(part, keys):
                    break
                start, moved, refused = part.end, moved + part.records, refused + len(part.dead)
            else:
                if finished:
                    torn += _finish(segment, start, journal)
        except FileNotFoundError:  # another worker has shipped it whole, and removed it
            continue
    return Shipped(moved, torn, refused)


def _parts(segment: Segment, start: int, inspect: Inspect, now: float) -> Iterator[Part]:
    """Yield what there is to ship of a segment, in parts of one transaction each."""
    records = segment.records(start)
    while batch := list(islice(records, BATCH)):
        offsets, payloads = zip(*batch, strict=True)
        part = Part(segment.name, start, offsets[-1])
        for offset, payload, record in zip(offsets, payloads, _decoded(payloads), strict=True):
            reason = record if isinstance(record, str) else inspect(record, segment)
            if reason == EXPIRED:
                _drop(part, record)
            elif reason or len(payload) > LARGEST:
                reason = reason or f"it is {len(payload):,} bytes; allowed: {LARGEST:,}. Pass less in the context"
                part.dead.append(Dead(segment.name, offset, getattr(record, "strategy", ""), reason, now, payload))
            elif isinstance(record, Observation):
                part.observations.append((offset, record))
            elif isinstance(record, Decision):
                part.decisions.append((offset, payload, record))
            elif isinstance(record, Loss):
                part.losses.append(record)
        yield part
        start = part.end


def _drop(part: Part, record: Record | str) -> None:
    """Count a record that is older than its strategy's retention, and leave it out."""
    if isinstance(record, Decision | Observation):
        names = ("decisions", "expired_decisions") if isinstance(record, Decision) else ("observations", "expired")
        for name in names:
            part.dropped[record.strategy, name] = part.dropped.get((record.strategy, name), 0) + 1


def _decoded(payloads: tuple[bytes, ...]) -> list[Record] | list[Record | str]:
    """Return the records, and in the place of those that cannot be read why."""
    try:
        return decode_many(payloads)
    except msgspec.DecodeError:
        return [_decoded_or_not(payload) for payload in payloads]


def _decoded_or_not(payload: bytes) -> Record | str:
    try:
        return decode(payload)
    except msgspec.DecodeError as error:
        return f"it cannot be read: {error}"


def _finish(segment: Segment, end: int, journal: Journal) -> int:
    """Remove a segment that is shipped, and return how many bytes after its last whole record are not empty."""
    with segment.path.open("rb") as file:
        file.seek(max(end, len(MAGIC)))
        torn = len(file.read().rstrip(b"\0"))
    if torn:  # shipped to beyond it, so that it is counted once
        journal.ship(Part(segment.name, end, end + torn, torn=torn))
    segment.path.unlink(missing_ok=True)
    return torn
