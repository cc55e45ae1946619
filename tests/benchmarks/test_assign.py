"""The benchmark of assignment runs, proves its records and says what it compares; how fast is not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("growthbook")
ROOT = Path(__file__).parents[2]


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


def test_says_what_it_compares(assign: dict[str, Any]) -> None:
    assert set(assign["ratios"]) >= {
        "get_decision_to_growthbook_reused",
        "get_decision_to_growthbook_per_request",
        "get_decision_no_features_to_growthbook_reused",
        "assignment_to_bare_hash",
        "get_decision_to_bare_write",
    }
    assert assign["target"] == {"get_decision_to_growthbook_reused": 0.25}
    assert assign["python"].startswith("3.")
    assert set(assign["versions"]) >= {"abloop", "growthbook", "xxhash"}


def test_ratios_carry_their_range_and_rounds(assign: dict[str, Any]) -> None:
    for name, ratio in assign["ratios"].items():
        assert set(ratio) == {"median", "low", "high", "n"}, name
        assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"], name
        assert ratio["n"] >= 3, name


def test_every_call_wrote_its_record(assign: dict[str, Any]) -> None:
    assert assign["calls"] > 0
    assert assign["records_written"] == assign["calls"]


def test_prints_a_table() -> None:
    done = bench("assign", "--quick")
    assert done.returncode == 0, done.stderr
    assert "get_decision_to_growthbook_reused" in done.stdout
    assert "0.25 or less" in done.stdout


def test_unknown_name_exits_with_2_and_says_the_known_ones() -> None:
    done = bench("asign", "--json")
    assert done.returncode == 2
    assert not done.stdout
    assert "asign" in done.stderr
    assert "known: assign" in done.stderr
