"""Frames, HTML and figures: the numbers of the records, nothing that is not one, and no text taken as code."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import abloop
from abloop.errors import DataError, UnknownNameError
from abloop.readout import Readout
from tests.readout.test_data import SHOP, rows

MEASURES = [{"name": "<b>slow</b>", "of": "visits", "role": "guardrail", "better": "lower", "margin": 0.1}]


@pytest.fixture(scope="module")
def found() -> Readout:
    """Return a readout of three arms over six days."""
    return abloop.readout(
        rows(1, 3_000, lift=1.0), SHOP, time="at", reading={"measures": MEASURES, "covariates": ["age"]}
    )


def test_means_have_a_row_for_each_arm(found: Readout) -> None:
    """Every measure and arm once, as in the records."""
    frame = found.to_frame()
    assert frame[["metric", "arm"]].values.tolist() == [
        [metric.metric, arm.arm] for metric in found.metrics for arm in metric.arms
    ]
    assert frame["mean"].tolist() == [arm.mean.mean for metric in found.metrics for arm in metric.arms]
    assert (frame["low"] < frame["mean"]).all()
    assert frame["n"].sum() == 3_000 * len(found.metrics)


def test_lifts_have_a_row_for_each_comparison(found: Readout) -> None:
    """Every number is that of the records; intervals are the same by another way."""
    frame = found.summary_frame()
    assert len(frame) == 2 * len(found.metrics)
    for _, row in frame.iterrows():
        metric = next(metric for metric in found.metrics if metric.metric == row["metric"])
        said = next(arm for arm in metric.arms if arm.arm == row["arm"]).comparison
        assert said is not None
        assert (row["difference"], row["std_error"]) == (said.difference.value, said.difference.error)
        assert (row["relative"], row["adjusted_p"]) == (said.relative.value, said.adjusted)
        assert (row["significant"], row["guardrail"]) == (said.significant, said.guardrail)
    both = found.conf_int(), found.conf_int(relative=True)
    assert list(both[0].columns) == list(both[1].columns) == ["low", "high"]
    assert both[0].loc[("spend", "c"), "low"] == frame.set_index(["metric", "arm"]).loc[("spend", "c"), "low"]
    assert both[1].loc[("spend", "c"), "high"] < both[0].loc[("spend", "c"), "high"]


def test_no_rows_are_frames_too() -> None:
    """Before there is anything the frames are empty, with their columns, and the HTML says what is waited for."""
    nothing = Readout("s", 1, "randomise", 0, 0, {"a": 0, "b": 0}, 1.0, (), None, ("No complete rows yet.",))
    assert list(nothing.summary_frame().columns)[:4] == ["metric", "role", "arm", "n"]
    assert len(nothing.to_frame()) == len(nothing.conf_int()) == 0
    assert "No complete rows yet." in nothing._repr_html_()
    with pytest.raises(DataError, match="no lift has an interval"):
        nothing.plot()
    with pytest.raises(DataError, match="no measures to draw"):
        nothing.plot("time")


def test_html_takes_no_name_as_code(found: Readout) -> None:
    """Names are escaped, what to do stands first, no number is shown that is none."""
    text = found._repr_html_()
    assert "<b>slow" not in text
    assert "&lt;b&gt;slow&lt;/b&gt;" in text
    assert text.index("<strong>") < text.index("<table>")
    assert text.count("<table>") == len(found.metrics)
    flat = abloop.readout(rows(0).assign(spend=1.0), SHOP)
    assert "nan" not in flat._repr_html_()
    assert "variance" in flat._repr_html_()


def test_a_forest_has_a_mark_for_each_lift(found: Readout) -> None:
    """One trace an arm, its lifts and the ends of their intervals those of the records."""
    figure = found.plot()
    assert [trace.name for trace in figure.data] == ["b", "c"]
    frame = found.summary_frame()
    mine = frame[frame["arm"] == "c"]
    np.testing.assert_allclose(figure.data[1].x, mine["relative"])
    np.testing.assert_allclose(np.add(figure.data[1].x, figure.data[1].error_x.array), mine["relative_high"])


def test_time_and_distribution(found: Readout) -> None:
    """The band of every look holds that of one look; a density has its peak at the lift and an area of one."""
    figure = found.plot("time", "spend")
    days = {point.day for point in found.metrics[0].days}
    assert {trace.name for trace in figure.data if trace.mode == "lines+markers"} == {"b", "c"}
    assert all(set(trace.x) <= days for trace in figure.data)
    bands = {trace.name: trace for trace in figure.data if trace.mode == "none"}
    assert max(bands["c: 95 % at every look"].y) > max(bands["c: 95 % at one look"].y)
    density = found.plot("distribution").data[1]
    peak = density.x[int(np.argmax(density.y))]
    assert peak == pytest.approx(found.metrics[0].arms[2].relative)
    assert np.trapezoid(density.y, density.x) == pytest.approx(1.0, abs=1e-3)


def test_what_cannot_be_drawn_is_said(found: Readout) -> None:
    """An unknown figure or measure, rows without time, and no interval are refused by name."""
    with pytest.raises(UnknownNameError, match="unknown figure 'pie'"):
        found.plot("pie")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="unknown measure 'spent'"):
        found.plot("time", "spent")
    plain = abloop.readout(rows(2), SHOP)
    with pytest.raises(DataError, match="no days to draw"):
        plain.plot("time")
    flat = abloop.readout(rows(0).assign(spend=1.0), SHOP)
    with pytest.raises(DataError, match="no lift to draw"):
        flat.plot("distribution", "spend")
    assert isinstance(plain.summary_frame(), pd.DataFrame)
