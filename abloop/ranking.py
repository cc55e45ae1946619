"""A list of decisions and its order: pure functions of the snapshot, the list's id and what is known of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter_ns
from typing import Any, NamedTuple

import msgspec

from abloop.assign.hashing import SIZE, draw, prefix
from abloop.blueprint.spec import DEFAULT
from abloop.decision import decide, no_id, unit_text
from abloop.features.read import Fetched, read_from
from abloop.policy.explore import mixed_propensity
from abloop.policy.rank import by_score, explore_slots, spread, team_draft
from abloop.records import Decision, FeatureValue, Phase
from abloop.snapshot import Snapshot


class Candidates(NamedTuple):
    """The candidates of a list, decided and in no order yet.

    Attributes:
        scores: What the policy says of each, length n.
        features: As they were read, length n.
        predictions: Of each, length n.
        defaulted: Whether the default was drawn for any of them.
        record: Gives the record of one, by its index and what was decided.
    """

    scores: Sequence[object]
    features: Sequence[tuple[FeatureValue, ...]]
    predictions: Sequence[tuple[float, ...]]
    defaulted: bool
    record: Callable[[int, dict[str, Any]], Decision]


def decide_list(
    snapshot: Snapshot,
    list_id: str,
    contexts: Sequence[Mapping[str, Any]],
    fetched: Sequence[Fetched],
    now: float,
    started: int,
) -> Candidates:
    """Return the decision of each candidate of a list, `decide` of each; predictions are made for all at once.

    Args:
        snapshot: What is served.
        list_id: Names the list; a candidate's decision id is LIST_ID/INDEX.
        contexts: One for each candidate, n of them.
        fetched: What the feature groups gave each, n of them.
        now: Seconds since 1970.
        started: `time.perf_counter_ns()` when the call came in.
    """
    if snapshot.feed is None:
        features = snapshot.read_all(contexts)
    else:
        features = [
            read_from(snapshot.features, snapshot.sources, (context, *each.rows))
            if each.rows
            else snapshot.read(context)
            for context, each in zip(contexts, fetched, strict=True)
        ]
    values = snapshot.all_features_of(features) if snapshot.serves else []
    ready = snapshot.predict_all(values) if snapshot.serves else None
    if ready is not None and not snapshot.is_choice and not snapshot.screened:
        scores = snapshot.policy.rows(values, ready)
        return _score(snapshot, list_id, contexts, fetched, features, ready, scores, now, started)
    found = [
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
    return Candidates(
        [decision.decision for decision in found],
        features,
        [decision.predictions for decision in found],
        any(decision.arm == DEFAULT for decision in found),
        lambda index, said: msgspec.structs.replace(found[index], decision=said),
    )


def _score(
    snapshot: Snapshot,
    list_id: str,
    contexts: Sequence[Mapping[str, Any]],
    fetched: Sequence[Fetched],
    features: Sequence[tuple[FeatureValue, ...]],
    predictions: Sequence[tuple[float, ...]],
    scores: Sequence[object],
    now: float,
    started: int,
) -> Candidates:
    """Return `decide` of each candidate where the policy scores: who is drawn for what is asked once for each unit."""
    if type(list_id) is not str or not list_id:
        raise no_id(list_id)
    key, release, strategy, version = snapshot.unit_key, snapshot.serving.release, snapshot.strategy, snapshot.version
    units = [unit if type(unit := context.get(key)) is str else unit_text(unit, strategy, key) for context in contexts]
    drawn = {unit: _scored_as(snapshot, snapshot.drawn_as(unit, now)) for unit in dict.fromkeys(units)}
    names, default = snapshot.names, snapshot.values[0]

    def record(index: int, said: dict[str, Any]) -> Decision:
        unit, given = units[index], fetched[index]
        phase, arm, propensity = drawn[unit]
        return Decision(
            f"{list_id}/{index}",
            strategy,
            version,
            unit,
            now,
            features[index],
            predictions[index],
            names[arm],
            propensity,
            phase,
            said,
            release,
            perf_counter_ns() - started,
            given.entities,
            given.ages,
        )

    asked = [default if said is None or not drawn[unit][1] else said for unit, said in zip(units, scores, strict=True)]
    defaulted = any(names[arm] == DEFAULT for _, arm, _ in drawn.values())
    return Candidates(asked, features, predictions, defaulted, record)


def _scored_as(snapshot: Snapshot, unit: str) -> tuple[Phase, int, float]:
    """Return phase, arm and propensity of a unit where the policy gives a value: its own, or the default's share."""
    explores = snapshot.assignment.explores(unit)
    arm = snapshot.assignment.arm(unit) if explores else 1
    phase: Phase = "explore" if explores else snapshot.serving.phase
    return phase, arm, mixed_propensity(snapshot.weights, snapshot.explore, 1, arm)


def arrange(snapshot: Snapshot, list_id: str, found: Candidates) -> tuple[list[int], list[Decision]]:
    """Return the order of a list, and its decisions in that order, each with its position and score.

    Where the default was drawn that is the order given. Otherwise by score; with a challenger the two take turns;
    kinds are spread; slots explore.

    Args:
        snapshot: What is served.
        list_id: Names the list; draws are hashes of it.
        found: Its candidates, n of them.
    """
    given = snapshot.blueprint.ranking
    notes: dict[str, dict[int, Any]] = {}
    if found.defaulted:
        order = list(range(len(found.scores)))
        return order, _placed(found, order, notes)
    order = by_score(found.scores)
    if snapshot.challenger is not None and order:
        other = by_score(_challenge(snapshot, found))
        draws = [_draw(snapshot, list_id, f"team {turn}") for turn in range((len(order) + 1) // 2)]
        order, teams = team_draft(order, other, draws)
        turns = dict(zip(order, teams, strict=True))
        notes["team"] = {index: "challenger" if team else "policy" for index, team in turns.items()}
    if given.diverse:
        slot = snapshot.graph.names.index(given.diverse)
        kinds: list[Any] = [each[slot] for each in snapshot.all_features_of(found.features)]
        order = spread(order, kinds, given.most, given.within)
    if given.slots and given.explore:
        pairs = [
            (_draw(snapshot, list_id, f"slot {slot}"), _draw(snapshot, list_id, f"whom {slot}")) for slot in given.slots
        ]
        order, chances = explore_slots(order, given.slots, given.explore, pairs)
        notes["chance"] = dict(zip(order, chances, strict=True))
    return order, _placed(found, order, notes)


def _challenge(snapshot: Snapshot, found: Candidates) -> list[Any]:
    """Return the challenger's score of each candidate."""
    challenger, values = snapshot.challenger, snapshot.all_features_of(found.features)
    if challenger is None or (challenger.needs_release and not all(found.predictions)):
        return [None] * len(values)
    return challenger.rows(values, found.predictions)


def _draw(snapshot: Snapshot, list_id: str, what: str) -> float:
    """Return the draw of a list for something, in [0, 1)."""
    return draw(prefix(snapshot.blueprint.salt(), what), list_id) / SIZE


def _placed(found: Candidates, order: Sequence[int], notes: Mapping[str, Mapping[int, Any]]) -> list[Decision]:
    """Return the records of a list with the position each was given, its score, and what else is noted of it."""
    out, scores, record = [], found.scores, found.record
    for position, index in enumerate(order):
        score = scores[index]
        said: dict[str, Any] = {"position": position, "score": score if isinstance(score, float) else None}
        for name, noted in notes.items():
            said[name] = noted[index]
        out.append(record(index, said))
    return out
