"""Figures of trade-offs, by plotly, from frozen records: one code for notebooks and the dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from abloop.blueprint.tuning import Limit, Objective
from abloop.errors import DataError, UnknownNameError, unknown
from abloop.optimize.trials import Lift, Point, Trial, frontier, keeps

if TYPE_CHECKING:
    import plotly.graph_objects as go

BEST, EXPECTED, BEATEN, BEYOND, SERVED = (
    "#0072b2",
    "#e69f00",
    "#7f7f7f",
    "#d55e00",
    "#f0e442",
)  # after Okabe and Ito, for all eyes
COLUMNS, SLICE = 2, 230  # panels beside each other, and pixels of their height
HOVER = "%{customdata[0]}<br>%{customdata[1]}<extra>%{fullData.name}</extra>"


def frontier_figure(
    trials: Sequence[Trial],
    objectives: Sequence[Objective],
    limits: Sequence[Limit] = (),
    points: Sequence[Point] = (),
    axes: tuple[str, str] | None = None,
) -> go.Figure:
    """Return what each trial changed in two metrics, with intervals, limits, and the frontier that a model expects.

    The weights that serve are the origin. Of one objective the trials stand in their order.

    Args:
        trials: All that there are; those that were read are drawn.
        objectives: What is made better; the first stands upwards, the second across.
        limits: What must be kept; those of a drawn metric are drawn as lines.
        points: The frontier that a model expects, of `tuning.pareto`.
        axes: Metrics across and upwards instead, where there are more than two.

    Raises:
        DataError: No trial was read, or there is no objective.
        UnknownNameError: A metric of `axes` was not measured.

    Example:
        >>> tried = Trial(0, 0, {"w": 0.5}, "read", lifts={"a": Lift(0.2, 0.01), "b": Lift(-0.1, 0.01)}, units=900)
        >>> goals = (Objective(metric="a"), Objective(metric="b", better="lower"))
        >>> [trace.name for trace in frontier_figure([tried], goals).data]
        ['beaten by none', 'as served']
    """
    import plotly.graph_objects as go

    read = [trial for trial in trials if trial.status == "read"]
    if not read or not objectives:
        raise DataError("there is no trial that was read to draw; read a round first: abloop tune STRATEGY read")
    across, upwards = axes or (objectives[1].metric if len(objectives) > 1 else "", objectives[0].metric)
    known = sorted({metric for trial in read for metric in trial.lifts})
    for metric in (across, upwards):
        if metric and metric not in known:
            raise UnknownNameError(unknown("metric", metric, known))
    best = {trial.number for trial in frontier(tuple(read), tuple(objectives), tuple(limits))}
    kinds = {"beyond a limit": BEYOND, "beaten by another": BEATEN, "beaten by none": BEST}
    groups: dict[str, list[Trial]] = {kind: [] for kind in kinds}
    for trial in read:
        kept = keeps(trial.lifts, tuple(limits))
        groups["beaten by none" if trial.number in best else "beaten by another" if kept else "beyond a limit"] += [
            trial
        ]
    figure = go.Figure()
    if points:
        figure.add_trace(_expected(points, across, upwards))
    for kind, mine in groups.items():
        shown = [trial for trial in mine if upwards in trial.lifts and (not across or across in trial.lifts)]
        if shown:
            figure.add_trace(_measured(shown, across, upwards, kind, kinds[kind]))
    served = {"symbol": "star", "size": 15, "color": SERVED, "line": {"width": 1, "color": "#000000"}}
    figure.add_trace(go.Scatter(x=[0 if across else -1], y=[0], mode="markers", name="as served", marker=served))
    _limit_lines(figure, limits, across, upwards)
    _lay_out(figure, objectives, across, upwards)
    return figure


def volume_figure(volumes: Sequence[float], *, names: Sequence[str] = ()) -> go.Figure:
    """Return how far the trade-offs found so far reach, round by round.

    Args:
        volumes: Hypervolume after each round, of `tuning.volumes`.
        names: What to call the rounds; their numbers where empty.

    Raises:
        DataError: There is no round.

    Example:
        >>> volume_figure([0.01, 0.02]).data[0].y
        (0.01, 0.02)
    """
    import plotly.graph_objects as go

    if not volumes:
        raise DataError("there is no round to draw; begin one: abloop tune STRATEGY propose")
    rounds = list(names) or [str(number) for number in range(len(volumes))]
    figure = go.Figure(
        go.Scatter(x=rounds, y=list(volumes), mode="lines+markers", name="hypervolume", line={"color": BEST})
    )
    figure.update_layout(
        title="How far the trade-offs found so far reach",
        template="plotly_white",
        xaxis={"title": "round", "type": "category"},
        yaxis={"title": "hypervolume over what serves", "rangemode": "tozero"},
    )
    return figure


def slices_figure(trials: Sequence[Trial], metric: str, served: Mapping[str, float]) -> go.Figure:
    """Return what was measured of one metric along each weight, the other weights being as they were.

    Args:
        trials: All that there are; those that were read are drawn.
        metric: Which.
        served: Weight to the value that serves, a dotted line.

    Raises:
        DataError: No trial was read that measured it, or none has such weights.

    Example:
        >>> tried = Trial(0, 0, {"w": 0.5}, "read", lifts={"a": Lift(0.2, 0.01)}, units=900)
        >>> slices_figure([tried], "a", {"w": 0.1}).data[0].x
        (0.5,)
    """
    from plotly.subplots import make_subplots

    read = [trial for trial in trials if trial.status == "read" and metric in trial.lifts]
    names = [name for name in served if any(name in trial.weights for trial in read)]
    if not names:
        raise DataError(f"no trial that was read measured {metric!r}; read a round first: abloop tune STRATEGY read")
    rows = -(-len(names) // COLUMNS)
    figure = make_subplots(rows, min(COLUMNS, len(names)), shared_yaxes="all", vertical_spacing=0.3 / rows)
    for at, name in enumerate(names):
        mine, place = [trial for trial in read if name in trial.weights], {"row": at // COLUMNS + 1}
        place["col"] = at % COLUMNS + 1
        points = _measured(mine, "", metric, name, BEST)
        points.x, points.showlegend = [trial.weights[name] for trial in mine], False
        figure.add_trace(points, **place)
        figure.add_vline(x=served[name], line={"color": BEATEN, "dash": "dot"}, **place)
        figure.update_xaxes(title=name, **place)
    figure.update_yaxes(tickformat="+.1%")
    figure.update_layout(title=f"{metric} along each weight; dotted: what serves", template="plotly_white")
    figure.update_layout(height=SLICE * rows + 40)
    return figure


def _words(weights: dict[str, float], lifts: dict[str, Lift]) -> tuple[str, str]:
    """Return weights, and what they change, as text."""
    changes = ", ".join(f"{metric} {lift.mean:+.1%} ± {lift.half:.1%}" for metric, lift in lifts.items())
    return ", ".join(f"{name} {value:.3g}" for name, value in weights.items()), changes


def _measured(trials: Sequence[Trial], across: str, upwards: str, name: str, colour: str) -> Any:
    """Return trials of one kind with their intervals."""
    import plotly.graph_objects as go

    texts = [_words(trial.weights, trial.lifts) for trial in trials]
    return go.Scatter(
        x=[trial.lifts[across].mean if across else trial.number for trial in trials],
        y=[trial.lifts[upwards].mean for trial in trials],
        error_x={"array": [trial.lifts[across].half for trial in trials], "thickness": 1} if across else None,
        error_y={"array": [trial.lifts[upwards].half for trial in trials], "thickness": 1},
        mode="markers",
        name=name,
        marker={"color": colour, "size": 9},
        customdata=[
            (f"trial {trial.number}: {text[0]}", f"{text[1]} (n = {trial.units:,})", f"trial-{trial.number}")
            for trial, text in zip(trials, texts, strict=True)
        ],
        hovertemplate=HOVER,
    )


def _expected(points: Sequence[Point], across: str, upwards: str) -> Any:
    """Return the frontier that a model expects, as a line with intervals."""
    import plotly.graph_objects as go

    ordered = sorted(points, key=lambda point: point.lifts[across or upwards].mean)
    place = [point.lifts[across].mean if across else float(point.trial) for point in ordered]
    return go.Scatter(
        x=place,
        y=[point.lifts[upwards].mean for point in ordered],
        error_x={"array": [point.lifts[across].half for point in ordered], "thickness": 0.5} if across else None,
        error_y={"array": [point.lifts[upwards].half for point in ordered], "thickness": 0.5},
        mode="lines+markers" if across else "markers",
        name="expected frontier",
        line={"color": EXPECTED},
        marker={"color": EXPECTED, "size": 6, "symbol": "diamond"},
        customdata=[(*_words(point.weights, point.lifts), f"point-{points.index(point)}") for point in ordered],
        hovertemplate=HOVER,
    )


def _limit_lines(figure: go.Figure, limits: Sequence[Limit], across: str, upwards: str) -> None:
    """Draw the limits of the metrics that are drawn, and shade what is beyond them."""
    for limit in limits:
        for bound, out in ((limit.most, 1), (limit.least, -1)):
            for metric, line, area, side in (
                (across, figure.add_vline, figure.add_vrect, "x"),
                (upwards, figure.add_hline, figure.add_hrect, "y"),
            ):
                if bound is None or limit.metric != metric:
                    continue
                line(**{side: bound}, line={"color": BEYOND, "dash": "dash"}, annotation_text=f"limit of {metric}")
                far = _farthest(figure, side, out)
                if (far - bound) * out > 0:
                    area(**{f"{side}0": bound, f"{side}1": far}, fillcolor=BEYOND, opacity=0.08, line_width=0)


def _farthest(figure: go.Figure, side: str, out: int) -> float:
    """Return how far the marks of a figure go on one side of an axis, with their intervals and some room."""
    ends = [0.0]
    for trace in figure.data:
        places = [float(place) for place in trace[side] or ()]
        errors = [float(error) for error in trace[f"error_{side}"].array or [0.0] * len(places)]
        ends += [place + out * error for place, error in zip(places, errors, strict=True)]
    low, high = min(ends), max(ends)
    return high + 0.06 * (high - low) if out > 0 else low - 0.06 * (high - low)


def _lay_out(figure: go.Figure, objectives: Sequence[Objective], across: str, upwards: str) -> None:
    """Name the axes, each with the direction that is better."""
    better = {each.metric: each.better for each in objectives}

    def titled(metric: str) -> str:
        return f"{metric}, change against what serves" + (f" ({better[metric]} is better)" if metric in better else "")

    figure.update_layout(
        title=f"{upwards} against {across}" if across else upwards,
        template="plotly_white",
        xaxis={"title": titled(across), "tickformat": "+.1%"} if across else {"title": "trial"},
        yaxis={"title": titled(upwards), "tickformat": "+.1%"},
    )
