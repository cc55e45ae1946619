"""One decision in process: abloop beside its peers, and beside the limits of a hash and a write.

All do the same experiment: three equal arms, a new user id on every call, ten attributes in the context. abloop
decides while it randomises, its record safe in the spool before it answers. growthbook and Eppo hand each exposure to
a callback that appends it to a list; Statsig queues it; OpenFeature's in-memory provider keeps none. Nothing is
fetched and nothing is sent. Each peer is shown to do the experiment before it is timed; one that is not installed is
left out, and so are its ratios. Last, a process of its own shows whether memory stays flat.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import abloop
from abloop.loop import Loop
from abloop.online import Strategy
from abloop.store.spool import segments
from benchmarks.memory import STATUS, measure_memory
from benchmarks.ours import assign, bare_hash, bare_write, decide, decide_new_id, records_written, register
from benchmarks.peer_openfeature import in_memory, through_abloop
from benchmarks.peer_statsig import Statsig
from benchmarks.peers import Eppo, Growthbook, gather
from benchmarks.timing import Contestant, interleave, ratio
from benchmarks.traffic import ARMS, Peer, Traffic, check_shares, traffic

RATIOS: Final = (
    ("assignment", "eppo"),
    ("assignment", "eppo_unlogged"),
    ("assignment", "bare_hash"),
    ("get_decision", "eppo"),
    ("get_decision", "eppo_unlogged"),
    ("get_decision", "growthbook_reused"),
    ("get_decision", "growthbook_per_request"),
    ("get_decision", "growthbook_run"),
    ("get_decision", "statsig"),
    ("get_decision", "statsig_unlogged"),
    ("get_decision", "bare_write"),
    ("get_decision_no_features", "growthbook_reused"),
    ("get_decision_new_id", "growthbook_reused"),
    ("openfeature_abloop", "openfeature_in_memory"),
    ("openfeature_abloop", "get_decision"),
    ("eppo", "bare_hash"),
    ("statsig", "bare_hash"),
    ("openfeature_in_memory", "bare_hash"),
)
TARGET: Final = {
    "assignment_to_eppo": 0.4,
    "assignment_to_bare_hash": 8.0,
    "get_decision_to_eppo": 1.0,
    "get_decision_to_growthbook_reused": 0.15,
}
PACKAGES: Final = ("eppo-server-sdk", "growthbook", "msgspec", "openfeature-sdk", "statsig-python-core", "xxhash")
CHECKED: Final = 3_000
THROUGH: Final = "openfeature"


def ours(home: Path, strategies: Mapping[str, Strategy], payload: bytes) -> dict[str, Contestant[Traffic]]:
    """Return abloop's ways of taking a turn and the limits, by name.

    Args:
        home: Where the bare write goes.
        strategies: By name.
        payload: What the bare write writes.
    """
    return {
        "bare_write": Contestant(bare_write(home / "bare.bin", payload)),
        "get_decision": Contestant(decide(strategies["ten_features"])),
        "get_decision_no_features": Contestant(decide(strategies["no_features"])),
        "get_decision_new_id": Contestant(decide_new_id(strategies["new_ids"])),
        "assignment": Contestant(assign),
        "bare_hash": Contestant(bare_hash),
    }


def check_all(strategies: Mapping[str, Strategy], peers: Mapping[str, Peer]) -> None:
    """Show that abloop, its limit and each peer do the experiment; 3,000 decisions for each strategy.

    Raises:
        RuntimeError: One of them does something else.
    """
    todo = traffic(9_999, CHECKED)
    for turn in (assign, bare_hash):
        check_shares(turn.__name__, [ARMS[index] for index in turn(todo)])
    for name, strategy in strategies.items():
        if name != THROUGH:  # checked through its provider, which makes its decisions
            check_shares(f"abloop's {name}", decide(strategy)(traffic(9_999, CHECKED)))
    for peer in peers.values():
        peer.check(todo)


def by_turns(groups: list[dict[str, Contestant[Traffic]]]) -> dict[str, Contestant[Traffic]]:
    """Return all contestants in the order of their turns: one of each group, then the next of each.

    Example:
        >>> list(by_turns([{"a": Contestant(id), "b": Contestant(id)}, {"c": Contestant(id)}]))
        ['a', 'c', 'b']
    """
    longest = max(map(len, groups))
    return {
        name: group[name] for place in range(longest) for group in groups for name in list(group)[place : place + 1]
    }


def race(home: Path, loop: Loop, calls: int, rounds: int) -> dict[str, Any]:
    """Return the times of all contestants, who was left out, and how many records were written."""
    strategies = {name: register(loop, name) for name in ("ten_features", "new_ids")}
    strategies["no_features"] = register(loop, "no_features", ())
    makers: dict[str, Callable[[], Peer]] = {
        "eppo": Eppo,
        "growthbook": Growthbook,
        "openfeature_abloop": partial(through_abloop, loop, THROUGH),
        "openfeature_in_memory": in_memory,
        "statsig": Statsig,
    }
    peers, left_out = gather(makers)
    try:
        if "openfeature_abloop" in peers:
            strategies[THROUGH] = loop.strategy(THROUGH)
        check_all(strategies, peers)
        *_, (_, payload) = segments(loop.spool_directory)[-1].records()
        theirs = {name: peer.contestants() for name, peer in peers.items()}
        last = theirs.pop("statsig", {})  # it gives memory back to the system, which slows the next turn down
        contestants = by_turns([ours(home, strategies, payload), *theirs.values()]) | last
        seconds = interleave(contestants, lambda number: traffic(number, calls), rounds)
        written = records_written(loop, strategies.values())
    finally:
        for peer in peers.values():
            peer.close()
    made = len(strategies) * (CHECKED + calls * (rounds + 1))
    return {"seconds": seconds, "left_out": left_out, "records_written": written, "calls": made}


def versions() -> dict[str, str]:
    """Return the version of abloop and of each package that is installed."""
    found = {"abloop": abloop.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def measure(quick: bool = False) -> dict[str, Any]:
    """Return the ratios of this machine, with proof that every record was written.

    Args:
        quick: Few calls in few rounds: shows that it works, and no more.
    """
    calls, rounds = (200, 3) if quick else (2_000, 25)
    with tempfile.TemporaryDirectory() as directory:
        loop = abloop.connect(f"sqlite:///{Path(directory) / 'bench.db'}")
        try:
            run = race(Path(directory), loop, calls, rounds)
        finally:
            loop.close()
    seconds = run.pop("seconds")
    memory: dict[str, Any] = {}
    if STATUS.exists():
        memory = measure_memory(10_000, 50_000) if quick else measure_memory(100_000, 1_000_000)
    else:
        run["left_out"]["memory"] = f"this system has no {STATUS}"
    both = [(name, other) for name, other in RATIOS if name in seconds and other in seconds]
    return {
        "ratios": {f"{name}_to_{other}": ratio(seconds, name, other).plain() for name, other in both},
        "target": TARGET,
        "memory": memory,
        **run,
        "python": platform.python_version(),
        "versions": versions(),
    }
