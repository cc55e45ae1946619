"""The provider's life: what it opens and closes, what it tells, and what it does without its database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode, GeneralError, ProviderFatalError
from openfeature.hook import Hook
from openfeature.provider import ProviderStatus

from abloop.adapters.openfeature import AbloopProvider
from abloop.adapters.openfeature.shelf import Shelf
from abloop.errors import DataError
from abloop.loop import Loop
from abloop.store.spool import segments
from tests.adapters.openfeature.providers import ask, ready
from tests.loops import open_loop, two_arms
from tests.test_architecture import COLD, ROOT, loaded_by
from tests.test_outage import lock

Told = list[tuple[str, Any]]
WAIT_SECONDS = 5.0


def until(done: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + WAIT_SECONDS
    while not done() and time.monotonic() < end:
        time.sleep(0.005)
    assert done()


def listen() -> Told:
    """Return a list to which every event of any provider is added, with the flags that changed."""
    told: Told = []
    for event in ProviderEvent:

        def hear(details: EventDetails, name: str = event.value.removeprefix("PROVIDER_")) -> None:
            told.append((name, details.flags_changed or details.error_code))

        api.add_handler(event, hear)
    until(lambda: told)  # the SDK says at once that its own provider is ready
    told.clear()
    return told


def known(provider: AbloopProvider, name: str) -> bool:
    """Return whether a flag is known."""
    return ask(provider, "string", name, "default").error_code is None


def test_changes_are_told(loop: Loop) -> None:
    """READY once it is initialised; then the strategies of which something else is served, and those that are new."""
    loop.register(two_arms("a"))
    told = listen()
    provider = AbloopProvider(loop)
    api.set_provider_and_wait(provider)
    loop.register(two_arms("a", default="x"))
    until(lambda: len(told) >= 2)
    assert told == [("READY", None), ("CONFIGURATION_CHANGED", ["a"])]
    loop.register(two_arms("b"))
    until(lambda: known(provider, "b"))  # asking wakes the thread that looks
    until(lambda: len(told) >= 3)
    assert told[2:] == [("CONFIGURATION_CHANGED", ["b"])]
    loop.register(two_arms("c"))
    loop._tell("c")  # were the loop to tell of new strategies, they would be there at once
    assert known(provider, "c")
    assert api.get_provider_metadata().name == "abloop"


def test_a_database_that_goes_and_comes_back(loop: Loop, tmp_path: Path) -> None:
    """STALE when it is away, READY when it is back; in between what was served is served."""
    loop.register(two_arms())
    told, client = listen(), api.get_client()
    api.set_provider_and_wait(AbloopProvider(loop))
    path = tmp_path / "abloop.db"
    path.rename(tmp_path / "gone")
    loop._database.engine.dispose()
    path.mkdir()
    with pytest.raises(Exception, match="unable to open"):
        loop.refresh()
    loop._away(True)  # what a server's silence would be; a file's absence is no silence
    until(lambda: client.get_provider_status() is ProviderStatus.STALE)
    assert client.get_string_details("checkout", "", EvaluationContext("u1")).reason == "SPLIT"
    path.rmdir()
    (tmp_path / "gone").rename(path)
    loop.refresh()
    until(lambda: client.get_provider_status() is ProviderStatus.READY)
    until(lambda: len(told) == 3)
    assert [name for name, _ in told] == ["READY", "STALE", "READY"]


def test_a_start_without_the_database(tmp_path: Path) -> None:
    """What was served last is served, and the provider is stale, until the database is back and it heals by itself."""
    loop = open_loop(tmp_path)
    loop.register(two_arms())
    loop.strategy("checkout")
    loop.close()
    (tmp_path / "abloop.files" / "served" / "broken.served").write_bytes(b"nothing")
    holder, told, client = lock(tmp_path / "abloop.db"), listen(), api.get_client()
    provider = AbloopProvider(f"sqlite:///{tmp_path}/abloop.db")
    started = time.perf_counter()
    api.set_provider_and_wait(provider)
    assert time.perf_counter() - started < 1.0
    assert client.get_string_details("checkout", "", EvaluationContext("u1")).reason == "SPLIT"
    assert ask(provider, "string", "other").error_code is ErrorCode.PROVIDER_NOT_READY
    until(lambda: client.get_provider_status() is ProviderStatus.STALE)
    holder.close()
    until(lambda: client.get_provider_status() is ProviderStatus.READY)
    assert ask(provider, "string", "other").error_code is ErrorCode.FLAG_NOT_FOUND
    until(lambda: len(told) >= 4)  # what is served is read again, which is told too
    assert [name for name, _ in told if name != "CONFIGURATION_CHANGED"] == ["READY", "STALE", "READY"]
    api.shutdown()


def test_a_first_start_without_the_database(tmp_path: Path) -> None:
    """With nothing on the disk it is an error, each evaluation says why, and it heals by itself."""
    open_loop(tmp_path).close()
    told, client = listen(), api.get_client()
    holder = lock(tmp_path / "abloop.db")
    provider = AbloopProvider(f"sqlite:///{tmp_path}/abloop.db")
    with pytest.raises(GeneralError):
        api.set_provider_and_wait(provider)
    assert client.get_provider_status() is ProviderStatus.ERROR
    found = client.get_string_details("checkout", "mine", EvaluationContext("u1"))
    assert (found.value, found.error_code) == ("mine", ErrorCode.PROVIDER_NOT_READY)
    holder.close()
    other = open_loop(tmp_path)
    other.register(two_arms())
    until(lambda: client.get_provider_status() is ProviderStatus.READY)
    until(lambda: known(provider, "checkout"))
    until(lambda: len(told) >= 3)
    assert told[0] == ("ERROR", ErrorCode.GENERAL)
    assert sorted(told[1:], key=str) == [("CONFIGURATION_CHANGED", ["checkout"]), ("READY", None)]
    api.shutdown()
    other.close()


@pytest.mark.parametrize("url", ["this is no URL", "sqlite:////no/such/folder/x.db", "mysql+nothing://x/y"])
def test_what_no_waiting_heals_is_fatal(url: str) -> None:
    """A URL that cannot be used is PROVIDER_FATAL, with the sentence that says what to do."""
    client = api.get_client()
    with pytest.raises(ProviderFatalError) as found:
        api.set_provider_and_wait(AbloopProvider(url))
    assert found.value.error_message
    assert client.get_provider_status() is ProviderStatus.FATAL
    assert client.get_string_details("checkout", "mine").error_code is ErrorCode.PROVIDER_FATAL
    api.shutdown()


@pytest.mark.parametrize("loop", [None, 3, Path("x.db")])
def test_a_wrong_loop_is_said_at_once(loop: Any) -> None:
    """A programming error is raised where it is made."""
    with pytest.raises(DataError, match=r"allowed: what abloop\.connect gave"):
        AbloopProvider(loop)


def test_it_closes_what_it_opened(loop: Loop, tmp_path: Path) -> None:
    """A loop that was given stays open; one of a URL is closed, its spool sealed; both can be started again."""
    loop.register(two_arms())
    url = f"sqlite:///{tmp_path}/abloop.db"
    before = set(threading.enumerate())
    for given in (loop, url):
        provider = AbloopProvider(given)
        for _ in range(2):
            provider.initialize(EvaluationContext())
            assert known(provider, "checkout")
            provider.shutdown()
            provider.shutdown()
            assert ask(provider, "string", "checkout", "d").error_code is ErrorCode.PROVIDER_NOT_READY
    assert loop.listeners == []
    assert [segment.finished() for segment in segments(loop.spool_directory)].count(False) == 1  # the given loop's
    assert loop.strategy("checkout").get_decision("d", {"user_id": "u"}) in ("blue", "green")
    until(lambda: {thread.name for thread in set(threading.enumerate()) - before} <= {"abloop-refresh"})


def test_shut_down_while_it_is_initialised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that is replaced before it was ready leaves nothing open."""
    provider, opened = AbloopProvider(f"sqlite:///{tmp_path}/abloop.db"), list[Shelf]()

    def slow(*given: Any) -> Shelf:
        opened.append(Shelf(*given))
        provider.shutdown()
        return opened[0]

    monkeypatch.setattr("abloop.adapters.openfeature.provider.Shelf", slow)
    provider.initialize(EvaluationContext())
    assert ask(provider, "string", "checkout", "d").error_code is ErrorCode.PROVIDER_NOT_READY
    assert opened[0].loop.listeners == []
    assert opened[0]._closed.is_set()


