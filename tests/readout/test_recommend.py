"""What to do: each situation has its word, and a sentence with the numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest

from abloop.blueprint.reading import Reading
from abloop.readout.recommend import gaps, recommend
from abloop.readout.results import ArmResult, Comparison, MetricResult
from abloop.stats.compare import Effect, Estimate
from abloop.stats.power import Outlook

UNITS = {"a": 5_000, "b": 5_000}


def arm(
    lift: float, *, clear: bool = False, ahead: Outlook | None = None, guard: str = "", reason: str = ""
) -> ArmResult:
    """Return arm b with a relative lift."""
    found = Effect(10_000, lift, 0.01, lift - 0.02, lift + 0.02, 0.001 if clear else 0.5, math.inf)
    if reason:
        found = Effect(10_000, lift, math.nan, math.nan, math.nan, math.nan, math.nan, "no_variance", reason)
    said = Comparison(found, found, found.p_value, clear, outlook=ahead, guardrail=guard)
    return ArmResult("b", Estimate(5_000, 1.0 + lift, 0.9, 1.1), Estimate(10_000, lift, 0.0, 1.0), lift, said)


def metric(name: str, each: ArmResult, role: str = "goal", **more: Any) -> MetricResult:
    """Return a metric with control a."""
    return MetricResult(name, role, (ArmResult("a", Estimate(5_000, 1.0, 0.9, 1.1)), each), **more)


NEAR = Outlook(10_000, 30_000, 4, 0.3, 0.1)
DONE = Outlook(10_000, 8_000, 0, 0.9, 0.04)
CASES: dict[str, tuple[list[MetricResult], tuple[str, str, str]]] = {
    "better": ([metric("buy", arm(0.1, clear=True))], ("ship", "b", "+10.0%, +8.0% to +12.0%")),
    "worse": ([metric("buy", arm(-0.1, clear=True))], ("roll back", "b", "clearly worse on buy")),
    "lower is better": ([metric("wait", arm(-0.1, clear=True), better="lower")], ("ship", "b", "wait")),
    "a guardrail broken": (
        [metric("buy", arm(0.1, clear=True)), metric("crash", arm(0.2, guard="fail"), "guardrail")],
        ("roll back", "b", "guardrail 'crash' is worse than it may be"),
    ),
    "a guardrail not clear": (
        [metric("buy", arm(0.1, clear=True)), metric("crash", arm(0.0, guard="unclear"), "guardrail")],
        ("keep running", "b", "guardrail 'crash' is not clear yet"),
    ),
    "all guardrails hold": (
        [metric("buy", arm(0.1, clear=True)), metric("crash", arm(0.0, guard="pass"), "guardrail")],
        ("ship", "b", "no guardrail is broken"),
    ),
    "nothing yet": (
        [metric("buy", arm(0.01, ahead=NEAR))],
        ("keep running", "", "about 4 more days, 20,000 more units"),
    ),
    "nothing any more": ([metric("buy", arm(0.01, ahead=DONE))], ("stop", "a", "Keep control")),
    "nobody knows": ([metric("buy", arm(0.01))], ("keep running", "", "No arm is clearly better or worse")),
}


@pytest.mark.parametrize("case", CASES)
def test_each_situation_has_its_word(case: str) -> None:
    """Advice, arm and sentence."""
    metrics, (advice, which, words) = CASES[case]
    found = recommend(metrics, UNITS, Reading(), 10.0, "")
    assert (found.advice, found.arm) == (advice, which)
    assert words in found.text


def test_what_comes_first() -> None:
    """An ill experiment is repaired first, one without units waits, and floors come before all else."""
    metrics = [metric("buy", arm(0.1, clear=True))]
    assert recommend(metrics, UNITS, Reading(), 10.0, "Shares are off.").text == "Shares are off."
    assert recommend(metrics, {"a": 5, "b": 0}, Reading(), 0.0, "").advice == "wait"
    assert recommend([], UNITS, Reading(), 0.0, "").advice == "wait"
    assert "Arm 'b' has 50 of the 100" in recommend(metrics, {"a": 900, "b": 50}, Reading(), 0.0, "").text
    assert "3 of the 7 days" in recommend(metrics, UNITS, Reading(least_days=7.0), 3.0, "").text


def test_gaps_are_said() -> None:
    """A lift without an interval says why."""
    found = gaps([metric("buy", arm(0.0, reason="treatment: 3 units, variance 0"))])
    assert found == ["No interval for 'buy' in arm 'b': treatment: 3 units, variance 0."]
