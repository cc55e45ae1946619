"""Why a decision was what it was: recomputed from its record, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from abloop.blueprint.spec import DEFAULT
from abloop.decision import Drawn, settle
from abloop.features.spec import Feature
from abloop.records import Decision, FeatureValue, Phase
from abloop.snapshot import Snapshot, load_snapshot
from abloop.store.serving import Serving
from abloop.store.workspace import Workspace

SCREENED = {
    "holdout": "Unit {unit} is in a holdout, which always gets {arm}.",
    "forced": "Unit {unit} was given {arm} by name, in the blueprint or in the call.",
    "paused": "The strategy is paused: every unit gets {arm}.",
    "untargeted": "The features of unit {unit} are not those of experiment.target, so it gets {arm}.",
    "outside": "Unit {unit} is outside of the experiment's traffic or part of its layer, so it gets {arm}.",
}


class FeatureExplained(msgspec.Struct, frozen=True):
    """One feature as the decision saw it.

    Attributes:
        name: Its name.
        value: Its value; None where missing.
        source: Where it came from.
        age: Seconds since it was fetched; None for what the product passed, and where it is missing.
    """

    name: str
    value: FeatureValue
    source: str
    age: float | None


class Explanation(msgspec.Struct, frozen=True):
    """A decision, explained.

    Attributes:
        decision: The record.
        features: Every feature with its source and age, as they were read, then what was made of them.
        predictions: What the release predicted, by name; empty where nothing was.
        formula: The policy's formula; empty where it was not asked.
        filled: The formula with the numbers put in; empty likewise.
        reason: Why this arm, in words.
        repeated: Whether predictions, arm, propensity and decision, computed again from the record, are the same to
            the last bit. An imported decision was drawn elsewhere and is not.
    """

    decision: Decision
    features: tuple[FeatureExplained, ...]
    predictions: dict[str, float]
    formula: str
    filled: str
    reason: str
    repeated: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        names = self.decision.__struct_fields__
        record = dict(zip(names, msgspec.to_builtins(self.decision)[1:], strict=False))
        rest = {name: msgspec.to_builtins(getattr(self, name)) for name in self.__struct_fields__[1:]}
        return {"decision": record, **rest}


def explain(loop: Workspace, decision_id: str, strategy: str = "") -> Explanation:
    """Return why a decision was what it was.

    Args:
        loop: What `abloop.connect` gave.
        decision_id: Its id.
        strategy: Its strategy; needed only where several have a decision of this id.

    Raises:
        UnknownNameError: There is no such decision.
        DataError: Several strategies have a decision of this id.
        StoreError: What decided is missing or was altered.

    Example:
        >>> import abloop, tempfile
        >>> loop = abloop.connect(f"sqlite:///{tempfile.mkdtemp()}/demo.db")
        >>> arms = (abloop.Arm(name="blue"), abloop.Arm(name="green"))
        >>> _ = loop.register(abloop.Blueprint(strategy="b", arms=arms, metrics=(abloop.Metric(name="click"),)))
        >>> _ = loop.strategy("b").get_decision("d1", {"user_id": "u1"})
        >>> abloop.explain(loop, "d1").repeated
        True
        >>> loop.close()
    """
    record = loop.find(decision_id, strategy)
    serving = Serving(record.strategy, record.version, record.phase, record.release)
    snapshot = load_snapshot(loop, msgspec.structs.replace(serving, phase=_served_phase(loop, record)))
    force = record.arm if record.phase == "forced" else ""
    kept = snapshot.names.index(record.arm) if record.phase == "personalise" and snapshot.calm else None
    again = settle(snapshot, record.unit, record.features, record.time, force, _drawn(snapshot, record), kept)
    values = snapshot.all_features(record.features)
    predictions = dict(zip(snapshot.blueprint.outputs(), record.predictions, strict=False))
    asked = snapshot.serves and record.phase in ("personalise", "explore")
    return Explanation(
        decision=record,
        features=_features(snapshot, record, values),
        predictions=predictions,
        formula=snapshot.policy.formula.text if asked else "",
        filled=snapshot.policy.show(values, record.predictions) if asked else "",
        reason=_reason(snapshot, record, again[4]),
        repeated=_same(record, again, snapshot),
    )


def _drawn(snapshot: Snapshot, record: Decision) -> Drawn | None:
    """Return the arm that the record says was drawn elsewhere or before; None where the unit's hash tells it."""
    if record.share is None:
        return None
    arm = snapshot.names.index(record.arm)
    return arm, tuple(record.share if index == arm else weight for index, weight in enumerate(snapshot.weights))


