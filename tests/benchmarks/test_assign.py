"""The benchmark of assignment proves its records and its peers and says what it compares; speed is not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.assign import RATIOS, TARGET
from benchmarks.memory import STATUS
from benchmarks.peers import Growthbook, gather
from benchmarks.traffic import ARMS, check_count, check_shares, traffic

ROOT = Path(__file__).parents[2]
NEEDS = {
    "eppo": "eppo_client",
    "growthbook": "growthbook",
    "openfeature_abloop": "abloop.adapters.openfeature.provider",
    "openfeature_in_memory": "openfeature",
    "statsig": "statsig_python_core",
}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def assign() -> dict[str, Any]:
    done = bench("assign", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert list(results) == ["assign"]
    return results["assign"]


def installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # of its parent
        return False


def test_leaves_out_only_what_is_not_installed_and_says_why(assign: dict[str, Any]) -> None:
    absent = {name for name, module in NEEDS.items() if not installed(module)}
    absent |= set() if STATUS.exists() else {"memory"}
    assert set(assign["left_out"]) == absent
    assert all(assign["left_out"].values())


def test_has_every_ratio_of_what_is_not_left_out(assign: dict[str, Any]) -> None:
    absent = tuple(assign["left_out"])
    pairs = [pair for pair in RATIOS if not any(name.startswith(absent) for name in pair)]
    assert set(assign["ratios"]) == {f"{one}_to_{other}" for one, other in pairs}
    assert {"assignment_to_bare_hash", "get_decision_to_bare_write"} <= set(assign["ratios"])
    assert set(TARGET) <= {f"{one}_to_{other}" for one, other in RATIOS}
    assert assign["target"] == TARGET
    assert assign["python"].startswith("3.")
    assert set(assign["versions"]) >= {"abloop", "xxhash"}


def test_ratios_carry_their_range_and_rounds(assign: dict[str, Any]) -> None:
    for name, ratio in assign["ratios"].items():
        assert set(ratio) == {"median", "low", "high", "n"}, name
        assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"], name
        assert ratio["n"] >= 3, name


def test_every_call_wrote_its_record(assign: dict[str, Any]) -> None:
    assert assign["calls"] > 0
    assert assign["records_written"] == assign["calls"]


@pytest.mark.skipif(not STATUS.exists(), reason="needs /proc")
def test_memory_does_not_keep_decisions(assign: dict[str, Any]) -> None:
    assert assign["memory"]["decisions"] >= 10_000
    assert assign["memory"]["growth_bytes_per_decision"] < 50  # one record takes more


def test_a_peer_that_is_not_installed_is_named() -> None:
    def absent() -> Any:
        raise ImportError("no acme here")

    assert gather({"acme": absent}) == ({}, {"acme": "no acme here"})


def test_refuses_who_does_not_do_the_experiment() -> None:
    with pytest.raises(RuntimeError, match="three equal arms"):
        check_shares("two arms", ARMS[:2] * 100)
    with pytest.raises(RuntimeError, match="three equal arms"):
        check_shares("unequal", [*ARMS, ARMS[0]] * 100)
    with pytest.raises(RuntimeError, match="9 exposures of 10"):
        check_count("forgetful", 9, 10)


def test_refuses_a_peer_that_lost_an_exposure() -> None:
    pytest.importorskip("growthbook")
    peer = Growthbook()
    todo = traffic(0, 3_000)
    peer.check(todo)
    peer.reused(todo)
    peer.exposures.pop()
    with pytest.raises(RuntimeError, match="2999 exposures of 3000"):
        peer.counted(todo)


def test_prints_a_table(
    assign: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `--json` the command prints what was measured as a table with its targets."""
    asked = []
    monkeypatch.setattr("benchmarks.assign.measure", lambda quick: asked.append(quick) or assign)
    assert main(["assign", "--quick"]) == 0
    printed = capsys.readouterr().out
    assert asked == [True]
    assert "assignment_to_bare_hash" in printed
    assert "8 or less" in printed


def test_unknown_name_exits_with_2_and_says_the_known_ones() -> None:
    done = bench("asign", "--json")
    assert done.returncode == 2
    assert not done.stdout
    assert "asign" in done.stderr
    assert "known: assign" in done.stderr
