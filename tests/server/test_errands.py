"""Longer work: one errand at a time for each strategy, told how it ended, whatever ended it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from abloop.errors import DataError
from abloop.registration import register
from abloop.store.workspace import Workspace
from server.errands import UNFORESEEN, WORK, Errand, Errands, Order, run
from tests.loops import two_arms
from tests.shop import blueprint


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of an installation with two strategies."""
    made = f"sqlite:///{tmp_path}/abloop.db"
    workspace = Workspace(made)
    register(workspace, two_arms())
    register(workspace, blueprint())
    workspace.close()
    return made


def wait(errands: Errands, strategy: str) -> Errand:
    """Return an errand that has ended."""
    until = time.monotonic() + 60
    while (last := errands.last(strategy)) is not None and last.status == "running":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert last is not None
    return last


def test_one_at_a_time_and_its_end_is_told(url: str, tmp_path: Path) -> None:
    """A second errand of a strategy waits for the first; another strategy does not; the refusal of one is its text."""
    errands = Errands(url, None, tmp_path / "errands")
    assert errands.last("shop_list") is None
    errands.start(Errand("propose", "shop_list", "maria", "less", time.time(), {"arms": 2}))
    with pytest.raises(DataError, match="'propose' still runs"):
        errands.start(Errand("propose", "shop_list", "maria", "less", time.time()))
    errands.start(Errand("propose", "checkout", "maria", "less", time.time()))
    assert (wait(errands, "shop_list").status, wait(errands, "shop_list").said) == ("done", "Round 0 runs.")
    assert wait(errands, "checkout").status == "failed"
    assert "nothing with a range" in wait(errands, "checkout").said


def test_a_killed_errand_has_failed(url: str, tmp_path: Path) -> None:
    """An errand whose process is killed is told as failed, and the next one may start."""
    errands = Errands(url, None, tmp_path / "errands")
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    before = set(listed.read_text().split())
    errands.start(Errand("propose", "shop_list", "maria", "less", time.time()))
    (child,) = set(listed.read_text().split()) - before
    os.kill(int(child), signal.SIGKILL)
    last = wait(errands, "shop_list")
    assert (last.status, last.said) == ("failed", UNFORESEEN)
    errands.start(Errand("propose", "shop_list", "maria", "less", time.time(), {"arms": 1}))
    assert wait(errands, "shop_list").status == "done"


def test_what_breaks_is_told_without_its_text(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error nobody foresaw is in the log; what is kept says nothing of it, nor of what was asked."""

    def fail(*_: object) -> tuple[str, None]:
        raise RuntimeError("secret")

    monkeypatch.setattr("server.errands.WORK", {**WORK, "erase": fail})
    errands = Errands(url, None, tmp_path / "errands")
    place = errands._place("")
    place.parent.mkdir()
    errand = Errand("erase", "", "maria", "asked", time.time(), {"unit": "u-17"})
    with pytest.raises(RuntimeError):
        run(Order(url, None, str(place), errand))
    last = errands.last("")
    assert last is not None
    assert (last.status, last.said, last.asked) == ("failed", UNFORESEEN, {})
