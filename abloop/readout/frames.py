"""A readout as frames and as HTML for a notebook. No arithmetic here."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from abloop.readout.results import ArmResult, Comparison, MetricResult, Readout
from abloop.readout.text import MEANINGS, interval, number

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
STYLE = (
    "<style>.abloop-readout{font-family:sans-serif;line-height:1.4}.abloop-readout table{border-collapse:collapse;"
    "margin:.6em 0}.abloop-readout th,.abloop-readout td{padding:.2em .7em;text-align:right;border-bottom:1px solid "
    "rgba(128,128,128,.35)}.abloop-readout th:first-child,.abloop-readout td:first-child{text-align:left}"
    ".abloop-readout .warning{border-left:4px solid #b35900;padding-left:.6em}</style>"
)


def means_frame(readout: Readout) -> pd.DataFrame:
    """Return a row for each measure and arm: `metric`, `role`, `kind`, `arm`, `n`, `mean`, `low`, `high`."""
    import pandas as pd

    names = ["metric", "role", "kind", "arm", "n", "mean", "low", "high"]
    rows = [
        (metric.metric, metric.role, metric.kind, arm.arm, arm.mean.n, arm.mean.mean, arm.mean.low, arm.mean.high)
        for metric in readout.metrics
        for arm in metric.arms
    ]
    return pd.DataFrame(rows, columns=names)


def lifts_frame(readout: Readout) -> pd.DataFrame:
    """Return a row for each measure and arm against control.

    Columns: `metric`, `role`, `arm`, `n`; `difference`, `std_error`, `low`, `high`; `relative`, `relative_low`,
    `relative_high`; `p_value`, `adjusted_p`, `significant`; `chance`, `risk` (Bayesian); `variance_cut`, `days_left`,
    `guardrail`, `reason` (why there is no interval).
    """
    import pandas as pd

    rows = [_lift_row(metric, arm, arm.comparison) for metric, arm in compared(readout) if arm.comparison is not None]
    return pd.DataFrame(rows, columns=list(_lift_row(*_nothing())))


def intervals_frame(readout: Readout, *, relative: bool = False) -> pd.DataFrame:
    """Return the intervals of the lifts, `low` and `high`, indexed by metric and arm.

    Args:
        readout: The readout.
        relative: Whether as shares of control's value.
    """
    frame = lifts_frame(readout).set_index(["metric", "arm"])
    names = ["relative_low", "relative_high"] if relative else ["low", "high"]
    return frame[names].set_axis(["low", "high"], axis="columns")


def readout_html(readout: Readout) -> str:
    """Return a readout for a notebook: what to do, what to know, then a table for each measure."""
    said = readout.recommendation
    parts = [STYLE, '<div class="abloop-readout">']
    if said.text:
        parts.append(f"<p><strong>{_safe(said.advice.capitalize())}.</strong> {_safe(said.text)}</p>")
    parts += [f'<p class="warning">{_safe(note)}</p>' for note in readout.notes]
    counts = ", ".join(f"{name} {count:,}" for name, count in readout.units.items())
    shares = f"Units: {counts}; sample ratio p = {readout.srm:.3g}."
    parts.append(
        f"<p>{_safe(shares)} Intervals of {100 * readout.confidence:g} %, {readout.inference}: "
        f"{_safe(MEANINGS[readout.inference])}.</p>"
    )
    parts += [_metric_html(metric) for metric in readout.metrics]
    return "\n".join([*parts, "</div>"])


def compared(readout: Readout) -> Iterator[tuple[MetricResult, ArmResult]]:
    """Yield each measure with each arm that is compared with control."""
    for metric in readout.metrics:
        for arm in metric.arms:
            if arm.comparison is not None:
                yield metric, arm


def _lift_row(metric: MetricResult, arm: ArmResult, found: Comparison) -> Row:
    """Return one row of `lifts_frame`."""
    plain, share = found.difference, found.relative
    return {
        "metric": metric.metric,
        "role": metric.role,
        "arm": arm.arm,
        "n": plain.n,
        "difference": plain.value,
        "std_error": plain.error,
        "low": plain.low,
        "high": plain.high,
        "relative": share.value,
        "relative_low": share.low,
        "relative_high": share.high,
        "p_value": plain.p_value,
        "adjusted_p": found.adjusted,
        "significant": found.significant,
        "chance": math.nan if found.chance is None else found.chance,
        "risk": math.nan if found.risk is None else found.risk,
        "variance_cut": found.cut,
        "days_left": math.nan if found.outlook is None or found.outlook.days is None else float(found.outlook.days),
        "guardrail": found.guardrail,
        "reason": plain.reason,
    }


def _nothing() -> tuple[MetricResult, ArmResult, Comparison]:
    """Return a result from which the names of the columns are read."""
    from abloop.stats.compare import Effect, Estimate

    effect = Effect(0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    arm = ArmResult("", Estimate(0, 0.0, 0.0, 0.0))
    return MetricResult("", "", (arm,)), arm, Comparison(effect, effect, 1.0)


def _metric_html(metric: MetricResult) -> str:
    """Return one measure as a table."""
    chances = any(arm.comparison is not None and arm.comparison.chance is not None for arm in metric.arms)
    head = [f"{metric.metric} ({metric.role})", "n", metric.kind, "interval", "lift", "interval", "relative"]
    head += ["chance to be better" if chances else "p", ""]
    lines = [_line(head, "th"), *(_line(_cells(arm, chances), "td") for arm in metric.arms)]
    return f"<table>{''.join(lines)}</table>"


def _cells(arm: ArmResult, chances: bool) -> list[str]:
    """Return the cells of one arm."""
    cells = [arm.arm, f"{arm.mean.n:,}", number(arm.mean.mean), interval(arm.mean)]
    found = arm.comparison
    if found is None or arm.lift is None:
        return [*cells, "", "", "", "", ""]
    share = arm.relative if arm.relative is not None and math.isfinite(arm.relative) else None
    first = found.chance if chances else found.adjusted
    words = [found.guardrail] if found.guardrail else []
    words += [found.difference.detail or found.difference.reason.replace("_", " ")] if found.difference.reason else []
    words += ["clear"] if found.significant else []
    cells += [number(arm.lift.mean, True), interval(arm.lift, True), "-" if share is None else f"{share:+.1%}"]
    return [*cells, number(first), ", ".join(words)]


def _line(cells: list[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{_safe(cell)}</{tag}>' for cell in cells)}</tr>"


def _safe(text: str) -> str:
    return html.escape(text)
