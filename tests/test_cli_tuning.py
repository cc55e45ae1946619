"""`abloop tune` as it is typed: what is mistyped is named, and each state says what it waits for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from abloop import tuning
from abloop.cli import main
from abloop.cli.tuning import parse_limit, parse_weights
from abloop.errors import DataError
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
    assert (
        "its smallest arm has 0 of 300 units with complete outcomes. Once all have: abloop tune shop_list read" in said
    )
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
    assert main(["compare", "shop_list", "--stop", "--url", url]) == 0
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
