"""All that is needed to decide for one strategy: immutable, compiled once, swapped whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from abloop.assign.allocation import Allocation
from abloop.assign.experiment import Assignment, BucketAssignment
from abloop.assign.screen import Screen
from abloop.blueprint import Blueprint
from abloop.blueprint.policy import Policy, challenged
from abloop.blueprint.randomisation import Experiment
from abloop.blueprint.spec import DEFAULT, Space
from abloop.blueprint.spec import Policy as PolicySpec
from abloop.blueprint.target import Target, compile_target
from abloop.errors import ArtefactError
from abloop.features.encode import Encoder
from abloop.features.graph import Graph
from abloop.features.quick import quick_read, quick_read_all
from abloop.features.read import Fetched, readers, sources
from abloop.models.artefact import Artefact
from abloop.models.effects import EffectModel
from abloop.models.labels import LabelSet
from abloop.models.posterior import BanditModel
from abloop.policy.choose import best_arm, hurdles
from abloop.records import FeatureValue
from abloop.store.serving import Served, Serving

if TYPE_CHECKING:
    from abloop.store.workspace import Workspace

NOTHING = Fetched()
MANY = 8  # decisions that are predicted together rather than one by one
NO_POLICY = PolicySpec(formula="0")


class Feed(Protocol):
    """Where the feature groups of a blueprint version are fetched from, each within its budget."""

    def fetch(self, context: Mapping[str, Any], now: float) -> Fetched:
        """Return what the groups give for a context."""
        ...

    def decided(self, decision_id: str, entities: tuple[str, ...]) -> None:
        """Remember what a decision was about."""
        ...

    def observed(self, decision_id: str, name: str, value: float, at: float, where: tuple[str, int]) -> None:
        """Count an observation at once, before the database has it."""
        ...


class Split:
    """Versions of a strategy that are compared in production: each unit keeps to one of them.

    Args:
        salt: Names the comparison.
        snapshots: The versions, compiled, one or more.
        shares: Share of units of each, sum to one.
    """

    def __init__(self, salt: str, snapshots: Sequence[Snapshot], shares: Sequence[float]) -> None:
        """Compile the draw."""
        self.snapshots = tuple(snapshots)
        self._assignment = Assignment(salt, shares)

    def pick(self, unit: str) -> Snapshot:
        """Return the version that decides for a unit."""
        return self.snapshots[self._assignment.arm(unit)]


class Snapshot:
    """A served blueprint version, compiled for deciding; swapped whole.

    Args:
        serving: What is served.
        blueprint: The served version.
        artefact: The release; None while there is none.
        feed: Where its feature groups are fetched from; None where it has none.
        split: The versions that are compared in its place; None where there is no comparison.
        allocation: Which part of the hash space is whose arm; by the weights where None.
    """

    def __init__(
        self,
        serving: Serving,
        blueprint: Blueprint,
        artefact: Artefact | None = None,
        feed: Feed | None = None,
        split: Split | None = None,
        allocation: Allocation | None = None,
    ) -> None:
        """Compile blueprint and release."""
        arms, trial = blueprint.ordered_arms(), blueprint.experiment
        self.serving = serving
        self.blueprint = blueprint
        self.strategy = blueprint.strategy
        self.version = serving.version
        self.unit_key = blueprint.unit
        self.conceals = bool(blueprint.pseudonymise)
        self.is_choice = blueprint.is_choice
        self.feed = feed
        self.split = split
        compared = self.versions()
        self.feeds = tuple(snapshot.feed for snapshot in compared if snapshot.feed is not None)
        named = [snapshot.blueprint.metrics for snapshot in compared]
        self.metrics = frozenset(metric.name for metrics in named for metric in metrics if not metric.measured)
        self.names = tuple(arm.name for arm in arms)
        self.values = blueprint.values()
        self.costs = tuple(arm.cost for arm in arms)
        self.hurdles = self.costs if serving.phase == "ship" else hurdles(self.costs, trial.margin)
        self.default = self.values[0] if blueprint.default is None else blueprint.default
        self.explore = trial.explore
        self.keys = tuple(group.key for group in blueprint.groups)
        self.graph = Graph(blueprint.features)
        self.features = readers(self.graph.sourced)
        self.read, self.read_all = quick_read(self.graph.sourced), quick_read_all(self.graph.sourced)
        self.sources = sources(self.graph.sourced, [group.name for group in blueprint.groups])
        self.assignment = _assignment(blueprint, allocation)
        self.weights = self.assignment.weights
        self.screen = _screen(blueprint, self.assignment, self.names)
        condition = compile_target(blueprint)
        self.target = Target(condition, self.graph.names) if condition else None
        self.sticky = trial.sticky
        self.redraw = trial.redraw
        self.calm = trial.calm if artefact is not None and serving.phase == "personalise" else 0.0
        self.screened = _screens(trial) or serving.phase == "paused"
        self._take(artefact)

    def _take(self, artefact: Artefact | None) -> None:
        """Compile the release, and what follows from there being one."""
        blueprint, serving = self.blueprint, self.serving
        if artefact is not None and serving.phase == "personalise" and artefact.outputs != len(blueprint.outputs()):
            raise ArtefactError(
                f"strategy {self.strategy!r}: release {serving.release[:12]} predicts {artefact.outputs} numbers; "
                f"version {self.version} reads {', '.join(blueprint.outputs())}. Train again; what served goes on"
            )
        self.encoder = Encoder(artefact.columns) if artefact else None
        self.effects: EffectModel | BanditModel | None = None
        if artefact is not None and artefact.bandit is not None and self.encoder is not None:
            self.effects = BanditModel(artefact.bandit, len(artefact.arms), self.encoder.width)
        elif artefact is not None and artefact.effects is not None:
            self.effects = EffectModel(artefact.effects)
        self.labels = LabelSet(artefact.labels, artefact.network) if artefact and artefact.labels else None
        self.policy = Policy(blueprint, artefact.sd if artefact else ())
        self.challenger = Policy(challenged(blueprint)) if blueprint.ranking.challenger else None
        plain = not blueprint.policy.formula and not blueprint.model.is_bandit
        self._simple = self.is_choice and (plain or serving.phase == "ship")
        self._derives = len(self.graph.names) > len(self.graph.sourced)
        slots = self.graph.slots
        self._slots = None if slots == tuple(range(len(self.graph.names))) else slots
        self.serves = artefact is not None or (not self.policy.needs_release and serving.phase == "personalise")
        self.only_randomises = self.is_choice and not self.serves and not self.screened and not self.redraw
        plain = bool(self.version) and self.feed is None and self.split is None and not self.sticky
        self.quick = plain and self.only_randomises and not self.conceals
        if artefact is not None:
            self._warm()

    def _warm(self) -> None:
        """Predict once, for nothing known, alone and together: no request pays for what a first call makes ready."""
        with suppress(Exception):  # whatever a first call meets, requests have their default
            nothing = self.all_features((None,) * len(self.graph.sourced))
            self.choose(nothing, self.predict(nothing))
            self.predict_all([nothing] * MANY)

    def versions(self) -> tuple[Snapshot, ...]:
        """Return itself, and the versions that are compared in its place."""
        return (self, *(self.split.snapshots if self.split else ()))

    def drawn_as(self, unit: str, now: float) -> str:
        """Return what is hashed for a unit's draws: the unit, and the period where its arm is drawn anew."""
        return f"{unit}@{now // self.redraw:.0f}" if self.redraw else unit

    def forced(self, unit: str, force: str) -> int | None:
        """Return the arm that a call or the blueprint asks for by name; None where there is none."""
        if force and type(force) is str and force in self.names and (self.is_choice or force == DEFAULT):
            return self.names.index(force)
        return self.screen.force.get(unit)

    def all_features(self, features: Sequence[FeatureValue]) -> Sequence[FeatureValue]:
        """Return all features of one decision from those that were logged."""
        return self.graph.row(features) if self._derives else features

    def all_features_of(self, rows: Sequence[Sequence[FeatureValue]]) -> Sequence[Sequence[FeatureValue]]:
        """Return `all_features` of many decisions, length n."""
        return [self.graph.row(features) for features in rows] if self._derives else rows

    def predict(self, values: Sequence[FeatureValue]) -> tuple[float, ...]:
        """Return what the release predicts for all features of a decision: effects of the arms, then labels."""
        if self.encoder is None:
            return ()
        inputs = self.encoder.row(values if self._slots is None else [values[slot] for slot in self._slots])
        predictions = self.effects.row(inputs) if self.effects is not None else ()
        return predictions if self.labels is None else predictions + self.labels.row(inputs)

    def predict_all(self, rows: Sequence[Sequence[FeatureValue]]) -> list[tuple[float, ...]]:
        """Return `predict` of many decisions, length n, in one go where NumPy is installed."""
        if self.encoder is None or self.labels is None or self.effects is not None or len(rows) < MANY:
            return [self.predict(values) for values in rows]
        try:
            import numpy as np  # noqa: F401 - only whether it is there
        except ImportError:
            return [self.predict(values) for values in rows]
        slots = self._slots
        given = rows if slots is None else [[values[slot] for slot in slots] for values in rows]
        inputs = self.encoder.rows(given)
        columns = [column.tolist() for column in self.labels.frame(inputs).values()]
        return list(zip(*columns, strict=True))

    def choose(self, values: Sequence[FeatureValue], predictions: tuple[float, ...]) -> Any:
        """Return what the policy says; None where it is undefined."""
        if self._simple:
            return best_arm(predictions[: len(self.costs)], self.hurdles)
        return self.policy.row(values, predictions)

    def calmed(self, chosen: int, predictions: Sequence[float], before: int) -> int:
        """Return the arm that a unit had before, unless the one that is best now is better by more than `calm`."""
        gained = predictions[chosen] - self.hurdles[chosen] - predictions[before] + self.hurdles[before]
        return chosen if gained > self.calm else before


