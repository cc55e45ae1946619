"""Tracked events: they join the decisions that the unit got, in this process or another, and never raise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openfeature.evaluation_context import EvaluationContext
from openfeature.track import TrackingEventDetails

import abloop
from abloop import offline
from abloop.adapters.openfeature import AbloopProvider
from abloop.loop import Loop
from abloop.records import Decision, Observation
from abloop.testing import ManualClock
from tests.adapters.openfeature.providers import ask, ready
from tests.loops import TTL, open_loop, two_arms
from tests.test_online import records

BOTH = [{"name": "bought"}, {"name": "items", "role": "secondary"}]


def observed(loop: Loop) -> list[tuple[str, str, str, float]]:
    """Return strategy, decision id, name and value of what was logged."""
    found = [record for record in records(loop) if isinstance(record, Observation)]
    return [(record.strategy, record.decision_id, record.name, record.value) for record in found]


def decided(loop: Loop) -> dict[str, str]:
    """Return the decision ids by strategy, the last one of each."""
    return {record.strategy: record.decision_id for record in records(loop) if isinstance(record, Decision)}


def track(
    provider: AbloopProvider, name: Any, unit: Any = "u1", value: Any = None, more: Any = None, **named: Any
) -> None:
    """Track an event."""
    provider.track(name, EvaluationContext(unit, named), TrackingEventDetails(value, more))


def test_an_event_joins_the_units_decisions(loop: Loop) -> None:
    """The name is the metric, 1 the value unless one is given; strategies that did not decide for the unit get none."""
    for name in ("a", "b", "c"):
        loop.register(two_arms(name, metrics=BOTH))
    loop.register(two_arms("other", metrics=[{"name": "seen"}]))
    provider = ready(loop)
    for name in ("a", "b", "other"):
        ask(provider, "string", name)
    ask(provider, "string", "c", unit="u2")
    ids = decided(loop)
    provider.track("bought", EvaluationContext("u1"))
    track(provider, "bought", value=9.5, more={"items": 3, "bought": 7, "colour": "red", "unknown": 1})
    track(provider, "signed up")
    expected = [(name, ids[name], "bought", 1.0) for name in "ab"]
    for name in "ab":
        expected += [(name, ids[name], "bought", 9.5), (name, ids[name], "items", 3.0)]
    assert observed(loop) == expected
    assert provider.errors == 0


def test_an_event_joins_in_another_process(loop: Loop, tmp_path: Path) -> None:
    """A process that decided nothing for the unit, or nothing at all, finds the decisions all the same."""
    loop.register(two_arms("a"))
    loop.register(two_arms("b"))
    ask(ready(loop), "string", "a")
    ids = decided(loop)
    other = open_loop(tmp_path)
    provider = ready(other)
    track(provider, "bought")
    assert ("a", ids["a"], "bought", 1.0) in observed(other)
    assert {strategy for strategy, *_ in observed(other)} == {"a", "b"}  # it decided nothing, so it may be either
    ask(provider, "string", "a", unit="u7")
    track(provider, "bought", value=2)
    assert [item for item in observed(other) if item[3] == 2.0] == [("a", ids["a"], "bought", 2.0)]
    provider.shutdown()
    other.close()


def test_an_event_joins_the_decision_that_was_made(loop: Loop) -> None:
    """When another version is served in between, the event belongs to the decision before it."""
    loop.register(two_arms())
    provider = ready(loop)
    before = ask(provider, "string", "checkout").flag_metadata["decision_id"]
    loop.register(two_arms(default="x"))
    track(provider, "bought")
    after = ask(provider, "string", "checkout").flag_metadata["decision_id"]
    track(provider, "bought")
    assert before != after
    assert [item[1] for item in observed(loop)] == [before, after]


def test_a_decision_id_of_ones_own_wins(loop: Loop) -> None:
    """An id named in the evaluation's attributes, or in the event's, is the decision's and the observation's."""
    loop.register(two_arms("a"))
    loop.register(two_arms("b"))
    provider = ready(loop)
    told = ask(provider, "string", "a", decision_id="mine").flag_metadata["decision_id"]
    ask(provider, "string", "b", unit="u2")
    track(provider, "bought")
    track(provider, "bought", unit=None, decision_id="mine")
    track(provider, "bought", unit="stranger", more={"decision_id": "mine"}, decision_id="not this")
    assert told == "mine"
    assert observed(loop) == [("a", "mine", "bought", 1.0)] * 3
    track(provider, "bought", unit=None, decision_id="b/u9/1.randomise.")  # of another process, by its own name
    track(provider, "bought", unit=None, decision_id="whose")
    assert [item[:2] for item in observed(loop)[3:]] == [("b", "b/u9/1.randomise."), ("a", "whose"), ("b", "whose")]


def test_the_memory_is_bounded(loop: Loop) -> None:
    """Only so many decisions are remembered; those forgotten are found as in another process."""
    loop.register(two_arms("a"))
    loop.register(two_arms("b"))
    provider = ready(loop, remember=10)
    for index in range(100):
        ask(provider, "string", "ab"[index % 2], unit=f"u{index}")
    track(provider, "bought", unit="u98")
    track(provider, "bought", unit="u2")
    assert [item[:2] for item in observed(loop)] == [
        ("a", "a/u98/1.randomise."),
        ("a", "a/u2/1.randomise."),
        ("b", "b/u2/1.randomise."),
    ]


def test_a_unit_of_another_name(loop: Loop) -> None:
    """Without a targeting key, an event's unit is the attribute that the blueprint names, if it is there."""
    loop.register(two_arms("user"))
    loop.register(two_arms("company", unit="company"))
    provider = ready(loop)
    track(provider, "bought", unit=None, company="c1")
    track(provider, "bought", unit=None)
    assert observed(loop) == [("company", "company/c1/1.randomise.", "bought", 1.0)]


