"""Figures of what abloop finds, by plotly: the same in notebooks and on the dashboard.

Each result draws itself: `readout.plot("forest")`, `report.plot("gain")`; here are the functions behind, and those
of results that have no object of their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from abloop.errors import DataError
from abloop.evaluate.verdict import Verdict
from abloop.hte.figures import calibration, effects, gain, importance, more, parts, policies
from abloop.readout.figures import COLOURS, GREY, arrivals, balance, distribution, forest, over_time

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = [
    "arrivals",
    "balance",
    "calibration",
    "distribution",
    "effects",
    "forest",
    "gain",
    "gains",
    "importance",
    "more",
    "over_time",
    "parts",
    "policies",
]


def gains(judged: Sequence[tuple[float, int, Verdict]]) -> go.Figure:
    """Return what the gate said over time: the gain of choosing, with its bounds.

    Args:
        judged: Time, blueprint version and verdict, newest first, as `loop.catalogue.verdicts` gives them.

    Raises:
        DataError: No gain was estimated.
    """
    import plotly.graph_objects as go

    found = [(at, version, each) for at, version, each in reversed(judged) if math.isfinite(each.gain)]
    if not found:
        raise DataError("the gate has estimated no gain yet, so there is nothing to draw")
    labels = found[-1][2].learner == "labels"
    found = [each for each in found if (each[2].learner == "labels") == labels]
    times = [datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") for at, _, _ in found]
    figure = go.Figure(
        go.Scatter(
            x=times,
            y=[each.gain for _, _, each in found],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [each.high - each.gain for _, _, each in found],
                "arrayminus": [each.gain - each.low for _, _, each in found],
            },
            mode="lines+markers",
            line_color=COLOURS[0],
            customdata=[(each.verdict, version, each.n) for _, version, each in found],
            hovertemplate="%{x}: %{y:.4g}<br>%{customdata[0]}, version %{customdata[1]}, %{customdata[2]:,} units"
            "<extra></extra>",
        )
    )
    figure.add_hline(y=0, line_color=GREY, line_dash="dot")
    title = (
        "Error that the weakest label's model takes away" if labels else "Gain of choosing over the best arm for all"
    )
    figure.update_layout(title=f"{title}, each time the gate was asked", template="plotly_white", xaxis_type="date")
    figure.update_layout(yaxis_title="share of the error" if labels else "value a decision")
    return figure
