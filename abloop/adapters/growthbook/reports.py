"""Who is told of an evaluation: callbacks, subscribers and abloop's journal. None of them can break it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from abloop.adapters.growthbook.faults import Faults, shown
from abloop.adapters.growthbook.hashing import normalised, shares
from abloop.adapters.growthbook.limits import DEEPEST
from abloop.adapters.growthbook.model import Experiment, FeatureResult, Result, UserContext

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST_REMEMBERED = 100_000  # exposures that a client remembers; the oldest goes first
MOST_COPIED = 10_000  # values of attributes that are copied for a callback; what is beyond is shared


class Journal(Protocol):
    """Where exposures go, as `abloop.adapters.exposure.Exposures` does it."""

    def place(
        self,
        strategy: str,
        unit: str,
        context: Mapping[str, Any],
        arms: Sequence[str],
        drawn: int,
        shares: Sequence[float],
        *,
        unit_key: str = "user_id",
    ) -> int:
        """Return the index of the arm to give, after the exposure is recorded."""
        ...

    def observe(self, unit: str, observations: Mapping[str, float], strategies: Iterable[str]) -> None:
        """Log what happened to a unit."""
        ...


class Reports:
    """Tells of evaluations, each thing once.

    Args:
        faults: What is told where somebody who is told raises.

    Attributes:
        on_exposure: Called with `experiment`, `result` and `user_context`, once for each unit and arm.
        on_usage: Called with the feature's key, its result and the user.
        subscribers: Called with experiment and result where that changed.
        assigned: The last result of each experiment.
        journal: Where exposures go; None for nowhere.
    """

    def __init__(self, faults: Faults) -> None:
        """Tell nobody yet."""
        self.faults = faults
        self.on_exposure: Callable[..., Any] | None = None
        self.on_usage: Callable[[str, FeatureResult[Any], UserContext], Any] | None = None
        self.subscribers: list[Callable[[Experiment[Any], Result[Any]], Any]] = []
        self.assigned: dict[str, dict[str, Any]] = {}
        self.journal: Journal | None = None
        self._told: dict[Any, bool] = {}
        self._placed: dict[tuple[str, str], dict[str, tuple[tuple[int, tuple[str, ...]], int]]] = {}
        self._attributes: dict[str, bool] = {}

    def place(self, experiment: Experiment[Any], unit: tuple[str, str], drawn: int, context: Mapping[str, Any]) -> int:
        """Return the index of the arm to give a unit: the drawn one, unless abloop's policy has another.

        Args:
            experiment: The experiment.
            unit: Attribute that names the unit, and the unit.
            drawn: Index of the arm that was drawn, or kept in a sticky bucket.
            context: The user's attributes.
        """
        if self.journal is None or not 0 <= drawn < len(experiment.variations):
            return drawn
        try:
            names, placed = arm_names(experiment), self._placed.get(unit)
            known = None if placed is None else placed.get(experiment.key)
            if known is not None and known[0] == (drawn, names):
                return known[1]
            count = len(names)
            ranges = experiment.ranges
            odds = shares(ranges) if ranges and len(ranges) == count else normalised(experiment.weights, count)
            given = self.journal.place(experiment.key, unit[1], context, names, drawn, odds, unit_key=unit[0])
            given = given if type(given) is int and 0 <= given < count else drawn
            if placed is None:
                placed = {}
                remember(self._placed, unit, placed)
                remember(self._attributes, unit[0], True)
            remember(placed, experiment.key, ((drawn, names), given))
        except Exception as error:  # law 1: product code never sees an exception
            self.faults.complain(f"experiment {shown(experiment.key)}", error, "its exposure was not recorded")
            return drawn
        return given

    def exposed(self, unit_of: Callable[[str], str]) -> dict[str, list[str]]:
        """Return the experiments that a user was placed in, by unit.

        Args:
            unit_of: Gives the user's unit for an attribute.
        """
        found: dict[str, list[str]] = {}
        for attribute in tuple(self._attributes):
            unit = unit_of(attribute)
            if (attribute, unit) in self._placed:
                found.setdefault(unit, []).extend(self._placed[attribute, unit])
        return found

    def track(self, experiment: Experiment[Any], result: Result[Any], user: UserContext) -> None:
        """Tell of an exposure, once for each unit and arm; again the next time where the callback raised."""
        if self.on_exposure is None:
            return
        try:
            key = (result.hashAttribute, str(result.hashValue), experiment.key, str(result.variationId))
            if key not in self._told:
                self.on_exposure(experiment=experiment, result=result, user_context=as_it_is(user))
                remember(self._told, key, True)
        except Exception as error:  # a stranger's callback must not break the evaluation
            self.faults.complain(f"experiment {shown(experiment.key)}", error, "its tracking callback raised")

    def used(self, key: str, result: FeatureResult[Any], user: UserContext) -> None:
        """Tell that a feature was looked at."""
        if self.on_usage is None:
            return
        try:
            self.on_usage(key, result, as_it_is(user))
        except Exception as error:  # a stranger's callback must not break the evaluation
            self.faults.complain(f"feature {shown(key)}", error, "its usage callback raised")

    def notify(self, experiment: Experiment[Any], result: Result[Any]) -> None:
        """Tell subscribers of an experiment whose result changed."""
        before = self.assigned.get(experiment.key)
        if before is not None:
            last = before["result"]
            if last.inExperiment == result.inExperiment and last.variationId == result.variationId:
                return
        self.assigned[experiment.key] = {"experiment": experiment, "result": result}
        for subscriber in tuple(self.subscribers):
            try:
                subscriber(experiment, result)
            except Exception as error:  # a stranger's callback must not break the evaluation
                self.faults.complain(f"experiment {shown(experiment.key)}", error, "a subscriber raised")

    def forget(self) -> None:
        """Tell nobody any more."""
        self.subscribers.clear()
        self.assigned.clear()
        self._told.clear()
        self._placed.clear()
        self.on_exposure = self.on_usage = None


def arm_names(experiment: Experiment[Any]) -> tuple[str, ...]:
    """Return the names of an experiment's arms: the keys of `meta`, else their indices.

    Example:
        >>> arm_names(Experiment("e", [1, 2], meta=[{"key": "control"}]))
        ('control', '1')
    """
    meta, count = experiment.meta or (), len(experiment.variations)
    given = [str(meta[arm].get("key") or arm) if arm < len(meta) else str(arm) for arm in range(count)]
    return tuple(given) if len(set(given)) == count else tuple(map(str, range(count)))


def remember(memory: dict[K, V], key: K, value: V) -> None:
    """Keep a value under a key; the oldest goes where there are too many."""
    if len(memory) >= MOST_REMEMBERED and key not in memory:
        memory.pop(next(iter(memory)), None)
    memory[key] = value


def as_it_is(user: UserContext) -> UserContext:
    """Return a user with a copy of its attributes, which later changes do not reach."""
    left = [MOST_COPIED]

    def copied(value: Any, depth: int) -> Any:
        if isinstance(value, dict | list):
            left[0] -= len(value) + 1
            if left[0] < 0 or depth > DEEPEST:
                return value
        if isinstance(value, dict):
            return {key: copied(one, depth + 1) for key, one in value.items()}
        return [copied(one, depth + 1) for one in value] if isinstance(value, list) else value

    return replace(user, attributes=copied(user.attributes, 0))
