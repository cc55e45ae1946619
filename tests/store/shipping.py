"""Records into a journal without a spool."""

from __future__ import annotations

from collections.abc import Sequence

from abloop.records import Decision, Observation, Record, encode
from abloop.store.events import Keys, no_keys
from abloop.store.journal import Due, Journal, Part
from abloop.store.manifest import TableFile


def send(
    journal: Journal, segment: str, records: Sequence[tuple[int, Record]], keys: Keys = no_keys, start: int = -1
) -> bool:
    """Ship records, offset and record, as the next part of a segment, or as the part from `start` on."""
    part = Part(segment, journal.shipped(segment) if start < 0 else start, max(offset for offset, _ in records))
    for offset, record in records:
        if isinstance(record, Decision):
            part.decisions.append((offset, encode(record), record))
        elif isinstance(record, Observation):
            part.observations.append((offset, record))
        else:
            part.losses.append(record)
    return journal.ship(part, keys)


def complete(journal: Journal, name: str, due: Due, version: int = 1) -> bool:
    """List a file that holds decisions and all their observations."""
    return journal.complete(TableFile(name, "s", version, len(due.decisions), {}, 0.0), due, [])
