"""The experiment that all contestants of `assign` do, and its calls: three equal arms, new users, ten attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import abloop
from benchmarks.timing import Contestant

ARMS: Final = ("control", "green", "blue")
ATTRIBUTES: Final = tuple(f"attribute_{index}" for index in range(10))
FEATURE: Final = "checkout"
DEFAULT: Final = "none"
SHARE_SLACK: Final = 0.05


@dataclass(frozen=True)
class Traffic:
    """The calls of one round; every user id and decision id is new.

    Attributes:
        ids: Decision ids.
        units: User ids.
        values: The ten numbers alone.
        contexts: What abloop is given: `user_id` and the ten numbers.
        attributes: What growthbook is given: `id` and the ten numbers.
    """

    ids: list[str]
    units: list[str]
    values: list[dict[str, Any]]
    contexts: list[dict[str, Any]]
    attributes: list[dict[str, Any]]


class Peer(Protocol):
    """Another product: how it takes its turns, and how it is shown to do the same experiment."""

    def contestants(self) -> dict[str, Contestant[Traffic]]:
        """Return its ways of taking a turn, by name."""

    def check(self, todo: Traffic) -> None:
        """Refuse it where it does something else than the experiment; done before it is timed."""

    def close(self) -> None:
        """Let nothing of it run on."""


def traffic(number: int, calls: int) -> Traffic:
    """Return the calls of a round, from its number."""
    units = [f"user-{number:04d}-{index:06d}" for index in range(calls)]
    values = [{name: index + 0.25 * place for place, name in enumerate(ATTRIBUTES)} for index in range(calls)]
    return Traffic(
        ids=[abloop.new_decision_id() for _ in units],
        units=units,
        values=values,
        contexts=[{"user_id": unit, **own} for unit, own in zip(units, values, strict=True)],
        attributes=[{"id": unit, **own} for unit, own in zip(units, values, strict=True)],
    )


def check_shares(who: str, values: Iterable[Any]) -> None:
    """Refuse a contestant that does not give each arm about a third.

    Raises:
        RuntimeError: It does something else than the experiment.

    Example:
        >>> check_shares("a wheel", ARMS * 3)
    """
    counts = Counter(values)
    total = sum(counts.values())
    if set(counts) != set(ARMS) or any(abs(count / total - 1 / 3) > SHARE_SLACK for count in counts.values()):
        raise RuntimeError(f"{who} does not assign three equal arms: {dict(counts)}")


def check_count(who: str, logged: int, calls: int) -> None:
    """Refuse a contestant that did not log an exposure for every call.

    Raises:
        RuntimeError: Some are missing, or too many.
    """
    if logged != calls:
        raise RuntimeError(f"{who} logged {logged} exposures of {calls} calls")
