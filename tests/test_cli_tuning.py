"""`abloop tune` as it is typed: what is mistyped is named, and each state says what it waits for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from abloop import tuning
from abloop.cli import main
from abloop.cli.tuning import parse_limit, parse_weights
from abloop.errors import DataError
from abloop.optimize.trials import Lift, Trial
from tests.loops import open_loop
from tests.shop import SERVED, blueprint
from tests.tuning.kept import SPREAD, keep, read


@pytest.mark.parametrize("text", ["orders>=1.2.3%", "orders=-1%", "orders>=1-%", ">=1%", "orders>=."])
def test_limits_that_are_none(text: str) -> None:
    """A limit that cannot be read is shown with the form that can."""
    with pytest.raises(DataError, match="allowed: METRIC>=X% or METRIC<=X%"):
        parse_limit(text)


@pytest.mark.parametrize("text", ["a", "a=", "a=x", "a=1,a=2", "=1", "a=1,"])
def test_weights_that_are_none(text: str) -> None:
    """Weights that cannot be read, or are given twice, are shown with the form that can."""
    with pytest.raises(DataError, match="allowed: NAME=VALUE"):
        parse_weights(text)


def test_each_state_says_what_it_waits_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before any round, while one runs, with trials that no longer compare: each word says what to do."""
    url = f"sqlite:///{tmp_path}/abloop.db"
    loop = open_loop(tmp_path)
    loop.register(blueprint())

    def tune(*words: str) -> tuple[int, str]:
        code = main(["tune", "shop_list", *words, "--url", url])
        both = capsys.readouterr()
        return code, both.out + both.err

    code, said = tune("frontier")
    assert code == 0
    assert "Nothing is measured: no trial was read; abloop tune shop_list propose" in said
    code, said = tune("propose", "--arms", "-3")
    assert code == 1
    assert "a round of -3 arms; allowed: 1 to 100" in said
    assert tune("propose")[0] == 0
    code, said = tune("status")
    assert "its smallest arm has 0 of 300 units with complete outcomes; decisions of its first 10 s, while" in said
    assert "do not count. Once all have: abloop tune shop_list read" in said
    code, said = tune("read")
    assert code == 1
    assert "round 0 of 'shop_list' has too few units with complete outcomes: 0 of the 300 that each arm needs" in said
    for words in (["1", "2", "--why", "mine"], ["--stop"]):
        assert main(["compare", "shop_list", *words, "--url", url]) == 1
        assert "round 0 of tuning is compared; read it first" in capsys.readouterr().err
    code, said = tune("frontier")
    assert "Nothing is measured: round 0 is not read; abloop tune shop_list read" in said
    assert tune("read", "--early")[0] == 0
    keep(loop, [read(weights, SERVED) for weights in SPREAD])
    code, said = tune("frontier")
    assert "Hypervolume, round by round: 0, 0." in said
    code, said = tune("pick", "--trial", "5", "--weights", "fresh=1", "--why", "two")
    assert code == 1
    assert "in one way" in said
    code, said = tune("pick", "--trial", "4", "--why", "better")
    assert "compares version 6 (trial 4) with what serves. Read it: abloop compare shop_list" in said
    assert "abloop compare shop_list --stop, then abloop rollback shop_list 6 --why TEXT" in said
    assert "Versions 1 and 6 are compared: abloop compare shop_list. Before the next round, end" in tune("status")[1]
    assert main(["compare", "shop_list", "--stop", "--url", url]) == 0
    assert "are compared" not in tune("status")[1]
    assert main(["rollback", "shop_list", "6", "--why", "it holds", "--url", url]) == 0
    assert tuning.today(loop, "shop_list").trials[4].lifts["orders"].mean == pytest.approx(0.0, abs=1e-12)
    policy = blueprint()["policy"]
    loop.register(blueprint(policy={**policy, "formula": policy["formula"].replace("depth}", "depth * 1}")}))
    said = tune("status")[1]
    assert "8 trials cannot be compared with what serves: measured under another policy.formula" in said
    told = json.loads(tune("status", "--json")[1])
    assert told["left_out"] == {"measured under another policy.formula": 8}
    assert (told["ready"], told["needed"]) == (0, 0)
    assert tuning.status(loop, "shop_list").read()
    loop.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status", "--trial", "9"], "--trial belongs to pick, not to status"),
        (["propose", "--weights", "fresh=1"], "--weights belongs to pick, not to propose"),
        (["read", "--arms", "3"], "--arms belongs to propose, not to read"),
        (["propose", "--keep", "orders>=0%"], "--keep belongs to frontier and pick, not to propose"),
    ],
)
def test_an_option_of_another_action_is_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """It would be silently ignored otherwise; nothing is opened or begun."""
    url = f"sqlite:///{tmp_path}/abloop.db"
    with pytest.raises(SystemExit, match="2"):
        main(["tune", "shop_list", *words, "--url", url])
    assert said in capsys.readouterr().err
    assert not (tmp_path / "abloop.db").exists()


def test_what_breaks_a_limit_or_beats_nothing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An abandoned arm says why in every table and when it is picked; the frontier names what is not on it."""
    url = f"sqlite:///{tmp_path}/abloop.db"
    loop = open_loop(tmp_path)
    loop.register(blueprint())
    gone = read(SPREAD[0], SERVED)
    lifts = [{"orders": Lift(-0.1, 0.01), "compute": Lift(0.1, 0.01), "latency": Lift(0.0, 0.01)}]
    lifts += [{"orders": Lift(0.3, 0.01), "compute": Lift(0.1, 0.01), "latency": Lift(0.9, 0.01)}]
    why = "abandoned: latency +90.0%, allowed at most +2.0%"
    trials = [
        Trial(0, 0, gone.weights, "read", lifts=lifts[0]),
        Trial(1, 0, SPREAD[1], "failed", lifts=lifts[1], reason=why),
    ]
    keep(loop, trials)
    assert main(["tune", "shop_list", "frontier", "--url", url]) == 0
    said = capsys.readouterr().out
    assert "Beyond a limit, and not above: trial 1" in said
    assert "Worse than what serves at every objective: trial 0" in said
    assert main(["tune", "shop_list", "status", "--url", url]) == 0
    assert why in capsys.readouterr().out
    assert main(["tune", "shop_list", "pick", "--trial", "1", "--why", "best", "--url", url]) == 1
    assert f"trial 1 of 'shop_list' was not read ({why}); those that were: 0" in capsys.readouterr().err
    loop.close()


def test_limits_that_nothing_keeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where every trial is beyond a limit, and is expected to be, both are said with the way out."""
    loop = open_loop(tmp_path)
    limits = [{"metric": "orders", "least": 0.9}]
    loop.register(blueprint(tuning={**blueprint()["tuning"], "limits": limits}))
    keep(loop, [read(weights, SERVED) for weights in SPREAD])
    assert main(["tune", "shop_list", "frontier", "--url", f"sqlite:///{tmp_path}/abloop.db"]) == 0
    said = capsys.readouterr().out
    assert "Nothing is measured: every trial that was read is beyond a limit; widen tuning.limits" in said
    assert "Nothing is expected: no weights are expected to keep the limits; widen tuning.limits" in said
    loop.close()
