"""Traffic by day and labels in production: what the rows themselves say, counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest

from abloop import offline
from abloop.blueprint import from_mapping
from abloop.errors import DataError, UnknownNameError
from abloop.loop import Loop
from abloop.readout.figures import arrivals, balance
from abloop.readout.labels import read_labels
from abloop.readout.traffic import Traffic, read_traffic
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop, two_arms

DAY = 86_400


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """Return an installation with three days of traffic, the last without the feature, and a label's two releases."""
    clock = ManualClock()
    loop = open_loop(tmp_path_factory.mktemp("home"), clock)
    loop.register(two_arms(arms=[{"name": "blue", "weight": 0.75}, {"name": "green", "weight": 0.25}]))
    worth = {
        "strategy": "worth",
        "space": {"type": "number"},
        "metrics": [{"name": "spend"}],
        "features": [{"name": "x"}],
    }
    loop.register(from_mapping({**worth, "labels": [{"name": "spend"}], "lifecycle": {"ttl": TTL}}))
    rng = np.random.default_rng(0)
    for day in range(3):
        for unit in range(100):
            context = {"user_id": f"u{unit + 50 * day}"} | ({"x": 1.0} if day < 2 else {})
            loop.strategy("checkout").get_decision(f"d{day}-{unit}", context)
            x = float(rng.normal())
            loop.strategy("worth").get_decision(f"w{day}-{unit}", {"user_id": f"{day}-{unit}", "x": x})
            loop.strategy("worth").log_observations(f"w{day}-{unit}", {"spend": 3 * x + float(rng.normal(0, 0.5))})
        clock.advance(DAY)
        offline.ship_spool(loop)
        offline.join_rows(loop, "checkout")
        offline.join_rows(loop, "worth")
        offline.switch(loop, "worth", offline.gate(loop, "worth"))
        loop.refresh()
    yield loop
    loop.close()


def test_days_count_decisions_and_new_units(loop: Loop) -> None:
    """Each day has its decisions, and the units that came for the first time; all add up."""
    found = read_traffic(loop, "checkout")
    assert [sum(day.decisions.values()) for day in found.days] == [100, 100, 100]
    assert [sum(day.units.values()) for day in found.days] == [100, 50, 50]
    assert found.days[0].day == datetime.fromtimestamp(ManualClock()(), UTC).date().isoformat()
    assert found.phases == {"randomise": 300}
    assert found.rows == 300
    assert found.least == 0.25
    assert found.propensities["blue"][7] + found.propensities["green"][2] == 300
    assert found.missing == {"x": pytest.approx(1 / 3)}


def test_figures_show_the_days(loop: Loop) -> None:
    """Stacked bars are the days' decisions; shares end at those of all units."""
    found = read_traffic(loop, "checkout")
    bars = arrivals(found).data
    assert sum(sum(bar.y) for bar in bars) == 300
    lines = {line.name: line.y for line in balance(found, {"blue": 0.75, "green": 0.25}).data}
    units = [sum(day.units.get(arm, 0) for day in found.days) for arm in ("blue", "green")]
    assert lines["blue"][-1] == pytest.approx(units[0] / sum(units))
    assert lines["blue"][-1] + lines["green"][-1] == pytest.approx(1.0)


def test_nothing_to_show_is_said(loop: Loop) -> None:
    """Without rows there is no traffic, and a figure of it says what to wait for."""
    loop.register(two_arms("empty"))
    assert read_traffic(loop, "empty") == Traffic()
    assert read_labels(loop, "checkout") == ()
    with pytest.raises(DataError, match="wait for the first rows"):
        arrivals(Traffic())
    with pytest.raises(DataError, match="two days"):
        balance(Traffic(), {"a": 1.0})
    with pytest.raises(UnknownNameError, match="'checkout'"):
        read_traffic(loop, "chekout")


def test_labels_in_production_are_those_of_the_rows(loop: Loop) -> None:
    """By release: the share of the mean's squared error that what was predicted took away, as by hand."""
    from abloop.store import parquet

    found = read_labels(loop, "worth")
    files = [file.name for file in loop.manifest.files("worth")]
    table = parquet.read(parquet.paths(loop.table_directory, files), ["release", "label.spend", "y.spend"]).to_pandas()
    assert {each.release for each in found} == set(table["release"]) - {""}
    for each in found:
        rows = table[table["release"] == each.release]
        error = ((rows["y.spend"] - rows["label.spend"]) ** 2).sum()
        base = ((rows["y.spend"] - rows["y.spend"].mean()) ** 2).sum()
        assert each.rows == len(rows)
        assert each.taken.mean == pytest.approx(1 - error / base)
        assert each.taken.low < each.taken.mean < each.taken.high
        assert each.observed == pytest.approx(rows["y.spend"].mean())
        assert each.taken.low > 0.3
