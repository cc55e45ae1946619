"""The benchmarks of store, readout and server say what they compare, with their targets; speed is not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def bench(name: str) -> dict[str, Any]:
    """Return what a quick run of a benchmark prints."""
    command = [sys.executable, "-m", "benchmarks", name, "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)[name]
    return found


@pytest.mark.parametrize(("name", "bars"), [("store", {3.0, 2.0}), ("readout", {1.5}), ("serve", {2.0})])
def test_it_names_peers_and_bars(name: str, bars: set[float]) -> None:
    """Each ratio has its median, its range and its rounds, and the bars of the project are among the targets."""
    found = bench(name)
    assert bars <= set(found["target"].values())
    assert set(found["target"]) <= set(found["ratios"])
    for ratio in found["ratios"].values():
        assert 0.0 < ratio["low"] <= ratio["median"] <= ratio["high"]
        assert ratio["n"] >= 1
