"""A strategy's readout: the same numbers as its rows read as a frame, and versions that differ in reading are one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import abloop
from abloop import offline
from abloop.cli import main
from abloop.loop import Loop
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop, two_arms

READ: dict[str, Any] = {
    "covariates": ["x"],
    "segments": ["city"],
    "measures": [
        {"name": "returned", "of": "bought", "kind": "share", "after": "30m"},
        {"name": "ever", "of": "bought", "kind": "share"},
        {"name": "total", "of": "bought", "kind": "total"},
    ],
}
SECTIONS: dict[str, Any] = {"features": [{"name": "x"}, {"name": "city", "type": "categorical"}], "readout": READ}


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    """Return an installation with three days of decisions of 200 units, several each."""
    clock, rng = ManualClock(), np.random.default_rng(0)
    opened = open_loop(tmp_path, clock)
    opened.register(two_arms(**SECTIONS))
    strategy = opened.strategy("checkout")
    for day in range(3):
        for number in range(300):
            unit = int(rng.integers(0, 200))
            x = float(rng.normal())
            arm = strategy.get_decision(f"d{day}-{number}", {"user_id": unit, "x": x, "city": f"c{unit % 5}"})
            if rng.random() < 0.4 + 0.1 * (arm == "green"):
                clock.advance(0.0 if rng.random() < 0.5 else 1.0)
                strategy.log_observations(f"d{day}-{number}", {"bought": 1.0})
        clock.advance(86_400.0)
        offline.ship_spool(opened)
        offline.join_rows(opened, "checkout")
    return opened


def test_the_numbers_are_those_of_the_rows(loop: Loop) -> None:
    """Every lift, segment and day is what the same rows give as a frame."""
    found = abloop.readout(loop, "checkout")
    table = abloop.read_table(loop, "checkout")
    names = {"y.bought": "bought", "x.x": "x", "x.city": "city"}
    frame = table.rename(columns=names)[["unit", "arm", "time", *names.values()]]
    frame["arm"], frame["city"], frame["unit"] = (frame[name].astype(str) for name in ("arm", "city", "unit"))
    reading = {**READ, "measures": READ["measures"][1:]}
    raw = two_arms(**{**SECTIONS, "readout": reading})
    theirs = abloop.readout(frame, raw, unit="unit", time="time")
    ours = [metric for metric in found.metrics if metric.metric != "returned"]
    assert (
        [metric.metric for metric in ours]
        == [metric.metric for metric in theirs.metrics]
        == ["bought", "ever", "total"]
    )
    for mine, other in zip(ours, theirs.metrics, strict=True):
        assert mine.arms[1].comparison is not None
        assert other.arms[1].comparison is not None
        assert mine.arms[1].comparison.difference.value == pytest.approx(other.arms[1].comparison.difference.value)
        assert mine.arms[1].comparison.difference.error == pytest.approx(other.arms[1].comparison.difference.error)
        assert mine.segments["city"]["green"].p == pytest.approx(other.segments["city"]["green"].p)
        assert [point.day for point in mine.days] == [point.day for point in other.days]
    assert found.days == 3.0
    assert set(found.metrics[0].segments["city"]["green"].segments) == {f"c{number}" for number in range(5)}


def test_versions_that_are_only_read_otherwise_are_one(loop: Loop) -> None:
    """Another reading is another version of the blueprint and the same rows; any other change begins anew."""
    before = abloop.readout(loop, "checkout")
    loop.register(two_arms(**{**SECTIONS, "readout": {**READ, "inference": "sequential"}}))
    after = abloop.readout(loop, "checkout")
    assert (before.rows, after.rows) == (900, 900)
    assert (after.version, after.inference) == (2, "sequential")
    loop.register(two_arms(**{**SECTIONS, "lifecycle": {"ttl": 2 * TTL}}))
    assert abloop.readout(loop, "checkout").rows == 0


def test_a_reading_of_the_moment(loop: Loop) -> None:
    """What is read may be said in the call, and is checked against the blueprint."""
    found = abloop.readout(loop, "checkout", reading={"inference": "bayes", "segments": ["city"]})
    assert [metric.metric for metric in found.metrics] == ["bought"]
    assert found.metrics[0].arms[1].comparison is not None
    assert 0.0 <= (found.metrics[0].arms[1].comparison.chance or -1.0) <= 1.0


def test_retention_is_a_share_of_units(loop: Loop) -> None:
    """A unit returned where one of its outcomes came so long after its decision; none here did."""
    found = {metric.metric: metric for metric in abloop.readout(loop, "checkout").metrics}
    assert [arm.mean.mean for arm in found["returned"].arms] == [0.0, 0.0]
    assert all(0.5 < arm.mean.mean <= 1.0 for arm in found["ever"].arms)
    assert pd.isna(found["returned"].arms[1].relative)


def test_the_terminal(loop: Loop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`abloop readout --sequential` says what to do, by intervals that hold at every look."""
    loop.close()
    url = f"sqlite:///{tmp_path}/abloop.db"
    assert main(["readout", "checkout", "--sequential", "--url", url]) == 0
    text = capsys.readouterr().out
    assert "sequential: valid at every look" in text
    assert "KEEP RUNNING" in text or "SHIP" in text or "STOP" in text
    assert "nan" not in text
