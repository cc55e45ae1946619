"""Decisions and their observations to rows. A pure function of its input; knows no storage.

A row is complete when its TTL has ended, for every decision alike: were fast outcomes let in early, they
would be over-represented in what the models learn from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

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


def join(
    decisions: Iterable[Decision], observations: Iterable[Observation], labels: Sequence[Label], ttl: float
) -> list[Row]:
    """Return the rows of decisions whose TTL has ended, ordered by time and decision id.

    Args:
        decisions: Decisions whose TTL has ended.
        observations: Theirs, in any order; those of other decisions, of metrics without a label and from
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
    found: dict[str, dict[str, list[Observation]]] = defaultdict(lambda: defaultdict(list))
    for observation in observations:
        found[observation.decision_id][observation.name].append(observation)
    nothing: dict[str, list[Observation]] = {}
    rows = []
    for decision in sorted(decisions, key=lambda decision: (decision.time, decision.decision_id)):
        end = decision.time + ttl
        values: dict[str, float | None] = {}
        observed = set()
        own = found.get(decision.decision_id, nothing)
        for label in labels:
            in_time = [observation for observation in own.get(label.name, ()) if observation.time <= end]
            values[label.name] = label.value(in_time)
            if in_time:
                observed.add(label.name)
        rows.append(Row(decision, values, frozenset(observed)))
    return rows