def _served_phase(loop: Workspace, record: Decision) -> Phase:
    """Return what was served when a unit of the explore share was decided."""
    if record.phase not in (*SCREENED, "explore", "limited"):
        return record.phase
    if record.phase == "paused":
        return "paused"
    if record.phase == "limited" and not record.release:
        return "randomise"
    constant = record.release and loop.catalogue.artefact(record.release).learner == "constant"
    return "ship" if constant else "personalise"


def _same(record: Decision, again: tuple[Any, ...], snapshot: Snapshot) -> bool:
    """Return whether a record is what was computed again; an item of a list holds its score and position."""
    predictions, phase, arm, propensity, value = again
    if record.phase == "limited":
        return bool(record.predictions == predictions)
    decided = record.decision
    if snapshot.blueprint.space.type == "ordering" and isinstance(decided, dict):
        decided, value = decided["score"], value if isinstance(value, float) else None
    return bool(
        (record.predictions, record.phase, record.arm, record.propensity)
        == (predictions, phase, snapshot.names[arm], propensity)
        and msgspec.msgpack.encode(decided) == msgspec.msgpack.encode(value)
    )


def _features(snapshot: Snapshot, record: Decision, values: Sequence[FeatureValue]) -> tuple[FeatureExplained, ...]:
    """Return every feature with where it came from."""
    groups = {group.name: place for place, group in enumerate(snapshot.blueprint.groups)}
    declared = {feature.name: feature for feature in snapshot.blueprint.features}
    found = []
    for name, value in zip(snapshot.graph.names, values, strict=True):
        feature = declared[name]
        place = groups.get(feature.group)
        entity = record.entities[place] if place is not None and record.entities else ""
        age = record.ages[place] if place is not None and record.ages else None
        found.append(FeatureExplained(name, value, _source(feature, entity), age))
    return tuple(found)


def _source(feature: Feature, entity: str) -> str:
    """Return where a feature came from, in words."""
    if feature.transform:
        return f"{feature.transform} of {', '.join(feature.of)}"
    if not feature.group:
        return f"context[{feature.source!r}]"
    return f"group {feature.group!r} of {entity!r}" if entity else f"group {feature.group!r}: the context had no id"


def _reason(snapshot: Snapshot, record: Decision, value: Any) -> str:
    """Return why this arm, in words."""
    unit, arm, chance = repr(record.unit), repr(record.arm), f"{record.propensity:.6g}"
    if record.phase in SCREENED:
        return SCREENED[record.phase].format(unit=unit, arm=arm)
    if record.phase == "default":
        return "There is nothing to decide with yet, so the product got the default."
    if record.phase == "limited":
        return f"Only some arms were offered, which the record does not name; {arm} was given with propensity {chance}."
    if record.share is not None:
        return f"{arm} was drawn by the product's own assignment, or before, with the share {record.share:.6g}."
    if record.phase == "randomise":
        return f"Everything is randomised: the hash of unit {unit} fell on {arm}, which has the share {chance}."
    if record.phase == "explore":
        return f"Unit {unit} is in the explore share, where its hash fell on {arm} (propensity {chance})."
    if record.phase == "ship":
        return f"{arm} is shipped to all but the explore share (propensity {chance})."
    if not snapshot.is_choice:
        undefined = record.arm != DEFAULT and value == snapshot.values[0]
        return "The formula is undefined here, so the product got the default." if undefined else "The formula gave it."
    if snapshot.policy.formula.random:
        return f"The formula gave {arm} the propensity {chance}, and the hash of unit {unit} fell on it."
    return f"The formula chose {arm} (propensity {chance}, with the explore share)."
