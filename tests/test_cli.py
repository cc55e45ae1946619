"""The command line: exit codes, one sentence for a refusal, one object with --json."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from abloop.cli import main
from tests.loops import open_loop, send_traffic, two_arms

BLUEPRINT = "strategy: checkout\narms: [{name: blue}, {name: green}]\nmetrics: [{name: bought}]\n"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of a database that is not there yet."""
    return f"sqlite:///{tmp_path}/abloop.db"


def test_apply_then_readout_then_cycle(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A blueprint file is registered once; readout and cycle print text, or one object."""
    file = tmp_path / "checkout.yaml"
    file.write_text(BLUEPRINT)
    assert main(["apply", str(file), "--url", url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"strategy": "checkout", "version": 1, "served": 1}
    assert main(["apply", str(file), "--url", url]) == 0
    assert "version 1" in capsys.readouterr().out
    assert main(["readout", "checkout", "--url", url]) == 0
    assert "No complete rows yet" in capsys.readouterr().out
    assert main(["cycle", "checkout", "--url", url, "--json"]) == 0
    turn = json.loads(capsys.readouterr().out)
    assert turn["verdict"]["verdict"] == "not enough evidence"
    assert turn["verdict"]["gain"] is None
    assert main(["withdraw", "checkout", "--url", url, "--why", "test"]) == 0
    assert "randomised again" in capsys.readouterr().out


def test_readout_text_shows_intervals_and_policy(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The printed readout names each arm with n, mean, interval and lift."""
    import numpy as np

    loop = open_loop(tmp_path)
    loop.register(two_arms(lifecycle={"ttl": 1}))
    send_traffic(loop, "checkout", 300, np.random.default_rng(0))
    loop.close()
    assert main(["cycle", "checkout", "--url", url]) == 0
    assert "300 rows completed" in capsys.readouterr().out
    assert main(["readout", "checkout", "--url", url]) == 0
    text = capsys.readouterr().out
    assert "95 % interval" in text
    assert "green" in text
    assert "nan" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["readout", "checkout"], ["is not there", "abloop apply"]),
        (["apply", "nowhere.yaml"], ["nowhere.yaml", "No such file"]),
        (["demo", "--trial", "x"], ["unknown trial 'x'", "thornton"]),
        (["demo", "--history", "1.5"], ["1.5", "(0, 1)"]),
        (["readout", "x", "--url", "nonsense"], ["nonsense", "sqlite:///"]),
    ],
    ids=["no-database", "no-file", "trial", "history", "url"],
)
def test_refusals(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: list[str],
) -> None:
    """A refusal is exit code 1 and one sentence on standard error, with nothing left behind."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("abloop: ")
    assert [word for word in words if word not in captured.err] == []
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_is_exit_code_2() -> None:
    """What the grammar does not know ends with 2, also as `python -m abloop`."""
    with pytest.raises(SystemExit) as stopped:
        main(["fly"])
    assert stopped.value.code == 2
    done = subprocess.run([sys.executable, "-m", "abloop"], capture_output=True, text=True)
    assert done.returncode == 2


def test_every_command_is_in_the_readme() -> None:
    """README.md names every command."""
    from abloop.cli import _parser

    text = (Path(__file__).parents[1] / "README.md").read_text()
    commands = next(action for action in _parser()._actions if action.choices).choices
    assert [name for name in commands if f"abloop {name}" not in text] == []


PAYLOAD = {
    "features": {
        "button": {
            "defaultValue": "blue",
            "rules": [
                {
                    "key": "button-test",
                    "variations": ["blue", "green"],
                    "coverage": 0.5,
                    "condition": {"visits": {"$gt": 3}},
                },
                {"key": "odd", "variations": [1, 2], "condition": {"name": {"$regex": "x"}}},
            ],
        }
    }
}


def test_import_keeps_the_arms_of_a_growthbook_payload(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each unit is in or out, and has the arm, that GrowthBook's own evaluation gives; what is left out is said."""
    import abloop
    from abloop.adapters.growthbook import GrowthBook

    file, url = tmp_path / "payload.json", f"sqlite:///{tmp_path}/x.db"
    file.write_text(json.dumps(PAYLOAD))
    command = ["import", "growthbook", str(file), "--metric", "purchase", "--feature", "country:categorical"]
    assert main([*command, "--url", url]) == 0
    said = capsys.readouterr().out
    assert "button-test serves version 1." in said
    assert "! experiment 'odd'" in said
    loop = abloop.connect(url)
    handle = loop.strategy("button-test")
    reasons = set()
    for index in range(600):
        attributes = {"id": f"käyttäjä {index}", "visits": index % 8, "country": "FI"}
        found = handle.get_details(f"d{index}", attributes)
        result = GrowthBook(attributes=attributes, features=PAYLOAD["features"]).eval_feature("button")
        inside = result.experimentResult is not None and result.experimentResult.inExperiment
        assert (found.reason == "randomise", found.value) == (inside, result.value)
        reasons.add(found.reason)
    assert reasons == {"randomise", "outside", "untargeted"}
    loop.close()
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    assert main(["apply", str(tmp_path / "out" / "button-test.json"), "--url", url]) == 0
    assert "serves version 1." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("{", ["--metric", "m"], "is no JSON"),
        ("[]", ["--metric", "m"], "a payload is"),
        ("{}", [], "--metric is missing"),
    ],
    ids=["json", "list", "metric"],
)
def test_import_refuses_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, options: list[str], words: str
) -> None:
    """A payload that cannot be read is one sentence on standard error, and nothing is registered."""
    file = tmp_path / "payload.json"
    file.write_text(text)
    assert main(["import", "growthbook", str(file), *options, "--url", f"sqlite:///{tmp_path}/x.db"]) == 1
    assert words in capsys.readouterr().err


def test_power_is_that_of_statsmodels(capsys: pytest.CaptureFixture[str]) -> None:
    """Units before a test are those of statsmodels; days follow; a mean without its spread is refused."""
    from statsmodels.stats.power import NormalIndPower

    assert main(["power", "--mean", "0.1", "--lift", "0.05", "--per-day", "5000", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = 2 * NormalIndPower().solve_power(0.005 / 0.09**0.5, alpha=0.05, power=0.8)
    assert abs(found["units"] - wanted) <= 2
    assert found["days"] == -(-found["units"] // 5_000)
    assert main(["power", "--mean", "12", "--sd", "30", "--inference", "sequential"]) == 0
    assert "units in both arms" in capsys.readouterr().out
    assert main(["power", "--mean", "12"]) == 1
    assert "Give its --sd" in capsys.readouterr().err
