"""Each change of a strategy is in the log, whoever asks for it: once, in its transaction, with who and why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from abloop import offline
from abloop.cli import main
from abloop.compare import compare, stop_comparing
from abloop.errors import StoreError, UnknownNameError
from abloop.loop import Loop
from abloop.rollout.pause import pause, resume
from abloop.rollout.promote import withdraw
from abloop.rollout.versions import rollback
from abloop.store.audit import told_elsewhere
from abloop.store.erasure import erase
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop, send_traffic, two_arms


def told(loop: Loop) -> list[tuple[str, str, str]]:
    """Return who did what and why, oldest first."""
    return [(entry.who, entry.what, entry.why) for entry in loop.audit.walk()]


def test_python_is_told(database_url: str, tmp_path: Path) -> None:
    """What a notebook does to a strategy is told, in order; what changes nothing is not."""
    loop = Loop(database_url, tmp_path / "files", clock=ManualClock(), refresh_seconds=3_600.0)
    by = {"who": "maria", "why": "spring"}
    loop.register(two_arms(), **by)
    loop.register(two_arms(), who="otto", why="again")  # known content: nothing changes
    loop.register(two_arms(experiment={"explore": 0.2}), **by)
    compare(loop, "checkout", [1, 2], **by)
    stop_comparing(loop, "checkout", **by)
    rollback(loop, "checkout", 1, **by)
    pause(loop, "checkout", **by)
    resume(loop, "checkout", **by)
    withdraw(loop, loop.catalogue.serving("checkout"), **by)
    erase(loop, "u17", **by)
    whats = ["register blueprint", "register blueprint", "compare versions", "end comparison", "serve version"]
    whats += ["pause", "resume", "withdraw", "erase unit"]
    assert told(loop) == [("maria", what, "spring") for what in whats]
    entries = list(loop.audit.walk())
    assert {entry.kind for entry in entries} == {"command"}
    assert [json.loads(entry.body).get("version") for entry in entries[:2]] == [1, 2]
    assert "u17" not in "".join(entry.body + entry.target for entry in entries)
    assert loop.audit.check().altered is None
    loop.close()


def test_the_gate_is_told(tmp_path: Path) -> None:
    """What the gate switches by itself is in the log too, with its reason."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(model={"learners": ["t"], "folds": 2, "repeats": 1}))
    send_traffic(loop, "checkout", 2_000, np.random.default_rng(0), effect=0.25)
    clock.advance(TTL + 1)
    offline.cycle(loop, "checkout")
    entry = loop.audit.entries(most=1)[0]
    assert (entry.who, entry.what, entry.target) == ("gate", "promote release", "checkout")
    assert json.loads(entry.body)["phase"] in ("personalise", "ship")
    assert entry.why == loop.catalogue.serving("checkout").why
    loop.close()


def test_the_command_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are told under the name of the user of the machine."""
    monkeypatch.setenv("LOGNAME", "otto")
    url = f"sqlite:///{tmp_path}/abloop.db"
    (tmp_path / "b.yaml").write_text("strategy: s\narms: [{name: a}, {name: b}]\nmetrics: [{name: m}]\n")
    assert main(["apply", str(tmp_path / "b.yaml"), "--url", url, "--why", "first"]) == 0
    assert main(["pause", "s", "--url", url, "--why", "storm"]) == 0
    assert main(["erase", "--unit", "u1", "--url", url, "--why", "asked"]) == 0
    loop = Loop(url, refresh_seconds=3_600.0)
    assert told(loop) == [
        ("otto", "register blueprint", "first"),
        ("otto", "pause", "storm"),
        ("otto", "erase unit", "asked"),
    ]
    loop.close()


def test_a_change_that_fails_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change and entry are one transaction: where the entry cannot be kept, nothing has changed."""
    loop = open_loop(tmp_path)
    loop.register(two_arms())
    monkeypatch.setattr("abloop.store.audit.FIRST", "")
    monkeypatch.setattr("abloop.store.audit.digest", lambda entry: None)
    with pytest.raises(StoreError):
        pause(loop, "checkout", who="maria", why="storm")
    assert loop.catalogue.serving("checkout").phase == "randomise"
    assert len(told(loop)) == 1
    loop.close()


def test_who_tells_for_all_is_told_once(tmp_path: Path) -> None:
    """Inside `told_elsewhere` changes are silent, and speak again after it, also where it failed."""
    loop = open_loop(tmp_path)
    with told_elsewhere():
        loop.register(two_arms())
        with pytest.raises(UnknownNameError), told_elsewhere():
            pause(loop, "none", who="maria", why="storm")
        loop.register(two_arms("other"))
    assert told(loop) == []
    pause(loop, "checkout", who="maria", why="storm")
    assert len(told(loop)) == 1
    loop.close()
