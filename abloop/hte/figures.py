"""Figures of who gains what, by plotly; each shows numbers of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from abloop.errors import DataError, UnknownNameError, unknown
from abloop.readout.figures import COLOURS, GREY, see_through
from abloop.stats.compare import Estimate

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from abloop.hte.results import EffectReport

Kind = Literal["effects", "parts", "calibration", "gain", "more", "policies", "importance"]
LINE = 34  # pixels of a bar


def plot(report: EffectReport, kind: Kind = "parts", arm: str = "") -> go.Figure:
    """Return a figure of a report; see `EffectReport.plot`.

    Raises:
        UnknownNameError: There is no such figure or treatment.
        DataError: There is nothing to draw.
    """
    if kind not in get_args(Kind):
        raise UnknownNameError(unknown("figure", kind, get_args(Kind)))
    if kind == "policies":
        return policies(report)
    found: dict[str, Any] = report.importance if kind == "importance" else report.predicted
    if arm and arm not in found:
        raise UnknownNameError(unknown("treatment", arm, found))
    if not found:
        raise DataError("no effect is predicted, so there is nothing to draw; the report's words say why")
    return DRAWN[kind](report, arm or next(iter(found)))


def effects(report: EffectReport, arm: str) -> go.Figure:
    """Return how a treatment's predicted effects are spread over units."""
    import plotly.graph_objects as go

    spread = report.predicted[arm]
    middles = [(low + high) / 2 for low, high in zip(spread.edges, spread.edges[1:], strict=False)]
    total = sum(spread.counts)
    figure = go.Figure(
        go.Bar(
            x=middles,
            y=[count / total for count in spread.counts],
            marker_color=COLOURS[0],
            name=arm,
            hovertemplate="%{x:.4g}: %{y:.1%}<extra></extra>",
        )
    )
    figure.add_vline(x=0, line_color=GREY, line_dash="dot")
    figure.update_layout(bargap=0.02, yaxis_tickformat=".0%")
    return _finished(figure, f"Predicted effect of {arm} by decision", "predicted effect, net of cost", "decisions")


def parts(report: EffectReport, arm: str) -> go.Figure:
    """Return the measured effect by parts of units, from the greatest predicted effect down, beside the predicted."""
    import plotly.graph_objects as go

    found = report.calibration[arm]
    names = [str(place) for place in range(1, len(found) + 1)]
    figure = go.Figure(
        go.Bar(
            x=names,
            y=[each.measured.mean for each in found],
            error_y=_bars([each.measured for each in found]),
            marker_color=see_through(COLOURS[0], 0.55),
            name="measured",
        )
    )
    predicted = [each.predicted for each in found]
    figure.add_scatter(x=names, y=predicted, mode="markers", name="predicted", marker=_diamond())
    figure.add_hline(y=0, line_color=GREY, line_dash="dot")
    share = "tenths" if len(found) == 10 else "fifths"
    figure.update_xaxes(type="category")
    title = f"Measured effect of {arm}, by {share} of the predicted one"
    return _finished(figure, title, f"{share}, the greatest predicted effect first", "effect, net of cost")


def calibration(report: EffectReport, arm: str) -> go.Figure:
    """Return measured against predicted effects; on the line they are the same."""
    import plotly.graph_objects as go

    found = report.calibration[arm]
    ends = [value for each in found for value in (each.predicted, each.measured.low, each.measured.high)]
    low, high = min(ends), max(ends)
    figure = go.Figure(
        go.Scatter(x=[low, high], y=[low, high], mode="lines", name="perfect", line={"color": GREY, "dash": "dot"})
    )
    figure.add_scatter(
        x=[each.predicted for each in found],
        y=[each.measured.mean for each in found],
        error_y=_bars([each.measured for each in found]),
        mode="markers",
        name="measured",
        marker={"color": COLOURS[0], "size": 9},
    )
    return _finished(figure, f"Effect of {arm}: measured against predicted", "predicted effect", "measured effect")


