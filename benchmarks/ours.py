"""abloop's side of `assign`: its strategies, its ways of taking a turn, and the limits of a hash and a write.

abloop decides while it randomises, its record safe in the spool before it answers.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from xxhash import xxh3_64_intdigest

import abloop
from abloop.assign.experiment import Assignment
from abloop.assign.hashing import prefix, threshold
from abloop.loop import Loop
from abloop.online import Strategy
from abloop.store.ship import ship
from benchmarks.traffic import ARMS, ATTRIBUTES, FEATURE, Traffic


def register(loop: Loop, name: str, features: Iterable[str] = ATTRIBUTES) -> Strategy:
    """Return the handle of a strategy with three equal arms."""
    blueprint = abloop.Blueprint(
        strategy=name,
        arms=tuple(abloop.Arm(name=arm) for arm in ARMS),
        metrics=(abloop.Metric(name="purchase"),),
        features=tuple(abloop.Feature(name=feature) for feature in features),
    )
    loop.register(blueprint, who="benchmarks", why="to be measured")
    return loop.strategy(name)


def new_context(index: int) -> dict[str, Any]:
    """Return the context of a new user, from its number."""
    return {"user_id": f"user-{index:09d}", **{name: index + 0.25 * place for place, name in enumerate(ATTRIBUTES)}}


def decide(strategy: Strategy) -> Callable[[Traffic], list[Any]]:
    """Return a turn of `get_decision`, each record durably in the spool; decision ids are ready."""

    def turn(todo: Traffic) -> list[Any]:
        get_decision = strategy.get_decision
        return [get_decision(decision_id, each) for decision_id, each in zip(todo.ids, todo.contexts, strict=True)]

    return turn


def decide_new_id(strategy: Strategy) -> Callable[[Traffic], list[Any]]:
    """Return a turn of `get_decision`, with a fresh decision id made for each call."""

    def turn(todo: Traffic) -> list[Any]:
        get_decision, new_decision_id = strategy.get_decision, abloop.new_decision_id
        return [get_decision(new_decision_id(), each) for each in todo.contexts]

    return turn


def assign(todo: Traffic) -> list[int]:
    """Take a turn of assignment alone, each arm by its index: no features, no record."""
    arm = Assignment(FEATURE, [1 / 3] * 3).arm
    return [arm(unit) for unit in todo.units]


def bare_hash(todo: Traffic) -> list[int]:
    """Take a turn of the limit: one hash and a bucket, in line."""
    salt, bounds = prefix(FEATURE, "arm"), [threshold(1 / 3), threshold(2 / 3)]
    return [bisect_right(bounds, xxh3_64_intdigest((salt + unit).encode())) for unit in todo.units]


def bare_write(path: Path, payload: bytes) -> Callable[[Traffic], None]:
    """Return a turn of the limit: one `os.write` per call of the bytes of abloop's own record."""

    def turn(todo: Traffic) -> None:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            for _ in todo.ids:
                os.write(file, payload)
        finally:
            os.close(file)

    return turn


def records_written(loop: Loop, strategies: Iterable[Strategy]) -> int:
    """Ship the spool and return how many decisions are in the database; refuse any that was lost.

    Raises:
        RuntimeError: A call failed, or a record is not where it belongs.
    """
    loop.spool.seal()
    shipped = ship(loop.spool_directory, loop.journal)
    strategies = list(strategies)
    errors = sum(strategy.errors for strategy in strategies)
    if errors or loop.spool.lost or shipped.refused or shipped.torn_bytes:
        raise RuntimeError(f"{errors} calls failed, {loop.spool.lost} records lost, shipped: {shipped}")
    kept = sum(loop.journal.backlog(strategy.name).waiting for strategy in strategies)
    if kept != shipped.records:
        raise RuntimeError(f"{shipped.records} records were shipped, {kept} are in the database")
    return kept
