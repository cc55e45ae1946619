"""What may go wrong between a proposal and its round: refused before anything is kept, or marked; nothing is stuck."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from abloop import tuning
from abloop.blueprint import from_mapping
from abloop.compare import compare
from abloop.errors import AbloopError, BlueprintError, DataError
from abloop.loop import Loop
from abloop.optimize.trials import Lift, Round, State, Trial
from abloop.rollout.pause import pause, resume
from tests.loops import open_loop
from tests.shop import SERVED, blueprint
from tests.tuning.kept import SPREAD, keep, read

WHO = "test"


def propose(loop: Loop, count: int = 0) -> State:
    """Propose a round of the shop."""
    return tuning.propose(loop, "shop_list", count=count, who=WHO)


@pytest.mark.parametrize("count", [-3, 101])
def test_no_round_of_that_many_arms(tmp_path: Path, count: int) -> None:
    """A round of less than one arm, or of more than a blueprint may ask for, is refused and not kept."""
    loop = open_loop(tmp_path)
    loop.register(blueprint())
    with pytest.raises(DataError, match=f"a round of {count} arms; allowed: 1 to 100"):
        propose(loop, count)
    assert not tuning.status(loop, "shop_list").rounds
    loop.close()


def test_nothing_but_what_serves(tmp_path: Path) -> None:
    """Where only the weights that serve may be chosen, no round is kept, and the reason is said."""
    loop = open_loop(tmp_path)
    loop.register(blueprint(tuning={"among": [SERVED], "units": 300}))
    with pytest.raises(DataError, match="nothing is left to try but the weights that serve"):
        propose(loop)
    assert not tuning.status(loop, "shop_list").rounds
    loop.close()


def test_a_kept_round_that_cannot_begin_is_marked(tmp_path: Path) -> None:
    """A round of no arms, as earlier versions could keep, is marked; the next proposal begins."""
    loop = open_loop(tmp_path)
    loop.register(blueprint())
    loop.tunings.advance(State("shop_list", (Round(0, 1),)), at=0.0, who=WHO, why="")
    state = propose(loop)
    assert (state.rounds[0].status, state.rounds[0].reason) == ("marked", "it has no weights but those that serve")
    state = propose(loop)
    assert [each.status for each in state.rounds] == ["marked", "running"]
    assert len(state.of(1)) == 4
    loop.close()


def test_a_proposal_that_was_overtaken_is_made_anew(tmp_path: Path) -> None:
    """Paused before it began, and another version serves since: a round beside the old one would serve that again."""
    loop = open_loop(tmp_path)
    loop.register(blueprint())
    pause(loop, "shop_list", who=WHO, why="a fire")
    with pytest.raises(DataError, match=r"is paused\. Resume it first: abloop resume shop_list"):
        propose(loop)
    assert tuning.status(loop, "shop_list").rounds[0].status == "proposed"
    resume(loop, "shop_list", who=WHO, why="it is out")
    loop.register(blueprint(lifecycle={"ttl": 61}))
    state = propose(loop)
    assert [each.status for each in state.rounds] == ["marked", "running"]
    assert state.rounds[0].reason == "version 6 came to serve before it began"
    assert loop.comparisons.current()["shop_list"].entries[0].version == 6
    loop.close()


def test_a_journal_that_cannot_be_asked_costs_no_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A crash of what scores weights on the journal is logged, and the first round is spread instead."""

    def crash(*_: Any) -> None:
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr("abloop.tuning.rounds.score", crash)
    loop = open_loop(tmp_path)
    loop.register(blueprint())
    assert {trial.source for trial in propose(loop).trials} == {"spread"}
    assert "the journal of 'shop_list' could not be asked about weights: of nothing" in caplog.text
    loop.close()


def numbers(**sections: Any) -> dict[str, Any]:
    """Return a number whose bounds are turned; they may cross."""
    tuned = [{"name": "space.low", "low": 0, "high": 6}, {"name": "space.high", "low": 5, "high": 10}]
    return {
        "strategy": "shop_list",
        "space": {"type": "number", "low": 3.0, "high": 8.0},
        "default": 5.5,
        "features": [{"name": "x"}],
        "metrics": [{"name": "joy"}],
        "policy": {"formula": "x"},
        "tuning": {"parameters": tuned, "arms": 2},
        **sections,
    }


