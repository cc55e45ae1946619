"""What a product process needs to decide for one strategy, as plain data: from the database, or from the disk.

The last good one is kept beside the spool, with a checksum, so that a process goes on deciding, and can start,
while the database is away.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa

from abloop.assign.allocation import Allocation
from abloop.blueprint import Blueprint
from abloop.models.artefact import Artefact
from abloop.store.catalogue import Catalogue, Serving
from abloop.store.comparisons import Comparison
from abloop.store.sql import Database
from abloop.store.tables import comparisons, servings

MAGIC: Final = b"abloop served 1\n"
_DIGEST = 32


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


def change_token(database: Database) -> tuple[int, int]:
    """Return what changes whenever anything else is to be served: one look, however many strategies.

    Raises:
        StoreError: The database cannot be read.
    """
    newest = [sa.select(sa.func.max(table.c.id)).scalar_subquery() for table in (servings, comparisons)]
    with database.reading() as connection:
        serving, comparison = connection.execute(sa.select(*newest)).one()
    return int(serving or 0), int(comparison or 0)


def read_served(catalogue: Catalogue, serving: Serving, comparison: Comparison | None = None) -> Served:
    """Return what is served, with all that belongs to it.

    Raises:
        AbloopError: Blueprint or release are missing or were altered, or the database is out of reach.
    """
    _, blueprint = catalogue.blueprint(serving.strategy, serving.version)
    artefact = catalogue.artefact(serving.release) if serving.release else None
    allocation = catalogue.allocation(serving.strategy, serving.version)
    entries = comparison.entries if comparison else ()
    rivals = tuple(
        read_served(catalogue, Serving(serving.strategy, entry.version, entry.phase, entry.release))
        for entry in entries
    )
    return Served(serving, blueprint, artefact, allocation, comparison, rivals)


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
