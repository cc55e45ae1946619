"""A list of decisions and its order: pure functions of the snapshot, the list's id and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import Any

import msgspec

from abloop.assign.hashing import SIZE, draw, prefix
from abloop.blueprint.spec import DEFAULT
from abloop.decision import decide, no_id, unit_text
from abloop.features.read import Fetched, read_from
from abloop.policy.explore import mixed_propensity
from abloop.policy.rank import by_score, explore_slots, spread, team_draft
from abloop.records import Decision, Phase
from abloop.snapshot import Snapshot


def decide_list(
    snapshot: Snapshot,
    list_id: str,
    contexts: Sequence[Mapping[str, Any]],
    fetched: Sequence[Fetched],
    now: float,
    started: int,
) -> list[Decision]:
    """Return the decision of each candidate of a list, `decide` of each; predictions are made for all at once.

    Args:
        snapshot: What is served.
        list_id: Names the list; a candidate's decision id is LIST_ID/INDEX.
        contexts: One for each candidate, n of them.
        fetched: What the feature groups gave each, n of them.
        now: Seconds since 1970.
        started: `time.perf_counter_ns()` when the call came in.
    """
    features = [
        read_from(snapshot.features, snapshot.sources, (context, *each.rows)) if each.rows else snapshot.read(context)
        for context, each in zip(contexts, fetched, strict=True)
    ]
    values = [snapshot.all_features(each) for each in features] if snapshot.serves else []
    ready = snapshot.predict_all(values) if snapshot.serves else None
    if ready is not None and not snapshot.is_choice and not snapshot.screened:
        told = list(zip(contexts, fetched, features, values, ready, strict=True))
        return _score(snapshot, list_id, told, now, started)
    return [
        decide(
            snapshot,
            f"{list_id}/{index}",
            context,
            now,
            started,
            each,
            known=None if ready is None else (features[index], ready[index]),
        )
        for index, (context, each) in enumerate(zip(contexts, fetched, strict=True))
    ]


def _score(
    snapshot: Snapshot, list_id: str, told: Sequence[tuple[Any, Fetched, Any, Any, Any]], now: float, started: int
) -> list[Decision]:
    """Return `decide` of each candidate where the policy scores: who is drawn for what is asked once for each unit."""
    if type(list_id) is not str or not list_id:
        raise no_id(list_id)
    key, default, release, found = snapshot.unit_key, snapshot.values[0], snapshot.serving.release, []
    drawn: dict[str, tuple[Phase, int, float]] = {}
    strategy, version, names = snapshot.strategy, snapshot.version, snapshot.names
    for index, (context, each, features, values, predictions) in enumerate(told):
        unit = context.get(key)
        if type(unit) is not str:
            unit = unit_text(unit, strategy, key)
        if unit not in drawn:
            drawn[unit] = _scored_as(snapshot, snapshot.drawn_as(unit, now))
        phase, arm, propensity = drawn[unit]
        said = snapshot.choose(values, predictions)
        found.append(
            Decision(
                f"{list_id}/{index}",
                strategy,
                version,
                unit,
                now,
                features,
                predictions,
                names[arm],
                propensity,
                phase,
                default if said is None or not arm else said,
                release,
                perf_counter_ns() - started,
                each.entities,
                each.ages,
            )
        )
    return found


def _scored_as(snapshot: Snapshot, unit: str) -> tuple[Phase, int, float]:
    """Return phase, arm and propensity of a unit where the policy gives a value: its own, or the default's share."""
    explores = snapshot.assignment.explores(unit)
    arm = snapshot.assignment.arm(unit) if explores else 1
    phase: Phase = "explore" if explores else snapshot.serving.phase
    return phase, arm, mixed_propensity(snapshot.weights, snapshot.explore, 1, arm)


def arrange(snapshot: Snapshot, list_id: str, found: Sequence[Decision]) -> tuple[list[int], list[Decision]]:
    """Return the order of a list, and its decisions in that order, each with its position and score.

    Where the default was drawn that is the order given. Otherwise by score; with a challenger the two take turns;
    kinds are spread; slots explore.

    Args:
        snapshot: What is served.
        list_id: Names the list; draws are hashes of it.
        found: The decision of each candidate, n of them.
    """
    scores: list[object] = [decision.decision for decision in found]
    given = snapshot.blueprint.ranking
    if any(decision.arm == DEFAULT for decision in found):
        return list(range(len(found))), _placed(found, range(len(found)), [{} for _ in found])
    order, notes = by_score(scores), [{} for _ in found]  # type: list[int], list[dict[str, Any]]
    if snapshot.challenger is not None and found:
        other = by_score([_challenge(snapshot, decision) for decision in found])
        draws = [_draw(snapshot, list_id, f"team {turn}") for turn in range((len(order) + 1) // 2)]
        order, teams = team_draft(order, other, draws)
        for index, team in zip(order, teams, strict=True):
            notes[index]["team"] = "challenger" if team else "policy"
    if given.diverse:
        slot = snapshot.graph.names.index(given.diverse)
        kinds: list[Any] = [snapshot.all_features(decision.features)[slot] for decision in found]
        order = spread(order, kinds, given.most, given.within)
    if given.slots and given.explore:
        pairs = [
            (_draw(snapshot, list_id, f"slot {slot}"), _draw(snapshot, list_id, f"whom {slot}")) for slot in given.slots
        ]
        order, chances = explore_slots(order, given.slots, given.explore, pairs)
        for index, chance in zip(order, chances, strict=True):
            notes[index]["chance"] = chance
    return order, _placed(found, order, notes)


def _challenge(snapshot: Snapshot, decision: Decision) -> Any:
    """Return the challenger's score of a candidate."""
    if snapshot.challenger is None or (snapshot.challenger.needs_release and not decision.predictions):
        return None
    return snapshot.challenger.row(snapshot.all_features(decision.features), decision.predictions)


def _draw(snapshot: Snapshot, list_id: str, what: str) -> float:
    """Return the draw of a list for something, in [0, 1)."""
    return draw(prefix(snapshot.blueprint.salt(), what), list_id) / SIZE


def _placed(found: Sequence[Decision], order: Sequence[int], notes: Sequence[dict[str, Any]]) -> list[Decision]:
    """Return the decisions of a list with the position each was given and its score."""
    out = []
    for position, index in enumerate(order):
        decision = found[index]
        score = decision.decision if isinstance(decision.decision, float) else None
        said = {"position": position, "score": score, **notes[index]}
        out.append(msgspec.structs.replace(decision, decision=said))
    return out
