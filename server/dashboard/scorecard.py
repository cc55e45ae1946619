"""A whole readout as tables: measures by role, lifts, days, segments, details. Pure: no store, no clock, no HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from abloop.readout import ArmResult, Comparison, MetricResult, Readout
from abloop.stats.compare import Effect, Estimate
from abloop.stats.segments import Heterogeneity
from server.dashboard.forest import Forest, forest
from server.dashboard.present import Chip
from server.numbers import DASH, decimals, interval, number, p_value, percent

CLEAR = 0.01  # p-value below which segments are said to differ
FEWEST_SHOWN = 30  # units of a segment below which it is shown to editors only
ROLES = (("goal", "Goal"), ("secondary", "Secondary"), ("guardrail", "Guardrails"))
BETTER, WORSE = Chip("better", "proven", "▲"), Chip("worse", "alarm", "▼")
CHANGED, OPEN = Chip("changed", "proven", "◆"), Chip("not clear", "none", "○")
GUARDS = {
    "pass": Chip("guardrail holds", "proven", "✓"),
    "fail": Chip("guardrail broken", "alarm", "!"),
    "unclear": Chip("guardrail not clear", "wait", "○"),
}


class Score(msgspec.Struct, frozen=True):
    """One arm of one measure; empty texts for control."""

    arm: str
    n: str
    mean: str
    ends: str
    lift: str = ""
    lift_ends: str = ""
    relative: str = ""
    relative_ends: str = ""
    p: str = ""
    chip: Chip | None = None
    why: str = ""


class Measured(msgspec.Struct, frozen=True):
    """One measure over all arms."""

    name: str
    kind: str
    better: str
    note: str
    scores: tuple[Score, ...]
    forest: Forest | None


class Group(msgspec.Struct, frozen=True):
    """The measures of one role."""

    role: str
    title: str
    measures: tuple[Measured, ...]


def groups(seen: Readout, notes: Mapping[str, str]) -> tuple[Group, ...]:
    """Return the measures by role, goals first.

    Args:
        seen: The readout.
        notes: Measure to what it is made of.
    """
    found = []
    for role, title in ROLES:
        metrics = [metric for metric in seen.metrics if metric.role == role]
        if metrics:
            measures = tuple(_measured(metric, notes.get(metric.metric, "")) for metric in metrics)
            found.append(Group(role, title, measures))
    return tuple(found)


def _measured(metric: MetricResult, note: str) -> Measured:
    means, lifts = decimals(arm.mean for arm in metric.arms), decimals(arm.lift for arm in metric.arms)
    scores = tuple(_score(metric, arm, means, lifts) for arm in metric.arms)
    better = "" if metric.better == "higher" else "lower is better"
    drawn = {arm.arm: estimate_of(arm.comparison.relative) for arm in metric.arms if arm.comparison is not None}
    plot = forest(
        drawn, f"Relative lift over control on {metric.metric}; the table has the same numbers.", percent=True
    )
    return Measured(metric.metric, "" if metric.kind == "mean" else metric.kind, better, note, scores, plot)


def _score(metric: MetricResult, arm: ArmResult, means: int, lifts: int) -> Score:
    plain = Score(arm.arm, f"{arm.mean.n:,}", number(arm.mean.mean, means), interval(arm.mean, means))
    found = arm.comparison
    if found is None or arm.lift is None:
        return plain
    share = found.relative
    chance = "" if found.chance is None else f"better with {percent(found.chance)}"
    if found.chance is not None and found.risk is not None:
        chance += f", risk {number(found.risk, lifts + 1)}"
    return msgspec.structs.replace(
        plain,
        lift=number(arm.lift.mean, lifts, sign=True),
        lift_ends=interval(arm.lift, lifts, sign=True),
        relative=percent(share.value, sign=True) if math.isfinite(share.value) else DASH,
        relative_ends=share_ends(estimate_of(share)),
        p=chance or p_value(found.adjusted),
        chip=_chip(metric, arm, found),
        why=found.difference.detail or found.difference.reason.replace("_", " ") if found.difference.reason else "",
    )


def _chip(metric: MetricResult, arm: ArmResult, found: Comparison) -> Chip:
    """Return what a lift says, in one word."""
    if found.guardrail:
        return GUARDS[found.guardrail]
    if not found.significant or arm.lift is None:
        return OPEN
    up = arm.lift.mean > 0
    return BETTER if up == (metric.better == "higher") else WORSE


def estimate_of(effect: Effect) -> Estimate:
    """Return an effect as a number with its interval; without one where it has a reason."""
    ends = (math.nan, math.nan) if effect.reason else (effect.low, effect.high)
    return Estimate(effect.n, effect.value, *ends)


def share_ends(found: Estimate) -> str:
    """Return an interval of shares as per cent.

    Example:
        >>> share_ends(Estimate(9, 0.1, 0.05, 0.15)).split()
        ['[+5.0', '%,', '+15.0', '%]']
    """
    low, high = percent(found.low, sign=True), percent(found.high, sign=True)
    return DASH if DASH in (low, high) else f"[{low}, {high}]"


def day_rows(metric: MetricResult) -> tuple[tuple[str, ...], ...]:
    """Return the lift over time as rows, newest first: day, arm, lift, interval of one look, of every look."""
    return tuple(
        (
            point.day,
            point.arm,
            percent(point.fixed.mean, sign=True),
            share_ends(point.fixed),
            share_ends(point.always),
        )
        for point in reversed(metric.days)
    )


def detail_rows(metric: MetricResult) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """Return by arm what is behind a lift: errors, covariates, units needed."""
    found = []
    for arm in metric.arms[1:]:
        said = arm.comparison
        if said is None:
            continue
        plain = said.difference
        places = decimals([estimate_of(plain)], digits=3)
        rows = [
            ("Units in both arms", f"{plain.n:,}"),
            ("Standard error", number(plain.error, places)),
            ("p-value of this comparison alone", p_value(plain.p_value)),
            ("p-value, adjusted", p_value(said.adjusted)),
            ("Variance taken away by covariates and strata", percent(said.cut)),
        ]
        if said.outlook is not None:
            ahead = said.outlook
            rows.append(("Smallest lift that so many units would most likely show", percent(ahead.smallest)))
            days = f", about {ahead.days:,} more days" if ahead.days is not None and ahead.days < 10_000 else ""
            needed = f"{ahead.needed:,}, of which {ahead.units:,} are there{days}"
            rows.append(("Units for the lift that is looked for", needed))
        found.append((arm.arm, tuple(rows)))
    return tuple(found)


class SegmentRow(msgspec.Struct, frozen=True):
    """One segment: its lift, or that it is too small to be shown."""

    name: str
    n: str
    lift: str
    ends: str
    hidden: bool = False


class Segments(msgspec.Struct, frozen=True):
    """One arm's lifts by the values of a feature."""

    arm: str
    feature: str
    reading: str
    rows: tuple[SegmentRow, ...]
    forest: Forest | None


