"""Exposures: another product's draws become decisions, until abloop's policy takes over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import abloop
from abloop import offline
from abloop.adapters.exposure import Exposures, exposure_id, open_loop
from abloop.errors import StoreError
from abloop.records import Decision
from abloop.testing import ManualClock
from tests import loops
from tests.loops import two_arms
from tests.test_online import records, serve_constant

ARMS, HALVES = ["blue", "green"], [0.5, 0.5]


def test_the_first_exposure_registers_the_strategy(tmp_path: Path) -> None:
    """A strategy nobody described gets its arms, shares and a metric, and each unit one decision, however often."""
    clock = ManualClock()
    loop = loops.open_loop(tmp_path, clock)
    exposures = Exposures(loop)
    given = [exposures.place("checkout", f"u{i % 50}", {}, ARMS, i % 2, [0.3, 0.7], unit_key="id") for i in range(100)]
    assert given == [i % 2 for i in range(100)]
    exposures.observe("u1", {"conversion": 1, "nothing": 2}, ["checkout"])
    _, blueprint = loop.catalogue.blueprint("checkout")
    assert (blueprint.unit, blueprint.weights(), blueprint.experiment.hash) == ("id", (0.3, 0.7), "given")
    assert exposures.errors == 1  # no strategy knows the metric `nothing`
    clock.advance(86_401)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    found = abloop.readout(loop, "checkout")
    assert found.units == {"blue": 25, "green": 25}
    assert [arm.mean.mean for arm in found.metrics[0].arms] == [0.0, pytest.approx(0.04)]
    loop.close()


def test_features_of_the_context_are_logged_once_described(tmp_path: Path) -> None:
    """With a blueprint of one's own the attributes become features, in whatever order its arms stand."""
    loop = loops.open_loop(tmp_path)
    loop.register(two_arms(control="green", unit="id"))
    exposures = Exposures(loop)
    assert exposures.place("checkout", "u1", {"id": "u1", "x": 3.5, "secret": 1}, ARMS, 0, [0.9, 0.1]) == 0
    (record,) = records(loop)
    assert isinstance(record, Decision)
    assert (record.features, record.arm, record.propensity, record.share) == ((3.5,), "blue", 0.9, 0.9)
    assert abloop.explain(loop, record.decision_id).repeated
    loop.close()


def test_a_personalising_strategy_gives_the_policys_arm(tmp_path: Path) -> None:
    """Once it personalises, the arm is the policy's, but for the explore share; a new decision is recorded for it."""
    loop = loops.open_loop(tmp_path)
    loop.register(two_arms(unit="id", experiment={"hash": "given", "explore": 0.2}))
    exposures = Exposures(loop)
    assert [exposures.place("checkout", f"u{i}", {}, ARMS, 0, HALVES) for i in range(200)] == [0] * 200
    serve_constant(loop, "checkout", (0.0, 0.3))
    given = [exposures.place("checkout", f"u{i}", {}, ARMS, 0, HALVES) for i in range(200)]
    assert 125 < sum(given) < 190
    assert len({record.decision_id for record in records(loop) if isinstance(record, Decision)}) == 400
    loop.close()


@pytest.mark.parametrize(
    ("arms", "drawn", "shares"),
    [
        (["a", "b"], 0, HALVES),
        (["blue"], 0, [1.0]),
        (ARMS, 5, HALVES),
        (ARMS, 1, []),
        (ARMS, "x", HALVES),
        (None, 0, None),
    ],
    ids=["other-arms", "fewer", "no-such-arm", "no-shares", "text", "none"],
)
def test_what_does_not_fit_is_counted(tmp_path: Path, arms: Any, drawn: Any, shares: Any) -> None:
    """An exposure that does not fit its strategy leaves the product's own arm, and is counted."""
    loop = loops.open_loop(tmp_path)
    loop.register(two_arms())
    exposures = Exposures(loop)
    assert exposures.place("checkout", "u1", {}, arms, drawn, shares) == drawn
    assert exposures.errors == 1
    assert records(loop) == []
    loop.close()


def test_without_a_database_the_products_arm_stands(tmp_path: Path) -> None:
    """With nothing to record to, or a database that is away, the drawn arm is given."""
    assert Exposures(None).place("s", "u", {}, ARMS, 1, HALVES) == 1
    pytest.importorskip("psycopg")
    loop = abloop.connect("postgresql+psycopg://u:p@127.0.0.1:1/x", tmp_path)
    exposures = Exposures(loop)
    assert [exposures.place("s", "u", {}, ARMS, 1, HALVES) for _ in range(3)] == [1, 1, 1]
    assert exposures.errors == 1
    loop.close()


def test_a_url_is_opened_once(tmp_path: Path) -> None:
    """Faces that name one URL share one loop; ids of exposures are the same everywhere."""
    url = f"sqlite:///{tmp_path}/x.db"
    one, two = Exposures(url), Exposures(url)
    assert one.loop is two.loop is open_loop(url)
    one.place("s", "u", {}, ARMS, 1, HALVES)
    assert one.loop is not None
    assert exposure_id(one.loop.strategy("s").snapshot, "u") == "s/u/1.randomise."
    with pytest.raises(StoreError):
        Exposures("nonsense")
    one.loop.close()
