"""Decisions and their observations to rows. A pure function of its input; knows no storage.

A row is complete when its TTL has ended, for every decision alike: were fast outcomes let in early, they
would be over-represented in what the models learn from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from xxhash import xxh3_64_digest

from abloop.records import Decision, Observation, Row


class Label:
    """How the observations of one metric become one value.

    Args:
        name: The metric.
        combine: `last`, `sum` or `max`.
        default: Value where nothing was observed; None keeps it missing.
    """

    __slots__ = ("combine", "default", "name")

    def __init__(self, name: str, combine: str = "last", default: float | None = 0.0) -> None:
        """Keep the rule."""
        self.name = name
        self.combine = combine
        self.default = default

    def value(self, observations: Sequence[Observation]) -> float | None:
        """Return the label of one decision from its observations of this metric, in any order."""
        if not observations:
            return self.default
        if self.combine == "sum":
            return sum(sorted(observation.value for observation in observations))
        if self.combine == "max":
            return max(observation.value for observation in observations)
        return max(observations, key=lambda observation: (observation.time, observation.key, observation.value)).value


def observation_hash(name: str, key: str) -> bytes:
    """Return what a row keeps of an observation, so that it never counts there again: 8 bytes.

    Args:
        name: The metric.
        key: The observation's idempotency key.

    Example:
        >>> observation_hash("bought", "k1") == observation_hash("bought", "k2")
        False
    """
    return xxh3_64_digest(f"{name}/{key}".encode())


def join(
    decisions: Iterable[Decision], observations: Iterable[Observation], labels: Sequence[Label], ttl: float
) -> list[Row]:
    """Return the rows of decisions whose TTL has ended, ordered by time and decision id.

    Args:
        decisions: Decisions whose TTL has ended.
        observations: Theirs, in any order, each once; those of other decisions, of metrics without a label and from
            after the TTL are left out.
        labels: The labels of the blueprint.
        ttl: Seconds after a decision in which observations count.

    Returns:
        One row for each decision.

    Example:
        >>> d = Decision("d1", "s", 1, "u", 0.0, (), (), "a", 0.5, "randomise", "a")
        >>> join([d], [Observation("d1", "s", 5.0, "bought", 1.0)], [Label("bought")], ttl=10.0)[0].labels
        {'bought': 1.0}
    """
    by_name = {label.name: label for label in labels}
    defaults: dict[str, float | None] = {label.name: label.default for label in labels}
    found: dict[str, list[Observation]] = defaultdict(list)
    for observation in observations:
        if observation.name in by_name:
            found[observation.decision_id].append(observation)
    rows = []
    for decision in sorted(decisions, key=lambda decision: (decision.time, decision.decision_id)):
        end = decision.time + ttl
        own = [seen for seen in found.get(decision.decision_id, ()) if seen.time <= end]
        if not own:
            rows.append(Row(decision, defaults, {}))
            continue
        each: dict[str, list[Observation]] = {}
        for seen in own:
            each.setdefault(seen.name, []).append(seen)
        values = defaults | {name: by_name[name].value(seen) for name, seen in each.items()}
        observed = {name: (len(seen), max(one.time for one in seen)) for name, seen in each.items()}
        keys = sorted(observation_hash(seen.name, seen.key) for seen in own)
        rows.append(Row(decision, values, observed, b"".join(keys)))
    return rows


def left_over(rows: Iterable[Row], observations: Sequence[Observation]) -> list[Observation]:
    """Return the observations that are in none of the rows.

    Args:
        rows: From `join`.
        observations: What it was given.
    """
    used = {row.decision.decision_id: row.keys for row in rows}
    if sum(map(len, used.values())) == 8 * len(observations):
        return []
    parts = {(name, keys[at : at + 8]) for name, keys in used.items() for at in range(0, len(keys), 8)}
    return [seen for seen in observations if (seen.decision_id, observation_hash(seen.name, seen.key)) not in parts]
