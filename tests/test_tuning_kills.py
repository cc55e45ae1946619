"""Processes that tune are killed with SIGKILL in every state of a round; another one goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from abloop import tuning
from abloop.compare import SETTLE_SECONDS
from abloop.offline import join_rows, ship_spool
from abloop.simulate.tradeoffs import blueprint, show
from abloop.testing import ManualClock
from tests.loops import open_loop

# Kills itself at the n-th call of a function, before or after it was done.
CHILD = """
import os, signal, sys
from pathlib import Path
from abloop import tuning
from abloop.store.catalogue import Catalogue
from abloop.store.comparisons import Comparisons
from abloop.store.tunings import Tunings
from abloop.testing import ManualClock
from tests.loops import open_loop

directory, action, owner, name, number, when, at = sys.argv[1:]
owner = {"Catalogue": Catalogue, "Comparisons": Comparisons, "Tunings": Tunings}[owner]
real, calls = getattr(owner, name), []

def killing(*given, **named):
    calls.append(name)
    last = len(calls) == int(number)
    if last and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    found = real(*given, **named)
    if last:
        os.kill(os.getpid(), signal.SIGKILL)
    return found

setattr(owner, name, killing)
clock = ManualClock()
clock.advance(float(at))
loop = open_loop(Path(directory), clock)
getattr(tuning, action)(loop, "shop_list", who="child")
"""
PROPOSING = [
    ("Tunings", "advance", 1, "before"),  # nothing is kept yet
    ("Tunings", "advance", 1, "after"),  # proposed
    ("Catalogue", "add_blueprint", 2, "after"),  # two versions of four are there
    ("Comparisons", "add", 1, "before"),  # all versions are there
    ("Comparisons", "add", 1, "after"),  # served, and not noted
    ("Tunings", "advance", 2, "after"),  # begun
]
READING = [("Comparisons", "add", 1, "after"), ("Tunings", "advance", 1, "before"), ("Tunings", "advance", 1, "after")]


def kill(directory: Path, action: str, spot: tuple[str, str, int, str], at: float = 0.0) -> None:
    """Run an action in a process that is killed at a spot."""
    command = [sys.executable, "-c", CHILD, str(directory), action, *map(str, spot), str(at)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("spot", PROPOSING, ids=str)
def test_killed_while_it_proposes(tmp_path: Path, spot: tuple[str, str, int, str]) -> None:
    """One round runs afterwards, with its four trials, each of one version, and one comparison of all five."""
    loop = open_loop(tmp_path)
    loop.register(blueprint())
    kill(tmp_path, "propose", spot)
    state = tuning.status(loop, "shop_list")
    if state.open is None or state.open.status == "proposed":
        state = tuning.propose(loop, "shop_list", who="test")
    assert [each.status for each in state.rounds] == ["running"]
    assert [each.number for each in state.trials] == [0, 1, 2, 3]
    assert len({each.version for each in state.trials}) == 4
    assert len(loop.catalogue.blueprints("shop_list")) == 5
    running = loop.comparisons.current()["shop_list"]
    assert running.id == state.rounds[0].comparison
    assert [entry.version for entry in running.entries] == [1, *(each.version for each in state.trials)]
    loop.close()


@pytest.mark.parametrize("spot", READING, ids=str)
def test_killed_while_it_reads(tmp_path: Path, spot: tuple[str, str, int, str]) -> None:
    """The round is read once, each of its trials with all its units."""
    clock, rng = ManualClock(), np.random.default_rng(0)
    loop = open_loop(tmp_path, clock)
    loop.register(blueprint(tuning={**blueprint()["tuning"], "units": 50}))
    tuning.propose(loop, "shop_list", who="test")
    loop.refresh()
    clock.advance(SETTLE_SECONDS + 1)
    handle = loop.strategy("shop_list")
    for number in range(500):
        show(handle, f"x{number}", rng)
    clock.advance(86_400.0)
    ship_spool(loop)
    join_rows(loop, "shop_list")
    kill(tmp_path, "read", spot, 86_400.0 + SETTLE_SECONDS + 1)
    state = tuning.status(loop, "shop_list")
    if state.open is not None:
        state = tuning.read(loop, "shop_list", who="test")
    assert [each.status for each in state.rounds] == ["read"]
    assert [each.status for each in state.trials] == ["read"] * 4
    assert 300 < sum(each.units for each in state.trials) < 500
    assert not loop.comparisons.current()
    loop.close()
