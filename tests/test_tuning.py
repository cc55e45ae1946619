"""Tuning by rounds of real A/B tests, in a world whose truth is known; killed in every state, it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import abloop
from abloop import tuning
from abloop.assign.experiment import Assignment
from abloop.blueprint.tuning import Limit, Objective
from abloop.cli import main
from abloop.compare import SETTLE_SECONDS, compare
from abloop.errors import BlueprintError, DataError
from abloop.loop import Loop
from abloop.offline import join_rows, ship_spool
from abloop.optimize.propose import propose as suggest
from abloop.optimize.search import Search
from abloop.optimize.trials import Lift, Trial, frontier, keeps
from abloop.simulate.tradeoffs import SERVED, blueprint, means, show
from abloop.store.tunings import Tunings
from abloop.testing import ManualClock
from abloop.tuning.logs import score
from abloop.worker import Worker
from tests.loops import open_loop, two_arms

WHO = "test"
DAY = 86_400.0


Show = Callable[[Any, str, np.random.Generator], None]


def serve(
    loop: Loop, clock: ManualClock, rng: np.random.Generator, units: int, prefix: str, world: Show = show
) -> None:
    """Send lists through what is served, and make their rows complete."""
    loop.refresh()
    clock.advance(SETTLE_SECONDS + 1)
    handle = loop.strategy("shop_list")
    for number in range(units):
        world(handle, f"{prefix}-{number}", rng)
    assert handle.errors == 0
    clock.advance(DAY)
    ship_spool(loop)
    join_rows(loop, "shop_list")


def test_rounds_find_a_better_trade_off(tmp_path: Path) -> None:
    """Four weights of a ranking, five rounds of four arms: more orders at no loss of latency, or half the computing.

    The truth of every arm is known: it lies inside the intervals as often as they say.
    """
    clock, rng = ManualClock(), np.random.default_rng(0)
    loop = open_loop(tmp_path, clock)
    loop.register(blueprint())
    for number in range(5):
        state = tuning.propose(loop, "shop_list", who=WHO)
        assert state.open is not None
        assert state.open.status == "running"
        assert tuning.read(loop, "shop_list", who=WHO) == state  # nobody has come yet
        serve(loop, clock, rng, 1_000, f"r{number}")
        state = tuning.read(loop, "shop_list", who=WHO)
        assert state.rounds[-1].status == "read"
        loop.refresh()
    assert len(state.trials) == 20
    assert {trial.source for trial in state.trials[:4]} == {"spread"}
    assert {trial.source for trial in state.trials[4:]} == {"model"}
    served = means(SERVED)

    def truth(weights: dict[str, float]) -> dict[str, float]:
        return {metric: value / served[metric] - 1 for metric, value in means(weights).items()}

    inside = [
        abs(lift.mean - truth(trial.weights)[metric]) < 1.96 * lift.error
        for trial in state.read()
        for metric, lift in trial.lifts.items()
    ]
    assert np.mean(inside) > 0.85
    picked = tuning.choose(loop, "shop_list", [], Objective(metric="orders"))
    assert truth(picked.weights)["orders"] > 0.03
    assert truth(picked.weights)["latency"] < 0.02 + 2 * picked.lifts["latency"].error
    for metric, lift in picked.lifts.items():
        assert abs(lift.mean - truth(picked.weights)[metric]) < 1.96 * lift.error, metric
    # As in the paper: resources halved for a small, stated loss, here of 2 % of orders at most.
    halved = tuning.choose(loop, "shop_list", [Limit(metric="compute", most=-0.5)], Objective(metric="orders"))
    assert truth(halved.weights)["compute"] < -0.45
    assert truth(halved.weights)["orders"] > -0.02
    for metric, lift in halved.lifts.items():
        assert abs(lift.mean - truth(halved.weights)[metric]) < 1.96 * lift.error, metric
    volumes = tuning.volumes(loop, "shop_list")
    assert len(volumes) == 5
    assert volumes == sorted(volumes)
    with pytest.raises(DataError, match="weight 'w_cheap' is not given; allowed: 0 to 1"):
        tuning.expect(loop, "shop_list", [{"w_fresh": 0.5}])
    confirmed = tuning.pick(loop, "shop_list", halved, who=WHO, why="half the computing")
    made = loop.catalogue.blueprint("shop_list", confirmed.entries[1].version)[1]
    assert {weight.name: weight.value for weight in made.policy.weights} == halved.weights
    assert loop.catalogue.serving("shop_list").version == 1
    loop.close()


def test_the_journal_begins_the_first_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lists that were shown say what other weights would bring: the first arms come from them, and are good."""
    clock, rng = ManualClock(), np.random.default_rng(4)
    loop = open_loop(tmp_path, clock)
    loop.register(blueprint())
    serve(loop, clock, rng, 1_500, "log")
    state = tuning.propose(loop, "shop_list", who=WHO)
    assert [trial.source for trial in state.trials] == ["logs"] * 4
    assert len(state.scored) == 128
    served, found, told = means(SERVED), [], []
    for trial in state.trials:
        orders, compute = (means(trial.weights)[metric] / served[metric] - 1 for metric in ("orders", "compute"))
        assert orders > 0 or compute < 0
    for point in state.scored[:40]:
        found.append([means(point.weights)[metric] / served[metric] - 1 for metric in ("orders", "compute")])
        told.append([point.lifts[metric].mean for metric in ("orders", "compute")])
    for column, least in ((0, 0.85), (1, 0.99)):
        assert np.corrcoef(np.array(found)[:, column], np.array(told)[:, column])[0, 1] > least
    assert main(["tune", "shop_list", "frontier", "--url", f"sqlite:///{tmp_path}/abloop.db"]) == 0
    said = capsys.readouterr().out
    assert "Nothing is measured: round 0 is not read" in said
    assert "Expected, beaten by none" in said
    assert "Of what the journal said before the tests, believed: orders 100%, compute 100%, latency 100%" in said
    loop.close()