def load_snapshot(workspace: Workspace, serving: Serving) -> Snapshot:
    """Return what is served, compiled, without its feeds.

    Raises:
        AbloopError: Blueprint or release are missing or were altered.
    """
    from abloop.store.served import read_served  # here, so that a client of a server loads no database library

    return compile_served(read_served(workspace.catalogue, serving))


def compile_served(served: Served, feed: Feed | None = None, split: Split | None = None) -> Snapshot:
    """Return what is served, compiled."""
    return Snapshot(served.serving, served.blueprint, served.artefact, feed, split, served.allocation)


def compile_all(served: Served, feed: Callable[[Served], Feed | None]) -> Snapshot:
    """Return what is served, compiled, with what it is compared with.

    Args:
        served: What is served.
        feed: Gives the feed of a version's feature groups.
    """
    split = None
    if served.comparison is not None:
        name = f"{served.serving.strategy}:compare:{served.comparison.draw}"
        rivals = [compile_served(rival, feed(rival)) for rival in served.rivals]
        split = Split(name, rivals, [entry.share for entry in served.comparison.entries])
    return compile_served(served, feed(served), split)


def waiting(strategy: str, default: Any) -> Snapshot:
    """Return what answers with a default while nothing is known of a strategy; its version is 0."""
    unknown = Blueprint(strategy=strategy, metrics=(), space=Space(type="number"), policy=NO_POLICY, default=default)
    return Snapshot(Serving(strategy, 0, "default"), unknown)


