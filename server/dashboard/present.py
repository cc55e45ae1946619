"""What is served and what the gate says, as a page shows it. Pure: no store, no clock, no HTML."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import msgspec

from abloop.blueprint import Blueprint
from abloop.evaluate.verdict import Verdict
from abloop.stats.compare import Estimate
from abloop.store.serving import Serving
from server.numbers import DASH, Moment, decimals, interval, moment, number, percent, share

Judged = tuple[float, int, Verdict]


class Chip(msgspec.Struct, frozen=True):
    """A word in colour, with a sign that says the same without it."""

    text: str
    kind: str
    sign: str


CHIPS = {
    "personalise": Chip("personalise", "proven", "★"),
    "ship": Chip("ship one arm", "proven", "▲"),
    "not enough evidence": Chip("not enough evidence", "wait", "○"),
    "": Chip("gate not asked yet", "none", DASH),
}
PHASES = {
    "randomise": Chip("randomised", "serving", "⇄"),
    "personalise": Chip("personalised", "serving", "★"),
    "ship": Chip("one arm for all", "serving", "▲"),
    "default": Chip("default", "serving", "·"),
    "paused": Chip("paused", "wait", "‖"),
}


class Phase(msgspec.Struct, frozen=True):
    """What is served now, in plain words."""

    chip: Chip
    meaning: str
    since: Moment
    who: str
    why: str


class Gate(msgspec.Struct, frozen=True):
    """The gate's latest word; `facts` are its numbers, `effects` whether units differ."""

    chip: Chip
    reason: str
    at: Moment | None
    stale: str
    next: str
    facts: tuple[tuple[str, str], ...] = ()
    effects: tuple[tuple[str, str, str, str], ...] = ()


class Event(msgspec.Struct, frozen=True):
    """One line of the history."""

    at: Moment
    chip: Chip
    what: str
    version: int
    who: str
    why: str


def sentence(text: str) -> str:
    """Return the first sentence of a text.

    Example:
        >>> sentence("Ship 'b': it beats 'a'. Personalising is not proven (p = 0.2).")
        "Ship 'b': it beats 'a'."
    """
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", text, maxsplit=1)[0]


def phase(serving: Serving, blueprint: Blueprint, judged: Sequence[Judged], now: float) -> Phase:
    """Return what is served now, and what that means for a unit."""
    explore, holdout = share(blueprint.experiment.explore), blueprint.experiment.holdout
    shipped = next((f"'{said.arm}'" for _, _, said in judged if said.reason == serving.why), "one arm")
    rest = f"except {explore} of the units: they stay randomised for good, so that the gain goes on being measured."
    half = f"except half of {explore} of the units: they get the default, so that the gain goes on being measured."
    answers = f"Each unit gets what the formula gives, {half}"
    meaning = {
        "paused": "Each unit gets control, or the default: nobody is randomised until it is resumed.",
        "default": "Each unit gets the default, until the labels are predicted provably better than by their mean.",
        "randomise": "Every unit gets an arm by chance, in planned shares, so that the arms can be compared fairly.",
        "personalise": f"Each unit gets the arm that the policy gives, {rest}" if blueprint.is_choice else answers,
        "ship": f"Each unit gets {shipped}, which was proven best for all, {rest}",
    }[serving.phase]
    if serving.phase == "randomise" and blueprint.is_choice:
        meaning = _drawn(blueprint) or meaning
    if holdout:
        meaning += f" {share(holdout)} of the units are held out and always get '{blueprint.ordered_arms()[0].name}'."
    said = any(verdict.reason == serving.why for _, _, verdict in judged)
    why = "the gate's verdict of that time, see the history." if said else serving.why
    return Phase(PHASES[serving.phase], meaning, moment(serving.at, now), serving.who or DASH, why)


def _drawn(blueprint: Blueprint) -> str:
    """Return who is randomised, where that is not everybody; empty where it is."""
    trial = blueprint.experiment
    if trial.ramp or trial.traffic >= 1:
        return ""
    if not trial.traffic:
        return "Each unit gets control: experiment.traffic is 0, so nobody is in the experiment."
    return f"{share(trial.traffic)} of the units get an arm by chance, in planned shares; the others get control."