def gain(report: EffectReport, arm: str) -> go.Figure:
    """Return what reaching those first who gain most by prediction brings (Qini), beside any order."""
    curve = report.curves[arm]
    points = [(0.0, Estimate(0, 0.0, 0.0, 0.0)), *((each.share, each.gain) for each in curve)]
    figure = _band([share for share, _ in points], [each for _, each in points], "by predicted effect")
    last = points[-1][1].mean
    figure.add_scatter(
        x=[0, 1], y=[0, last], mode="lines", name="in any order", line={"color": GREY, "dash": "dot"}, hoverinfo="skip"
    )
    figure.update_xaxes(tickformat=".0%")
    title = f"What {arm} brings if only the first get it (Qini)"
    return _finished(figure, title, "share of decisions that get it", "gain a decision, over all")


def more(report: EffectReport, arm: str) -> go.Figure:
    """Return how much more those who are ranked first gain than everybody (TOC)."""
    curve = report.curves[arm]
    figure = _band([each.share for each in curve], [each.more for each in curve], "by predicted effect")
    figure.add_hline(y=0, line_color=GREY, line_dash="dot")
    figure.update_xaxes(tickformat=".0%")
    title = f"How much more the first gain from {arm} than everybody (TOC)"
    return _finished(figure, title, "share ranked first", "effect above the mean effect")


def policies(report: EffectReport) -> go.Figure:
    """Return the value of choosing by predicted effects beside each arm for all, and beside drawing them."""
    import plotly.graph_objects as go

    worths = {f"{arm} for all": worth for arm, worth in report.verdict.arms.items()}
    worths |= {"arms at random": report.randomised} if report.randomised else {}
    worths |= {"by predicted effect": report.personalised} if report.personalised else {}
    if not worths:
        raise DataError("no arm has a value, so there is nothing to draw; the report's words say why")
    names, found = list(worths), list(worths.values())
    colours = [COLOURS[1] if name == "by predicted effect" else COLOURS[0] for name in names]
    figure = go.Figure(
        go.Scatter(
            x=[each.mean for each in found],
            y=names,
            error_x=_bars(found),
            mode="markers",
            marker={"color": colours, "size": 10},
            hovertemplate="%{y}: %{x:.4g}<extra></extra>",
        )
    )
    figure.update_layout(height=150 + LINE * len(names))
    figure.update_yaxes(autorange="reversed")
    return _finished(figure, "Net value a decision, with 95 % intervals", "net value a decision", "")


def importance(report: EffectReport, arm: str) -> go.Figure:
    """Return which features move a treatment's predicted effect."""
    import plotly.graph_objects as go

    shown = {name: share for name, share in report.importance[arm].items() if share >= 0.005}
    figure = go.Figure(
        go.Bar(x=list(shown.values()), y=list(shown), orientation="h", marker_color=COLOURS[0], name=arm)
    )
    figure.update_layout(height=150 + LINE * len(shown), xaxis_tickformat=".0%")
    figure.update_yaxes(autorange="reversed")
    return _finished(figure, f"What the predicted effect of {arm} moves with", "share", "")


def _band(shares: Sequence[float], found: Sequence[Estimate], name: str) -> go.Figure:
    """Return a line within its band."""
    import plotly.graph_objects as go

    x, ends = list(shares), [*(each.high for each in found), *(each.low for each in reversed(found))]
    figure = go.Figure(
        go.Scatter(
            x=[*x, *x[::-1]],
            y=ends,
            fill="toself",
            mode="none",
            fillcolor=see_through(COLOURS[0], 0.2),
            name="95 %",
            hoverinfo="skip",
        )
    )
    line = {"color": COLOURS[0]}
    figure.add_scatter(x=x, y=[each.mean for each in found], mode="lines+markers", name=name, line=line)
    return figure


def _bars(found: Sequence[Estimate]) -> dict[str, Any]:
    """Return the intervals of some estimates as error bars."""
    return {
        "type": "data",
        "symmetric": False,
        "color": GREY,  # seen on light and on dark
        "array": [each.high - each.mean for each in found],
        "arrayminus": [each.mean - each.low for each in found],
    }


def _diamond() -> dict[str, Any]:
    return {"symbol": "diamond", "size": 10, "color": COLOURS[1]}


def _finished(figure: Any, title: str, x: str, y: str) -> go.Figure:
    figure.update_layout(title=title, xaxis_title=x, yaxis_title=y, template="plotly_white")
    return figure


DRAWN = {
    "effects": effects,
    "parts": parts,
    "calibration": calibration,
    "gain": gain,
    "more": more,
    "importance": importance,
}
