"""The shipper: spool segments to the database, from this machine's disk or as another one sent them. Restartable."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

import msgspec

from abloop.errors import DataError
from abloop.records import Decision, Loss, Observation, Record, decode, decode_many
from abloop.store.dead import Dead
from abloop.store.events import Keys, no_keys
from abloop.store.inspection import EXPIRED
from abloop.store.journal import Journal, Part
from abloop.store.segment import Segment, opened_at, read_records
from abloop.store.spool import MAGIC, segments

BATCH = 20_000
LARGEST = 256 << 10  # bytes of a record
NAMED = re.compile(r"[0-9]{20}-[0-9]{1,10}-[0-9]{1,12}-[0-9a-f]{8}\.spool")


class Source(Protocol):
    """Where records come from: a segment on this machine's disk, or what was sent of one."""

    @property
    def name(self) -> str:
        """Name under which the database remembers how far it was shipped."""

    @property
    def opened(self) -> float | None:
        """When it was opened by its process's clock; None where nobody knows."""

    def records(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield whole records from an offset on, each with the offset of its end."""


Inspect = Callable[[Record, Source], str]


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


class Sent:
    """What another machine sent of a segment of its spool.

    Args:
        name: Name of the segment.
        start: Offset of the first byte that was sent; 0 for the beginning, whose mark is not sent.
        payload: The bytes from there on, whole records.

    Raises:
        DataError: The name is none of a segment.
    """

    def __init__(self, name: str, start: int, payload: bytes) -> None:
        """Keep what was sent."""
        if not NAMED.fullmatch(name):
            raise DataError(f"segment {name!r:.80}; allowed: the name of a file of the spool", place="segment")
        self.name, self._start, self._payload = name, start, payload

    @property
    def opened(self) -> float | None:
        """When it was opened by its process's clock, in seconds since 1970."""
        return opened_at(self.name)

    def records(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield its whole records, each with the offset of its end.

        Args:
            start: Where they begin; nothing else was sent.
        """
        offset = max(start, len(MAGIC))
        return read_records(io.BytesIO(self._payload), offset, offset + len(self._payload))

    def check(self) -> None:
        """Make sure that every byte belongs to a whole record.

        Raises:
            DataError: The bytes were cut or altered on their way.
        """
        begin = end = max(self._start, len(MAGIC))
        for end, _ in self.records(self._start):  # noqa: B007 - the last end is what counts
            pass
        if end - begin != len(self._payload):
            raise DataError(
                f"segment {self.name}: {end - begin:,} of {len(self._payload):,} bytes are whole records, not all. "
                "Send it again",
                place="body",
            )


def accept(record: Record, segment: Source) -> str:
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


def receive(
    sent: Sent,
    start: int,
    journal: Journal,
    keys: Keys = no_keys,
    inspect: Inspect = accept,
    now: float = 0.0,
    *,
    torn: int = 0,
    skipped: int = 0,
) -> int:
    """Keep what another machine sent of a segment, each record once, however often it is sent.

    Args:
        sent: What was sent.
        start: Offset from which on.
        journal: The database side.
        keys: Context keys that are tallied of a strategy and version.
        inspect: Says what is wrong with a record; such go to the dead letters.
        now: Seconds since 1970.
        torn: Bytes behind it that are no whole record, where the segment ends.
        skipped: Bytes of a record behind it that is too large to be sent, and counts as lost.

    Returns:
        The offset up to which the segment is kept now: where to go on.

    Raises:
        DataError: The bytes were cut or altered on their way; nothing is kept.
    """
    sent.check()
    end = start
    for part in _parts(sent, start, inspect, now):
        if not journal.ship(part, keys):
            return journal.shipped(sent.name)
        end = part.end
    if torn or skipped:
        losses = [Loss(now, 1, 0, f"a record of {skipped:,} bytes is too large to be sent")] if skipped else []
        journal.ship(Part(sent.name, end, max(end, len(MAGIC)) + torn + skipped, torn=torn, losses=losses))
    return journal.shipped(sent.name)


def _parts(segment: Source, start: int, inspect: Inspect, now: float) -> Iterator[Part]:
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
