"""The worker: turns the cold path for all, goes on whatever fails, and stops when it is told to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abloop import offline
from abloop.cli import main
from abloop.errors import AwayError
from abloop.loop import Loop
from abloop.store.status import read_status
from abloop.testing import ManualClock
from abloop.worker import Turn, Worker
from tests.loops import TTL, open_loop, send_traffic, two_arms


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


@pytest.fixture
def loop(tmp_path: Path, clock: ManualClock) -> Loop:
    """Return an installation with two strategies."""
    opened = open_loop(tmp_path, clock)
    opened.register(two_arms())
    opened.register(two_arms("search"))
    return opened


def test_a_turn_moves_everything_and_asks_the_gate(loop: Loop, clock: ManualClock) -> None:
    """All strategies' records become rows, what came late is added, the gate is asked; then nothing is due."""
    rng = np.random.default_rng(0)
    for name in ("checkout", "search"):
        send_traffic(loop, name, 200, rng)
    clock.advance(TTL + 1)
    worker = Worker(loop)
    turn = worker.turn()
    assert turn.shipped is not None
    assert turn.shipped.records == 800
    assert [(part.strategy, part.rows, part.error) for part in turn.strategies] == [
        ("checkout", 200, ""),
        ("search", 200, ""),
    ]
    assert {part.verdict for part in turn.strategies} == {"not enough evidence"}
    loop.strategy("checkout").log_observations("u0", {"bought": 1.0})
    assert worker.turn().strategies[0].late == 0  # it happened after its row was complete
    again = worker.turn()
    assert not again.failed
    assert [(part.rows, part.late, part.verdict) for part in again.strategies] == [(0, 0, "")] * 2
    assert (worker.turns, worker.errors) == (3, 0)
    loop.close()


def test_only_some(loop: Loop, clock: ManualClock) -> None:
    """A worker of one strategy leaves the rows of others to others."""
    rng = np.random.default_rng(0)
    for name in ("checkout", "search"):
        send_traffic(loop, name, 20, rng)
    clock.advance(TTL + 1)
    assert [part.strategy for part in Worker(loop, ["search"]).turn().strategies] == ["search"]
    assert [custody.rows for custody in read_status(loop).strategies] == [0, 20]
    loop.close()


def test_one_that_fails_stops_no_other(loop: Loop, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of one strategy, whatever it is, is said and counted; the others' rows are joined."""
    rng = np.random.default_rng(0)
    for name in ("checkout", "search"):
        send_traffic(loop, name, 20, rng)
    clock.advance(TTL + 1)
    join = offline.join_rows

    def broken(workspace: Any, name: str) -> int:
        if name == "checkout":
            raise ZeroDivisionError("no")
        return join(workspace, name)

    monkeypatch.setattr(offline, "join_rows", broken)
    worker = Worker(loop)
    turn = worker.turn()
    assert [(part.rows, part.error) for part in turn.strategies] == [(0, "ZeroDivisionError: no"), (20, "")]
    assert (turn.failed, worker.errors) == (True, 1)
    monkeypatch.undo()
    assert Worker(loop).turn().strategies[0].rows == 20
    loop.close()


def test_away(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database is away a turn does nothing, says so, and the next waits longer."""

    def away(*_: Any) -> None:
        raise AwayError("it does not answer")

    monkeypatch.setattr(offline, "ship_spool", away)
    turns: list[Turn] = []
    stop = threading.Event()

    def told(turn: Turn) -> None:
        turns.append(turn)
        if len(turns) == 2:
            monkeypatch.undo()
        if len(turns) == 3:
            stop.set()

    Worker(loop).run(0.01, stop, told)
    assert [turn.error for turn in turns] == ["it does not answer"] * 2 + [""]
    assert [turn.failed for turn in turns] == [True, True, False]
    assert turns[2].at >= turns[0].at
    loop.close()


def test_told_to_stop_it_begins_no_other_strategy(loop: Loop) -> None:
    """A turn that is told to stop ends after the step in hand."""
    stop = threading.Event()
    stop.set()
    assert Worker(loop).turn(stop).strategies == []
    loop.close()


def test_an_unknown_strategy_is_refused_by_name(loop: Loop) -> None:
    """What fails to be found is the strategy's error, and no crash."""
    (part,) = Worker(loop, ["serach"]).turn().strategies
    assert "'search'" in part.error
    loop.close()


def test_sigterm_ends_it(tmp_path: Path) -> None:
    """The command turns until SIGTERM, prints a line of JSON for each turn, and ends with 0."""
    loop = Loop(f"sqlite:///{tmp_path}/abloop.db", refresh_seconds=3_600.0)
    loop.register(two_arms(lifecycle={"ttl": 0.1}))
    send_traffic(loop, "checkout", 50, np.random.default_rng(0))
    loop.close()
    command = [sys.executable, "-m", "abloop", "worker", "--every", "0.2", "--json"]
    arguments = [*command, "--url", f"sqlite:///{tmp_path}/abloop.db"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=os.environ) as worker:
        assert worker.stdout is not None
        turns = [json.loads(worker.stdout.readline()) for _ in range(3)]
        worker.send_signal(signal.SIGTERM)
        rest = worker.stdout.read()
        assert worker.wait(30) == 0
    assert turns[0]["shipped"]["records"] == 100
    assert sum(turn["strategies"][0]["rows"] for turn in turns) == 50
    assert all(json.loads(line)["error"] == "" for line in rest.splitlines())


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--every", "0"], "--every is 0; allowed: seconds above 0"),
        (["--every", "nan"], "--every is nan; allowed: seconds above 0"),
        (["--metrics-port", "99999"], "--metrics-port is 99999; allowed: 1 to 65535"),
        (["--strategy", "serach", "--once"], "'search'"),
    ],
)
def test_bad_options(
    loop: Loop, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str], words: str
) -> None:
    """What cannot be is refused with what is allowed."""
    loop.close()
    assert main(["worker", "--url", f"sqlite:///{tmp_path}/abloop.db", *option]) == 1
    assert words in capsys.readouterr().err


def test_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--once` turns once, says in a line what was done, and ends with 1 where something failed."""
    url = f"sqlite:///{tmp_path}/abloop.db"
    loop = Loop(url, refresh_seconds=3_600.0)
    loop.register(two_arms(lifecycle={"ttl": 1e-3}))
    send_traffic(loop, "checkout", 50, np.random.default_rng(0))
    loop.close()
    assert main(["worker", "--once", "--url", url]) == 0
    assert "100 records shipped. checkout: 50 rows, the gate says not enough evidence" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "abloop.files" / "tables")
    (tmp_path / "abloop.files" / "tables").write_text("a file")
    loop = Loop(url, refresh_seconds=3_600.0)
    send_traffic(loop, "checkout", 5, np.random.default_rng(0), prefix="v")
    loop.close()
    assert main(["worker", "--once", "--url", url]) == 1
    assert "checkout: failed: " in capsys.readouterr().out
