"""Versions of blueprints in the database: each is kept once, numbered without a gap, and never changed."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from abloop.assign.allocation import Allocation
from abloop.blueprint import Blueprint, content_hash, from_mapping, to_json
from abloop.blueprint.arms import successor
from abloop.blueprint.policy import first_phase
from abloop.errors import ConflictError, StoreError
from abloop.store.audit import note
from abloop.store.tables import allocations, blueprints, servings

Seen = tuple[int, int]
MOST_READ = 256  # blueprints that a process remembers, of all versions


def add_version(
    connection: Connection,
    blueprint: Blueprint,
    *,
    at: float,
    who: str,
    why: str,
    serve: bool,
    seen: Seen | None,
    url: str,
) -> int:
    """Keep a blueprint as the newest version of its strategy, if no version is equal to it; see the catalogue.

    Returns:
        Its version, from 1.

    Raises:
        ConflictError: Something else is newest or served by now than what was seen.
        StoreError: The stored version that is served was altered.
    """
    if known := known_version(connection, blueprint):
        return known
    mine = blueprints.c.strategy == blueprint.strategy
    newest = int(connection.execute(sa.select(sa.func.max(blueprints.c.version)).where(mine)).scalar() or 0)
    last = sa.select(servings).where(servings.c.strategy == blueprint.strategy).order_by(servings.c.id.desc())
    serving = connection.execute(last.limit(1)).first()
    if seen is not None:
        _check_seen(blueprint.strategy, newest, serving, seen)
    version = newest + 1
    if serving is not None:
        _allocate(connection, blueprint, version, int(serving.version), url)
    row = {"strategy": blueprint.strategy, "version": version, "at": at, "who": who, "why": why}
    connection.execute(blueprints.insert().values(**row, hash=content_hash(blueprint), body=to_json(blueprint)))
    if serve or serving is None:
        paused = serving is not None and serving.phase == "paused"  # which a new version does not undo
        phase = "paused" if paused else first_phase(blueprint)
        connection.execute(servings.insert().values(**row, phase=phase, release=""))
    body = {"version": version, "served": serve or serving is None}
    note(connection, at=at, who=who, what="register blueprint", target=blueprint.strategy, why=why, body=body)
    return version


def _check_seen(strategy: str, newest: int, serving: Any, seen: Seen) -> None:
    """Refuse what was written after other versions than those that are there."""
    if (newest, serving.version if serving else 0) == seen:
        return
    served = f", and {serving.who!r} serves version {serving.version}" if serving else ""
    raise ConflictError(
        f"strategy {strategy!r}: version {newest} is the newest by now{served}; this was written when version "
        f"{seen[0]} was the newest and {seen[1]} served. Nothing was changed: look at what came in between, "
        "then save again"
    )


def _allocate(connection: Connection, blueprint: Blueprint, version: int, served: int, url: str) -> None:
    """Keep which part of the hash space is whose arm, taken over from the version served until now."""
    query = sa.select(blueprints).where(blueprints.c.strategy == blueprint.strategy, blueprints.c.version == served)
    before = checked(connection.execute(query).one(), url)
    found = successor(before, read_allocation(connection, blueprint.strategy, served), blueprint)
    if found is not None:
        body = msgspec.json.encode(found).decode()
        connection.execute(allocations.insert().values(strategy=blueprint.strategy, version=version, body=body))


def read_allocation(connection: Connection, strategy: str, version: int) -> Allocation | None:
    """Return which part of the hash space is whose arm in a version; None where its weights alone say it."""
    mine = (allocations.c.strategy == strategy, allocations.c.version == version)
    body = connection.execute(sa.select(allocations.c.body).where(*mine)).scalar()
    return None if body is None else msgspec.json.decode(body, type=Allocation)


def checked(row: Any, url: str) -> Blueprint:
    """Return the blueprint of a row of the table, after its text was found to be what the hash says.

    Raises:
        StoreError: It was altered.
    """
    name = f"{row.strategy} version {row.version}"
    if hashlib.sha256(row.body.encode()).hexdigest() != row.hash:
        raise StoreError(
            f"database {url}: blueprint {name} does not match its hash: it was altered in place. "
            "Restore it from a backup, or register it anew"
        )
    return _read(row.body, f"{url}: {name}")


@lru_cache(maxsize=MOST_READ)
def _read(body: str, name: str) -> Blueprint:
    """Return the blueprint of a text; a text is read once, as neither it nor a blueprint ever changes."""
    return from_mapping(msgspec.json.decode(body), name)


def known_version(connection: Connection, blueprint: Blueprint) -> int:
    """Return the newest version that is equal to a blueprint; 0 where none is."""
    mine = (blueprints.c.strategy == blueprint.strategy, blueprints.c.hash == content_hash(blueprint))
    return int(connection.execute(sa.select(sa.func.max(blueprints.c.version)).where(*mine)).scalar() or 0)
