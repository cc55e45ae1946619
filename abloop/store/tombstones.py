"""Tombstones: hashes of units that were erased, and of their decisions, so that what comes of them later is dropped.

A record of an erased unit from before the erasure may come again: sent again, or from a process that was away. What
the unit does later is kept; it may come back.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from abloop.records import Decision, Observation, decode, encode
from abloop.store.bulk import among
from abloop.store.dead import Dead
from abloop.store.tables import decisions, erased, observations

if TYPE_CHECKING:
    from abloop.store.journal import Part

HASH_BYTES = 16
ERASED, ERASED_DECISIONS, ERASED_ROWS = "erased", "erased_decisions", "erased_rows"  # counters
Counted = tuple[str, str]
Name = tuple[str, str]  # strategy, and unit or decision id


def hash_unit(unit: str, strategy: str = "") -> str:
    """Return what is kept of an erased unit: 32 characters.

    Args:
        unit: As records hold it.
        strategy: Where it was erased from one strategy alone: its name.

    Example:
        >>> hash_unit("u1") == hash_unit("u1", "checkout")
        False
    """
    return blake2b(encode(("unit", strategy, unit)), digest_size=HASH_BYTES).hexdigest()


def hash_decision(strategy: str, decision_id: str) -> str:
    """Return what is kept of an erased decision: 32 characters."""
    return blake2b(encode(("decision", strategy, decision_id)), digest_size=HASH_BYTES).hexdigest()


def bury_units(connection: Connection, hashes: Iterable[str], at: float, who: str, why: str) -> None:
    """Keep tombstones of units; a newer one takes the place of an older one.

    Args:
        connection: Inside a transaction.
        hashes: From `hash_unit`.
        at: Seconds since 1970: what a unit did until then is dropped.
        who: Who erased them.
        why: Why.
    """
    _keep(connection, [{"unit": each, "at": at, "who": who, "why": why} for each in hashes])


def bury_decisions(connection: Connection, strategy: str, ids: Iterable[str], at: float) -> None:
    """Keep tombstones of decisions, for their observations name no unit.

    Args:
        connection: Inside a transaction.
        strategy: Their strategy.
        ids: Decision ids.
        at: Seconds since 1970.
    """
    rows = [{"unit": hash_decision(strategy, each), "at": at, "who": "", "why": strategy} for each in ids]
    _keep(connection, rows)


def _keep(connection: Connection, rows: list[dict[str, object]]) -> None:
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(erased)
    new = insert.excluded
    kept = insert.on_conflict_do_update(
        index_elements=["unit"],
        set_={"at": new["at"], "who": new.who, "why": new.why},
        where=new["at"] >= erased.c["at"],
    )
    connection.execute(kept, rows)


def sieve(connection: Connection, part: Part) -> Counter[Counted]:
    """Take out of a part the records of erased units from before their erasure, and observations of erased decisions.

    An observation of an erased decision is dropped whenever it happened, unless a decision of the same id was made
    since: a unit that came back may be given the id that it had.

    Args:
        connection: Inside the transaction that ships the part, after its first write.
        part: What is shipped; it is changed.

    Returns:
        Strategy and counter to what was taken out.
    """
    dropped: Counter[Counted] = Counter()
    if connection.execute(sa.select(erased.c.unit).limit(1)).first() is None:
        return dropped
    units = {(made.strategy, made.unit) for _, _, made in part.decisions}
    gone = _erased_units(connection, units | {(seen.strategy, seen.unit) for _, seen in part.observations if seen.unit})
    mine = [made for _, _, made in part.decisions if made.time <= gone.get((made.strategy, made.unit), -math.inf)]
    if mine:
        out = {id(made) for made in mine}
        part.decisions = [each for each in part.decisions if id(each[2]) not in out]
        _drop_decisions(connection, mine, gone, dropped)
    made_now = {(made.strategy, made.decision_id) for _, _, made in part.decisions}
    ended = _erased_decisions(connection, {(seen.strategy, seen.decision_id) for _, seen in part.observations})
    kept = []
    for offset, seen in part.observations:
        name = (seen.strategy, seen.unit or seen.decision_id)
        until = (gone if seen.unit else ended).get(name)
        returned = bool(seen.unit) or name in made_now
        if until is not None and (seen.time <= until or not (returned or _is_known(connection, seen))):
            dropped[seen.strategy, "observations"] += 1
            dropped[seen.strategy, ERASED] += 1
        else:
            kept.append((offset, seen))
    part.observations = kept
    part.dead = [letter for letter in part.dead if not _is_erased(connection, letter)]
    return dropped


def _drop_decisions(
    connection: Connection, mine: Sequence[Decision], gone: dict[Name, float], dropped: Counter[Counted]
) -> None:
    """Count decisions as erased, with the observations that came before them."""
    for strategy in {each.strategy for each in mine}:
        theirs = [each for each in mine if each.strategy == strategy]
        ids = sorted({each.decision_id for each in theirs})
        there = (decisions.c.strategy == strategy, among(connection, decisions.c.decision_id, ids))
        taken = set(connection.execute(sa.select(decisions.c.decision_id).where(*there)).scalars())
        early = [each for each in ids if each not in taken]  # the others are of another decision that is there
        bury_decisions(connection, strategy, early, max(gone[strategy, each.unit] for each in theirs))
        waiting = (observations.c.strategy == strategy, among(connection, observations.c.decision_id, early))
        dropped[strategy, ERASED] += connection.execute(observations.delete().where(*waiting)).rowcount
        dropped[strategy, "decisions"] += len(theirs)
        dropped[strategy, ERASED_DECISIONS] += len(theirs)


def _times(connection: Connection, hashes: Iterable[str]) -> dict[str, float]:
    """Return which hashes are those of tombstones, with the time of each."""
    query = sa.select(erased.c.unit, erased.c["at"]).where(among(connection, erased.c.unit, list(hashes)))
    return {row.unit: row.at for row in connection.execute(query)}


def _erased_units(connection: Connection, units: Iterable[Name]) -> dict[Name, float]:
    """Return until when each of some units was erased, where it was."""
    hashes = {each: (hash_unit(each[1]), hash_unit(each[1], each[0])) for each in units}
    found = _times(connection, {name for both in hashes.values() for name in both})
    return {
        each: max(found[name] for name in both if name in found)
        for each, both in hashes.items()
        if not found.keys().isdisjoint(both)
    }


def _erased_decisions(connection: Connection, names: Iterable[Name]) -> dict[Name, float]:
    """Return until when each of some decisions was erased, where it was."""
    hashes = {each: hash_decision(*each) for each in names}
    found = _times(connection, hashes.values())
    return {each: found[name] for each, name in hashes.items() if name in found}


def _is_known(connection: Connection, seen: Observation) -> bool:
    """Return whether a decision of an observation's id is there."""
    its = (decisions.c.strategy == seen.strategy, decisions.c.decision_id == seen.decision_id)
    return connection.execute(sa.select(decisions.c.version).where(*its)).first() is not None


def _is_erased(connection: Connection, letter: Dead) -> bool:
    """Return whether a dead letter is of an erased unit or decision, from before."""
    try:
        record = decode(letter.payload)
    except msgspec.DecodeError:
        return False
    if not isinstance(record, Decision | Observation):
        return False
    if record.unit:
        until = _erased_units(connection, [(record.strategy, record.unit)])
    else:
        until = _erased_decisions(connection, [(record.strategy, record.decision_id)])
    return record.time <= max(until.values(), default=-math.inf)
