"""Outcomes that come late, retention and pseudonyms: what is refused, and how that is said."""

from __future__ import annotations

from typing import Any

import pytest

from abloop.blueprint import Blueprint, from_mapping
from abloop.blueprint.check_keeping import LONGEST
from abloop.errors import BlueprintError

QUERY = "SELECT user_id AS unit, paid_at AS time, amount AS value FROM paid WHERE paid_at >= :start AND paid_at < :end"
PAID: dict[str, Any] = {"name": "paid", "by": "unit", "window": "28d", "source": "shop", "query": QUERY}


def blueprint(**given: Any) -> Blueprint:
    """Return a checked blueprint with a TTL of an hour."""
    raw: dict[str, Any] = {
        "strategy": "s",
        "arms": [{"name": "a"}, {"name": "b"}],
        "metrics": [{"name": "m"}],
        "features": [
            {"name": "age"},
            {"name": "email", "type": "categorical"},
            {"name": "city", "type": "categorical", "group": "user"},
        ],
        "groups": [{"name": "user", "key": "shop_id", "table": "users"}],
        "lifecycle": {"ttl": "1h"},
    }
    return from_mapping(raw | given)


def refusal(**given: Any) -> str:
    """Return why a blueprint is refused; the place that the error names stands in its text."""
    with pytest.raises(BlueprintError) as caught:
        blueprint(**given)
    assert caught.value.place
    said = str(caught.value).removeprefix("blueprint: ")
    assert said.startswith(caught.value.place)
    return said


@pytest.mark.parametrize(
    ("metric", "window"),
    [
        ({"name": "m"}, 0.0),
        ({"name": "m", "window": "2h"}, 7_200.0),
        ({"name": "m", "by": "unit", "window": "1m"}, 60.0),  # shorter than the TTL
        ({"name": "m", "by": "unit", "window": LONGEST}, LONGEST),
        (PAID, 28 * 86_400.0),
        (PAID | {"source": "postgresql+psycopg://me@host/shop"}, 28 * 86_400.0),
    ],
)
def test_outcomes_that_are_waited_for(metric: dict[str, Any], window: float) -> None:
    """Of decisions within TTL or a longer window, of units within any window, from the log or a query."""
    (found,) = blueprint(metrics=[metric]).metrics
    assert found.window == window


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (
            PAID | {"query": ""},
            "metrics[0].query is empty, but a source is named; allowed: SQL that selects unit, time",
        ),
        (PAID | {"query": QUERY.replace(":end", "7")}, "metrics[0].query names no :end; allowed: ... WHERE paid_at >="),
        (PAID | {"query": QUERY.replace(":start", "7")}, "metrics[0].query names no :start; allowed: ... WHERE"),
        (PAID | {"source": ""}, "metrics[0].source is empty, but there is a query; allowed: a database URL, or a name"),
        (PAID | {"by": "decision"}, "metrics[0].by is 'decision', but a query gives outcomes of units; allowed: unit"),
        (
            PAID | {"window": 0},
            "metrics[0].window is not given, but outcomes of a unit have no other end; allowed: sec",
        ),
        ({"name": "m", "by": "unit"}, "metrics[0].window is not given, but outcomes of a unit have no other end"),
    ],
)
def test_a_metric_that_cannot_be_joined_late(metric: dict[str, Any], said: str) -> None:
    """What came, what is allowed, and where it stands."""
    assert refusal(metrics=[metric]).startswith(said)


@pytest.mark.parametrize("window", ["1h", "30m", -1.0, LONGEST + 1.0, float("inf"), float("nan")])
def test_a_window_ends_after_the_ttl_and_ends(window: object) -> None:
    """Of a decision it is longer than the TTL, and of two years at most; the limits are said."""
    said = refusal(metrics=[{"name": "m", "window": window}])
    assert said.startswith("metrics[0].window")
    assert "allowed" in said


@pytest.mark.parametrize("retention", [0, "2h", "400d", "10000d"])
def test_how_long_rows_are_kept(retention: object) -> None:
    """For ever, or longer than it takes until they are whole."""
    assert blueprint(lifecycle={"ttl": "1h", "retention": retention}).lifecycle.ttl == 3_600.0


@pytest.mark.parametrize("retention", ["1h", 60, -1.0, float("nan"), float("inf"), "80000d"])
def test_rows_are_not_removed_before_they_are_whole(retention: object) -> None:
    """Not after the TTL exactly, nor before; nor later than anybody lives."""
    said = refusal(lifecycle={"ttl": "1h", "retention": retention})
    assert said.startswith("lifecycle.retention")
    assert "allowed" in said


def test_rows_are_not_removed_before_their_windows_end() -> None:
    """Retention must be longer than the longest window, whichever metric has it."""
    metrics = [{"name": "m"}, {"name": "late", "window": "2d"}, PAID]
    keep = {"ttl": "1h", "retention": "28d"}
    assert refusal(metrics=metrics, lifecycle=keep).startswith("lifecycle.retention")
    assert blueprint(metrics=metrics, lifecycle=keep | {"retention": "29d"}).lifecycle.retention == 29 * 86_400.0


@pytest.mark.parametrize("names", [[], ["user_id"], ["email", "user_id"]])
def test_what_gets_a_pseudonym(names: list[str]) -> None:
    """The unit, and categories of the context."""
    assert blueprint(pseudonymise=names).pseudonymise == tuple(names)


@pytest.mark.parametrize("name", ["age", "city", "nobody", ""])
def test_what_gets_none(name: str) -> None:
    """Numbers, fetched features and what is not there; what could is said."""
    said = refusal(pseudonymise=["user_id", name])
    assert said == f"pseudonymise[1]: unknown name {name!r}. There are: 'user_id', 'email'"


def test_the_nearest_name_is_offered_and_none_twice() -> None:
    """A misspelt name is guessed; one that is given twice is refused."""
    assert "Did you mean 'email'?" in refusal(pseudonymise=["emial"])
    assert refusal(pseudonymise=["email", "email"]).startswith("pseudonymise")


@pytest.mark.parametrize(
    ("metric", "sections", "words"),
    [
        ({"measured": "latency"}, {}, "role is 'goal'"),
        ({"measured": "latency", "window": "2h"}, {}, "window belongs to what is logged"),
        ({"measured": "latency", "combine": "sum"}, {}, "combine belongs to what is logged"),
        ({"measured": "cost"}, {"arms": [], "space": {"type": "number"}, "default": 1}, "'number' has no arms"),
        ({"measured": "decision"}, {}, "is no number"),
    ],
)
def test_what_decisions_cannot_tell(metric: dict[str, Any], sections: dict[str, Any], words: str) -> None:
    """A metric is logged or measured, a goal is logged, and only numbers and costs of arms are there to be told."""
    role = {} if "goal" in words else {"role": "guardrail"}
    formula = {"policy": {"formula": "age"}} if "space" in sections else {}
    said = refusal(metrics=[{"name": "m"}, {"name": "it", **role, **metric}], **sections, **formula)
    assert said.startswith("metrics[1]")
    assert words in said


def test_what_decisions_tell_is_not_tallied() -> None:
    """A feature of events tallies what is logged."""
    metrics = [{"name": "m"}, {"name": "spent", "measured": "cost", "role": "secondary"}]
    feature = {"name": "spent_24h", "group": "user", "metric": "spent", "tally": "sum", "window": "24h"}
    said = refusal(metrics=metrics, groups=[{"name": "user", "key": "user_id", "events": True}], features=[feature])
    assert said == "features[0].metric is 'spent', which nobody logs; name a metric without measured"