def test_weights_that_make_no_blueprint_fail_alone(tmp_path: Path) -> None:
    """Two parameters that are valid one by one and not together cost a trial, with its reason, and not the round."""
    loop = open_loop(tmp_path)
    plan = {**numbers()["tuning"], "among": [{"space.low": 6, "space.high": 5}, {"space.low": 1, "space.high": 9}]}
    loop.register(numbers(tuning=plan))
    state = propose(loop)
    failed = {trial.weights["space.low"]: trial for trial in state.trials}
    assert state.rounds[0].status == "running"
    assert failed[1.0].status == "proposed"
    assert failed[6.0].status == "failed"
    assert failed[6.0].reason
    assert failed[6.0].version == 0
    assert len(loop.comparisons.current()["shop_list"].entries) == 2
    loop.close()


def test_low_stays_below_high(tmp_path: Path) -> None:
    """Bounds that could cross do not, in the ranges of either: every arm of a round is served."""
    loop = open_loop(tmp_path)
    tuned = [{"name": "space.low", "low": 0, "high": 7.9}, {"name": "space.high", "low": 3.1, "high": 10}]
    loop.register(numbers(tuning={"parameters": tuned, "arms": 12}))
    trials = propose(loop).trials
    assert [trial.reason for trial in trials] == [""] * 12
    assert all(trial.weights["space.low"] < trial.weights["space.high"] for trial in trials)
    loop.close()


def test_sums_bind_parameters(tmp_path: Path) -> None:
    """A sum may name a parameter: all arms keep it, what cannot be kept is refused, and so is a count in a sum."""
    loop = open_loop(tmp_path)
    wide = {"weights": {"space.high": 1, "space.low": -1}, "least": 7.5}
    loop.register(numbers(tuning={**numbers()["tuning"], "sums": [wide], "arms": 6}))
    with pytest.raises(DataError, match=r"1 space.high \+ -1 space.low, is 4 with these .*; allowed: at least 7.5"):
        tuning.pick(loop, "shop_list", {"space.low": 4.0, "space.high": 8.0}, who=WHO, why="try")
    for trial in propose(loop).trials:
        assert trial.status == "proposed"
        assert trial.weights["space.high"] - trial.weights["space.low"] >= 7.5 - 1e-9
    with pytest.raises(BlueprintError, match=r"tuning.sums\[0\] can be kept by no weights: .* it is -1 to 10"):
        from_mapping(numbers(tuning={**numbers()["tuning"], "sums": [{**wide, "least": 12}]}))
    count = {"weights": {"ranking.most": 1}, "most": 3}
    tuned = {"parameters": [{"name": "ranking.most", "low": 1, "high": 5}], "sums": [count]}
    with pytest.raises(BlueprintError, match=r"sums\[0\].weights.ranking.most is a count; name weights"):
        from_mapping(numbers(tuning=tuned))
    loop.close()


def test_counts_are_tried_once_a_round(tmp_path: Path) -> None:
    """Rounded to the same count, two arms would be one version that counts twice: a round has each weights once."""
    loop = open_loop(tmp_path)
    loop.register(
        {
            "strategy": "shop_list",
            "space": {"type": "ordering"},
            "metrics": [{"name": "clicked"}],
            "features": [{"name": "topic", "type": "categorical"}, {"name": "x"}],
            "policy": {"formula": "x"},
            "ranking": {"diverse": "topic", "most": 2, "within": 10},
            "tuning": {"parameters": [{"name": "ranking.most", "low": 1, "high": 4}], "arms": 4},
        }
    )
    state = propose(loop)
    assert sorted(trial.weights["ranking.most"] for trial in state.trials) == [1.0, 3.0, 4.0]
    assert len({trial.version for trial in state.trials}) == 3
    loop.close()


