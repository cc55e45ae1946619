"""The list of strategies: what each does, in one word with its reason, and what needs somebody first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from abloop.store.overview import Glance
from server.dashboard.present import PHASES, Chip, sentence
from server.numbers import DASH, Moment, count, moment

State = Literal[
    "unhealthy", "stuck", "ready", "running", "learning", "collecting", "no data", "personalised", "shipped", "paused"
]
PAGE = 50
LATE_SECONDS = 900.0  # past the TTL, before a decision that waits is stuck
CHIPS: dict[State, Chip] = {  # in the order in which they are listed: what needs somebody first
    "unhealthy": Chip("unhealthy", "alarm", "!"),
    "stuck": Chip("stuck", "alarm", "!"),
    "ready": Chip("ready to decide", "proven", "▲"),
    "running": Chip("running", "wait", "○"),
    "learning": Chip("learning", "wait", "○"),
    "collecting": Chip("collecting", "wait", "○"),
    "no data": Chip("no data", "none", DASH),
    "personalised": Chip("personalised", "proven", "★"),
    "shipped": Chip("shipped", "proven", "▲"),
    "paused": Chip("paused", "none", "‖"),
}


class Entry(msgspec.Struct, frozen=True):
    """One strategy in the list."""

    name: str
    version: int
    goal: str
    state: State
    chip: Chip
    reason: str
    phase: Chip
    rows: str
    waiting: str
    since: Moment
    who: str
    last: Moment | None
    dead: str


class Wanted(msgspec.Struct, frozen=True):
    """What somebody wants to see of the list.

    Attributes:
        text: Part of the name.
        state: Only this state; all where empty.
        phase: Only this phase; all where empty.
        page: From 1.
    """

    text: str = ""
    state: str = ""
    phase: str = ""
    page: int = 1


class Listing(msgspec.Struct, frozen=True):
    """A page of the list.

    Attributes:
        entries: Its lines.
        states: State to number of strategies, of all there are.
        total: Strategies that are wanted.
        page: This page, from 1.
        pages: How many there are.
        first: Place of the first line, from 1.
    """

    entries: tuple[Entry, ...]
    states: tuple[tuple[State, Chip, int], ...]
    total: int
    page: int
    pages: int
    first: int


def state(seen: Glance, now: float) -> tuple[State, str]:
    """Return the state of a strategy, and why.

    Args:
        seen: The strategy.
        now: Seconds since 1970.
    """
    serving, brief = seen.serving, seen.brief
    said = seen.said if seen.said is not None and seen.said.version == serving.version else None
    words = sentence(said.reason) if said else "The gate was not asked yet."
    if serving.phase == "paused":
        return "paused", serving.why
    if said and said.reason.startswith("Sample ratio mismatch"):
        return "unhealthy", words
    late = 0.0 if seen.oldest is None else now - brief.lifecycle.ttl - seen.oldest
    if late > LATE_SECONDS:
        ago = moment(now - late, now).ago.removesuffix(" ago")
        return (
            "stuck",
            f"{count(seen.waiting, 'decision')} wait to be joined, {ago} past their time: run abloop worker.",
        )
    if not seen.rows:
        if seen.waiting:
            return "collecting", f"{count(seen.waiting, 'decision')} wait for the end of their time."
        return "no data", f"No decision of version {serving.version} is complete."
    if serving.phase == "personalise":
        return "personalised", words if said else serving.why
    if serving.phase == "ship":
        return "shipped", words if said else serving.why
    if said and said.verdict != "not enough evidence" and brief.lifecycle.switch == "manual":
        return "ready", words
    return ("running" if brief.is_choice else "learning"), words


def listing(seen: Sequence[Glance], wanted: Wanted, now: float) -> Listing:
    """Return one page of the list, what needs somebody first.

    Args:
        seen: All strategies.
        wanted: Which of them.
        now: Seconds since 1970.
    """
    found = [(glance, *state(glance, now)) for glance in seen]
    counts = Counter(kind for _, kind, _ in found)
    order, text = list(CHIPS), wanted.text.casefold()
    chosen = [
        each
        for each in found
        if text in each[0].serving.strategy.casefold()
        and wanted.state in ("", each[1])
        and wanted.phase in ("", each[0].serving.phase)
    ]
    chosen.sort(key=lambda each: (order.index(each[1]), each[0].serving.strategy.casefold()))
    pages = max(1, -(-len(chosen) // PAGE))
    page = min(max(1, wanted.page), pages)
    first = (page - 1) * PAGE
    return Listing(
        tuple(_entry(*each, now) for each in chosen[first : first + PAGE]),
        tuple((kind, chip, counts[kind]) for kind, chip in CHIPS.items() if counts[kind]),
        len(chosen),
        page,
        pages,
        first + 1,
    )


def _entry(seen: Glance, kind: State, reason: str, now: float) -> Entry:
    serving = seen.serving
    goals = [metric.name for metric in seen.brief.metrics if metric.role == "goal"]
    return Entry(
        serving.strategy,
        serving.version,
        ", ".join(goals),
        kind,
        CHIPS[kind],
        reason,
        PHASES[serving.phase],
        f"{seen.rows:,}",
        f"{seen.waiting:,}",
        moment(serving.at, now),
        serving.who or DASH,
        moment(seen.newest, now) if seen.newest is not None else None,
        f"{count(seen.dead, 'dead letter')}" if seen.dead else "",
    )
