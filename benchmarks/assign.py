"""One decision in process: abloop beside growthbook, and beside the limits of a hash and a write.

All do the same experiment: three equal arms, a new user id on every call, ten attributes in the context.
abloop decides while it randomises, its record safe in the spool before it answers. growthbook evaluates a
feature with one experiment rule under its default hash (version 1, the quicker one) and hands the exposure to
a callback that appends it to a list; nothing is fetched.
"""

from __future__ import annotations

import os
import platform
import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import growthbook
from xxhash import xxh3_64_intdigest

import abloop
from abloop.assign.experiment import Assignment
from abloop.assign.hashing import prefix, threshold
from abloop.loop import Loop
from abloop.online import Strategy
from abloop.store.ship import ship
from abloop.store.spool import segments
from benchmarks.timing import Contestant, interleave, ratio

ARMS: Final = ("control", "green", "blue")
ATTRIBUTES: Final = tuple(f"attribute_{index}" for index in range(10))
FEATURE: Final = "checkout"
RULE: Final = {"key": FEATURE, "variations": list(ARMS), "weights": [1 / 3] * 3, "hashAttribute": "id"}
PAYLOAD: Final = {FEATURE: {"defaultValue": "none", "rules": [RULE]}}
RATIOS: Final = (
    ("get_decision", "growthbook_reused"),
    ("get_decision", "growthbook_per_request"),
    ("get_decision", "growthbook_run"),
    ("get_decision_no_features", "growthbook_reused"),
    ("get_decision_new_id", "growthbook_reused"),
    ("assignment", "bare_hash"),
    ("get_decision", "bare_write"),
)
TARGET: Final = {"get_decision_to_growthbook_reused": 0.25}
SHARE_SLACK: Final = 0.05


@dataclass(frozen=True)
class Traffic:
    """The calls of one round; every user id and decision id is new.

    Attributes:
        ids: Decision ids.
        units: User ids.
        contexts: What abloop is given: `user_id` and ten numbers.
        attributes: What growthbook is given: `id` and the same ten numbers.
    """

    ids: list[str]
    units: list[str]
    contexts: list[dict[str, Any]]
    attributes: list[dict[str, Any]]


def traffic(number: int, calls: int) -> Traffic:
    """Return the calls of a round, from its number."""
    units = [f"user-{number:04d}-{index:06d}" for index in range(calls)]
    values = [{name: index + 0.25 * place for place, name in enumerate(ATTRIBUTES)} for index in range(calls)]
    return Traffic(
        ids=[abloop.new_decision_id() for _ in units],
        units=units,
        contexts=[{"user_id": unit, **own} for unit, own in zip(units, values, strict=True)],
        attributes=[{"id": unit, **own} for unit, own in zip(units, values, strict=True)],
    )


def decide(strategy: Strategy) -> Callable[[Traffic], None]:
    """Return a turn of `get_decision`, each record durably in the spool; decision ids are ready."""

    def turn(todo: Traffic) -> None:
        get_decision = strategy.get_decision
        for decision_id, context in zip(todo.ids, todo.contexts, strict=True):
            get_decision(decision_id, context)

    return turn


def decide_new_id(strategy: Strategy) -> Callable[[Traffic], None]:
    """Return a turn of `get_decision`, with a fresh decision id made for each call."""

    def turn(todo: Traffic) -> None:
        get_decision, new_decision_id = strategy.get_decision, abloop.new_decision_id
        for context in todo.contexts:
            get_decision(new_decision_id(), context)

    return turn


def assign(todo: Traffic) -> None:
    """Take a turn of assignment alone: no features, no record."""
    arm = Assignment(FEATURE, [1 / 3] * 3).arm
    for unit in todo.units:
        arm(unit)


def bare_hash(todo: Traffic) -> None:
    """Take a turn of the limit: one hash and a bucket, in line."""
    salt, bounds = prefix(FEATURE, "arm"), [threshold(1 / 3), threshold(2 / 3)]
    for unit in todo.units:
        bisect_right(bounds, xxh3_64_intdigest((salt + unit).encode()))


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


