"""Versions: who, when, why, what; and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from abloop import offline
from abloop.errors import UnknownNameError
from abloop.rollout.versions import rollback, versions
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop, send_traffic, two_arms
from tests.test_online import serve_constant


def test_history_says_who_changed_what(tmp_path: Path) -> None:
    """Each version has who, when, why and the fields that differ from the one before."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(), who="ada", why="first")
    clock.advance(60)
    loop.register(two_arms(arms=[{"name": "blue"}, {"name": "green", "cost": 0.1}]), who="ben", why="printing costs")
    first, second = versions(loop, "checkout")
    assert (first.version, first.who, first.served, first.changes) == (1, "ada", False, ())
    assert (second.who, second.why, second.at - first.at, second.served) == ("ben", "printing costs", 60.0, True)
    assert [(change.path, change.before, change.after) for change in second.changes] == [("arms[green].cost", 0.0, 0.1)]
    loop.close()


def test_rollback_serves_the_old_version_with_its_release(tmp_path: Path) -> None:
    """Going back serves the earlier version as it last was, and a restart that registers again does not undo it."""
    loop = open_loop(tmp_path)
    loop.register(two_arms())
    serve_constant(loop, "checkout", (0.0, 0.5))
    release = loop.catalogue.serving("checkout").release
    loop.register(two_arms(unit="visitor"))
    assert loop.catalogue.serving("checkout").phase == "randomise"
    served = rollback(loop, "checkout", 1, who="ada", why="wrong key")
    assert (served.version, served.phase, served.release) == (1, "personalise", release)
    assert loop.register(two_arms(unit="visitor")) == 2
    assert loop.catalogue.serving("checkout").version == 1
    strategy = loop.strategy("checkout")
    assert strategy.snapshot.effects is not None
    loop.close()


def test_unknown_version(tmp_path: Path) -> None:
    """Going back to a version that never was changes nothing."""
    loop = open_loop(tmp_path)
    loop.register(two_arms())
    with pytest.raises(UnknownNameError, match="checkout version 7"):
        rollback(loop, "checkout", 7, who="", why="")
    with pytest.raises(UnknownNameError, match="'nope'"):
        versions(loop, "nope")
    assert len(loop.catalogue.history("checkout")) == 1
    loop.close()


@pytest.mark.parametrize(
    ("changes", "rows"),
    [({"arms": [{"name": "blue"}, {"name": "green", "cost": 0.1}]}, 300), ({"features": [{"name": "y"}]}, 0)],
    ids=["cost", "feature"],
)
def test_a_new_version_trains_on_rows_it_can_use(tmp_path: Path, changes: dict, rows: int) -> None:
    """Data survive a change of costs; a feature that was not logged then starts anew."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms())
    send_traffic(loop, "checkout", 300, np.random.default_rng(0))
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    loop.register(two_arms(**changes))
    assert len(offline.load_table(loop, "checkout").sample.arm) == rows
    loop.close()