def test_a_randomised_choice_is_scored_by_its_propensities(tmp_path: Path) -> None:
    """Which weights would have been better is known from arms that were drawn, within its error."""
    clock, rng = ManualClock(), np.random.default_rng(5)
    loop = open_loop(tmp_path, clock)
    weights = [{"name": "edge", "value": 0.5, "low": -1, "high": 1}]
    policy = {"formula": "arm('green') if x > edge else arm('blue')", "weights": weights}
    loop.register(two_arms(policy=policy, metrics=[{"name": "bought"}], lifecycle={"ttl": 60}))
    handle = loop.strategy("checkout")
    for number in range(3_000):
        x = float(rng.uniform(-1, 1))
        arm = handle.get_decision(f"d{number}", {"user_id": f"u{number}", "x": x})
        handle.log_observations(f"d{number}", {"bought": 2.0 + (x if arm == "green" else 0.0) + rng.normal(0, 0.2)})
    clock.advance(DAY)
    ship_spool(loop)
    join_rows(loop, "checkout")
    _, blueprint_ = loop.catalogue.blueprint("checkout", 1)
    seen = []
    scored = score(loop, "checkout", blueprint_, lambda done, total: seen.append((done, total)))
    assert len(scored) > 100
    assert seen[-1] == (128, 128)

    def value(edge: float) -> float:
        return 2.0 + (1 - edge**2) / 4

    away = [
        (point.lifts["bought"].mean - (value(point.weights["edge"]) / value(0.5) - 1)) / point.lifts["bought"].error
        for point in scored
        if abs(point.weights["edge"] - 0.5) > 0.05
    ]
    assert np.mean(np.abs(away)) < 2.0
    loop.close()


