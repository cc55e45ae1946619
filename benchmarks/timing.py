"""Paired timing: contestants take turns in rounds, and each is compared with a peer of its own round.

On a noisy machine the speed drifts by more than contestants differ. Drift within a round hits all alike, so
that the ratio of two contestants of one round keeps still while their times do not.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Generic, TypeVar

Work = TypeVar("Work")


@dataclass(frozen=True)
class Contestant(Generic[Work]):
    """One way of doing a round's work.

    Attributes:
        run: Does all of the work; the only part that is timed.
        before: Done before each turn, e.g. to start with an empty list.
        after: Done after each turn, e.g. to check what the turn left.
    """

    run: Callable[[Work], object]
    before: Callable[[Work], object] = id
    after: Callable[[Work], object] = id


@dataclass(frozen=True)
class Ratio:
    """How long one contestant takes compared with another.

    Attributes:
        median: Median over rounds.
        low: Smallest of all rounds.
        high: Largest of all rounds.
        n: Rounds.
    """

    median: float
    low: float
    high: float
    n: int

    def plain(self) -> dict[str, float | int]:
        """Return the ratio as plain data, to four digits."""
        return {key: float(f"{value:.4g}") if key != "n" else value for key, value in asdict(self).items()}


def interleave(
    contestants: Mapping[str, Contestant[Work]], work: Callable[[int], Work], rounds: int
) -> dict[str, list[float]]:
    """Let the contestants take turns, after one round that does not count.

    Args:
        contestants: By name, in the order of their turns.
        work: Makes the work of a round from its number; 0 is the round that does not count.
        rounds: Rounds that count.

    Returns:
        Seconds of each counted round, by name, each of length `rounds`.

    Example:
        >>> {name: len(times) for name, times in interleave({"sort": Contestant(sorted)}, range, 3).items()}
        {'sort': 3}
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        todo = work(number)
        for name, contestant in contestants.items():
            contestant.before(todo)
            gc.collect()
            started = time.perf_counter()
            contestant.run(todo)
            took = time.perf_counter() - started
            contestant.after(todo)
            if number:
                seconds[name].append(took)
    return seconds


def ratio(seconds: Mapping[str, list[float]], name: str, peer: str) -> Ratio:
    """Return how long a contestant takes compared with its peer, round by round.

    Example:
        >>> ratio({"ours": [1.0, 2.0, 9.0], "theirs": [2.0, 4.0, 9.0]}, "ours", "theirs")
        Ratio(median=0.5, low=0.5, high=1.0, n=3)
    """
    each = [ours / theirs for ours, theirs in zip(seconds[name], seconds[peer], strict=True)]
    return Ratio(median(each), min(each), max(each), len(each))