def _assignment(blueprint: Blueprint, allocation: Allocation | None) -> Assignment:
    """Return the draws of a blueprint's experiment."""
    trial, weights = blueprint.experiment, blueprint.weights()
    salt, shares = blueprint.salt(), {"holdout": trial.holdout, "explore": trial.explore}
    if trial.hash.startswith("growthbook"):
        return BucketAssignment(salt, weights, int(trial.hash[-1]), **shares)
    names = [arm.name for arm in blueprint.ordered_arms()]
    owners = [(end, names.index(name)) for end, name in allocation] if allocation else None
    return Assignment(salt, weights, allocation=owners, **shares)


def _screens(trial: Experiment) -> bool:
    """Return whether an experiment leaves some units out."""
    asks_nobody = Experiment(
        salt=trial.salt,
        hash=trial.hash,
        sticky=trial.sticky,
        explore=trial.explore,
        margin=trial.margin,
        calm=trial.calm,
        redraw=trial.redraw,
    )
    return trial != asks_nobody


def _screen(blueprint: Blueprint, assignment: Assignment, names: Sequence[str]) -> Screen:
    """Return who is in a blueprint's experiment."""
    trial = blueprint.experiment
    return Screen(
        blueprint.salt(),
        assignment,
        traffic=trial.traffic,
        ramp=[(step.seconds(), step.traffic) for step in trial.ramp],
        layer=(trial.layer.name, trial.layer.low, trial.layer.high) if trial.layer else None,
        holdouts=[(holdout.name, holdout.share) for holdout in trial.holdouts],
        force={unit: names.index(arm) for unit, arm in trial.force.items()},
    )