def test_some_weights_of_many_are_chosen_by_what_they_brought(tmp_path: Path) -> None:
    """`among` may name only the weights that differ: what was read of them is learned from all the same."""
    loop = open_loop(tmp_path)
    among = [{"fresh": 0.1}, {"fresh": 0.6}, {"fresh": 0.9}]
    plan = {"objectives": [{"metric": "orders"}], "among": among, "units": 300}
    loop.register(blueprint(tuning=plan))
    gains = [-0.2, 0.2, -0.2]
    trials = [
        Trial(0, 0, {**SERVED, **weights}, "read", lifts={"orders": Lift(gain, 0.01)})
        for weights, gain in zip(among, gains, strict=True)
    ]
    keep(loop, trials)
    assert propose(loop, 1).of(1)[0].weights == {**SERVED, "fresh": 0.6}
    loop.close()


PICKS: list[tuple[Any, str]] = [
    ({**SERVED, "fres": 0.5}, "unknown weight 'fres'. Did you mean 'fresh'"),
    ({"fresh": 0.5}, "weight 'price' is not given; allowed: 0 to 1. Name all: fresh, price, taste, depth"),
    ({**SERVED, "fresh": 1.5}, "weight 'fresh' is 1.5; allowed: 0 to 1"),
    ({**SERVED, "foo.bar": 1.0}, "unknown weight 'foo.bar'"),
    (SERVED, "serves these weights already, as version 1"),
    (
        {**SERVED, "fresh": 0.9},
        r"sums\[0\], 1 fresh \+ 1 price, is 1.7 with these weights; allowed: at most 1.5",
    ),
    (0, "those that were: none; begin with abloop tune shop_list propose"),
]


@pytest.mark.parametrize(("choice", "words"), PICKS)
def test_what_cannot_be_picked(tmp_path: Path, choice: Any, words: str) -> None:
    """Each says what came, what is allowed and what to do; nothing is served."""
    loop = open_loop(tmp_path)
    sums = [{"weights": {"fresh": 1, "price": 1}, "most": 1.5}]
    loop.register(blueprint(tuning={**blueprint()["tuning"], "sums": sums}))
    with pytest.raises(AbloopError, match=words):
        tuning.pick(loop, "shop_list", choice, who=WHO, why="try")
    assert not loop.comparisons.current()
    assert len(loop.catalogue.blueprints("shop_list")) == 1
    loop.close()


def test_a_pick_does_not_end_another(tmp_path: Path) -> None:
    """While weights are confirmed, or versions compared, a second pick is refused and takes nobody's place."""
    loop = open_loop(tmp_path)
    loop.register(blueprint())
    begun = tuning.pick(loop, "shop_list", SPREAD[0], who=WHO, why="first")
    with pytest.raises(DataError, match=r"compares versions 1, 2; .* abloop compare shop_list --stop"):
        tuning.pick(loop, "shop_list", SPREAD[1], who=WHO, why="second")
    assert loop.comparisons.current()["shop_list"] == begun
    loop.close()


def test_a_pick_changes_nothing_but_weights(tmp_path: Path) -> None:
    """The blueprint got a metric since the trial was read: its weights come to the blueprint of today."""
    loop = open_loop(tmp_path)
    loop.register(blueprint())
    keep(loop, [read(SPREAD[0], SERVED)])
    loop.register(blueprint(metrics=[*blueprint()["metrics"], {"name": "returns", "role": "secondary"}]))
    begun = tuning.pick(loop, "shop_list", 0, who=WHO, why="better")
    made = loop.catalogue.blueprint("shop_list", begun.entries[1].version)[1]
    assert [metric.name for metric in made.metrics] == ["orders", "compute", "latency", "returns"]
    assert {weight.name: weight.value for weight in made.policy.weights} == SPREAD[0]
    loop.close()


def test_a_proposal_waits_for_a_comparison(tmp_path: Path) -> None:
    """While versions are compared no round is kept; what to do is said."""
    loop = open_loop(tmp_path)
    loop.register(blueprint())
    loop.register(blueprint(lifecycle={"ttl": 61}))
    compare(loop, "shop_list", [1, 2], who=WHO, why="mine")
    with pytest.raises(DataError, match="compares versions 1, 2"):
        propose(loop)
    assert not tuning.status(loop, "shop_list").rounds
    loop.close()
