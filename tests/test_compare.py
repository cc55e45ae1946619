"""Versions compared in production: each unit keeps to one, each decision says which, the readout tells them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abloop import offline
from abloop.cli import main
from abloop.compare import SETTLE_SECONDS, compare, read_comparison, stop_comparing
from abloop.errors import DataError, UnknownNameError
from abloop.loop import Loop
from abloop.records import Decision
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop, two_arms
from tests.test_online import records, serve_constant


def number(version: str, **sections: Any) -> dict[str, Any]:
    """Return a blueprint whose decision is a number."""
    return {
        "strategy": "price",
        "space": {"type": "number"},
        "metrics": [{"name": "bought"}],
        "policy": {"formula": version},
        "experiment": {"explore": 0.01},
        "lifecycle": {"ttl": TTL},
        **sections,
    }


def two_versions(directory: Path) -> tuple[Loop, ManualClock]:
    """Return an installation with two versions of a rule, the second served."""
    clock = ManualClock()
    loop = open_loop(directory, clock)
    loop.register(number("1.0"))
    loop.strategy("price")
    loop.register(number("2.0"))
    return loop, clock


def test_each_unit_keeps_to_one_version(tmp_path: Path) -> None:
    """Shares are kept, a unit gets the same version again, and the record names the version that decided."""
    loop, _ = two_versions(tmp_path)
    compare(loop, "price", [1, 2], shares=[0.75, 0.25], who="me", why="to see")
    loop.refresh()
    handle = loop.strategy("price")
    for i in range(2_000):
        handle.get_decision(f"a{i}", {"user_id": f"u{i}"})
        handle.get_decision(f"b{i}", {"user_id": f"u{i}"})
    found = {record.decision_id: record for record in records(loop) if isinstance(record, Decision)}
    versions = [found[f"a{i}"].version for i in range(2_000)]
    assert versions == [found[f"b{i}"].version for i in range(2_000)]
    assert abs(versions.count(2) / 2_000 - 0.25) < 4 * (0.25 * 0.75 / 2_000) ** 0.5
    assert all(record.decision in (float(record.version), None) for record in found.values())
    assert handle.errors == 0
    stop_comparing(loop, "price", who="me", why="seen")
    loop.refresh()
    handle.get_decision("after", {"user_id": "u1"})
    (last,) = (record for record in records(loop) if isinstance(record, Decision) and record.decision_id == "after")
    assert last.version == 2
    loop.close()


def test_the_readout_tells_the_versions_apart(tmp_path: Path) -> None:
    """Version 2 sells more: its lift against version 1 is found, with units, shares and interval."""
    loop, clock = two_versions(tmp_path)
    begun = compare(loop, "price", [1, 2], who="me", why="")
    loop.refresh()
    clock.advance(SETTLE_SECONDS + 1)
    handle, rng = loop.strategy("price"), np.random.default_rng(0)
    for i in range(2_000):
        price = handle.get_decision(f"d{i}", {"user_id": f"u{i}"})
        handle.log_observations(f"d{i}", {"bought": rng.random() < (0.5 if price == 2.0 else 0.3)})
    empty = read_comparison(loop, "price")
    assert (empty.units, empty.metrics, empty.running) == ({"v1": 0, "v2": 0}, (), True)
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    offline.join_rows(loop, "price")
    readout = read_comparison(loop, "price")
    assert (readout.since, readout.running, sum(readout.units.values())) == (begun.at, True, 2_000)
    assert readout.srm > 0.001
    first, second = readout.metrics[0].arms
    assert (first.arm, second.arm) == ("v1", "v2")
    assert second.lift is not None
    assert second.lift.low < 0.2 < second.lift.high
    assert second.lift.low > 0.1
    loop.close()


def test_a_version_borrows_a_release_that_predicts_the_same(tmp_path: Path) -> None:
    """Versions that differ in the policy alone share the model; one with other features does not get it."""
    loop = open_loop(tmp_path)
    loop.register(two_arms())
    serve_constant(loop, "checkout", (0.0, 0.3))
    loop.register(two_arms(policy={"formula": "best_arm(effect - 1, cost)"}))
    loop.register(two_arms(features=[{"name": "x"}, {"name": "y"}]))
    same, other = (compare(loop, "checkout", [1, version], who="me", why="") for version in (2, 3))
    assert same.entries[0].release == same.entries[1].release != ""
    assert same.entries[1].phase == "personalise"
    assert (other.entries[1].release, other.entries[1].phase) == ("", "randomise")
    loop.close()


@pytest.mark.parametrize(
    ("versions", "shares", "said"),
    [
        ([1], None, "two or more"),
        ([1, 1], None, "each once"),
        ([1, 2], [0.5, 0.6], "sum 1"),
        ([1, 2], [1.0], "one each"),
        ([1, 2], [0.0, 1.0], "above 0"),
    ],
    ids=["one", "twice", "sum", "count", "zero"],
)
def test_impossible_comparisons_are_refused(
    tmp_path: Path, versions: list[int], shares: list[float] | None, said: str
) -> None:
    """What came, what is allowed; nothing is written."""
    loop, _ = two_versions(tmp_path)
    with pytest.raises(DataError, match=said):
        compare(loop, "price", versions, shares=shares, who="me", why="")
    assert loop.comparisons.current() == {}
    with pytest.raises(UnknownNameError):
        compare(loop, "price", [1, 9], who="me", why="")
    with pytest.raises(DataError, match="no comparison"):
        read_comparison(loop, "price")
    loop.close()


def test_versions_of_different_units_are_refused(tmp_path: Path) -> None:
    """A unit could not keep to one version."""
    loop, _ = two_versions(tmp_path)
    loop.register(number("3.0", unit="session"))
    with pytest.raises(DataError, match=r"\['session', 'user_id'\]"):
        compare(loop, "price", [1, 3], who="me", why="")
    loop.close()


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`abloop compare` begins, shows and ends a comparison."""
    loop, _ = two_versions(tmp_path)
    loop.close()
    url = ["--url", f"sqlite:///{tmp_path}/abloop.db"]
    assert main(["compare", "price", "1", "2", "--shares", "0.5,0.5", "--why", "x", *url]) == 0
    assert main(["compare", "price", *url]) == 0
    assert main(["compare", "price", "--stop", *url]) == 0
    shown = capsys.readouterr().out
    assert "compares versions 1 (50%, personalise), 2 (50%, personalise)" in shown
    assert "(running)" in shown
    assert main(["compare", "price", "1", "2", "--shares", "half", *url]) == 1
    assert "allowed: numbers separated by commas" in capsys.readouterr().err
