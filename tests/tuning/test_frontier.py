"""What is asked of the expected frontier: the point that keeps something, whether it is an objective or a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from abloop import tuning
from abloop.errors import DataError, UnknownNameError
from abloop.loop import Loop
from abloop.optimize.pareto import closest
from abloop.tuning import Limit, Objective
from tests.loops import open_loop
from tests.shop import SERVED, blueprint, means
from tests.tuning.kept import SPREAD, keep, read


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    """Return a shop of which eight weights were measured exactly."""
    found = open_loop(tmp_path)
    found.register(blueprint())
    keep(found, [read(weights, SERVED) for weights in SPREAD])
    return found


def test_a_limit_may_be_asked_for_more_closely(loop: Loop) -> None:
    """Where no point of the frontier keeps it, because the limit is no objective, one is found that does, truly."""
    points, goal = tuning.pareto(loop, "shop_list"), Objective(metric="orders")
    asked = Limit(metric="latency", most=min(point.lifts["latency"].mean for point in points) - 0.01)
    with pytest.raises(DataError, match="no point of the frontier keeps that"):
        closest(points, [asked], goal)
    found = tuning.choose(loop, "shop_list", [asked], goal)
    assert found.lifts["latency"].mean <= asked.most
    true = means(found.weights)["latency"] / means(SERVED)["latency"] - 1
    assert abs(true - found.lifts["latency"].mean) < 1.96 * found.lifts["latency"].error + 0.002
    loop.close()


def test_what_is_wanted_may_be_a_limit(loop: Loop) -> None:
    """The least latency that costs no orders is at most that of any point of the frontier of orders and compute."""
    keeps = Limit(metric="orders", least=0.0)
    least = Objective(metric="latency", better="lower")
    before = closest(tuning.pareto(loop, "shop_list"), [keeps], least)
    found = tuning.choose(loop, "shop_list", [keeps], least)
    assert found.lifts["orders"].mean >= 0.0
    assert found.lifts["latency"].mean < before.lifts["latency"].mean
    loop.close()


def test_what_nobody_measures_cannot_be_asked_for(loop: Loop) -> None:
    """A metric that tuning does not read is named, with those that it does; so is what nothing keeps."""
    with pytest.raises(UnknownNameError, match=r"unknown metric 'latenzy'. Did you mean 'latency'"):
        tuning.choose(loop, "shop_list", [Limit(metric="latenzy", most=0)], Objective(metric="orders"))
    with pytest.raises(DataError, match="no point of the frontier keeps that; the nearest has"):
        tuning.choose(loop, "shop_list", [Limit(metric="orders", least=9.0)], Objective(metric="orders"))
    loop.close()
