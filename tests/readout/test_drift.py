"""Drift of features and metrics: what moved is named, what did not is not, against the definition and null data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from abloop import offline
from abloop.cli import main
from abloop.errors import DataError
from abloop.loop import Loop
from abloop.readout.drift import course_figure, parts_figure, read_drift
from abloop.stats.drift import stability_index, stability_p_value
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop, two_arms

DAY = 86_400.0
FEATURES = [
    {"name": "moved"},
    {"name": "still"},
    {"name": "country", "type": "categorical"},
    {"name": "gone"},
    {"name": "tags", "type": "sparse"},
    {"name": "when", "type": "time"},
]


def passed(loop: Loop, clock: ManualClock, rng: np.random.Generator, day: int, late: bool) -> None:
    """Let the units of a day pass; late ones are others."""
    strategy = loop.strategy("checkout")
    for index in range(300):
        unit = f"{day}-{index}"
        context = {
            "user_id": unit,
            "moved": float(rng.normal(1.0 if late else 0.0)),
            "still": float(rng.normal()),
            "country": str(rng.choice(["FI", "SE", "new's"] if late else ["FI", "SE", "DE"])),
            "tags": {"a": 1.0},
            "when": clock(),
            **({} if late and index % 2 else {"gone": 1.0}),
        }
        strategy.get_decision(unit, context)
        strategy.log_observations(unit, {"bought": bool(rng.random() < 0.3)})
    clock.advance(DAY)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")


def test_what_moved_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Shifted numbers, new categories and missing values are found, by day; what is the same is stable."""
    clock, rng = ManualClock(), np.random.default_rng(0)
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(features=FEATURES))
    with pytest.raises(DataError, match="no complete row yet"):
        read_drift(loop, "checkout")
    for day in range(6):
        passed(loop, clock, rng, day, day >= 3)
    found = read_drift(loop, "checkout")
    assert (found.rows, found.trained) == ((900, 900), False)
    columns = {each.name: each for each in found.columns}
    assert {name: each.state for name, each in columns.items()} == {
        "moved": "drifts",
        "country": "drifts",
        "gone": "drifts",
        "still": "stable",
        "bought": "stable",
        "tags": "stable",
    }
    assert columns["country"].unseen == pytest.approx(1 / 3, abs=0.06)
    assert columns["gone"].lacking == (0.0, 0.5)
    assert [each.before for each in columns["moved"].parts] == pytest.approx([0.1] * 10, abs=1e-9)
    assert sum(each.now for each in columns["country"].parts) == pytest.approx(1.0)
    assert [len(columns[name].course) for name in ("moved", "still")] == [3, 3]
    assert min(value for _, value in columns["moved"].course) > 0.25
    assert course_figure(found).data[0].name == found.columns[0].name
    assert [bar.name for bar in parts_figure(columns["country"]).data] == ["before", "now"]
    assert "Since the older half of the rows was logged, these have moved" in found.words
    loop.close()
    url = f"sqlite:///{tmp_path}/abloop.db"
    assert main(["drift", "checkout", "--url", url]) == 0
    assert "drifts" in capsys.readouterr().out
    assert main(["drift", "checkout", "--url", url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["columns"][0]["state"] == "drifts"


def test_a_release_is_what_now_is_compared_with(tmp_path: Path) -> None:
    """Where a release serves, rows before it stand beside those since; too few since are told."""
    clock, rng = ManualClock(), np.random.default_rng(1)
    loop = open_loop(tmp_path, clock)
    raw = {"strategy": "worth", "space": {"type": "number"}, "metrics": [{"name": "y"}], "features": [{"name": "x"}]}
    loop.register({**raw, "labels": [{"name": "y"}], "lifecycle": {"ttl": TTL}})
    for day in range(2):
        for index in range(400):
            unit, x = f"{day}-{index}", float(rng.normal())
            loop.strategy("worth").get_decision(unit, {"user_id": unit, "x": x})
            loop.strategy("worth").log_observations(unit, {"y": 3 * x + float(rng.normal())})
        clock.advance(DAY)
        offline.ship_spool(loop)
        offline.join_rows(loop, "worth")
        if not day:
            offline.switch(loop, "worth", offline.gate(loop, "worth"))
            loop.refresh()
    began = loop.catalogue.serving("worth").at
    found = read_drift(loop, "worth")
    assert (found.trained, found.since, found.rows) == (True, began, (400, 400))
    assert {each.state for each in found.columns} == {"stable"}
    assert found.words.startswith("Nothing has moved since the release that serves was trained: 2 columns")
    loop.close()


def test_where_nothing_changed_hardly_anything_is_found() -> None:
    """The p-value of 2,000 null comparisons is below 5 % in about 5 % of them."""
    rng = np.random.default_rng(0)
    below = 0
    for _ in range(2_000):
        before, now = (np.bincount(rng.integers(0, 10, n), minlength=10).tolist() for n in (4_000, 2_500))
        below += stability_p_value(stability_index(before, now), 10, 4_000, 2_500) < 0.05
    assert 0.035 < below / 2_000 < 0.065
