"""The client of a server: the same calls as on a database, on what was pulled; records pushed, each once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import abloop
from abloop.errors import AwayError, BlueprintError, StoreError, UnknownNameError
from abloop.remote.loop import RemoteLoop
from abloop.store.segment import MAGIC
from abloop.store.workspace import Workspace
from tests.loops import two_arms
from tests.remote.serving import Live
from tests.test_architecture import HEAVY, loaded_by

ROOT = Path(__file__).parents[2]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """Return a server."""
    found = Live(tmp_path / "server")
    yield found
    found.close()


@pytest.fixture
def loop(live: Live, tmp_path: Path) -> Iterator[RemoteLoop]:
    """Return a client of it."""
    found = live.connect(tmp_path / "client")
    yield found
    found.close()


def kept(workspace: Workspace, strategy: str = "checkout") -> tuple[int, int]:
    """Return how many decisions and observations the server keeps."""
    backlog = workspace.journal.backlog(strategy)
    return backlog.waiting, backlog.observations


def use(loop: RemoteLoop, number: int, first: int = 0) -> None:
    """Make decisions, each with an observation."""
    checkout = loop.strategy("checkout")
    for index in range(first, first + number):
        checkout.get_decision(f"d{index}", {"user_id": f"u{index}", "age": index})
        checkout.log_observations(f"d{index}", {"bought": index % 2})
    assert checkout.errors == 0


def test_it_decides_here_and_what_it_wrote_reaches_the_server_once(live: Live, loop: RemoteLoop) -> None:
    """A unit gets the arm that the server would give; every record is there, once, however often it is pushed."""
    assert loop.register(two_arms()) == 1
    use(loop, 300)
    assert loop.push()
    assert kept(live.workspace) == (300, 300)
    arms = {loop.strategy("checkout").get_decision("x", {"user_id": f"u{number}"}) for number in range(50)}
    served = live.app.extensions["abloop"].loop().strategy("checkout")
    for number in range(50):
        context = {"user_id": f"u{number}"}
        assert served.get_decision("y", context) == loop.strategy("checkout").get_decision("y", context)
    assert arms == {"blue", "green"}


def test_a_decision_makes_no_request(live: Live, loop: RemoteLoop) -> None:
    """What a client asks does not grow with what it decides: pulls answer 304, and pushes take many records at once."""
    loop.register(two_arms())
    use(loop, 1)
    loop.refresh()
    before = len(live.requests)
    use(loop, 1_000)
    assert len(live.requests) == before
    loop.refresh()
    loop.push()
    assert live.requests[before:] == ["/v1/snapshots", f"/v1/spool/{loop.spool.where()[0]}"]


def test_pushed_ten_times_is_kept_once(live: Live, loop: RemoteLoop) -> None:
    """A client that forgets what it sent, at any point, sends it again, and the same rows are there."""
    loop.register(two_arms())
    use(loop, 50)
    for _ in range(10):
        loop.pusher._shipped.clear()
        loop.push()
    assert kept(live.workspace) == (50, 50)
    segment = next((loop.spool.directory).glob("*.spool")).read_bytes()[len(MAGIC) :].rstrip(b"\0")
    answers = set()
    browser, headers = live.app.test_client(), {"Authorization": f"Bearer {live.token}"}
    for _ in range(10):
        path = f"/v1/spool/{loop.spool.where()[0]}"
        found = browser.post(path, data=segment, content_type="application/octet-stream", headers=headers)
        answers.add((found.status_code, found.text))
    assert answers == {(200, f'{{"shipped":{len(segment) + len(MAGIC)}}}')}
    assert kept(live.workspace) == (50, 50)


def test_a_killed_client_loses_nothing(live: Live, tmp_path: Path) -> None:
    """What a process wrote before `kill -9` is pushed by the next one on its machine."""
    code = f"""
import os, signal, abloop
from abloop.remote.loop import RemoteLoop
loop = RemoteLoop({live.url!r}, {live.token!r}, {str(tmp_path / "client")!r}, push_seconds=3600.0)
loop.register({two_arms()!r})
checkout = loop.strategy("checkout")
for index in range(200):
    checkout.get_decision(f"d{{index}}", {{"user_id": f"u{{index}}"}})
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    loop = live.connect(tmp_path / "client")
    assert loop.push()
    assert kept(live.workspace) == (200, 0)
    assert list(loop.spool.directory.glob("*.spool")) == []
    loop.close()


def test_a_change_reaches_clients_and_the_disk(live: Live, loop: RemoteLoop, tmp_path: Path) -> None:
    """A new version, a pause and a resumption are served after the next look; the disk has the last one."""
    loop.register(two_arms())
    checkout, told = loop.strategy("checkout"), list[str]()
    loop.listeners.append(told.append)
    loop.register({**two_arms(), "default": "green"})
    assert (checkout.snapshot.version, told) == (2, ["checkout"])
    headers = {"Authorization": f"Bearer {live.token}"}
    for action, phase in (("pause", "paused"), ("resume", "randomise")):
        body = {"strategy": "checkout", "action": action, "why": "test"}
        assert live.app.test_client().post("/v1/strategies/phase", json=body, headers=headers).status_code == 200
        loop.refresh()
        assert checkout.get_details("d", {"user_id": "u"}).reason == phase
    live.stop()
    with pytest.raises(AwayError):
        loop.refresh()
    assert loop.stale
    again = live.connect(tmp_path / "client")
    assert again.strategy("checkout").get_details("d", {"user_id": "u"}).version == 2
    again.close()
    live.start()