def test_one_unreadable_strategy_stops_no_other(loop: Loop, tmp_path: Path) -> None:
    """A blueprint that was altered in the database is an error of its own flag alone, and is told by it."""
    for name in ("a", "b"):
        loop.register(two_arms(name))
    connection = sqlite3.connect(tmp_path / "abloop.db")
    with connection:
        connection.execute("UPDATE abloop_blueprints SET body = body || ' ' WHERE strategy = 'a'")
    connection.close()
    provider = ready(loop)
    found = ask(provider, "string", "a", "mine")
    assert (found.value, found.error_code) == ("mine", ErrorCode.GENERAL)
    assert "altered in place" in (found.error_message or "")
    assert known(provider, "b")
    provider.shutdown()


def test_hooks_of_the_provider(loop: Loop) -> None:
    """Hooks that are given run innermost: last before an evaluation, first after it."""
    order: list[str] = []

    class Noting(Hook):
        def __init__(self, name: str) -> None:
            self.name = name

        def before(self, *args: Any, **more: Any) -> None:
            order.append(f"before {self.name}")

        def after(self, *args: Any, **more: Any) -> None:
            order.append(f"after {self.name}")

    loop.register(two_arms())
    api.set_provider_and_wait(AbloopProvider(loop, hooks=[Noting("provider")]))
    client = api.get_client()
    client.add_hooks([Noting("client")])
    client.get_string_value("checkout", "", EvaluationContext("u1"))
    assert order == ["before client", "before provider", "after provider", "after client"]


def test_a_forked_child_goes_on(loop: Loop) -> None:
    """A child answers as its parent does, and finds new strategies by itself."""
    loop.register(two_arms())
    provider = ready(loop)
    mine = [ask(provider, "string", "checkout", unit=f"u{i}").value for i in range(20)]
    loop.register(two_arms("later"))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        theirs = [ask(provider, "string", "checkout", unit=f"u{i}").value for i in range(20)]
        end = time.monotonic() + WAIT_SECONDS
        while not known(provider, "later") and time.monotonic() < end:
            time.sleep(0.01)
        os.write(write, b"y" if theirs == mine and known(provider, "later") else b"n")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(read, 1) == b"y"
    os.close(read)
    os.close(write)
    provider.shutdown()


def test_the_provider_is_light(tmp_path: Path) -> None:
    """Serving through the SDK loads nothing of the cold path."""
    code = f"""
from openfeature import api
from abloop.adapters.openfeature import AbloopProvider
api.set_provider_and_wait(AbloopProvider("sqlite:///{tmp_path}/x.db"))
api.get_client().get_string_value("checkout", "x")
api.shutdown()
"""
    assert loaded_by(code, COLD) == set()


def test_the_missing_package_is_named() -> None:
    """Without the SDK the import says what to install."""
    code = "import sys; sys.modules['openfeature'] = None; import abloop.adapters.openfeature"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "MissingExtraError: the provider needs OpenFeature's SDK: pip install 'abloop[openfeature]'" in done.stderr
