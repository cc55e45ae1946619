"""What makes a record a dead letter, found before it is kept, so that it never stops those behind it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import msgspec

from abloop.blueprint import Blueprint
from abloop.errors import UnknownNameError, unknown
from abloop.records import Decision, Loss, Observation, Record
from abloop.store.catalogue import Catalogue

DAY = 86_400.0
EXPIRED = "it is older than its strategy's retention"  # such a record is dropped and counted, and no dead letter
KINDS: dict[str, type] = {"categorical": str, "sparse": dict, "embedding": tuple}


class Opened(Protocol):
    """Where a record comes from."""

    @property
    def opened(self) -> float | None:
        """When it was opened by its process's clock; None where nobody knows."""


class Expected(msgspec.Struct, frozen=True):
    """What the records of one blueprint version look like.

    Attributes:
        features: Name and type of each feature that is logged.
        outputs: Number of predictions of a release.
        arms: Names of the arms.
        types: Types of features that were found to be right.
    """

    features: tuple[tuple[str, type], ...]
    outputs: int
    arms: frozenset[str]
    types: set[tuple[type, ...]]


class Inspector:
    """Says what is wrong with a record; an empty text where nothing is.

    Args:
        catalogue: The blueprints.
        clock: Gives seconds since 1970.
    """

    def __init__(self, catalogue: Catalogue, clock: Callable[[], float]) -> None:
        """Look up nothing yet."""
        self._catalogue = catalogue
        self._now = clock()
        self._latest = self._now + DAY
        self._earliest = -math.inf
        self._segment: Opened | None = None
        self._versions: dict[str, dict[int, Expected]] = {}
        self._metrics: dict[str, dict[str, str]] = {}
        self._kept_from: dict[str, float] = {}

    def __call__(self, record: Record, segment: Opened) -> str:
        """Return why a record of a segment cannot be kept."""
        if isinstance(record, Loss):
            return ""
        if segment is not self._segment:
            self._segment = segment
            self._earliest = -math.inf if segment.opened is None else segment.opened - DAY
        if not self._earliest <= record.time <= self._latest:
            return self._wrong_time(record.time)
        reason = self._wrong_observation(record) if isinstance(record, Observation) else self._wrong_decision(record)
        return reason or (EXPIRED if record.time < self._kept_from[record.strategy] else "")

    def _look_up(self, strategy: str) -> None:
        """Read the blueprints of a strategy."""
        found: dict[int, Expected] = {}
        metrics: dict[str, str] = {}
        retention = 0.0
        try:
            served = self._catalogue.serving(strategy).version  # before the blueprints, so that it is one of them
            for registered, blueprint in self._catalogue.blueprints(strategy):
                found[registered.version] = _expected(blueprint)
                metrics |= {metric.name: metric.by for metric in blueprint.metrics if not metric.measured}
                if registered.version == served:  # as for `retain`: what is kept must not be dropped on its way
                    retention = blueprint.lifecycle.retention
        except UnknownNameError:
            pass
        self._versions[strategy], self._metrics[strategy] = found, metrics
        self._kept_from[strategy] = self._now - retention if retention else -math.inf

    def _wrong_strategy(self, name: str) -> str:
        """Return that there is no such strategy."""
        return f"{unknown('strategy', name, self._catalogue.servings())}. Register it, then replay"

    def _wrong_time(self, time: float) -> str:
        """Return what is wrong with a record's time: a clock that is a day off joins nothing rightly."""
        if not math.isfinite(time):
            return f"its time is {time}; allowed: seconds since 1970"
        if time > self._latest:
            off = (time - self._latest) / DAY + 1
            return f"its time is {off:.1f} days ahead; allowed: 1. Set the clock, then replay with --shift"
        off = (self._earliest - time) / DAY + 1
        return f"its time is {off:.1f} days behind its process's; allowed: 1. Replay with --shift"

    def _wrong_decision(self, made: Decision) -> str:
        """Return what is wrong with a decision."""
        expected = self._versions.get(made.strategy, {}).get(made.version)
        if expected is None:  # or it was registered just now
            self._look_up(made.strategy)
            versions = self._versions[made.strategy]
            if not versions:
                return self._wrong_strategy(made.strategy)
            if made.version not in versions:
                known = ", ".join(map(str, versions))
                return f"strategy {made.strategy!r} has no version {made.version}; allowed: {known}"
            expected = versions[made.version]
        if made.arm not in expected.arms:
            return unknown("arm", made.arm, expected.arms)
        if not 0 < made.propensity <= 1:
            return f"its propensity is {made.propensity!r}; allowed: above 0, at most 1"
        if made.predictions and len(made.predictions) != expected.outputs:
            return f"it has {len(made.predictions)} predictions; allowed: 0 or {expected.outputs}"
        types = tuple(map(type, made.features))
        if types not in expected.types:
            wrong = _wrong_features(made, expected)
            if wrong:
                return wrong
            expected.types.add(types)
        return _wrong_name(made.decision_id, "".join(made.entities))

    def _wrong_observation(self, seen: Observation) -> str:
        """Return what is wrong with an observation."""
        by = self._metrics.get(seen.strategy, {}).get(seen.name)
        if by is None:  # or it was registered just now
            self._look_up(seen.strategy)
            metrics = self._metrics[seen.strategy]
            if not metrics:
                return self._wrong_strategy(seen.strategy)
            if seen.name not in metrics:
                return unknown("metric", seen.name, metrics)
            by = metrics[seen.name]
        if not math.isfinite(seen.value):
            return f"metric {seen.name!r} is {seen.value}; allowed: finite numbers"
        if not (seen.decision_id and by == "decision" and not seen.unit) and not (seen.unit and by == "unit"):
            return (
                f"metric {seen.name!r} is of a {by}, but this is of decision {seen.decision_id!r} and unit "
                f"{seen.unit!r}; allowed: that of the {by} alone"
            )
        return _wrong_name(seen.decision_id or seen.unit, seen.key)


def _expected(blueprint: Blueprint) -> Expected:
    features = tuple((feature.name, KINDS.get(feature.type, float)) for feature in blueprint.sourced())
    arms = frozenset(arm.name for arm in blueprint.ordered_arms())
    return Expected(features, len(blueprint.outputs()), arms, set())


def _wrong_features(made: Decision, expected: Expected) -> str:
    """Return which feature is not of its type."""
    if len(made.features) != len(expected.features):
        return f"it has {len(made.features)} features; allowed: {len(expected.features)}, as its blueprint says"
    for value, (name, kind) in zip(made.features, expected.features, strict=True):
        if value is not None and type(value) is not kind:
            return f"feature {name!r} is {value!r:.60}, a {type(value).__name__}; allowed: {kind.__name__} or nothing"
    return ""


def _wrong_name(name: str, other: str) -> str:
    """Return what is wrong with names, which databases must be able to hold."""
    if not name:
        return "its id is empty; allowed: a text, e.g. from abloop.new_decision_id()"
    if "\0" in name or "\0" in other:
        return f"a name in {name!r:.60} holds a zero character, which databases refuse. Remove it where it comes from"
    return ""
