"""All that is needed to decide for one strategy, and the decision itself: a pure function of a context.

No clock, no storage, no randomness but the unit's hash: the same snapshot and the same input give the same bits,
which is how a decision is explained from its record.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import Any, Protocol

import msgspec

from abloop.assign.experiment import Assignment
from abloop.blueprint import Blueprint
from abloop.blueprint.policy import Policy
from abloop.blueprint.spec import DEFAULT
from abloop.errors import DataError
from abloop.features.encode import Encoder
from abloop.features.graph import Graph
from abloop.features.read import Fetched, read, read_from, readers, sources
from abloop.models.artefact import Artefact
from abloop.models.effects import EffectModel
from abloop.models.labels import LabelModel
from abloop.policy.choose import best_arm
from abloop.policy.explore import mixed_propensity
from abloop.records import Decision, FeatureValue, Phase
from abloop.store.catalogue import Serving
from abloop.store.workspace import Workspace

NOTHING = Fetched()


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

    def pick(self, context: Mapping[str, Any]) -> Snapshot:
        """Return the version that decides for the unit of a context.

        Raises:
            DataError: The context has no usable unit.
        """
        first = self.snapshots[0]
        unit = context.get(first.unit_key)
        return self.snapshots[self._assignment.arm(unit if type(unit) is str else _unit_text(unit, first))]


class Snapshot:
    """A served blueprint version, compiled for deciding; swapped whole.

    Args:
        serving: What is served.
        blueprint: The served version.
        artefact: The release; None while there is none.
        feed: Where its feature groups are fetched from; None where it has none.
        split: The versions that are compared in its place; None where there is no comparison.
    """

    def __init__(
        self,
        serving: Serving,
        blueprint: Blueprint,
        artefact: Artefact | None = None,
        feed: Feed | None = None,
        split: Split | None = None,
    ) -> None:
        """Compile blueprint and release."""
        arms, trial = blueprint.ordered_arms(), blueprint.experiment
        self.serving = serving
        self.blueprint = blueprint
        self.strategy = blueprint.strategy
        self.version = serving.version
        self.unit_key = blueprint.unit
        self.is_choice = blueprint.is_choice
        self.feed = feed
        self.split = split
        compared = [self, *(split.snapshots if split else ())]
        self.feeds = tuple(snapshot.feed for snapshot in compared if snapshot.feed is not None)
        named = [snapshot.blueprint.metrics for snapshot in compared]
        self.metrics = frozenset(metric.name for metrics in named for metric in metrics)
        self.names = tuple(arm.name for arm in arms)
        self.values = blueprint.values()
        self.costs = tuple(arm.cost for arm in arms)
        self.default = self.values[0] if blueprint.default is None else blueprint.default
        self.explore = trial.explore
        self.keys = tuple(group.key for group in blueprint.groups)
        self.graph = Graph(blueprint.features)
        self.features = readers(self.graph.sourced)
        self.sources = sources(self.graph.sourced, [group.name for group in blueprint.groups])
        self.assignment = Assignment(
            blueprint.salt(), blueprint.weights(), holdout=trial.holdout, explore=trial.explore
        )
        self.weights = self.assignment.weights
        self.encoder = Encoder(artefact.columns) if artefact else None
        self.effects = EffectModel(artefact.effects) if artefact and artefact.effects else None
        self.labels = tuple(LabelModel(spec) for spec in artefact.labels) if artefact else ()
        self.policy = Policy(blueprint, artefact.sd if artefact else ())
        self._simple = self.is_choice and (not blueprint.policy.formula or serving.phase == "ship")
        self._derives = len(self.graph.names) > len(self.graph.sourced)
        slots = self.graph.slots
        self._slots = None if slots == tuple(range(len(self.graph.names))) else slots
        self.serves = artefact is not None or (not self.policy.needs_release and serving.phase == "personalise")

    def all_features(self, features: Sequence[FeatureValue]) -> Sequence[FeatureValue]:
        """Return all features of one decision from those that were logged."""
        return self.graph.row(features) if self._derives else features

    def predict(self, values: Sequence[FeatureValue]) -> tuple[float, ...]:
        """Return what the release predicts for all features of a decision: effects of the arms, then labels."""
        if self.encoder is None:
            return ()
        inputs = self.encoder.row(values if self._slots is None else [values[slot] for slot in self._slots])
        predictions = self.effects.row(inputs) if self.effects is not None else ()
        for label in self.labels:
            predictions += label.row(inputs)
        return predictions

    def choose(self, values: Sequence[FeatureValue], predictions: tuple[float, ...]) -> Any:
        """Return what the policy says; None where it is undefined."""
        if self._simple:
            return best_arm(predictions[: len(self.costs)] if self.labels else predictions, self.costs)
        return self.policy.row(values, predictions)


def load_snapshot(
    workspace: Workspace, serving: Serving, feed: Feed | None = None, split: Split | None = None
) -> Snapshot:
    """Return what is served, compiled.

    Raises:
        AbloopError: Blueprint or release are missing or were altered.
    """
    _, blueprint = workspace.catalogue.blueprint(serving.strategy, serving.version)
    artefact = workspace.catalogue.artefact(serving.release) if serving.release else None
    return Snapshot(serving, blueprint, artefact, feed, split)


def decide(
    snapshot: Snapshot,
    decision_id: str,
    context: Mapping[str, Any],
    now: float,
    started: int,
    fetched: Fetched = NOTHING,
) -> Decision:
    """Return the decision for a context. Pure: no clock, no storage, no randomness but the unit's hash.

    Args:
        snapshot: What is served.
        decision_id: Id of the decision.
        context: The application context.
        now: Seconds since 1970.
        started: `time.perf_counter_ns()` when the call came in.
        fetched: What the feature groups gave.

    Raises:
        DataError: The context has no usable unit, or the decision id is not text.
    """
    unit = context.get(snapshot.unit_key)
    if type(unit) is not str:
        unit = _unit_text(unit, snapshot)
    if type(decision_id) is not str or not decision_id:
        raise DataError(f"decision_id is {decision_id!r}; allowed: a text, e.g. from abloop.new_decision_id()")
    if fetched.rows:
        features = read_from(snapshot.features, snapshot.sources, (context, *fetched.rows))
    else:
        features = read(snapshot.features, context)
    predictions, phase, arm, propensity, decision = settle(snapshot, unit, features)
    return Decision(
        decision_id,
        snapshot.strategy,
        snapshot.version,
        unit,
        now,
        features,
        predictions,
        snapshot.names[arm],
        propensity,
        phase,
        decision,
        snapshot.serving.release,
        perf_counter_ns() - started,
        fetched.entities,
        fetched.ages,
    )


def settle(
    snapshot: Snapshot, unit: str, features: tuple[FeatureValue, ...]
) -> tuple[tuple[float, ...], Phase, int, float, Any]:
    """Return predictions, phase, arm, propensity and decision of a unit with these features."""
    assignment, weights = snapshot.assignment, snapshot.weights
    predictions: tuple[float, ...] = ()
    phase: Phase
    if assignment.has_holdout and assignment.held_out(unit):
        return predictions, "holdout", 0, 1.0, snapshot.values[0]
    if not snapshot.serves:
        if not snapshot.is_choice:
            return predictions, "default", 0, 1.0, snapshot.values[0]
        arm = assignment.arm(unit)
        return predictions, "randomise", arm, weights[arm], snapshot.values[arm]
    values = snapshot.all_features(features)
    predictions = snapshot.predict(values)
    said = snapshot.choose(values, predictions)
    explores = assignment.explores(unit)
    phase = "explore" if explores else snapshot.serving.phase
    if not snapshot.is_choice:
        arm = assignment.arm(unit) if explores else 1
        decision = snapshot.values[0] if said is None or not arm else said
        return predictions, phase, arm, mixed_propensity(weights, snapshot.explore, 1, arm), decision
    if type(said) is tuple:
        arm = assignment.arm(unit) if explores else assignment.pick(unit, said)
        propensity = snapshot.explore * weights[arm] + (1.0 - snapshot.explore) * said[arm]
    else:
        chosen = said or 0  # control where the formula is undefined
        arm = assignment.arm(unit) if explores else chosen
        propensity = mixed_propensity(weights, snapshot.explore, chosen, arm)
    return predictions, phase, arm, propensity, snapshot.values[arm]


def _unit_text(unit: object, snapshot: Snapshot) -> str:
    """Return a whole number as text; refuse anything else that is no text."""
    if isinstance(unit, str):
        return str(unit)
    if isinstance(unit, int) and not isinstance(unit, bool):
        return str(unit)
    came = "is missing" if unit is None else f"is {unit!r:.80}"
    raise DataError(
        f"strategy {snapshot.strategy!r}: context[{snapshot.unit_key!r}] {came}; allowed: a text or a whole number. "
        f"Pass it: get_decision(decision_id, {{{snapshot.unit_key!r}: ...}})"
    )


def arrange(found: Sequence[Decision]) -> list[int]:
    """Return the order of a list by score, greatest first; equals and those without a score in the order given.

    Where the default was drawn, or nothing can be scored, that is the order given.
    """
    scores = [decision.decision for decision in found]
    if any(decision.arm == DEFAULT for decision in found):
        return list(range(len(found)))
    return sorted(range(len(found)), key=lambda index: -scores[index] if isinstance(scores[index], float) else math.inf)


def placed(found: Sequence[Decision], order: Sequence[int]) -> list[Decision]:
    """Return the decisions of a list with the position each was given and its score."""
    out = []
    for position, index in enumerate(order):
        decision = found[index]
        score = decision.decision if isinstance(decision.decision, float) else None
        out.append(msgspec.structs.replace(decision, decision={"position": position, "score": score}))
    return out