@pytest.mark.parametrize("killed", [False, True])
def test_an_arm_that_breaks_a_limit_is_abandoned(tmp_path: Path, killed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker ends it; its units get what serves, all others keep their arms, and the round goes on to be read."""
    clock, rng = ManualClock(), np.random.default_rng(6)
    loop = open_loop(tmp_path, clock)
    loop.register(blueprint(tuning={**blueprint()["tuning"], "arms": 3, "units": 400}))
    state = tuning.propose(loop, "shop_list", who=WHO)
    slow = state.trials[0].version

    def slowed(handle: Any, name: str, rng: np.random.Generator) -> None:
        candidate = {"user_id": name, "fresh": 0.5, "cheap": 0.5, "match": 0.5, "rich": 0.5}
        handle.get_ranking(name, [candidate])
        version = seen[name] = versions(name)
        latency = 1.0 + 0.5 * (version == slow) + rng.normal(0, 0.1)
        found = {"orders": 1 + rng.normal(0, 0.1), "compute": 1 + rng.normal(0, 0.1), "latency": latency}
        handle.log_observations(f"{name}/0", {metric: float(value) for metric, value in found.items()})

    seen: dict[str, int] = {}

    def versions(name: str) -> int:
        running = loop.comparisons.current()["shop_list"]
        drawn = Assignment(f"shop_list:compare:{running.draw}", [entry.share for entry in running.entries])
        return running.entries[drawn.arm(name)].version

    serve(loop, clock, rng, 600, "x", slowed)
    if killed:
        with monkeypatch.context() as patched:
            patched.setattr(Tunings, "advance", _die)
            with pytest.raises(KilledError):
                tuning.watch(loop, "shop_list", who=WHO)
    turn = Worker(loop, ["shop_list"]).turn()
    assert not turn.failed, turn
    state = tuning.status(loop, "shop_list")
    assert [trial.status for trial in state.trials] == ["failed", "proposed", "proposed"]
    assert "abandoned: latency" in state.trials[0].reason
    assert "allowed at most +2.0%" in state.trials[0].reason
    assert state.rounds[-1].status == "running"
    assert tuning.watch(loop, "shop_list", who=WHO) == state
    loop.refresh()
    before = dict(seen)
    for name, version in before.items():
        now = versions(name)
        assert (now == version) if version != slow else (now not in {each.version for each in state.trials})
    serve(loop, clock, rng, 1_600, "y", slowed)
    state = tuning.read(loop, "shop_list", who=WHO)
    assert [trial.status for trial in state.trials] == ["failed", "read", "read"]
    assert state.rounds[-1].status == "read"
    loop.close()


def _die(*_: Any, **__: Any) -> None:
    raise KilledError


class KilledError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("spot", ["after proposed", "after versions", "after compare", "after stop"])
def test_a_killed_round_goes_on(tmp_path: Path, spot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between any two steps and started again: one round, its four trials, each of one version, all read."""
    clock, rng = ManualClock(), np.random.default_rng(1)
    loop = open_loop(tmp_path, clock)
    loop.register(blueprint())

    def die(*_: Any, **__: Any) -> None:
        raise KilledError

    real, seen = Tunings.advance, []

    def advance(self: Tunings, state: Any, **rest: Any) -> Any:
        seen.append(rest["why"])
        if len(seen) == 2 and spot == "after compare":
            raise KilledError
        return real(self, state, **rest)

    with monkeypatch.context() as patched:
        if spot == "after proposed":
            patched.setattr("abloop.tuning.rounds.with_settings", die)
        if spot == "after versions":
            patched.setattr("abloop.tuning.rounds.compare", die)
        patched.setattr(Tunings, "advance", advance)
        if spot == "after stop":
            tuning.propose(loop, "shop_list", who=WHO)
        else:
            with pytest.raises(KilledError):
                tuning.propose(loop, "shop_list", who=WHO)
    loop.close()
    loop = open_loop(tmp_path, clock)
    state = tuning.status(loop, "shop_list") if spot == "after stop" else tuning.propose(loop, "shop_list", who=WHO)
    serve(loop, clock, rng, 900, "x")
    if spot == "after stop":
        with monkeypatch.context() as patched:
            patched.setattr(Tunings, "advance", die)
            with pytest.raises(KilledError):
                tuning.read(loop, "shop_list", who=WHO)
        loop.close()
        loop = open_loop(tmp_path, clock)
    state = tuning.read(loop, "shop_list", who=WHO)
    assert [round_.status for round_ in state.rounds] == ["read"]
    assert [trial.status for trial in state.trials] == ["read"] * 4
    assert len({trial.version for trial in state.trials}) == 4
    assert len(loop.catalogue.blueprints("shop_list")) == 5
    assert not loop.comparisons.current()
    loop.close()


def test_two_cannot_tune_at_once(tmp_path: Path) -> None:
    """Whoever comes second from the same state is refused, and nothing is doubled."""
    loop = open_loop(tmp_path)
    loop.register(blueprint())
    before = tuning.status(loop, "shop_list")
    tuning.propose(loop, "shop_list", who=WHO)
    with pytest.raises(DataError, match="somebody else tunes"):
        loop.tunings.advance(before, at=0.0, who=WHO, why="")
    with pytest.raises(DataError, match="round 0 of 'shop_list' runs"):
        tuning.propose(loop, "shop_list", who=WHO)
    loop.close()


def flat(handle: Any, name: str, _: np.random.Generator) -> None:
    """Show one candidate that brings the same always."""
    handle.get_ranking(name, [{"user_id": name, "fresh": 0.5, "cheap": 0.5, "match": 0.5, "rich": 0.5}])
    handle.log_observations(f"{name}/0", {"orders": 0.0, "compute": 1.0, "latency": 1.0})


def silent(handle: Any, name: str, rng: np.random.Generator) -> None:
    """Show one candidate, and log no orders."""
    handle.get_ranking(name, [{"user_id": name, "fresh": 0.5, "cheap": 0.5, "match": 0.5, "rich": 0.5}])
    handle.log_observations(f"{name}/0", {"compute": 1 + rng.random(), "latency": 1 + rng.random()})


@pytest.mark.parametrize("case", ["nobody", "taken", "ratio", "zero", "missing"])
def test_rounds_that_say_nothing_are_marked(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No rows, another comparison, wrong shares, a metric of zero: the reason is said, and the next proposal comes."""
    clock, rng = ManualClock(), np.random.default_rng(2)
    loop = open_loop(tmp_path, clock)
    more = {"metrics": [{**each, "default": None} for each in blueprint()["metrics"]]} if case == "missing" else {}
    loop.register(blueprint(**more))
    tuning.propose(loop, "shop_list", who=WHO)
    if case == "taken":
        compare(loop, "shop_list", [1, 2], who=WHO, why="mine")
    if case in ("ratio", "zero"):
        serve(loop, clock, rng, 600, "x", flat if case == "zero" else show)
    if case == "missing":
        serve(loop, clock, rng, 600, "x", silent)
    if case == "ratio":
        monkeypatch.setattr("abloop.tuning.reading.SRM_ALARM", 2.0)
    state = tuning.read(loop, "shop_list", early=True, who=WHO)
    words = {
        "nobody": "no row of it",
        "taken": "another comparison",
        "ratio": "shares",
        "zero": "objective 'orders' is 0 in every row",
        "missing": "metric 'orders' has no change that could be estimated",
    }[case]
    assert state.rounds[-1].status == "marked"
    assert words in state.rounds[-1].reason
    assert all(trial.status == "failed" and words in trial.reason for trial in state.trials)
    if loop.comparisons.current():
        return
    again = tuning.propose(loop, "shop_list", who=WHO)
    assert [trial.number for trial in again.of(1)] == [4, 5, 6, 7]
    assert again.of(1)[0].weights != again.of(0)[0].weights
    loop.close()


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """propose, status, read, frontier and pick, each as text and as JSON; what is refused says what to do."""
    clock, rng = ManualClock(), np.random.default_rng(3)
    url = f"sqlite:///{tmp_path}/abloop.db"
    loop = open_loop(tmp_path, clock)
    loop.register(blueprint())
    assert main(["tune", "shop_list", "status", "--url", url]) == 0
    assert "was never tuned. Begin: abloop tune shop_list propose" in capsys.readouterr().out
    tuning.propose(loop, "shop_list", who=WHO)
    assert main(["tune", "shop_list", "propose", "--url", url]) == 1
    assert "round 0 of 'shop_list' runs" in capsys.readouterr().err
    serve(loop, clock, rng, 900, "x")
    assert main(["tune", "shop_list", "status", "--url", url]) == 0
    assert "Round 0 runs" in capsys.readouterr().out
    assert main(["tune", "shop_list", "read", "--url", url, "--json"]) == 0
    assert [trial["status"] for trial in json.loads(capsys.readouterr().out)["trials"]] == ["read"] * 4
    assert main(["tune", "shop_list", "frontier", "--url", url]) == 0
    assert "orders" in capsys.readouterr().out
    assert main(["tune", "shop_list", "read", "--url", url]) == 1
    assert "abloop tune shop_list propose" in capsys.readouterr().err
    assert main(["tune", "shop_list", "pick", "--url", url]) == 1
    assert "--trial" in capsys.readouterr().err
    assert main(["tune", "shop_list", "pick", "--trial", "2", "--why", "cheaper", "--url", url]) == 0
    assert main(["tune", "shop_list", "pick", "--trial", "99", "--why", "x", "--url", url]) == 1
    assert "trial 99 of 'shop_list' was not read; those that were: 0, 1, 2, 3" in capsys.readouterr().err
    loop.close()


def test_a_model_that_cannot_be_fitted_costs_no_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that crashes leads to a proposal that is spread over the space, going on where the last one ended."""
    monkeypatch.setattr("abloop.optimize.learn._learned", _die)
    search = Search(bounds={"a": (0.0, 1.0)}, served={"a": 0.5}, objectives=(Objective(metric="m"),))
    trials = [
        Trial(number, 0, weights, "read", lifts={"m": Lift(0.1, 0.01)})
        for number, weights in enumerate(search.weights(search.spread(5)))
    ]
    found = suggest(search, trials, 3)
    assert [source for _, source in found] == ["spread"] * 3
    assert [weights for weights, _ in found] == search.weights(search.spread(8)[5:])


def test_the_frontier_is_what_none_beats() -> None:
    """Points beaten at both objectives, or beyond a limit, are not on it."""

    def trial(number: int, gain: float, cost: float, latency: float = 0.0) -> Trial:
        lifts = {"gain": Lift(gain, 0.01), "cost": Lift(cost, 0.01), "latency": Lift(latency, 0.01)}
        return Trial(number, 0, {}, "read", lifts=lifts)

    trials = (trial(0, 0.1, 0.1), trial(1, 0.05, -0.2), trial(2, 0.04, -0.1), trial(3, 0.9, -0.9, latency=0.5))
    goals = (Objective(metric="gain"), Objective(metric="cost", better="lower"))
    limits = (Limit(metric="latency", most=0.1),)
    assert [each.number for each in frontier(trials, goals, limits)] == [0, 1]
    assert not keeps({}, limits)


def test_a_parameter_is_turned_for_what_decisions_cost(tmp_path: Path) -> None:
    """Of a number, its greatest value beside a weight: what is given is measured without a log of it."""
    clock, rng = ManualClock(), np.random.default_rng(3)
    loop = open_loop(tmp_path, clock)
    loop.register(
        {
            "strategy": "shop_list",
            "space": {"type": "number", "low": 0.0, "high": 8.0},
            "default": 4.0,
            "features": [{"name": "x"}],
            "metrics": [
                {"name": "joy"},
                {"name": "spent", "measured": "decision", "role": "guardrail"},
                {"name": "took", "measured": "latency", "role": "secondary"},
            ],
            "policy": {"formula": "keen * x", "weights": [{"name": "keen", "value": 8, "low": 4, "high": 12}]},
            "lifecycle": {"ttl": 60},
            "tuning": {
                "objectives": [{"metric": "joy"}, {"metric": "spent", "better": "lower"}],
                "limits": [{"metric": "took", "most": 99}],
                "parameters": [{"name": "space.high", "low": 2, "high": 10}],
                "arms": 3,
                "units": 100,
            },
        }
    )

    def give(handle: Any, name: str, rng: np.random.Generator) -> None:
        value = handle.get_decision(name, {"user_id": name, "x": float(rng.uniform())})
        handle.log_observations(name, {"joy": float(np.sqrt(value) + rng.normal(0, 0.1))})

    state = tuning.propose(loop, "shop_list", who=WHO)
    for trial in state.trials:
        assert set(trial.weights) == {"keen", "space.high"}
        made = loop.catalogue.blueprint("shop_list", trial.version)[1]
        assert made.space.high == trial.weights["space.high"]
        assert made.policy.weights[0].value == trial.weights["keen"]
    serve(loop, clock, rng, 2_000, "u", give)
    state = tuning.read(loop, "shop_list", who=WHO)
    assert state.rounds[-1].status == "read"
    x = np.random.default_rng(0).uniform(size=200_000)

    def spent(keen: float, high: float) -> float:
        return 0.9 * float(np.minimum(keen * x, high).mean()) + 0.1 * 4.0  # a tenth explores: control, the default

    for trial in state.trials:
        true = spent(trial.weights["keen"], trial.weights["space.high"]) / spent(8.0, 8.0) - 1
        assert abs(trial.lifts["spent"].mean - true) < 4 * trial.lifts["spent"].error
        assert set(trial.lifts) == {"joy", "spent", "took"}
    with pytest.raises(DataError, match=r"parameter 'space.high' is 11; allowed: 2 to 10"):
        tuning.pick(loop, "shop_list", {"keen": 5.0, "space.high": 11.0}, who=WHO, why="try")
    loop.close()


WRONG = [
    ({"objectives": [{"metric": "x"}]}, "metric"),
    ({"limits": [{"metric": "latency"}]}, "limits nothing"),
    ({"limits": [{"metric": "latency", "most": 0, "least": 1}]}, "least 1 above most 0"),
    ({"arms": 0}, r"tuning\.arms"),
    ({"objectives": [{"metric": "orders", "better": "low"}]}, r"better: unknown value 'low'\. Did you mean 'lower'"),
    (
        {"sums": [{"weights": {"w_fresh": 1, "w_rich": -1}, "most": -1.5}]},
        r"by no weights: in their ranges it is -1 to 2",
    ),
    ({"sums": [{"weights": {"w_fresh": 1, "w_rich": 1}, "least": 3}]}, r"by no weights: in their ranges it is -1 to 2"),
    (
        {"sums": [{"weights": {"w_fresh": 1}, "least": 1, "most": 1}]},
        r"least and most 1, .*say one weight by",
    ),
    ({"sums": [{"weights": {"w_fresh": 1}}]}, r"sums\[0\] limits nothing; give most or least, e.g. most: 1"),
    ({"sums": [{"weights": {"ranking.explore": 1}, "least": 3}]}, "unknown weight 'ranking.explore'"),
    ({"among": [{"w_fresh": 2}]}, r"tuning\.among\[0\]\.w_fresh is 2; allowed: 0 to 1"),
    ({"units": 1}, r"tuning\.units"),
    ({"parameters": [{"name": "ranking.mst", "low": 1, "high": 5}]}, "Did you mean 'ranking.most'"),
    ({"parameters": [{"name": "ranking.most", "low": 1, "high": 5}]}, r"does nothing without ranking\.diverse"),
    ({"parameters": [{"name": "experiment.explore", "low": 0.2, "high": 0.1}]}, "low must be below high"),
    ({"parameters": [{"name": "experiment.margin", "low": 0, "high": 5}]}, "does nothing beside a policy"),
    ({"parameters": [{"name": "experiment.explore", "low": 0.01, "high": 2}]}, r"high: experiment\.explore is 2"),
    ({"parameters": [{"name": "experiment.explore", "low": 0.2, "high": 0.3}]}, "allowed: a range about it"),
]


@pytest.mark.parametrize(("section", "words"), WRONG)
def test_wrong_tunings_are_refused(section: dict[str, Any], words: str) -> None:
    """What cannot be tuned for is refused when the blueprint is read."""
    with pytest.raises(BlueprintError, match=words):
        abloop.blueprint.from_mapping(blueprint(tuning=section))


def test_nothing_to_tune_is_named(tmp_path: Path) -> None:
    """A policy without a weight that has a range is refused, with what to add."""
    loop = open_loop(tmp_path)
    loop.register(blueprint(policy={"formula": "fresh + cheap"}))
    with pytest.raises(DataError, match=r"give policy\.weights low and high"):
        tuning.propose(loop, "shop_list", who=WHO)
    loop.close()
