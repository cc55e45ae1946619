"""Published numbers of real experiments, read in place; skipped by name where the data are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import abloop
from abloop.readout import Comparison, Readout

DATA = Path(__file__).parents[3] / "shared" / "data"


def read(name: str) -> pd.DataFrame:
    """Return a file of the shared data."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no {path}")
    return pd.read_csv(path)


def shop(arms: list[str], metrics: list[str], **sections: Any) -> dict[str, Any]:
    """Return a blueprint of some arms and metrics, the first metric the goal."""
    return {
        "strategy": "published",
        "arms": [{"name": arm} for arm in arms],
        "metrics": [{"name": name, "role": "secondary" if index else "goal"} for index, name in enumerate(metrics)],
        **sections,
    }


def said(found: Readout, metric: str, arm: str) -> Comparison:
    """Return an arm against control."""
    each = next(each for each in found.metrics if each.metric == metric)
    comparison = next(result for result in each.arms if result.arm == arm).comparison
    assert comparison is not None
    return comparison


def test_cookie_cats() -> None:
    """Retention after 7 days .1902 and .1820, p .0016; after one day p .074; a small mismatch of the arms, p .0086."""
    frame = read("cookie_cats/cookie_cats.csv.gz").rename(columns={"test_version": "arm"})
    frame = frame.astype({"retention_7": float, "retention_1": float})
    found = abloop.readout(frame, shop(["gate_30", "gate_40"], ["retention_7", "retention_1"]))
    means = [arm.mean.mean for arm in found.metrics[0].arms]
    assert means == pytest.approx([0.1902, 0.1820], abs=5e-5)
    assert said(found, "retention_7", "gate_40").difference.p_value == pytest.approx(0.0016, abs=5e-5)
    assert said(found, "retention_1", "gate_40").difference.p_value == pytest.approx(0.074, abs=5e-4)
    assert found.srm == pytest.approx(0.0086, abs=5e-5)
    assert found.srm_always > 0.001  # looked at daily, such a mismatch is no alarm yet
    assert (found.recommendation.advice, found.recommendation.arm) == ("roll back", "gate_40")


def test_nsw() -> None:
    """The job training programme raised earnings by 1,794.34 dollars, standard error 671."""
    frame = read("lalonde_nsw/nsw_mixtape.csv.gz")
    frame["arm"] = frame["treat"].astype(int).astype(str)
    found = said(abloop.readout(frame, shop(["0", "1"], ["re78"])), "re78", "1").difference
    assert found.value == pytest.approx(1_794.34, abs=0.005)
    assert found.error == pytest.approx(671.0, abs=0.5)


def test_hillstrom() -> None:
    """Visits .1062, .1828, .1514; effects +.0766 and +.0452 on visits, +.770 and +.424 on spend, with their errors."""
    frame = read("hillstrom/hillstrom.csv.gz").rename(columns={"segment": "arm"})
    arms = ["No E-Mail", "Mens E-Mail", "Womens E-Mail"]
    found = abloop.readout(frame, shop(arms, ["visit", "spend"]))
    assert [arm.mean.mean for arm in found.metrics[0].arms] == pytest.approx([0.1062, 0.1828, 0.1514], abs=5e-5)
    assert found.units == dict(zip(arms, (21_306, 21_307, 21_387), strict=True))
    for metric, arm, value, error, digits in (
        ("visit", "Mens E-Mail", 0.0766, 0.0034, 5e-5),
        ("visit", "Womens E-Mail", 0.0452, 0.0032, 5e-5),
        ("spend", "Mens E-Mail", 0.770, 0.145, 5e-4),
        ("spend", "Womens E-Mail", 0.424, 0.130, 5e-4),
    ):
        ours = said(found, metric, arm).difference
        assert (ours.value, ours.error) == pytest.approx((value, error), abs=1.1 * digits)
    assert (found.recommendation.advice, found.recommendation.arm) == ("ship", "Mens E-Mail")
