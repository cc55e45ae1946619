"""Figures of trade-offs: what is drawn is what was measured and what is expected."""

from __future__ import annotations

import pytest

from abloop.blueprint.tuning import Limit, Objective
from abloop.errors import DataError, UnknownNameError
from abloop.optimize.figures import frontier_figure, slices_figure, volume_figure
from abloop.optimize.trials import Lift, Point, Trial

GOALS = (Objective(metric="orders"), Objective(metric="compute", better="lower"))


def trial(number: int, orders: float, compute: float, latency: float = 0.0) -> Trial:
    lifts = {"orders": Lift(orders, 0.01), "compute": Lift(compute, 0.02), "latency": Lift(latency, 0.01)}
    return Trial(number, 0, {"w": 0.5}, "read", lifts=lifts, units=900)


def test_trials_are_drawn_by_kind_with_intervals_and_limits() -> None:
    """Each trial stands where it was measured, in the colour of its kind; limits of drawn metrics are lines."""
    trials = [trial(0, 0.1, -0.2), trial(1, 0.05, 0.1), trial(2, 0.3, -0.3, latency=0.5)]
    limits = (Limit(metric="latency", most=0.02), Limit(metric="compute", most=0.2))
    points = [Point({"w": 0.4}, {"orders": Lift(0.12, 0.02), "compute": Lift(-0.2, 0.02)})]
    figure = frontier_figure([*trials, Trial(3, 1, {"w": 0.2})], GOALS, limits, points)
    drawn = {trace.name: trace for trace in figure.data}
    assert list(drawn) == ["expected frontier", "beyond a limit", "beaten by another", "beaten by none", "as served"]
    assert (drawn["beaten by none"].x, drawn["beaten by none"].y) == ((-0.2,), (0.1,))
    assert drawn["beaten by none"].error_y.array[0] == pytest.approx(0.0196)
    assert "trial 0: w 0.5" in drawn["beaten by none"].customdata[0][0]
    assert [shape.type for shape in figure.layout.shapes] == ["line"]  # no mark is beyond that limit
    other = frontier_figure(trials, GOALS, limits, axes=("latency", "orders"))
    assert other.layout.xaxis.title.text.startswith("latency")
    line, area = other.layout.shapes
    assert (line.x0, area.type, area.x0) == (0.02, "rect", 0.02)
    assert area.x1 > 0.5


def test_one_objective_stands_in_the_order_of_trials() -> None:
    """With one objective, trials are drawn by their numbers."""
    figure = frontier_figure([trial(0, 0.1, 0), trial(1, 0.2, 0)], GOALS[:1])
    assert {trace.name: trace.x for trace in figure.data}["beaten by none"] == (1,)


def test_nothing_to_draw_is_said() -> None:
    """Without a trial, a round, or under a wrong name, the error says what to do."""
    with pytest.raises(DataError, match="read a round first"):
        frontier_figure([Trial(0, 0, {})], GOALS)
    with pytest.raises(UnknownNameError, match="latenzy"):
        frontier_figure([trial(0, 0.1, 0.1)], GOALS, axes=("latenzy", "orders"))
    with pytest.raises(DataError, match="begin one"):
        volume_figure([])
    assert volume_figure([0.1, 0.2], names=["a", "b"]).data[0].x == ("a", "b")


def test_slices_show_each_weight_with_what_serves() -> None:
    """Each weight has a panel: trials at their values with intervals, a line at what serves; a click has a row."""
    tried = [
        Trial(n, 0, {"w": n / 10, "v": n / 5}, "read", lifts={"orders": Lift(n / 100, 0.01)}, units=900)
        for n in range(3)
    ]
    figure = slices_figure([*tried, Trial(3, 1, {"w": 0.9})], "orders", {"w": 0.1, "v": 0.3, "never tried": 1.0})
    assert [trace.x for trace in figure.data] == [(0.0, 0.1, 0.2), (0.0, 0.2, 0.4)]
    assert figure.data[0].y == (0.0, 0.01, 0.02)
    assert figure.data[0].error_y.array[0] == pytest.approx(0.0196)
    assert figure.data[1].customdata[2][2] == "trial-2"
    assert [shape.x0 for shape in figure.layout.shapes] == [0.1, 0.3]
    with pytest.raises(DataError, match="no trial that was read measured 'compute'"):
        slices_figure(tried, "compute", {"w": 0.1})
