"""Joining: order of arrival never matters, the TTL ends every row alike, missing stays missing."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.join import Joined, Label, Seen, join, observation_hash
from abloop.records import Decision

TTL = 10.0
LABELS = [Label("last"), Label("sum", "sum"), Label("max", "max", None)]
Observed = tuple[str, str, str, float, float]


def decided(name: str, time: float = 0.0) -> Decision:
    """Return a decision."""
    return Decision(name, "s", 1, "u", time, (), (), "a", 0.5, "randomise", "a")


def columns(observations: list[Observed]) -> Seen:
    """Return decision, metric, key, time and value of each observation as columns."""
    return Seen(*zip(*observations, strict=True)) if observations else Seen()


def plain(joined: Joined) -> Any:
    """Return labels and hashes as values that can be compared."""
    found = {name: [part.tolist() for part in column] for name, column in joined.labels.items()}
    return repr((found, joined.hashes.tolist(), joined.ends.tolist()))


observed = st.tuples(
    st.sampled_from(["d0", "d1", "d2", "elsewhere"]),
    st.sampled_from(["last", "sum", "max", "unlabelled"]),
    st.text("kl", max_size=3),
    st.integers(0, 30).map(float),
    st.floats(-1e3, 1e3),
)
several = st.lists(observed, max_size=25, unique_by=lambda seen: seen[:3])
DECISIONS = [decided("d0"), decided("d1", 5.0), decided("d2", 5.0)]


@settings(max_examples=200, deadline=None)
@given(several, st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(observations: list[Observed], random: Random) -> None:
    """Shuffled observations give the same labels, to the last bit."""
    found = plain(join(DECISIONS, columns(observations), LABELS, TTL))
    random.shuffle(observations)
    assert plain(join(DECISIONS, columns(observations), LABELS, TTL)) == found


@settings(max_examples=100, deadline=None)
@given(several)
def test_labels_equal_a_group_by(observations: list[Observed]) -> None:
    """Sum, greatest and last value, number and time of the last in the TTL are those of a pandas group-by."""
    joined = join(DECISIONS, columns(observations), LABELS, TTL)
    frame = pd.DataFrame(observations, columns=["decision_id", "name", "key", "time", "value"])
    used = 0
    for row, decision in enumerate(DECISIONS):
        mine = frame[(frame["decision_id"] == decision.decision_id) & (frame["time"] <= decision.time + TTL)]
        for label in LABELS:
            theirs = mine[mine["name"] == label.name].sort_values(["time", "key"])
            value, count, last = (part[row] for part in joined.labels[label.name])
            used += count
            assert count == len(theirs)
            if theirs.empty:
                assert math.isnan(last)
                assert math.isnan(value) if label.default is None else value == label.default
                continue
            assert last == theirs["time"].max()
            if label.combine == "sum":
                assert value == pytest.approx(math.fsum(theirs["value"]), abs=1e-9)
            else:
                assert value == (theirs["value"].max() if label.combine == "max" else theirs["value"].iloc[-1])
    assert used + len(joined.left) == len(observations)


@settings(max_examples=60, deadline=None)
@given(several)
def test_each_row_has_the_hashes_of_its_observations(observations: list[Observed]) -> None:
    """What a row keeps of its observations are their hashes and no others, rising; the others are left over."""
    joined = join(DECISIONS, columns(observations), LABELS, TTL)
    left = set(joined.left.tolist())
    start = 0
    for decision, end in zip(DECISIONS, joined.ends.tolist(), strict=True):
        mine = [
            seen for place, seen in enumerate(observations) if place not in left and seen[0] == decision.decision_id
        ]
        expected = sorted(int.from_bytes(observation_hash(seen[1], seen[2])) for seen in mine)
        assert joined.hashes[start:end].tolist() == expected
        start = end
    assert start == len(joined.hashes)


def test_what_decisions_tell_needs_no_observation() -> None:
    """Latency in microseconds, the cost of the arm, the number that was given; observations of that name are left."""
    made = [
        Decision("d0", "s", 1, "u", 3.0, (), (), "a", 0.5, "randomise", 2.5, latency=12_500),
        Decision("d1", "s", 1, "u", 4.0, (), (), "b", 0.5, "randomise", True, latency=500),
        Decision("d2", "s", 1, "u", 5.0, (), (), "gone", 0.5, "randomise", {"position": 1}),
    ]
    costs = {"a": 0.0, "b": 0.2}
    labels = [Label(name, measured=name, costs=costs) for name in ("latency", "cost", "decision")]
    joined = join(made, columns([("d0", "cost", "k", 4.0, 9.0)]), labels, TTL)
    assert joined.labels["latency"].values.tolist() == [12.5, 0.5, 0.0]
    assert joined.labels["cost"].values.tolist() == [0.0, 0.2, 0.0]
    given = joined.labels["decision"]
    assert given.values[:2].tolist() == [2.5, 1.0]
    assert math.isnan(given.values[2])
    assert given.counts.tolist() == [1, 1, 0]
    assert joined.left.tolist() == [0]


@pytest.mark.parametrize(("time", "value"), [(TTL, 1.0), (TTL + 1e-6, 0.0)], ids=["at-the-end", "after"])
def test_the_ttl_is_inclusive(time: float, value: float) -> None:
    """An observation at the end of the TTL counts, one after it does not."""
    joined = join([decided("d")], columns([("d", "m", "k", time, 1.0)]), [Label("m")], TTL)
    assert joined.labels["m"].values.tolist() == [value]
    assert joined.labels["m"].counts.tolist() == [int(value)]
    assert joined.left.tolist() == ([] if value else [0])


def test_missing_stays_missing() -> None:
    """A metric without a default is missing where nothing was seen, never zero; a seen zero is a zero."""
    zero = columns([("d1", "m", "k", 6.0, 0.0)])
    joined = join([decided("d0"), decided("d1", 5.0)], zero, [Label("m", "last", None)], TTL)
    assert np.isnan(joined.labels["m"].values).tolist() == [True, False]
    assert joined.labels["m"].counts.tolist() == [0, 1]


def test_nothing_gives_nothing() -> None:
    """Without decisions there are no rows, and every observation is left over."""
    joined = join([], columns([("d", "m", "k", 0.0, 1.0)]), [Label("m")], TTL)
    assert (len(joined.ends), len(joined.hashes), joined.left.tolist()) == (0, 0, [0])
    assert len(join([decided("d")], Seen(), [Label("m")], TTL).labels["m"].values) == 1