class Growthbook:
    """The peer: three ways of using it, and the list that its callback fills.

    Attributes:
        exposures: What the callback was given in this turn.
    """

    def __init__(self) -> None:
        """Begin with no exposure."""
        self.exposures: list[tuple[Any, Any, Any]] = []

    def track(self, experiment: Any, result: Any, user_context: Any) -> None:
        """Keep an exposure."""
        self.exposures.append((experiment, result, user_context))

    def clear(self, _: Traffic) -> None:
        """Start a turn without exposures."""
        self.exposures.clear()

    def check(self, todo: Traffic) -> None:
        """Refuse a turn in which not every call was an exposure."""
        if len(self.exposures) != len(todo.units):
            raise RuntimeError(f"growthbook tracked {len(self.exposures)} of {len(todo.units)} exposures")

    def reused(self, todo: Traffic) -> list[Any]:
        """Take a turn with one instance whose attributes change on every call; return the values."""
        client = growthbook.GrowthBook(features=PAYLOAD, on_experiment_viewed=self.track)
        values = []
        for attributes in todo.attributes:
            client.set_attributes(attributes)
            values.append(client.eval_feature(FEATURE).value)
        return values

    def per_request(self, todo: Traffic) -> None:
        """Take a turn with one instance for every call, as a web request makes it."""
        for attributes in todo.attributes:
            client = growthbook.GrowthBook(attributes=attributes, features=PAYLOAD, on_experiment_viewed=self.track)
            client.eval_feature(FEATURE)

    def run(self, todo: Traffic) -> None:
        """Take a turn with one instance and one experiment that is built once: its quickest way."""
        client = growthbook.GrowthBook(on_experiment_viewed=self.track)
        experiment = growthbook.Experiment(key=FEATURE, variations=list(ARMS), weights=[1 / 3] * 3)
        for attributes in todo.attributes:
            client.set_attributes(attributes)
            client.run(experiment)


def check_shares(who: str, values: Iterable[Any]) -> None:
    """Refuse a contestant that does not give each arm about a third.

    Raises:
        RuntimeError: It does something else than the experiment.
    """
    counts = Counter(values)
    total = sum(counts.values())
    if set(counts) != set(ARMS) or any(abs(count / total - 1 / 3) > SHARE_SLACK for count in counts.values()):
        raise RuntimeError(f"{who} does not assign three equal arms: {dict(counts)}")


def check_assignment(peer: Growthbook, strategy: Strategy) -> int:
    """Check both sides before they are timed; return how many decisions abloop made for it."""
    todo = traffic(9_999, 3_000)
    check_shares("growthbook", peer.reused(todo))
    peer.check(todo)
    if not all(result.inExperiment and result.hashUsed for _, result, _ in peer.exposures):
        raise RuntimeError("growthbook left users out of the experiment")
    decided = map(strategy.get_decision, todo.ids, todo.contexts)
    check_shares("abloop", decided)
    return len(todo.ids)


def register(loop: Loop, name: str, features: Iterable[str]) -> Strategy:
    """Return the handle of a strategy with three equal arms."""
    blueprint = abloop.Blueprint(
        strategy=name,
        arms=tuple(abloop.Arm(name=arm) for arm in ARMS),
        metrics=(abloop.Metric(name="purchase"),),
        features=tuple(abloop.Feature(name=feature) for feature in features),
    )
    loop.register(blueprint, who="benchmarks", why="to be measured")
    return loop.strategy(name)


def records_written(loop: Loop, strategies: Iterable[Strategy]) -> int:
    """Ship the spool and return how many decisions are in the database; refuse any that was lost."""
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


def measure(quick: bool = False) -> dict[str, Any]:
    """Return the ratios of this machine, with proof that every record was written.

    Args:
        quick: Few calls in few rounds: shows that it works, and no more.
    """
    calls, rounds = (200, 3) if quick else (2_000, 25)
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        loop = abloop.connect(f"sqlite:///{home / 'bench.db'}")
        full, bare = register(loop, "ten_features", ATTRIBUTES), register(loop, "no_features", ())
        fresh = register(loop, "new_ids", ATTRIBUTES)
        peer = Growthbook()
        made = check_assignment(peer, full)
        *_, (_, payload) = segments(loop.spool_directory)[-1].records()
        contestants = {
            "get_decision": Contestant(decide(full)),
            "growthbook_reused": Contestant(peer.reused, peer.clear, peer.check),
            "get_decision_no_features": Contestant(decide(bare)),
            "growthbook_per_request": Contestant(peer.per_request, peer.clear, peer.check),
            "get_decision_new_id": Contestant(decide_new_id(fresh)),
            "growthbook_run": Contestant(peer.run, peer.clear, peer.check),
            "assignment": Contestant(assign),
            "bare_hash": Contestant(bare_hash),
            "bare_write": Contestant(bare_write(home / "bare.bin", payload)),
        }
        seconds = interleave(contestants, lambda number: traffic(number, calls), rounds)
        written = records_written(loop, (full, bare, fresh))
        loop.close()
    return {
        "ratios": {f"{name}_to_{other}": ratio(seconds, name, other).plain() for name, other in RATIOS},
        "target": TARGET,
        "records_written": written,
        "calls": made + 3 * calls * (rounds + 1),
        "python": platform.python_version(),
        "versions": {
            "abloop": abloop.__version__,
            **{name: version(name) for name in ("growthbook", "msgspec", "xxhash")},
        },
    }