def test_an_outage_changes_nothing_but_freshness(live: Live, loop: RemoteLoop, tmp_path: Path) -> None:
    """While the server is away calls are answered from what was pulled, and records wait; then all arrives, once."""
    loop.register(two_arms())
    use(loop, 10)
    live.stop()
    started = time.perf_counter()
    use(loop, 200, 10)
    assert time.perf_counter() - started < 1.0
    with pytest.raises(AwayError):
        loop.push()
    fresh = live.connect(tmp_path / "other")
    assert fresh.strategy("checkout", default="blue").get_decision("d", {"user_id": "u"}) == "blue"
    live.start()
    fresh.refresh()
    assert fresh.strategy("checkout").snapshot.version == 1
    loop.refresh()
    assert loop.push()
    assert kept(live.workspace) == (210, 210)
    fresh.close()


def test_background_threads_pull_and_push(live: Live, tmp_path: Path) -> None:
    """Without a call of anybody, changes arrive and records leave."""
    loop = live.connect(tmp_path / "client", pull_seconds=0.05, push_seconds=0.05)
    loop.register(two_arms())
    use(loop, 20)
    other = live.connect(tmp_path / "other")
    other.register({**two_arms(), "default": "green"})
    until = time.monotonic() + 20
    while (kept(live.workspace) != (20, 20) or loop.strategy("checkout").snapshot.version != 2) and (
        time.monotonic() < until
    ):
        time.sleep(0.02)
    assert kept(live.workspace) == (20, 20)
    assert loop.strategy("checkout").snapshot.version == 2
    loop.close()
    other.close()


def test_close_pushes_what_is_left(live: Live, tmp_path: Path) -> None:
    """A process that ends has sent everything, within a second, and its spool is empty."""
    loop = live.connect(tmp_path / "client")
    loop.register(two_arms())
    use(loop, 20)
    started = time.perf_counter()
    loop.close()
    assert time.perf_counter() - started < 1.5
    assert kept(live.workspace) == (20, 20)
    assert list((tmp_path / "client" / "spool").iterdir()) == []


def test_a_record_too_large_to_send_stops_nothing(live: Live, loop: RemoteLoop) -> None:
    """It counts as lost, and those around it arrive."""
    huge: dict[str, Any] = {**two_arms(), "features": [{"name": "age", "type": "sparse"}]}
    loop.register(huge)
    checkout = loop.strategy("checkout")
    checkout.get_decision("d1", {"user_id": "u1"})
    loop.spool.append(msgspec.msgpack.encode("x" * 2_000_000))
    checkout.get_decision("d2", {"user_id": "u2"})
    assert loop.push()
    assert kept(live.workspace) == (2, 0)


def test_wrong_words_are_said_at_the_start(live: Live, loop: RemoteLoop, tmp_path: Path) -> None:
    """An unknown strategy, a refused blueprint, a wrong token or address: the class that says what to do."""
    with pytest.raises(UnknownNameError, match="Register it first"):
        loop.strategy("nothing")
    with pytest.raises(BlueprintError) as refused:
        loop.register({**two_arms(), "arms": [{"name": "a"}]})
    assert refused.value.place
    wrong = RemoteLoop(live.url, "abl_no_token", tmp_path / "wrong")
    with pytest.raises(StoreError, match="refuses the token"):
        wrong.strategy("checkout")
    wrong.close()
    with pytest.raises(StoreError, match="insecure=True"):
        abloop.connect("http://example.com", token=live.token)
    with pytest.raises(StoreError, match="give its token"):
        abloop.connect("https://example.com")
    with pytest.raises(StoreError, match="allowed with a server alone"):
        abloop.connect("sqlite:///x.db", token=live.token)


def test_a_client_loads_no_database_library(tmp_path: Path) -> None:
    """Connecting, deciding and logging load neither SQLAlchemy nor anything heavy."""
    code = f"""
import logging, abloop
logging.disable()
loop = abloop.connect("http://127.0.0.1:9", {str(tmp_path)!r}, token="t")
checkout = loop.strategy("checkout", default="blue")
checkout.get_decision("d", {{"user_id": "u"}})
checkout.log_observations("d", {{"bought": 1}})
loop.close()
"""
    assert loaded_by(code, HEAVY) == set()


def test_after_a_fork_each_process_pushes_its_own(live: Live, tmp_path: Path) -> None:
    """A child decides and pushes by connections and threads of its own; nothing is lost, doubled or stuck."""
    code = f"""
import os
from abloop.remote.loop import RemoteLoop
loop = RemoteLoop({live.url!r}, {live.token!r}, {str(tmp_path / "client")!r}, pull_seconds=0.05, push_seconds=0.05)
loop.register({two_arms()!r})
checkout = loop.strategy("checkout")
while not checkout.snapshot.version:
    loop.refresh()
children = []
for number in range(3):
    checkout.get_decision(f"parent{{number}}", {{"user_id": "u"}})
    child = os.fork()
    if not child:
        for index in range(20):
            checkout.get_decision(f"child{{number}}.{{index}}", {{"user_id": f"u{{index}}"}})
        loop.push(30.0)
        os._exit(checkout.errors)
    children.append(child)
codes = [os.waitpid(child, 0)[1] for child in children]
loop.push(30.0)
loop.close()
raise SystemExit(any(codes) or checkout.errors)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120)
    assert done.returncode == 0
    last = live.connect(tmp_path / "client")
    assert last.push()
    assert kept(live.workspace) == (63, 0)
    last.close()