def segments(metric: MetricResult, *, all_cells: bool) -> tuple[Segments, ...]:
    """Return the lifts of each arm by segment, drawn towards their mean.

    Args:
        metric: The measure.
        all_cells: Whether segments of fewer than 30 units are shown, too.
    """
    found = []
    for feature, by_arm in metric.segments.items():
        for arm, differ in by_arm.items():
            rows, plot = draw_segments(differ, f"Lift of {arm} by {feature}", all_cells=all_cells)
            said = f"They {'differ' if differ.p < CLEAR else 'do not differ'} beyond chance ({p_value(differ.p)})."
            found.append(Segments(arm, feature, said, rows, plot))
    return tuple(found)


def draw_segments(
    differ: Heterogeneity, title: str, *, all_cells: bool
) -> tuple[tuple[SegmentRow, ...], Forest | None]:
    """Return the rows and the plot of segments.

    Args:
        differ: The segments.
        title: What the plot shows.
        all_cells: Whether segments of fewer than 30 units are shown, too.
    """
    shown = {name: each for name, each in differ.segments.items() if all_cells or each.n >= FEWEST_SHOWN}
    places = decimals(shown.values())
    rows = tuple(
        SegmentRow(name, f"{each.n:,}", number(each.mean, places, sign=True), interval(each, places, sign=True))
        if name in shown
        else SegmentRow(name, f"fewer than {FEWEST_SHOWN}", "", "", hidden=True)
        for name, each in differ.segments.items()
    )
    return rows, forest(shown, f"{title}; the table has the same numbers.")


def masked(seen: Readout) -> Readout:
    """Return a readout without segments of fewer than 30 units, as viewers may take it along."""
    metrics = []
    for metric in seen.metrics:
        kept = {
            feature: {
                arm: msgspec.structs.replace(
                    differ, segments={name: each for name, each in differ.segments.items() if each.n >= FEWEST_SHOWN}
                )
                for arm, differ in by_arm.items()
            }
            for feature, by_arm in metric.segments.items()
        }
        metrics.append(msgspec.structs.replace(metric, segments=kept))
    return msgspec.structs.replace(seen, metrics=tuple(metrics))
