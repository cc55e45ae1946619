"""`abloop store`: where every record is, and what could not be kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from abloop import offline
from abloop.cli import main
from abloop.loop import Loop
from abloop.records import Observation, encode
from tests.loops import open_loop, two_arms


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of an installation with two decisions, an observation, an orphan and a dead letter."""
    loop = Loop(f"sqlite:///{tmp_path}/abloop.db", refresh_seconds=3_600.0)
    loop.register(two_arms())
    strategy = loop.strategy("checkout")
    for index in range(2):
        strategy.get_decision(f"d{index}", {"user_id": "u", "x": 1.0})
    strategy.log_observations("d0", {"bought": 1.0})
    strategy.log_observations("nobody", {"bought": 1.0})
    wrong = Observation("d0", "checkout", loop.clock(), "bougth", 1.0, "k")
    assert loop.spool.append(encode(wrong))
    offline.ship_spool(loop)
    loop.close()
    return f"sqlite:///{tmp_path}/abloop.db"


def test_status(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every observation is accounted for, in words and as one object."""
    assert main(["store", "status", "--url", url]) == 0
    text = capsys.readouterr().out
    assert "decisions: 2 received, 2 waiting" in text
    assert "observations: 2 = 2 waiting: every one is accounted for" in text
    assert "dead letters: 1; see: abloop store dead --strategy checkout" in text
    assert main(["store", "status", "--url", url, "--json"]) == 0
    (custody,) = json.loads(capsys.readouterr().out)["strategies"]
    assert custody["balanced"]
    assert custody["fates"]["waiting"] == 2
    assert main(["store", "status", "--url", url, "--strategy", "chekout"]) == 1
    assert "'checkout'" in capsys.readouterr().err


def test_dead_letters_are_listed_and_tried_again(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A letter is shown with its reason; replayed before the fix it stays with 1, after it is kept with 0."""
    assert main(["store", "dead", "--url", url]) == 0
    text = capsys.readouterr().out
    assert "checkout: unknown metric 'bougth'" in text
    assert "After the fix: abloop store dead --replay" in text
    assert main(["store", "dead", "--url", url, "--replay"]) == 1
    assert "0 are kept now, 1 are still dead letters" in capsys.readouterr().out
    loop = open_loop(tmp_path)
    loop.register(two_arms(metrics=[{"name": "bought"}, {"name": "bougth"}]))
    loop.close()
    assert main(["store", "dead", "--url", url, "--replay", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"kept": 1, "left": []}
    assert main(["store", "dead", "--url", url]) == 0
    assert "No dead letters" in capsys.readouterr().out
    assert main(["store", "dead", "--url", url, "--shift", "5"]) == 1
    assert "--shift changes nothing without --replay" in capsys.readouterr().err


def test_migrate(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A database of this release has nothing to do; one that is not there is made."""
    assert main(["store", "migrate", "--url", url]) == 0
    assert "nothing to do" in capsys.readouterr().out
    fresh = url.replace("abloop.db", "other.db")
    assert main(["store", "migrate", "--url", fresh, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["old"] == 0


def test_erase(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A unit is erased, place by place with what was found and is left; the proof is the exit code."""
    assert main(["erase", "--unit", "u", "--url", url, "--why", "asked"]) == 0
    text = capsys.readouterr().out
    assert "Nothing of unit 'u' is left" in text
    assert [line.split() for line in text.splitlines() if line.startswith("decisions")] == [["decisions", "2", "0"]]
    assert main(["erase", "--unit", "u", "--url", url, "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["proven"]
    assert not any(done["found"].values())
    assert main(["store", "status", "--url", url]) == 0
    assert "observations: 2 = 1 waiting + 1 erased: every one is accounted for" in capsys.readouterr().out
    assert main(["erase", "--unit", "", "--url", url]) == 1
    assert "the unit is empty" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["erase"])


def test_without_an_action(capsys: pytest.CaptureFixture[str]) -> None:
    """`abloop store` alone is a usage error that names the actions."""
    with pytest.raises(SystemExit, match="2"):
        main(["store"])
    assert "ACTION" in capsys.readouterr().err
