"""Trials and their replay: the numbers that the published data must give, and the verdicts they must earn."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from abloop.cli import main
from abloop.errors import DataError, UnknownNameError
from abloop.simulate.replay import run
from abloop.simulate.trials import load_trial
from abloop.simulate.worlds import shop

KEYS = {"trial", "n_history", "n_replay", "arms", "gate", "heldout", "seconds"}
GATE = {"verdict", "arm", "gain", "low", "high", "learner"}


def demo(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    """Run `abloop demo --json` and return its object."""
    assert main(["demo", "--json", *arguments]) == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data) >= KEYS
    assert set(data["gate"]) >= GATE
    for way in ("policy", "best_arm", "random"):
        assert set(data["heldout"][way]) == {"n", "mean", "low", "high"}
    assert all(set(arm) == {"n", "mean", "low", "high"} for arm in data["arms"].values())
    assert data["errors"] == 0
    return data


def test_thornton_ships_the_incentive(capsys: pytest.CaptureFixture[str]) -> None:
    """Cash makes people fetch their result, wherever they live: one arm for all, and no personalising."""
    data = demo(capsys)
    assert (data["n_history"], data["n_replay"]) == (1_700, 1_134)
    assert (data["gate"]["verdict"], data["gate"]["arm"]) == ("ship", "incentive")
    assert data["heldout"]["best_arm"]["mean"] > data["heldout"]["random"]["mean"]


def test_thornton_effect_is_the_published_one() -> None:
    """The whole trial has 2,834 complete units and an effect near the published .45."""
    frame = load_trial("thornton").frame
    means = frame.groupby("arm")["got"].mean()
    assert len(frame) == 2_834
    assert means["incentive"] - means["none"] == pytest.approx(0.4506, abs=1e-4)


def test_simulated_shop_personalises_with_less_regret(capsys: pytest.CaptureFixture[str]) -> None:
    """Where effects cross, the gate personalises and the policy loses far less than any single arm."""
    data = demo(capsys, "--trial", "simulated")
    assert data["gate"]["verdict"] == "personalise"
    assert data["heldout"]["policy_minus_best_arm"]["low"] > 0
    assert data["regret"]["policy"] < 0.5 * data["regret"]["best_arm"] < data["regret"]["random"]


@pytest.mark.trial
def test_hillstrom_spend_does_not_personalise(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On spend, no learner is closer than one effect for everybody: ship Mens E-Mail; ignoring that would cost."""
    data = demo(capsys, "--trial", "hillstrom", "--data", str(shared_data / "hillstrom"))
    assert data["gate"]["verdict"] in ("ship", "not enough evidence")
    assert data["gate"]["arm"] == "Mens E-Mail"
    assert data["gate"]["low"] <= 0
    assert data["gate"]["learner"] == "constant"
    assert data["gate"]["heterogeneity"] == {}
    assert data["heldout"]["policy"]["mean"] < data["heldout"]["best_arm"]["mean"]


@pytest.mark.trial
@pytest.mark.parametrize(("arm", "differs"), [("Womens E-Mail", True), ("Mens E-Mail", False)], ids=["womens", "mens"])
def test_hillstrom_visit_heterogeneity(
    shared_data: Path, capsys: pytest.CaptureFixture[str], arm: str, differs: bool
) -> None:
    """Womens against control differs between customers; mens against control, the negative control, does not."""
    options = ["--metric", "visit", "--arms", f"No E-Mail,{arm}", "--data", str(shared_data / "hillstrom")]
    data = demo(capsys, "--trial", "hillstrom", *options)
    slope = data["gate"]["heterogeneity"].get(arm)
    assert (slope is not None and slope["low"] > 0) is differs
    assert (data["gate"]["learner"] != "constant") is differs
    assert data["gate"]["verdict"] == "ship"


@pytest.mark.trial
def test_hillstrom_numbers(shared_data: Path) -> None:
    """The arms hold the published counts and means."""
    frame = load_trial("hillstrom", shared_data / "hillstrom", metric="visit").frame
    means = frame.groupby("arm")["visit"].mean()
    assert len(frame) == 64_000
    assert means["Mens E-Mail"] - means["No E-Mail"] == pytest.approx(0.07659, abs=1e-5)
    assert means["Womens E-Mail"] - means["No E-Mail"] == pytest.approx(0.04523, abs=1e-5)


@pytest.mark.trial
def test_starbucks_personalises(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a cost, choosing whom to send the promotion pays: at least as much as a plain T-learner finds."""
    data = demo(capsys, "--trial", "starbucks", "--data", str(shared_data / "starbucks_promo"))
    gate, heldout = data["gate"], data["heldout"]
    assert gate["verdict"] == "personalise"
    assert gate["gain"] >= 0.0138
    assert gate["low"] >= 0.0041
    assert heldout["policy"]["mean"] >= 0.101
    assert heldout["best_arm"]["mean"] == pytest.approx(0.0844, abs=1e-4)
    assert heldout["served"]["mean"] > heldout["best_arm"]["mean"] > heldout["random"]["mean"]


def test_replay_can_be_repeated() -> None:
    """The same trial gives the same answer to the last digit."""
    trial = load_trial("thornton")
    one, two = run(trial).to_dict(), run(trial).to_dict()
    one.pop("seconds"), two.pop("seconds")
    assert json.dumps(one) == json.dumps(two)


def test_no_heterogeneity_no_switch() -> None:
    """A shop in which everybody gains alike is not personalised."""
    world = shop(np.random.default_rng(5), 6_000, heterogeneity=0.0)
    assert np.ptp(world.truth.argmax(axis=1)) == 0


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("hillstorm", {}, ["Did you mean 'hillstrom'"]),
        ("hillstrom", {}, ["--data"]),
        ("hillstrom", {"data": Path("/nowhere")}, ["/nowhere", "hillstrom.csv"]),
        ("thornton", {"data": Path("x.csv")}, ["needs no file"]),
        ("starbucks", {"metric": "visit"}, ["hillstrom"]),
    ],
    ids=["name", "no-file", "no-such-file", "file-not-needed", "metric"],
)
def test_wrong_trials_are_refused(name: str, options: dict, words: list[str]) -> None:
    """A trial that cannot be loaded says which name, which file, and what to do."""
    with pytest.raises((DataError, UnknownNameError)) as refused:
        load_trial(name, **options)
    assert [word for word in words if word not in str(refused.value)] == []


@pytest.mark.parametrize("spoil", ["rows", "column", "text", "gzip"])
def test_altered_files_are_refused(tmp_path: Path, spoil: str) -> None:
    """A file that is not the published one is refused with its name."""
    columns = ["ID", "Promotion", "purchase", *(f"V{index}" for index in range(1, 8))]
    frame = pd.DataFrame(1, index=range(10), columns=columns)
    path = tmp_path / ("training.csv.gz" if spoil == "gzip" else "training.csv")
    if spoil == "gzip":
        path.write_bytes(gzip.compress(b"ID\n1\n")[:-4])
    elif spoil == "text":
        path.write_text('"')
    else:
        frame.drop(columns="V7" if spoil == "column" else []).to_csv(path, index=False)
    with pytest.raises(DataError, match="starbucks"):
        load_trial("starbucks", tmp_path)
