"""Rounds beside other weights than serve now: what they say is turned into changes against what serves, or left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from abloop import tuning
from abloop.blueprint import from_mapping
from abloop.errors import DataError
from abloop.optimize.trials import Lift, Point, Trial
from abloop.tuning.known import against, known
from tests.loops import open_loop
from tests.shop import SERVED, blueprint
from tests.tuning.kept import SPREAD, keep, lifts, read


def weighted(weights: dict[str, float], **sections: Any) -> dict[str, Any]:
    """Return the shop with other weights."""
    policy = blueprint()["policy"]
    those = [{**each, "value": weights[each["name"]]} for each in policy["weights"]]
    return blueprint(policy={**policy, "weights": those}, **sections)


def test_what_serves_now_is_the_zero(tmp_path: Path) -> None:
    """Once a trial serves, all trials tell their true change against it; the round before measured that one itself."""
    loop = open_loop(tmp_path)
    loop.register(blueprint())
    state = keep(loop, [read(weights, SERVED) for weights in SPREAD])
    assert tuning.today(loop, "shop_list") == state
    loop.register(weighted(SPREAD[0]))
    told = tuning.today(loop, "shop_list")
    assert told.trials[0].lifts["orders"].mean == pytest.approx(0.0, abs=1e-12)
    for trial in told.trials:
        for metric, lift in lifts(trial.weights, SPREAD[0]).items():
            assert trial.lifts[metric].mean == pytest.approx(lift.mean, abs=1e-12)
            assert trial.lifts[metric].error > 0.001 / 2
    assert not tuning.left_out(loop, "shop_list")
    assert tuning.status(loop, "shop_list") == state  # what was measured is kept as it was
    best = {trial.number for trial in tuning.best(loop, "shop_list")}
    assert best
    keep(loop, [read(SPREAD[0], SERVED)], baseline=1)
    assert all(drift.p_value > 0.01 for drift in tuning.drift(loop, "shop_list"))
    loop.close()


def test_a_round_beside_the_new_weights_links_the_old(tmp_path: Path) -> None:
    """The weights that served before, tried beside those that serve now, tell what all rounds before are worth."""
    loop = open_loop(tmp_path)
    new = {"fresh": 0.45, "price": 0.45, "taste": 0.45, "depth": 0.45}
    loop.register(blueprint())
    keep(loop, [read(weights, SERVED) for weights in SPREAD[:4]])
    loop.register(weighted(new))
    assert list(tuning.left_out(loop, "shop_list").values()) == [4]
    assert not tuning.best(loop, "shop_list")
    keep(loop, [read(SERVED, new), read(SPREAD[4], new)], baseline=2)
    assert not tuning.left_out(loop, "shop_list")
    for trial in tuning.today(loop, "shop_list").trials:
        for metric, lift in lifts(trial.weights, new).items():
            assert trial.lifts[metric].mean == pytest.approx(lift.mean, abs=1e-12)
    loop.close()


def test_a_model_links_what_nothing_measured(tmp_path: Path) -> None:
    """Weights that no round tried come to serve: what the old model expects of them makes the old rounds count on."""
    loop = open_loop(tmp_path)
    new = {"fresh": 0.45, "price": 0.45, "taste": 0.45, "depth": 0.45}
    loop.register(blueprint())
    state = keep(loop, [read(weights, SERVED) for weights in SPREAD])
    loop.register(weighted(new))
    _, served = loop.catalogue.blueprint("shop_list", 2)
    told = known(loop, state, served, guess=True)
    for trial in told.trials:
        for metric, lift in lifts(trial.weights, new).items():
            assert abs(trial.lifts[metric].mean - lift.mean) < 4 * trial.lifts[metric].error
            assert trial.lifts[metric].error > 0.001
    loop.close()


def test_another_formula_begins_anew(tmp_path: Path) -> None:
    """Renamed weights: old trials are left out with their reason, no later model dies of them, and none is picked."""
    loop = open_loop(tmp_path)
    loop.register(blueprint())
    keep(loop, [read(weights, SERVED) for weights in SPREAD])
    policy = blueprint()["policy"]
    renamed = [{**each, "name": f"w_{each['name']}"} for each in policy["weights"]]
    formula = "{" + ", ".join(f"'{name}': w_{name}" for name in SERVED) + "}"
    loop.register(blueprint(policy={"formula": formula, "weights": renamed}))
    assert tuning.left_out(loop, "shop_list") == {"measured under another policy.formula": 8}
    assert not tuning.best(loop, "shop_list")
    with pytest.raises(DataError, match="needs 4 trials that were read; orders has 0"):
        tuning.pareto(loop, "shop_list")
    with pytest.raises(DataError, match="trial 2 of 'shop_list' cannot be served any more: it was measured under"):
        tuning.pick(loop, "shop_list", 2, who="test", why="try")
    new = [{f"w_{name}": value for name, value in each.items()} for each in SPREAD]
    keep(loop, [Trial(0, 0, to, "read", lifts=lifts(of, SERVED)) for to, of in zip(new, SPREAD, strict=True)], 2)
    assert tuning.expect(loop, "shop_list", [new[0]])[0]["orders"].mean > 0
    state = tuning.propose(loop, "shop_list", who="test")
    assert {trial.source for trial in state.of(2)} == {"model"}
    loop.close()


def test_ranges_come_and_go(tmp_path: Path) -> None:
    """A weight that had no range stood where it stood; one that loses its range takes trials elsewhere with it."""
    loop = open_loop(tmp_path)
    policy = blueprint()["policy"]
    fixed = [{"name": "fresh", "value": 0.2}, *policy["weights"][1:]]
    loop.register(blueprint(policy={**policy, "weights": fixed}))
    rest = [{name: value for name, value in each.items() if name != "fresh"} for each in SPREAD]
    trials = [Trial(0, 0, each, "read", lifts=lifts({"fresh": 0.2, **each}, SERVED)) for each in rest]
    keep(loop, trials)
    loop.register(blueprint())  # fresh has a range now
    told = tuning.today(loop, "shop_list")
    assert {trial.weights["fresh"] for trial in told.trials} == {0.2}
    assert tuning.expect(loop, "shop_list", [SPREAD[0]])[0]["orders"].error > 0
    keep(loop, [read(SPREAD[0], SERVED)], baseline=2)
    loop.register(blueprint(policy={**policy, "weights": fixed}, lifecycle={"ttl": 61}))  # and none again
    assert tuning.left_out(loop, "shop_list") == {"measured with fresh 0.6, which is 0.2 now and has no range": 1}
    loop.close()


def test_nothing_is_no_measure(tmp_path: Path) -> None:
    """Weights that brought no orders at all come to serve: no change of orders can be a share of that, others can."""
    loop = open_loop(tmp_path)
    loop.register(blueprint())
    none = {**lifts(SPREAD[0], SERVED), "orders": Lift(-1.0, 0.001)}
    keep(loop, [Trial(0, 0, SPREAD[0], "read", lifts=none), read(SPREAD[1], SERVED)])
    loop.register(weighted(SPREAD[0]))
    assert set(tuning.today(loop, "shop_list").trials[1].lifts) == {"compute", "latency"}
    loop.close()


def test_what_the_journal_said_moves_too(tmp_path: Path) -> None:
    """Logs told changes against what served when they were asked: they are turned as trials are, or left out."""
    loop = open_loop(tmp_path)
    loop.register(blueprint())
    kept = keep(loop, [read(weights, SERVED) for weights in SPREAD[:4]])
    points = tuple(Point(weights, lifts(weights, SERVED)) for weights in SPREAD)
    for version in (0, 1):
        state = msgspec.structs.replace(kept, scored=points, scored_by=version)
        for weights, zero in ((SERVED, SERVED), (SPREAD[0], SPREAD[0])):
            served = from_mapping(weighted(weights))
            told = known(loop, state, served)
            assert len(told.scored) == 8
            for point in told.scored:
                for metric, lift in lifts(point.weights, zero).items():
                    assert point.lifts[metric].mean == pytest.approx(lift.mean, abs=1e-12)
    policy = {
        **blueprint()["policy"],
        "formula": "{'fresh': fresh, 'price': price, 'taste': taste, 'depth': depth * 1}",
    }
    assert not known(loop, state, from_mapping(blueprint(policy=policy))).scored
    loop.close()


def test_a_ratio_of_changes() -> None:
    """Against itself a change is none; the error is that of a quotient, by simulation."""
    import numpy as np

    rng = np.random.default_rng(0)
    one, other = Lift(0.3, 0.02), Lift(-0.2, 0.03)
    drawn = (1 + rng.normal(one.mean, one.error, 200_000)) / (1 + rng.normal(other.mean, other.error, 200_000)) - 1
    found = against(one, other)
    assert found.mean == pytest.approx(drawn.mean(), abs=0.01)
    assert found.error == pytest.approx(drawn.std(), rel=0.02)
