"""The order of a list of decisions: a pure function of the snapshot, the list's id and what was decided of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from abloop.assign.hashing import SIZE, draw, prefix
from abloop.blueprint.spec import DEFAULT
from abloop.policy.rank import by_score, explore_slots, spread, team_draft
from abloop.records import Decision
from abloop.snapshot import Snapshot


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
