"""The decision: a pure function of a snapshot and a context.

No clock, no storage, no randomness but the unit's hash: the same snapshot and the same input give the same bits,
which is how a decision is explained from its record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from abloop.assign.experiment import Assignment
from abloop.errors import DataError
from abloop.features.read import Fetched, read_from
from abloop.policy.explore import mixed_propensity
from abloop.records import Decision, FeatureValue, Phase
from abloop.snapshot import NOTHING, Snapshot

if TYPE_CHECKING:
    from abloop.store.sticky import StickyStore

Drawn = tuple[int, Sequence[float]]
Known = tuple[tuple[FeatureValue, ...], tuple[float, ...]]
Settled = tuple[tuple[float, ...], Phase, int, float, Any]


def decide(
    snapshot: Snapshot,
    decision_id: str,
    context: Mapping[str, Any],
    now: float,
    started: int,
    fetched: Fetched = NOTHING,
    force: str = "",
    drawn: Drawn | None = None,
    before: int | None = None,
    known: Known | None = None,
) -> Decision:
    """Return the decision for a context.

    Args:
        snapshot: What is served.
        decision_id: Id of the decision.
        context: The application context.
        now: Seconds since 1970.
        started: `time.perf_counter_ns()` when the call came in.
        fetched: What the feature groups gave.
        force: Name of the arm that this call asks for; no such arm is no force.
        drawn: Arm that was drawn elsewhere or before, and the shares it was drawn by.
        before: Arm that the policy gave the unit before, where it is to be kept.
        known: Features and predictions of the context, where they were computed with those of others.

    Raises:
        DataError: The context has no usable unit, or the decision id is not text.
    """
    if snapshot.only_randomises and not force and drawn is None and not fetched.rows:
        return randomise(snapshot, decision_id, context, now, started)
    unit = context.get(snapshot.unit_key)
    if type(unit) is not str:
        unit = unit_text(unit, snapshot.strategy, snapshot.unit_key)
    if type(decision_id) is not str or not decision_id:
        raise no_id(decision_id)
    ready = None
    if known is not None:
        features, ready = known
    elif fetched.rows:
        features = read_from(snapshot.features, snapshot.sources, (context, *fetched.rows))
    else:
        features = snapshot.read(context)
    predictions, phase, arm, propensity, decision = settle(snapshot, unit, features, now, force, drawn, before, ready)
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
        None if drawn is None or phase not in ("randomise", "explore") else drawn[1][arm],
    )


def randomise(snapshot: Snapshot, decision_id: str, context: Mapping[str, Any], now: float, started: int) -> Decision:
    """Return the decision of a strategy that does nothing but randomise its arms: `decide`, in one step.

    Raises:
        DataError: The context has no usable unit, or the decision id is not text.
    """
    unit = context.get(snapshot.unit_key)
    if type(unit) is not str:
        unit = unit_text(unit, snapshot.strategy, snapshot.unit_key)
    if type(decision_id) is not str or not decision_id:
        raise no_id(decision_id)
    arm = snapshot.assignment.arm(unit)
    return Decision(
        decision_id,
        snapshot.strategy,
        snapshot.version,
        unit,
        now,
        snapshot.read(context),
        (),
        snapshot.names[arm],
        snapshot.weights[arm],
        "randomise",
        snapshot.values[arm],
        "",
        perf_counter_ns() - started,
    )


def no_id(decision_id: object) -> DataError:
    """Return the error for an id that is no text."""
    return DataError(f"decision_id is {decision_id!r:.80}; allowed: a text, e.g. from abloop.new_decision_id()")


def settle(
    snapshot: Snapshot,
    unit: str,
    features: tuple[FeatureValue, ...],
    now: float,
    force: str = "",
    drawn: Drawn | None = None,
    before: int | None = None,
    ready: tuple[float, ...] | None = None,
) -> Settled:
    """Return predictions, phase, arm, propensity and decision of a unit with these features."""
    assignment = snapshot.assignment
    if snapshot.screened or force:
        found = screen(snapshot, unit, features, now, force, drawn is not None)
        if found is not None:
            phase, arm = found
            return (), phase, arm, 1.0, snapshot.values[arm]
    if not snapshot.serves:
        if not snapshot.is_choice:
            return (), "default", 0, 1.0, snapshot.values[0]
        if drawn is not None:
            arm, shares = drawn
            return (), "randomise", arm, shares[arm], snapshot.values[arm]
        arm = assignment.arm(snapshot.drawn_as(unit, now))
        return (), "randomise", arm, snapshot.weights[arm], snapshot.values[arm]
    return personalise(snapshot, snapshot.drawn_as(unit, now), features, drawn, before, ready)


def screen(
    snapshot: Snapshot, unit: str, features: tuple[FeatureValue, ...], now: float, force: str, keeps: bool
) -> tuple[Phase, int] | None:
    """Return why a unit is not in the experiment and what it gets; None where it is.

    Args:
        snapshot: What is served.
        unit: The unit.
        features: As logged.
        now: Seconds since 1970.
        force: Name of the arm that this call asks for.
        keeps: Whether the unit keeps an arm that it was given, so that neither traffic nor layer ask again.
    """
    if snapshot.serving.phase == "paused":
        return "paused", 0
    arm = snapshot.forced(unit, force)
    if arm is not None:
        return "forced", arm
    if snapshot.assignment.held_out(unit) or snapshot.screen.held_out(unit):
        return "holdout", 0
    if snapshot.target is not None and not snapshot.target.row(snapshot.all_features(features)):
        return "untargeted", 0
    if not keeps and not snapshot.screen.inside(unit, now):
        return "outside", 0
    return None


def personalise(
    snapshot: Snapshot,
    unit: str,
    features: tuple[FeatureValue, ...],
    drawn: Drawn | None,
    before: int | None = None,
    ready: tuple[float, ...] | None = None,
) -> Settled:
    """Return what the release and the policy give a unit; the explore share gets what was drawn."""
    assignment, explore = snapshot.assignment, snapshot.explore
    values = snapshot.all_features(features)
    predictions = snapshot.predict(values) if ready is None else ready
    said = snapshot.choose(values, predictions)
    explores = assignment.explores(unit)
    phase: Phase = "explore" if explores else snapshot.serving.phase
    shares = snapshot.weights if drawn is None or not explores else drawn[1]
    arm = 1 if not explores else assignment.arm(unit) if drawn is None else drawn[0]
    if not snapshot.is_choice:
        decision = snapshot.values[0] if said is None or not arm else said
        return predictions, phase, arm, mixed_propensity(shares, explore, 1, arm), decision
    if type(said) is tuple:
        if not explores:
            arm = assignment.pick(unit, said)
        propensity = explore * shares[arm] + (1.0 - explore) * said[arm]
    else:
        chosen = said or 0  # control where the formula is undefined
        if before is not None and snapshot.calm:
            chosen = snapshot.calmed(chosen, predictions, before)
        if not explores:
            arm = chosen
        propensity = mixed_propensity(shares, explore, chosen, arm)
    return predictions, phase, arm, propensity, snapshot.values[arm]


def keeps(snapshot: Snapshot, store: StickyStore, context: Mapping[str, Any]) -> Drawn | None:
    """Return the arm that the unit of a context was given first, and the shares of then; None where it has none."""
    unit = unit_text(context.get(snapshot.unit_key), snapshot.strategy, snapshot.unit_key)
    found = store.get(snapshot.strategy, unit)
    if found is None:
        return None
    if found[0] not in snapshot.names:  # its arm is gone: drawn anew, free of the draw that gave it that arm
        arm = Assignment(f"{snapshot.blueprint.salt()}:{found[0]} is gone", snapshot.weights).arm(unit)
        store.put(snapshot.strategy, unit, snapshot.names[arm], snapshot.weights[arm])
        return arm, snapshot.weights
    arm, propensity = snapshot.names.index(found[0]), found[1]
    return arm, tuple(propensity if index == arm else share for index, share in enumerate(snapshot.weights))


def had(snapshot: Snapshot, store: StickyStore, context: Mapping[str, Any]) -> int | None:
    """Return the arm that the policy gave the unit of a context before; None where it has none that is left."""
    found = store.get(
        snapshot.strategy, unit_text(context.get(snapshot.unit_key), snapshot.strategy, snapshot.unit_key)
    )
    return snapshot.names.index(found[0]) if found is not None and found[0] in snapshot.names else None


def remember(snapshot: Snapshot, store: StickyStore, decision: Decision, drawn: Drawn | None) -> None:
    """Keep the arm of a decision where the blueprint wants units to keep the arm that was drawn, or the policy's."""
    if snapshot.sticky and decision.phase in ("randomise", "explore"):
        arm, shares = snapshot.names.index(decision.arm), drawn[1] if drawn else snapshot.weights
        store.put(decision.strategy, decision.unit, decision.arm, shares[arm])
    elif snapshot.calm and decision.phase == "personalise":
        store.put(decision.strategy, decision.unit, decision.arm, decision.propensity)


def unit_text(unit: object, strategy: str, key: str) -> str:
    """Return a whole number as text; refuse anything else that is no text.

    Raises:
        DataError: It is neither.

    Example:
        >>> unit_text(17, "checkout", "user_id")
        '17'
    """
    if isinstance(unit, str):
        return str.__str__(unit)
    if isinstance(unit, int) and not isinstance(unit, bool):
        return int.__repr__(unit)
    came = "is missing" if unit is None else f"is {unit!r:.80}"
    raise DataError(
        f"strategy {strategy!r}: context[{key!r}] {came}; allowed: a text or a whole number. "
        f"Pass it: get_decision(decision_id, {{{key!r}: ...}})"
    )
