"""What a product process needs to decide for one strategy, as plain data, and its place on the disk. Knows no database.

The last good one is kept beside the spool, with a checksum, so that a process goes on deciding, and can start,
while what it comes from is away.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from abloop.assign.allocation import Allocation
from abloop.blueprint import Blueprint
from abloop.models.artefact import Artefact
from abloop.records import Phase

MAGIC: Final = b"abloop served 1\n"
_DIGEST = 32


class Serving(msgspec.Struct, frozen=True):
    """What product processes serve for one strategy.

    Attributes:
        strategy: Its name.
        version: Blueprint version.
        phase: `randomise`, `personalise`, `ship`, `default` or `paused`.
        release: Name of the artefact that serves; empty while everything is randomised.
        at: Since when, in seconds since 1970.
        who: Who changed it.
        why: Why.
    """

    strategy: str
    version: int
    phase: Phase
    release: str = ""
    at: float = 0.0
    who: str = ""
    why: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One version in a comparison.

    Attributes:
        version: Blueprint version.
        share: Share of units that it decides for.
        phase: How it is served.
        release: Name of the artefact that serves; empty for none.
        draw: Id of the comparison whose draw of units this one goes on with; 0 for its own.
        abandoned: Whether its units had another version before, which was abandoned.
    """

    version: int
    share: float
    phase: Phase
    release: str = ""
    draw: int = 0
    abandoned: bool = False


class Comparison(msgspec.Struct, frozen=True):
    """Versions of one strategy that are compared; without entries, the end of the comparison before.

    Attributes:
        strategy: Its name.
        entries: The versions, in the order they were named.
        at: Since when, in seconds since 1970.
        who: Who began or ended it.
        why: Why.
        id: Its number.
    """

    strategy: str
    entries: tuple[Entry, ...]
    at: float
    who: str
    why: str
    id: int = 0

    @property
    def draw(self) -> int:
        """Id of the comparison that drew the units."""
        return next((entry.draw for entry in self.entries if entry.draw), self.id)


class Served(msgspec.Struct, frozen=True):
    """One served version, whole.

    Attributes:
        serving: What is served.
        blueprint: The served version.
        artefact: The release; None while there is none.
        allocation: Which part of the hash space is whose arm; by the weights where None.
        comparison: The versions that are compared in its place; None for none.
        rivals: These versions, in the order of the comparison.
    """

    serving: Serving
    blueprint: Blueprint
    artefact: Artefact | None = None
    allocation: Allocation | None = None
    comparison: Comparison | None = None
    rivals: tuple[Served, ...] = ()


def keep(directory: Path, served: Served) -> None:
    """Write what is served to the disk; a reader sees the file before or the file after, never half of one.

    Raises:
        OSError: The disk refuses.
    """
    body = msgspec.json.encode(served)
    directory.mkdir(parents=True, exist_ok=True)
    file, name = tempfile.mkstemp(dir=directory, suffix=".part")
    try:
        with os.fdopen(file, "wb") as out:
            out.write(MAGIC + hashlib.sha256(body).digest() + body)
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(_path(directory, served.serving.strategy))
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def recall(directory: Path, strategy: str) -> Served | None:
    """Return what was served last as far as this disk knows; None where it holds nothing whole."""
    try:
        body = _path(directory, strategy).read_bytes()
    except OSError:
        return None
    start = len(MAGIC) + _DIGEST
    if body[: len(MAGIC)] != MAGIC or hashlib.sha256(body[start:]).digest() != body[len(MAGIC) : start]:
        return None
    try:
        found = msgspec.json.decode(body[start:], type=Served)
    except msgspec.DecodeError:
        return None
    return found if found.serving.strategy == strategy else None


def _path(directory: Path, strategy: str) -> Path:
    """Return the file of a strategy, whose name may be any text."""
    return directory / f"{hashlib.sha256(strategy.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.served"
