"""A readout as text for the terminal. Every number with its interval and its n; no arithmetic here."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from abloop.readout.results import ArmResult, MetricResult, PolicyResult, Readout
from abloop.stats.compare import Estimate

WIDTH = 100
MEANINGS = {
    "fixed": "read it once, at the planned end",
    "sequential": "valid at every look",
    "group": "valid at each day's look until the planned units",
    "bayes": "beliefs after these data",
}


def number(value: float | None, sign: bool = False) -> str:
    """Return a number with four significant digits, a dash where there is none.

    Example:
        >>> number(0.123456), number(float("nan")), number(1234.56, sign=True)
        ('0.1235', '-', '+1235')
    """
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:{'+' if sign else ''}.4g}"


def interval(estimate: Estimate, sign: bool = False) -> str:
    """Return the ends of an interval.

    Example:
        >>> interval(Estimate(10, 0.5, 0.25, 0.75))
        '[0.25, 0.75]'
    """
    return f"[{number(estimate.low, sign)}, {number(estimate.high, sign)}]"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table: the first column to the left, all others to the right.

    Example:
        >>> print(table(["arm", "n"], [["control", "10"], ["b", "9"]]))
        arm       n
        -------  --
        control  10
        b         9
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def paragraph(text: str) -> str:
    """Return text wrapped to the width of a terminal."""
    return textwrap.fill(text, WIDTH)


def readout_text(readout: Readout) -> str:
    """Return a readout as text: what to do, each metric arm by arm, the served release against each arm."""
    counts = ", ".join(f"{name} {count:,}" for name, count in readout.units.items())
    rows = (
        f", version {readout.version}, phase {readout.phase}: {readout.rows:,} complete rows, "
        f"{readout.waiting:,} waiting. Randomised units"
    )
    what = rows if readout.version else ": units"  # data of one's own have no version
    head = f"{readout.strategy}{what}: {counts}; sample ratio p = {readout.srm:.3g}."
    parts = [paragraph(head), *(paragraph(f"! {note}") for note in readout.notes)]
    if readout.recommendation.text:
        parts.append(paragraph(f"{readout.recommendation.advice.upper()}: {readout.recommendation.text}"))
    if readout.metrics:
        parts.append(
            paragraph(
                f"Intervals of {100 * readout.confidence:g} %, {readout.inference}: {MEANINGS[readout.inference]}."
            )
        )
    parts += [metric_text(metric, readout.confidence) for metric in readout.metrics]
    parts += [line for metric in readout.metrics for line in _segment_texts(metric)]
    if readout.policy:
        parts.append(_policy_text(readout.policy))
    return "\n\n".join(parts)


def metric_text(metric: MetricResult, confidence: float = 0.95) -> str:
    """Return one metric as a table of its arms."""
    said = any(arm.comparison is not None for arm in metric.arms)
    shown = f"{100 * confidence:g} % interval"
    header = [f"{metric.metric} ({metric.role})", "n", metric.kind, shown, "lift"]
    header += [shown, "relative"]
    rows = [_arm_row(arm) for arm in metric.arms]
    if said:
        chances = any(arm.comparison is not None and arm.comparison.chance is not None for arm in metric.arms)
        header += ["chance" if chances else "p", ""]
        rows = [[*row, *_test_cells(arm, chances)] for row, arm in zip(rows, metric.arms, strict=True)]
    return table(header, rows)


def _arm_row(arm: ArmResult) -> list[str]:
    """Return the cells that every arm has."""
    return [
        arm.arm,
        f"{arm.mean.n:,}",
        number(arm.mean.mean),
        interval(arm.mean),
        number(arm.lift.mean, True) if arm.lift else "",
        interval(arm.lift, True) if arm.lift else "",
        f"{arm.relative:+.1%}" if arm.relative is not None and math.isfinite(arm.relative) else "",
    ]


def _test_cells(arm: ArmResult, chances: bool) -> list[str]:
    """Return p-value or chance of an arm, and what it comes to in words."""
    found = arm.comparison
    if found is None:
        return ["", ""]
    words = [found.guardrail] if found.guardrail else []
    if found.difference.reason:
        words.append(found.difference.reason.replace("_", " "))
    elif found.significant:
        words.append("clear")
    if found.cut >= 0.01:
        words.append(f"{found.cut:.0%} of the variance taken away")
    first = found.chance if chances else found.adjusted
    return ["-" if first is None or not math.isfinite(first) else f"{first:.3g}", ", ".join(words)]


def _segment_texts(metric: MetricResult) -> list[str]:
    """Return a table for each feature and arm: lifts by its values, drawn towards their mean."""
    found = []
    for feature, arms in metric.segments.items():
        for arm, differ in arms.items():
            header = [f"{metric.metric}: lift of {arm} by {feature}", "n", "lift", "95 % interval"]
            rows = [
                [name, f"{each.n:,}", number(each.mean, True), interval(each, True)]
                for name, each in differ.segments.items()
            ]
            said = f"Segments differ: p = {differ.p:.3g}; lifts are drawn towards their mean."
            found.append(f"{table(header, rows)}\n{said}")
    return found


def _policy_text(policy: PolicyResult) -> str:
    """Return the served release against each arm."""
    rows = [[policy.phase, f"{policy.policy.n:,}", number(policy.policy.mean), interval(policy.policy), "", ""]]
    for name, arm in policy.arms.items():
        gain = policy.gains[name]
        shown = [name, f"{arm.n:,}", number(arm.mean), interval(arm)]
        rows.append([*shown, number(gain.mean, True), interval(gain, True)])
    header = ["net value since it serves", "n", "mean", "95 % interval", "policy minus arm", "95 % interval"]
    return table(header, rows)