@pytest.mark.parametrize(
    ("name", "unit", "value", "more"),
    [
        (17, "u1", None, None),
        ("bought", 1.5, None, None),
        ("bought", "u1", None, {"decision_id": 3}),
        ("bought", "u1", None, "text"),
    ],
)
def test_a_wrong_event_is_counted(loop: Loop, name: Any, unit: Any, value: Any, more: Any) -> None:
    """What cannot be logged is counted and said in the log, and nothing is logged."""
    loop.register(two_arms())
    provider = ready(loop)
    track(provider, name, unit, value, more)
    assert (provider.errors, observed(loop)) == (1, [])
    track(AbloopProvider(loop), "bought")  # not initialised


@pytest.mark.parametrize("value", ["much", float("nan"), 10**400, [1]])
def test_a_wrong_value_is_counted_by_its_strategy(loop: Loop, value: Any) -> None:
    """A value that is no finite number is an error of the strategy that it was meant for."""
    loop.register(two_arms())
    track(ready(loop), "bought", value=value)
    assert (loop.strategy("checkout").errors, observed(loop)) == (1, [])


def test_outcomes_reach_the_readout(tmp_path: Path) -> None:
    """Evaluations and events through the provider are units and means of the readout, each unit once."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms())
    provider, buys = ready(loop), {"blue": 0, "green": 0}
    for index in range(300):
        arm = [ask(provider, "string", "checkout", unit=f"u{index}", x=1.0).value for _ in range(2)][1]
        if index % 3 == 0:
            track(provider, "bought", unit=f"u{index}")
            buys[arm] += 1
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    found = abloop.readout(loop, "checkout")
    assert sum(found.units.values()) == 300
    means = {arm.arm: arm.mean.mean * found.units[arm.arm] for arm in found.metrics[0].arms}
    assert means == pytest.approx(buys)
    provider.shutdown()
    loop.close()
