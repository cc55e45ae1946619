"""Decisions and observations to rows: a pure function, the same in whatever order things arrived."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.join import Label, join
from abloop.records import Decision, Observation

TTL = 10.0
LABELS = [Label("last"), Label("sum", "sum", None), Label("max", "max", -1.0)]


def decided(name: str, time: float = 0.0) -> Decision:
    """Return a decision."""
    return Decision(name, "s", 1, "u", time, (), (), "a", 0.5, "randomise", "a")


def seen(name: str, time: float, metric: str, value: float, key: str = "") -> Observation:
    """Return an observation."""
    return Observation(name, "s", time, metric, value, key)


observed = st.builds(
    seen,
    st.sampled_from(["d0", "d1", "d2", "elsewhere"]),
    st.integers(0, 30).map(float),
    st.sampled_from(["last", "sum", "max", "unlabelled"]),
    st.floats(-1e3, 1e3),
    st.sampled_from(["", "k1", "k2"]),
)
DECISIONS = [decided("d0"), decided("d1", 5.0), decided("d2", 5.0)]


@settings(max_examples=200, deadline=None)
@given(st.lists(observed, max_size=25), st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(observations: list[Observation], random: object) -> None:
    """Shuffled decisions and observations give the same rows, ordered by time and id."""
    rows = join(DECISIONS, observations, LABELS, TTL)
    decisions, shuffled = DECISIONS.copy(), observations.copy()
    random.shuffle(decisions)  # type: ignore[attr-defined]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert join(decisions, shuffled, LABELS, TTL) == rows
    assert [row.decision.decision_id for row in rows] == ["d0", "d1", "d2"]


@settings(max_examples=60, deadline=None)
@given(st.lists(observed, max_size=25))
def test_labels_equal_a_group_by(observations: list[Observation]) -> None:
    """Sum, greatest and last value in the TTL are those of a pandas group-by."""
    rows = join(DECISIONS, observations, LABELS, TTL)
    columns = ["decision_id", "strategy", "time", "name", "value", "key"]
    frame = pd.DataFrame([[getattr(o, c) for c in columns] for o in observations], columns=columns)
    for row in rows:
        start = row.decision.time
        mine = frame[(frame["decision_id"] == row.decision.decision_id) & (frame["time"] <= start + TTL)]
        assert set(row.observed) == set(mine["name"]) - {"unlabelled"}
        for label in LABELS:
            values = mine[mine["name"] == label.name].sort_values(["time", "key", "value"])["value"]
            found = row.labels[label.name]
            if values.empty:
                assert found == label.default
            elif label.combine == "sum":
                assert found == pytest.approx(math.fsum(values), abs=1e-9)
            else:
                assert found == (values.max() if label.combine == "max" else values.iloc[-1])


@pytest.mark.parametrize(("time", "value"), [(TTL, 1.0), (TTL + 1e-6, 0.0)], ids=["at-the-end", "after"])
def test_the_ttl_is_inclusive(time: float, value: float) -> None:
    """An observation at the end of the TTL counts, one after it does not."""
    (row,) = join([decided("d")], [seen("d", time, "m", 1.0)], [Label("m")], TTL)
    assert row.labels == {"m": value}
    assert set(row.observed) == ({"m"} if value else set())


def test_missing_stays_missing() -> None:
    """A metric without a default is missing where nothing was seen, never zero; a seen zero is a zero."""
    seen_zero = [seen("d1", 6.0, "m", 0.0)]
    rows = join([decided("d0"), decided("d1", 5.0)], seen_zero, [Label("m", "last", None)], TTL)
    assert [row.labels["m"] for row in rows] == [None, 0.0]
    assert [set(row.observed) for row in rows] == [set(), {"m"}]


def test_nothing_gives_nothing() -> None:
    """Without decisions there are no rows, without labels rows without labels."""
    assert join([], [seen("d", 0.0, "m", 1.0)], LABELS, TTL) == []
    assert join([decided("d")], [seen("d", 0.0, "m", 1.0)], [], TTL)[0].labels == {}
