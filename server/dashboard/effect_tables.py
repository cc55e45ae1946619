"""A report of who gains what as tables. Pure: no store, no clock, no HTML."""

from __future__ import annotations

import math

import msgspec

from abloop.hte.results import Branch, EffectReport
from abloop.stats.compare import Estimate
from server.dashboard.forest import Forest
from server.dashboard.scorecard import CLEAR, SegmentRow, draw_segments
from server.numbers import count, decimals, interval, number, p_value, percent

Rows = tuple[tuple[str, ...], ...]


class Policy(msgspec.Struct, frozen=True):
    """One way of giving arms, what it is worth, and what choosing by predicted effects is worth above it."""

    name: str
    share: str
    worth: str
    ends: str
    gain: str
    gain_ends: str
    chosen: bool = False


class Segmented(msgspec.Struct, frozen=True):
    """A treatment's measured effect by the segments of a feature."""

    feature: str
    arm: str
    reading: str
    clear: bool
    rows: tuple[SegmentRow, ...]
    forest: Forest | None


class Leaf(msgspec.Struct, frozen=True):
    """One line of a policy tree: a question, or an end with its arm.

    Attributes:
        depth: Questions before it.
        text: The question, or the arm.
        answer: To the question before: `yes`, `no`, or empty for the first.
        end: Whether it is an end.
        share: Share of decisions that come here.
        gain: Of an end: what its arm brings above the best arm for all.
    """

    depth: int
    text: str
    answer: str
    end: bool
    share: str
    gain: str


def policy_rows(report: EffectReport) -> tuple[Policy, ...]:
    """Return each way of giving arms with its worth, and how much more choosing by predicted effects brings."""
    worths = {f"{arm} for all": (arm, worth) for arm, worth in report.verdict.arms.items()}
    found = [worth for _, worth in worths.values()] + [
        each for each in (report.personalised, report.randomised) if each
    ]
    places, gains = decimals(found), decimals(report.against.values())
    rows = []
    if report.personalised:
        worth = report.personalised
        rows.append(
            Policy("by predicted effect", "", number(worth.mean, places), interval(worth, places), "", "", True)
        )
    for name, (arm, worth) in worths.items():
        gain = report.against.get(arm)
        told = (number(gain.mean, gains, sign=True), interval(gain, gains, sign=True)) if gain else ("", "")
        share = percent(report.shares.get(arm, 0.0))
        rows.append(Policy(name, share, number(worth.mean, places), interval(worth, places), *told))
    if report.randomised:
        worth = report.randomised
        rows.append(Policy("arms at random", "", number(worth.mean, places), interval(worth, places), "", ""))
    return tuple(rows)


def metric_rows(report: EffectReport) -> Rows:
    """Return by how much choosing by predicted effects changes each metric: name, units, change, interval, reading."""
    rows = []
    for name, change in report.metrics.items():
        places = decimals([change])
        reading = "up" if change.low > 0 else "down" if change.high < 0 else "not clear"
        said = (number(change.mean, places, sign=True), interval(change, places, sign=True))
        rows.append((name, f"{change.n:,}", *said, reading))
    return tuple(rows)


def histogram_rows(report: EffectReport, arm: str) -> Rows:
    """Return how predicted effects are spread: from, to, decisions, share."""
    spread = report.predicted[arm]
    total = sum(spread.counts)
    step = (spread.edges[-1] - spread.edges[0]) / max(1, len(spread.counts))
    places = decimals([Estimate(1, 0.0, -step, step)])
    return tuple(
        (number(low, places, sign=True), number(high, places, sign=True), f"{rows:,}", percent(rows / total))
        for low, high, rows in zip(spread.edges, spread.edges[1:], spread.counts, strict=False)
    )


def calibration_rows(report: EffectReport, arm: str) -> Rows:
    """Return predicted beside measured effects: part, units, predicted, measured, interval."""
    found = report.calibration[arm]
    places = decimals(each.measured for each in found)
    return tuple(
        (
            f"{place}{' (greatest predicted)' if place == 1 else ''}",
            f"{each.measured.n:,}",
            number(each.predicted, places, sign=True),
            number(each.measured.mean, places, sign=True),
            interval(each.measured, places, sign=True),
        )
        for place, each in enumerate(found, 1)
    )


def curve_rows(report: EffectReport, arm: str) -> Rows:
    """Return what reaching the first of a ranking brings: share, gain, interval, above the mean, interval."""
    curve = report.curves[arm]
    gains, mores = decimals(each.gain for each in curve), decimals(each.more for each in curve[:-1])
    return tuple(
        (
            percent(each.share),
            number(each.gain.mean, gains, sign=True),
            interval(each.gain, gains, sign=True),
            number(each.more.mean, mores, sign=True),
            interval(each.more, mores, sign=True),
        )
        for each in curve
    )


def importance_rows(report: EffectReport) -> dict[str, Rows]:
    """Return by treatment what its predicted effect moves with: feature, share."""
    return {
        arm: tuple((name, percent(share)) for name, share in features.items())
        for arm, features in report.importance.items()
    }


def given_tables(report: EffectReport) -> tuple[tuple[str, tuple[str, ...], Rows], ...]:
    """Return which arm who would get: feature, arms, then segment and the share of its decisions for each arm."""
    arms = tuple(report.verdict.arms)
    return tuple(
        (
            feature,
            arms,
            tuple((segment, *(percent(shares.get(arm, 0.0)) for arm in arms)) for segment, shares in segments.items()),
        )
        for feature, segments in report.given.items()
    )


def segment_tables(report: EffectReport, *, all_cells: bool) -> tuple[Segmented, ...]:
    """Return measured effects by segment, the clearest feature first.

    Args:
        report: The report.
        all_cells: Whether segments of fewer than 30 units are shown, too.
    """
    found = []
    tests = sum(len(arms) for arms in report.segments.values())
    for feature, arms in report.segments.items():
        for arm, differ in arms.items():
            rows, plot = draw_segments(differ, f"Effect of {arm} by {feature}", all_cells=all_cells)
            p = min(1.0, differ.p * tests)
            said = (
                f"{'differ' if p < CLEAR else 'do not differ'} beyond chance ({p_value(p)} for {count(tests, 'test')})"
            )
            found.append((p, Segmented(feature, arm, f"Effects {said}.", p < CLEAR, rows, plot)))
    return tuple(each for _, each in sorted(found, key=lambda item: item[0]))


def tree_rows(tree: Branch, total: int, depth: int = 0, answer: str = "") -> tuple[Leaf, ...]:
    """Return a policy tree as lines.

    Args:
        tree: The tree.
        total: Decisions in all.
        depth: Questions before it.
        answer: The answer that leads here.
    """
    share = percent(tree.n / total) if total else ""
    if tree.yes is None or tree.no is None:
        gain = tree.gain
        told = ""
        if gain is not None and math.isfinite(gain.low) and gain.mean:
            places = decimals([gain])
            told = f"{number(gain.mean, places, sign=True)} {interval(gain, places, sign=True)}"
        return (Leaf(depth, tree.arm, answer, True, share, told),)
    here = Leaf(depth, tree.question, answer, False, share, "")
    yes, no = tree_rows(tree.yes, total, depth + 1, "yes"), tree_rows(tree.no, total, depth + 1, "no")
    return (here, *yes, *no)
