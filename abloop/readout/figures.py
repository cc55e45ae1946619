"""Figures of a readout, by plotly; each shows the numbers of its tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from abloop.errors import DataError, UnknownNameError, unknown
from abloop.readout.frames import compared
from abloop.readout.results import Figure, MetricResult, Readout

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from abloop.readout.traffic import Traffic

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")  # after Okabe and Ito, for all eyes
GREY = "#7f7f7f"
HOVER = "%{y}: %{x:+.2%}, n = %{customdata[0]:,}, p = %{customdata[1]:.3g}<extra>%{fullData.name}</extra>"
POINTS = 201  # of a density
FRAME, LINE = 220, 45  # pixels of a forest: around it, and of each lift
DAY_MS, FEW_DAYS = 86_400_000, 8
REACH = 4.0  # standard errors that a density is drawn to


def plot(readout: Readout, kind: Figure, metric: str = "") -> go.Figure:
    """Return a figure of a readout.

    Args:
        readout: The readout.
        kind: `forest`, `time` or `distribution`.
        metric: For the last two: the measure; the first where empty.

    Raises:
        UnknownNameError: There is no such figure or measure.
        DataError: There is no lift to draw.
    """
    if kind not in get_args(Figure):
        raise UnknownNameError(unknown("figure", kind, get_args(Figure)))
    if kind == "forest":
        return forest(readout)
    names = [each.metric for each in readout.metrics]
    if not names:
        raise DataError("the readout has no measures to draw; wait for complete rows")
    if metric and metric not in names:
        raise UnknownNameError(unknown("measure", metric, names))
    chosen = readout.metrics[names.index(metric)] if metric else readout.metrics[0]
    return over_time(chosen, readout.confidence) if kind == "time" else distribution(chosen)


def forest(readout: Readout) -> go.Figure:
    """Return the relative lift of every measure and arm, with its interval."""
    import plotly.graph_objects as go

    drawn = [
        (metric, arm.arm, arm.comparison)
        for metric, arm in compared(readout)
        if arm.comparison is not None and not arm.comparison.relative.reason
    ]
    if not drawn:
        raise DataError("no lift has an interval to draw; see the readout's notes")
    figure = go.Figure()
    for arm, colour in zip(_arms(readout.metrics), _cycle(len(readout.units)), strict=False):
        mine = [(metric, found) for metric, name, found in drawn if name == arm]
        if not mine:
            continue
        values = [found.relative.value for _, found in mine]
        figure.add_trace(
            go.Scatter(
                x=values,
                y=[f"{metric.metric} ({metric.role})" for metric, _ in mine],
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [found.relative.high - found.relative.value for _, found in mine],
                    "arrayminus": [found.relative.value - found.relative.low for _, found in mine],
                },
                mode="markers",
                orientation="h",
                offsetgroup=arm,  # arms of a measure beside each other, not one over the other
                name=arm,
                marker={"color": colour, "size": 9},
                customdata=[(found.relative.n, found.adjusted) for _, found in mine],
                hovertemplate=HOVER,
            )
        )
    control = readout.metrics[0].arms[0].arm
    title = f"Lift over {control} with intervals of {100 * readout.confidence:g} %"
    figure.update_layout(scattermode="group", height=FRAME + LINE * len(drawn))
    figure.update_yaxes(autorange="reversed")  # the goal on top
    return _finished(figure, title, "relative lift", "", zero="x")


def over_time(metric: MetricResult, confidence: float) -> go.Figure:
    """Return the relative lift over all days so far: the interval of one look within the paler one of every look."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for arm, colour in zip(_arms([metric]), _cycle(len(metric.arms)), strict=False):
        points = [point for point in metric.days if point.arm == arm and math.isfinite(point.always.low)]
        if not points:
            continue
        days = [point.day for point in points]
        for name, each, shade in (("every look", "always", 0.12), ("one look", "fixed", 0.25)):
            ends = [getattr(point, each) for point in points]
            figure.add_trace(
                go.Scatter(
                    x=[*days, *days[::-1]],
                    y=[*(end.high for end in ends), *(end.low for end in ends[::-1])],
                    fill="toself",
                    mode="none",
                    fillcolor=see_through(colour, shade),
                    name=f"{arm}: {100 * confidence:g} % at {name}",
                    hoverinfo="skip",
                    showlegend=False,
                )
            )
        figure.add_trace(
            go.Scatter(
                x=days, y=[point.fixed.mean for point in points], mode="lines+markers", name=arm, line_color=colour
            )
        )
    if not figure.data:
        raise DataError(
            f"measure {metric.metric!r} has no days to draw; name the column of times, and wait for a second day"
        )
    settled = [point.always for point in metric.days[len(metric.days) // 3 :] if math.isfinite(point.always.low)]
    if settled:  # the first days know so little that they would flatten all others
        low, high = min(0.0, *(each.low for each in settled)), max(0.0, *(each.high for each in settled))
        figure.update_yaxes(range=[low - 0.1 * (high - low), high + 0.1 * (high - low)])
    title = f"Lift of {metric.metric} over all days so far: {100 * confidence:g} % at one look, and at every look"
    return dated(_finished(figure, title, "", "relative lift", zero="y"), len({point.day for point in metric.days}))


def distribution(metric: MetricResult) -> go.Figure:
    """Return what is believed of each arm's relative lift: a normal density around it."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for arm, colour in zip(metric.arms[1:], _cycle(len(metric.arms)), strict=False):
        found = arm.comparison.relative if arm.comparison is not None else None
        if found is None or found.reason or not found.error > 0:
            continue
        steps = [REACH * (2 * place / (POINTS - 1) - 1) for place in range(POINTS)]
        density = [math.exp(-step * step / 2) / (found.error * math.sqrt(2 * math.pi)) for step in steps]
        x = [found.value + step * found.error for step in steps]
        figure.add_trace(
            go.Scatter(
                x=x,
                y=density,
                mode="lines",
                fill="tozeroy",
                name=arm.arm,
                line_color=colour,
                fillcolor=see_through(colour, 0.2),
            )
        )
    if not figure.data:
        raise DataError(f"measure {metric.metric!r} has no lift to draw; see the readout's notes")
    return _finished(figure, f"Lift of {metric.metric}: how likely is what", "relative lift", "density", zero="x")


def _arms(metrics: Sequence[MetricResult]) -> list[str]:
    """Return the names of all arms but control."""
    return list(dict.fromkeys(arm.arm for metric in metrics for arm in metric.arms[1:]))


def _cycle(number: int) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(number)]


def _hues(arms: Sequence[str]) -> dict[str, str]:
    """Return the colour of each arm, control first: in all figures a treatment has the same one."""
    return dict(zip(arms, [GREY, *_cycle(len(arms))], strict=False))


def see_through(colour: str, share: float) -> str:
    """Return a colour that lets others through.

    Args:
        colour: `#rrggbb`.
        share: Of it that is left, in [0, 1].

    Example:
        >>> see_through("#0072b2", 0.2)
        'rgba(0,114,178,0.2)'
    """
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def _finished(figure: Any, title: str, x: str, y: str, *, zero: str) -> go.Figure:
    """Return a figure with titles, shares in percent and a line at no lift."""
    figure.update_layout(title=title, xaxis_title=x, yaxis_title=y, template="plotly_white", legend_title="arm")
    if zero == "x":
        figure.update_xaxes(tickformat="+.1%")
        figure.add_vline(x=0, line_color=GREY, line_dash="dot")
    else:
        figure.update_yaxes(tickformat="+.1%")
        figure.add_hline(y=0, line_color=GREY, line_dash="dot")
    return figure


def arrivals(traffic: Traffic, arms: Sequence[str] = ()) -> go.Figure:
    """Return the complete decisions of each day, by arm.

    Args:
        traffic: The traffic.
        arms: Their order, control first; in alphabetical order where empty.

    Raises:
        DataError: There is no decision.
    """
    import plotly.graph_objects as go

    seen = {arm for day in traffic.days for arm in day.decisions}
    hues = {arm: hue for arm, hue in _hues(arms).items() if arm in seen}
    arms = [*hues, *sorted(seen - set(hues))]
    if not arms:
        raise DataError("there is no complete decision to draw; wait for the first rows")
    figure = go.Figure()
    for arm, colour in zip(arms, _cycle(len(arms)), strict=True):
        colour = hues.get(arm, colour)
        counts = [day.decisions.get(arm, 0) for day in traffic.days]
        figure.add_trace(go.Bar(x=[day.day for day in traffic.days], y=counts, name=arm, marker_color=colour))
    figure.update_layout(barmode="stack", title="Complete decisions by day and arm", template="plotly_white")
    figure.update_layout(yaxis_title="decisions", legend_title="arm")
    return dated(figure, len(traffic.days))


def dated(figure: Any, days: int) -> go.Figure:
    """Return a figure whose x axis is days, each written out where they are few."""
    step = DAY_MS if days <= FEW_DAYS else None
    figure.update_xaxes(type="date", tickformat="%-d %b %Y" if days < 3 else "%-d %b", dtick=step)
    return figure


def balance(traffic: Traffic, weights: Mapping[str, float]) -> go.Figure:
    """Return the share of each arm among all units drawn so far, beside what was planned.

    Args:
        traffic: The traffic.
        weights: Arm to its planned share.

    Raises:
        DataError: Nothing was drawn on two days.
    """
    import plotly.graph_objects as go

    so_far = dict.fromkeys(weights, 0)
    lines: dict[str, tuple[list[str], list[float]]] = {arm: ([], []) for arm in weights}
    for day in traffic.days:
        for arm, units in day.units.items():
            so_far[arm] = so_far.get(arm, 0) + units
        total = sum(so_far.values())
        for arm, (days, shares) in lines.items():
            if total:
                days.append(day.day)
                shares.append(so_far[arm] / total)
    if not any(len(days) > 1 for days, _ in lines.values()):
        raise DataError("shares over time need units on two days; wait for the second")
    figure = go.Figure()
    for arm, colour in _hues(list(lines)).items():
        days, shares = lines[arm]
        figure.add_trace(go.Scatter(x=days, y=shares, name=arm, mode="lines+markers", line_color=colour))
        figure.add_hline(y=weights[arm], line_color=colour, line_dash="dot")
    figure.update_layout(title="Share of each arm among all units so far", template="plotly_white")
    figure.update_layout(yaxis_title="share; dotted: planned", yaxis_tickformat=".1%")
    return dated(figure, len(traffic.days))
