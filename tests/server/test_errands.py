"""Longer work: one errand at a time for each strategy, told how it ended, whatever ended it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import msgspec
import pytest

from abloop.errors import DataError
from abloop.registration import register
from abloop.store.workspace import Workspace
from server.errands import AT_ONCE, UNFORESEEN, Errands, Order, run, turn
from server.work import WORK, Errand, Progress
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
    with pytest.raises(DataError, match="Proposing a round of weights is under way"):
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


def test_few_work_at_once(tmp_path: Path) -> None:
    """Of many errands as many as `AT_ONCE` work at a time, each gets its turn, and progress is told on the way."""
    working, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal working, most
        with turn(tmp_path):
            with lock:
                working += 1
                most = max(most, working)
            time.sleep(0.1)
            with lock:
                working -= 1

    threads = [threading.Thread(target=work) for _ in range(AT_ONCE + 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (most, working) == (AT_ONCE, 0)


def test_progress_is_told(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept on the way says how many steps are done; a package that is not there is told with its cure."""
    errands = Errands(url, None, tmp_path / "errands")
    place = errands._place("checkout")
    place.parent.mkdir()

    def work(workspace: Workspace, errand: Errand, progress: Progress) -> tuple[str, None]:
        progress(3, 7)
        last = errands.last("checkout", "effects")
        assert last is None or (last.done, last.total) == (3, 7)
        assert msgspec.json.decode(place.read_bytes())["done"] == 3
        raise ModuleNotFoundError("No module named 'econml'", name="econml")

    monkeypatch.setattr("server.errands.WORK", {**WORK, "effects": work})
    run(Order(url, None, str(place), Errand("effects", "checkout", "maria", "asked", time.time())))
    last = errands.last("checkout", "effects")
    assert last is not None
    assert (last.status, last.said) == (
        "failed",
        "Package 'econml' is not installed here. Install it: pip install 'abloop[all]'",
    )
    assert errands.last("checkout", "propose") is None
