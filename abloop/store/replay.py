"""Dead letters, tried again after what was wrong with them was put right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from abloop.errors import UnknownNameError
from abloop.records import Decision, Observation, decode, encode
from abloop.store.dead import Dead, keep_reason, read_dead
from abloop.store.events import Keys
from abloop.store.inspection import Inspector
from abloop.store.journal import Part
from abloop.store.spool import Segment
from abloop.store.tallied import TalliedKeys
from abloop.store.workspace import Workspace

MOST = 1_000_000


class Replayed(msgspec.Struct, frozen=True):
    """What became of dead letters that were tried again.

    Attributes:
        kept: Letters that are on their way to the training table now.
        left: Letters that still cannot be kept, with the newest reason.
    """

    kept: int
    left: list[Dead]


def replay(workspace: Workspace, ids: Sequence[int] = (), strategy: str = "", shift: float = 0.0) -> Replayed:
    """Try dead letters again; each that can be kept now is, in the transaction that takes it off the dead letters.

    Records that were too large are kept: who replays them has looked at them.

    Args:
        workspace: What `abloop.connect` gave.
        ids: Which; all where empty.
        strategy: Only this strategy's; all where empty.
        shift: Seconds to add to the times of the records, for a clock that was off.

    Raises:
        UnknownNameError: There is no dead letter of such an id.
    """
    inspector, keys = Inspector(workspace.catalogue, workspace.clock), TalliedKeys(workspace.catalogue)
    letters = read_dead(workspace.database, strategy, ids, MOST)
    unknown = sorted(set(ids) - {letter.id for letter in letters})
    if unknown:
        raise UnknownNameError(f"there is no dead letter {unknown[0]}; `abloop store dead` lists them")
    kept = 0
    left: list[Dead] = []
    for letter in letters:
        reason = _try(workspace, letter, inspector, shift, keys)
        if not reason:
            kept += 1
            continue
        if reason != letter.reason:
            keep_reason(workspace.database, letter, reason)
        left.append(msgspec.structs.replace(letter, reason=reason))
    return Replayed(kept, left)


def _try(workspace: Workspace, letter: Dead, inspector: Inspector, shift: float, keys: Keys) -> str:
    """Keep a dead letter, or return why that cannot be done."""
    try:
        record = decode(letter.payload)
    except msgspec.DecodeError as error:
        return f"it cannot be read: {error}"
    payload = letter.payload
    if shift:
        record = msgspec.structs.replace(record, time=record.time + shift)
        payload = encode(record)
    reason = inspector(record, Segment(Path("replayed")))
    if reason:
        return reason
    part = Part(letter.segment, 0, letter.offset, letters=[letter.id])
    if isinstance(record, Decision):
        part.decisions.append((letter.offset, payload, record))
    elif isinstance(record, Observation):
        part.observations.append((letter.offset, record))
    else:
        part.losses.append(record)
    if not workspace.journal.ship(part, keys):
        return ""  # another replay has kept it
    again = [
        found for found in read_dead(workspace.database, letter.strategy, most=MOST) if found.offset == letter.offset
    ]
    return next((found.reason for found in again if found.segment == letter.segment), "")