def gate(judged: Judged | None, serving: Serving, blueprint: Blueprint, now: float) -> Gate:
    """Return the gate's latest word with its numbers."""
    if judged is None:
        reason = "The gate has not been asked yet. It decides on complete rows, each time the cycle runs."
        return Gate(CHIPS[""], reason, None, "", "Turn it once:")
    at, version, verdict = judged
    stale = (
        f"This was said of version {version}; version {serving.version} is served now."
        if version != serving.version
        else ""
    )
    manual = blueprint.lifecycle.switch == "manual" and verdict.verdict not in ("not enough evidence", serving.phase)
    step = (
        "The blueprint says switch: manual, so a person has to make the switch, with abloop.offline.switch."
        if manual
        else ""
    )
    slopes = []
    places = decimals(verdict.heterogeneity.values())
    for name, slope in verdict.heterogeneity.items():
        ends = interval(slope, places, sign=True)
        slopes.append((name, number(slope.mean, places, sign=True), ends, _reading(slope)))
    chip = CHIPS[verdict.verdict]
    return Gate(chip, verdict.reason, moment(at, now), stale, step, _facts(verdict), tuple(slopes))


def _reading(slope: Estimate) -> str:
    """Return what a slope of measured on predicted effects says."""
    if not (math.isfinite(slope.low) and math.isfinite(slope.high)):
        return DASH
    return "units differ" if slope.low > 0 else "predictions fail" if slope.high < 0 else "not shown"


def _facts(verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """Return the numbers behind a verdict; none where nothing was estimated."""
    if not math.isfinite(verdict.gain):
        return (("Units", f"{verdict.n:,}"),) if verdict.n else ()
    if verdict.learner == "labels":
        return _label_facts(verdict)
    bounds = Estimate(verdict.n, verdict.gain, verdict.low, verdict.high)
    places = decimals([bounds], digits=3)
    return (
        (f"Personalising against '{verdict.arm}' for all", f"{number(verdict.gain, places, sign=True)} per decision"),
        ("Lower and upper bound", interval(bounds, places, sign=True)),
        *_monthly(verdict),
        ("Units", f"{verdict.n:,}"),
        *_needed(verdict),
        ("Learner", _learner(verdict.learner)),
        ("Bounds are", _bounds(verdict)),
    )


def _learner(name: str) -> str:
    """Return what a learner is called."""
    if name == "constant":
        return "one effect for everybody"
    return f"{name.upper()}-learner" if len(name) == 1 else name or DASH


def _monthly(verdict: Verdict) -> list[tuple[str, str]]:
    """Return what the gain comes to in a month; nothing where the pace is not known."""
    month = verdict.monthly
    if month is None:
        return []
    bounds = Estimate(verdict.n, verdict.gain * month, verdict.low * month, verdict.high * month)
    places = decimals([bounds], digits=3)
    said = f"{number(bounds.mean, places, sign=True)} {interval(bounds, places, sign=True)}"
    return [("In a month", f"{said} at {month:,.0f} decisions")]


def _needed(verdict: Verdict) -> list[tuple[str, str]]:
    """Return how many units would prove the gain; nothing where it is proven, or nobody can say."""
    if verdict.needed is None or verdict.needed <= verdict.n:
        return []
    return [("Units to prove it", f"about {verdict.needed:,}, if gain and spread stay")]


def _label_facts(verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """Return the numbers behind a verdict on label models: the share of the mean's squared error they take away."""
    return (
        ("Error taken away, weakest label", percent(verdict.gain)),
        ("Lower and upper bound", f"[{percent(verdict.low)}, {percent(verdict.high)}]"),
        ("Units", f"{verdict.n:,}"),
        ("Bounds are", _bounds(verdict)),
    )


def _bounds(verdict: Verdict) -> str:
    """Return what the bounds of a verdict mean."""
    looks = "hold at every look" if verdict.always_valid else "hold for one planned look"
    return f"one-sided, error rate {share(verdict.alpha)}; {looks}"


def history(servings: Sequence[Serving], judged: Sequence[Judged], now: float, most: int) -> tuple[Event, ...]:
    """Return what was served and what the gate said, newest first, at most so many."""
    reasons = {verdict.reason for _, _, verdict in judged}
    served = [
        (
            s.at,
            1,
            Event(
                moment(s.at, now),
                PHASES[s.phase],
                "served",
                s.version,
                s.who or DASH,
                "On the verdict below." if s.why in reasons else s.why,
            ),
        )
        for s in servings
    ]
    said = [
        (at, 0, Event(moment(at, now), CHIPS[verdict.verdict], "gate", version, "gate", verdict.reason))
        for at, version, verdict in judged[:most]
    ]
    events = sorted([*served, *said], key=lambda event: event[:2], reverse=True)
    return tuple(event for _, _, event in events[:most])
