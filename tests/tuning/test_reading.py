"""When a round is mature: its units are there, and the windows of what tuning reads have ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from abloop import tuning
from abloop.compare import SETTLE_SECONDS, stop_comparing
from abloop.loop import Loop
from abloop.offline import join_rows, ship_spool
from abloop.rollout.versions import rollback as serve_version
from abloop.store.late import join_late
from abloop.testing import ManualClock
from tests.loops import open_loop
from tests.shop import SERVED, blueprint, draw
from tests.tuning.kept import SPREAD, keep, lifts, read

DAY = 86_400.0
WHO = "test"
Outcome = Callable[[int, dict[str, float]], dict[str, float]]


def visit(loop: Loop, clock: ManualClock, count: int, outcome: Outcome) -> None:
    """Let units come once all processes know what is served, observe each, and wait a day for their rows."""
    loop.refresh()
    clock.advance(SETTLE_SECONDS + 1)
    handle = loop.strategy("shop_list")
    for at in range(count):
        weights = handle.get_decision(f"u{at}", {"user_id": f"u{at}"})
        handle.log_observations(f"u{at}", outcome(at, weights or SERVED))
    clock.advance(DAY)
    ship_spool(loop)
    join_rows(loop, "shop_list")


def test_a_round_waits_for_the_window_of_its_objective(tmp_path: Path) -> None:
    """Orders count for a week: rows are complete after a minute, and the round is read after the week."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    metrics: list[dict[str, Any]] = [{**each} for each in blueprint()["metrics"]]
    metrics[0]["window"] = "7d"
    plan = {**blueprint()["tuning"], "arms": 1, "units": 20}
    loop.register(blueprint(metrics=metrics, tuning=plan))
    tuning.propose(loop, "shop_list", who=WHO)
    visit(
        loop,
        clock,
        120,
        lambda at, _: {"orders": 1.0 + at % 3, "compute": 2.0 + at % 2, "latency": 3.0 + at % 2},
    )
    join_late(loop, "shop_list")
    assert tuning.ready(loop, "shop_list") == (0, 20)
    waiting = tuning.read(loop, "shop_list", who=WHO)
    assert waiting.rounds[0].status == "running"
    clock.advance(7 * DAY)
    join_late(loop, "shop_list")
    assert tuning.ready(loop, "shop_list")[0] >= 20
    state = tuning.read(loop, "shop_list", who=WHO)
    assert state.rounds[0].status == "read"
    assert set(state.trials[0].lifts) == {"orders", "compute", "latency"}
    assert tuning.ready(loop, "shop_list") == (0, 0)
    loop.close()


def test_every_limit_of_a_metric_is_watched(tmp_path: Path) -> None:
    """Two limits may name one metric, each its side: an arm that breaks the first is abandoned all the same."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    limits = [{"metric": "latency", "most": 0.02}, {"metric": "latency", "least": -0.9}]
    loop.register(blueprint(tuning={**blueprint()["tuning"], "limits": limits, "arms": 1, "units": 400}))
    slow = tuning.propose(loop, "shop_list", who=WHO).trials[0].weights

    def late(at: int, weights: dict[str, float]) -> dict[str, float]:
        latency = (2.0 if weights["fresh"] == slow["fresh"] else 1.0) + at % 5 / 100
        return {"orders": 1.0 + at % 3, "compute": 2.0, "latency": latency}

    visit(loop, clock, 600, late)
    (trial,) = tuning.watch(loop, "shop_list", who=WHO).trials
    assert trial.status == "failed"
    assert "abandoned: latency" in trial.reason
    assert "allowed at most +2.0%" in trial.reason
    loop.close()


def test_a_round_that_somebody_ended_is_read(tmp_path: Path) -> None:
    """Its comparison was stopped from Python: no more units come, so that it is read with those that came."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(blueprint(tuning={**blueprint()["tuning"], "arms": 1, "units": 1_000}))
    tuning.propose(loop, "shop_list", who=WHO)
    rng = np.random.default_rng(0)
    visit(loop, clock, 200, lambda _, weights: draw(rng, weights))
    stop_comparing(loop, "shop_list", who=WHO, why="by mistake")
    state = tuning.read(loop, "shop_list", who=WHO)
    assert state.rounds[0].status == "read"
    assert state.trials[0].units > 50
    loop.close()


def test_a_confirmation_is_learned_from(tmp_path: Path) -> None:
    """What a pick measured beside what served is a round of one arm: it links all rounds before to those after it."""
    clock, rng = ManualClock(), np.random.default_rng(1)
    loop = open_loop(tmp_path, clock)
    loop.register(blueprint())
    keep(loop, [read(weights, SERVED) for weights in SPREAD])
    picked = {"fresh": 0.5, "price": 0.5, "taste": 0.5, "depth": 0.5}  # which no round tried
    version = tuning.pick(loop, "shop_list", picked, who=WHO, why="a compromise").entries[1].version
    visit(loop, clock, 1_000, lambda _, weights: draw(rng, weights))
    stop_comparing(loop, "shop_list", who=WHO, why="it holds")
    serve_version(loop, "shop_list", version, who=WHO, why="it holds")
    assert len(tuning.left_out(loop, "shop_list")) == 1
    state = tuning.propose(loop, "shop_list", who=WHO)
    assert [(each.status, each.baseline) for each in state.rounds] == [("read", 1), ("read", 1), ("running", version)]
    (trial,) = state.of(1)
    assert (trial.source, trial.weights, trial.number) == ("confirmed", picked, 8)
    for metric, lift in lifts(picked, SERVED).items():
        assert abs(trial.lifts[metric].mean - lift.mean) < 4 * trial.lifts[metric].error
    assert not tuning.left_out(loop, "shop_list")
    told = tuning.today(loop, "shop_list")
    for each in told.trials[:8]:
        for metric, lift in lifts(each.weights, picked).items():
            assert abs(each.lifts[metric].mean - lift.mean) < 4 * each.lifts[metric].error
    tuning.read(loop, "shop_list", early=True, who=WHO)
    assert len(tuning.propose(loop, "shop_list", who=WHO).rounds) == 4  # and is told once
    loop.close()
