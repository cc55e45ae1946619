"""The shared Redis: other processes' rows, and never an exception, a long wait or a wrong row because of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abloop.errors import MissingExtraError, StoreError
from abloop.features.read import read_categorical, read_embedding, read_numeric, read_sparse, read_time
from abloop.store import shared as shared_module
from abloop.store.online import MISSING, OnlineStore
from abloop.store.shared import Shared, packable
from abloop.testing import ManualClock

LONG = 5.0


class Box:
    """A Redis that keeps what it is given in a dictionary, or is broken."""

    def __init__(self) -> None:
        """Begin empty and whole."""
        self.kept: dict[bytes, bytes] = {}
        self.lives: dict[bytes, int] = {}
        self.broken = False
        self.asked = 0

    def get(self, name: bytes) -> bytes | None:
        """Return what is kept."""
        self.asked += 1
        if self.broken:
            raise OSError("connection refused")
        return self.kept.get(name)

    def set(self, name: bytes, value: bytes, *, px: int) -> object:
        """Keep it."""
        if self.broken:
            raise OSError("connection refused")
        self.kept[name], self.lives[name] = value, px
        return True

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def box() -> Box:
    """Return a stand-in for Redis."""
    return Box()


@pytest.fixture
def shared(box: Box) -> Shared:
    """Return a second level whose client is the stand-in."""
    pytest.importorskip("redis", reason="the package redis is absent: pip install 'abloop[redis]'")
    shared = Shared("redis://localhost:1/0")
    shared._client = box
    return shared


def eventually(true: Any) -> None:
    """Wait until something is true."""
    end = perf_counter() + 10.0
    while not true():
        assert perf_counter() < end, "it never came true"
        time.sleep(0.002)


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(st.characters(codec="utf-8")),
        st.decimals(allow_nan=False, allow_infinity=False, places=3),
        st.datetimes(),
        st.datetimes(timezones=st.just(UTC)),
        st.dates(),
        st.floats(width=32).map(np.float32),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=4),
    ),
    max_leaves=8,
)


@given(VALUES)
def test_a_shared_row_is_read_as_the_same_features(value: Any) -> None:
    """Whatever feature a value is read as, a process that got it from Redis reads the same."""
    box = Box()
    shared = Shared("redis://localhost:1/0")
    shared._client = box
    own = packable({"x": value})["x"]  # as the process that read it sees it
    shared.put("user", "a", {"x": value}, 5.0, 60.0)
    found = shared.get("user", "a")
    assert found is not None
    assert found[1] == 5.0
    assert found[0] is not None
    other = found[0]["x"]
    for reader in (read_numeric, read_categorical, read_time, read_sparse, lambda item: read_embedding(2, item)):
        assert reader(other) == reader(own)
    if isinstance(value, date):  # a datetime is one
        assert read_time(other) == read_time(value)


def test_that_nobody_is_there_is_shared(shared: Shared) -> None:
    """A row of None is an answer, and differs from no answer."""
    assert shared.get("user", "a") is None
    shared.put("user", "a", None, 5.0, 60.0)
    assert shared.get("user", "a") == (None, 5.0)


def test_keys_and_lives(shared: Shared, box: Box) -> None:
    """Every key begins with abloop:, names of groups cannot run into ids, and a row lives as long as it may be used."""
    for group, entity in (("shop 1 user", "7"), ("a", "b:c"), ("a:b", "c"), ("ü/%", "\ud800")):
        shared.put(group, entity, {"from": group}, 1.0, 60.0)
    assert len(box.kept) == 4
    assert all(key.startswith(b"abloop:") for key in box.kept)
    assert b"abloop:shop%201%20user:7" in box.kept
    assert set(box.lives.values()) == {60_000}
    assert shared.get("a", "b:c") == ({"from": "a"}, 1.0)
    shared.put("none", "a", {}, 1.0, 0.0)
    assert len(box.kept) == 4


NESTED: list[Any] = []
NESTED.append(NESTED)


@pytest.mark.parametrize("value", [object(), 2**70, "\ud800", NESTED, {1, 2, "x"}, np.arange(3), lambda: 1])
def test_what_cannot_be_packed_is_not_shared(shared: Shared, value: Any) -> None:
    """A row that MessagePack cannot hold costs no exception; a set and an array are lists."""
    shared.put("user", "a", {"x": value}, 1.0, 60.0)
    found = shared.get("user", "a")
    if isinstance(value, set | np.ndarray):
        assert found is not None
        assert found[0] is not None
        assert sorted(map(str, found[0]["x"])) == sorted(map(str, value))
    else:
        assert found is None


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xc1",
        b"garbage",
        b"\x80\x04K\x01.",
        msgspec.msgpack.encode([1, 2]),
        msgspec.msgpack.encode([{}, "x"]),
        "text",
    ],
)
def test_garbage_is_a_miss(shared: Shared, box: Box, garbage: Any) -> None:
    """What somebody else wrote, a pickle among it, is as good as nothing, and Redis is asked again."""
    box.kept[b"abloop:user:a"] = garbage
    assert [shared.get("user", "a"), shared.get("user", "a")] == [None, None]
    assert (box.asked, shared.failed) == (2, 0)


def test_a_broken_redis_is_left_alone(shared: Shared, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure Redis is asked nothing for some seconds; then it is asked again."""
    box.broken = True
    assert [shared.get("user", str(index)) for index in range(10)] == [None] * 10
    shared.put("user", "a", {}, 1.0, 60.0)
    assert (box.asked, shared.failed) == (1, 1)
    box.broken = False
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + shared_module.REST_SECONDS + 1)
    shared.put("user", "a", {"age": 1}, 1.0, 60.0)
    assert shared.get("user", "a") == ({"age": 1}, 1.0)


def test_one_process_reads_for_all(shared: Shared) -> None:
    """A second process gets the row that the first one read, with its true age, and asks no source."""
    clock = ManualClock()
    first, second = OnlineStore(clock, shared=shared), OnlineStore(clock, shared=shared)
    reading = first.group(
        "user", lambda entity: {"id": entity, "since": datetime(2024, 5, 1)}, budget=LONG, max_age=60.0
    )
    assert reading.fetch("a")[0] == {"id": "a", "since": "2024-05-01T00:00:00"}
    eventually(lambda: shared.get("user", "a") is not None)
    clock.advance(20.0)
    calls: list[str] = []
    other = second.group("user", lambda entity: calls.append(entity), budget=LONG, max_age=60.0)
    assert other.fetch("a") == ({"id": "a", "since": "2024-05-01T00:00:00"}, 20.0)
    assert calls == []
    clock.advance(20.0)
    assert other.fetch("a")[1] == 40.0  # no longer fresh: the source is asked, not Redis
    eventually(lambda: calls == ["a"])
    first.close()
    second.close()


def test_an_older_shared_row_stands_in_for_a_source_that_fails(shared: Shared) -> None:
    """A row that is not fresh but may be used is better than none; one too old, or without an age, is none."""
    clock = ManualClock(1_000.0)
    store = OnlineStore(clock, shared=shared)
    for entity, at in (("a", 960.0), ("b", 939.0), ("c", float("nan")), ("d", 1_005.0)):
        shared.put("user", entity, {"id": entity}, at, 60.0)
    cache = store.group("user", dict[str, Any]().__getitem__, budget=LONG, max_age=60.0)
    assert [cache.fetch(entity) for entity in "abcd"] == [({"id": "a"}, 40.0), MISSING, MISSING, ({"id": "d"}, 0.0)]
    assert store.stats()["user"].failed == 3
    store.close()


def test_a_broken_redis_costs_no_row(shared: Shared, box: Box) -> None:
    """While Redis is down, rows come from their source."""
    box.broken = True
    store = OnlineStore(shared=shared)
    cache = store.group("user", lambda entity: {"id": entity}, budget=LONG, max_age=60.0)
    assert [cache.fetch(entity)[0] for entity in "abc"] == [{"id": entity} for entity in "abc"]
    store.close()


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, what to install is said."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'abloop\[redis\]'"):
        Shared("redis://localhost")


def test_a_url_that_is_none() -> None:
    """A URL of something else is refused without its password."""
    pytest.importorskip("redis", reason="the package redis is absent: pip install 'abloop[redis]'")
    with pytest.raises(StoreError, match="allowed: 'redis://host:6379/0'") as caught:
        Shared("http://me:secret@host/1")
    assert "secret" not in str(caught.value)


def test_importing_loads_no_redis() -> None:
    """The package is loaded where a URL is given, and only there."""
    code = "import sys, abloop.store.online; assert 'redis' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_packable_is_bounded() -> None:
    """A value that holds itself is refused, not followed."""
    with pytest.raises(TypeError, match="too deep"):
        packable(NESTED)


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the URL of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_a_redis_that_says_nothing_costs_one_short_wait(silent: str) -> None:
    """A server that hangs is given up after 50 ms, once, and then left alone."""
    pytest.importorskip("redis", reason="the package redis is absent: pip install 'abloop[redis]'")
    shared = Shared(silent)
    began = perf_counter()
    assert [shared.get("user", str(index)) for index in range(20)] == [None] * 20
    shared.put("user", "a", {}, 1.0, 60.0)
    assert 0.04 < perf_counter() - began < 0.5
    assert shared.failed == 1
    shared.close()


def answers(path: Path) -> bool:
    """Return whether a server listens; its socket is there a little before."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Return URL and process of a throwaway Redis; skip by name where it cannot be had."""
    pytest.importorskip("redis", reason="the package redis is absent: pip install 'abloop[redis]'")
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is absent: apt-get install redis-server")
    home = tmp_path_factory.mktemp("redis")
    settings = ["--port", "0", "--unixsocket", str(home / "s"), "--save", "", "--appendonly", "no", "--dir", str(home)]
    process = subprocess.Popen([program, *settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: answers(home / "s"))
        yield f"unix://{home}/s?db=0", process
    finally:
        process.kill()
        process.wait()


def test_a_real_redis(server: tuple[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows come back from a real server, expire there, and are read by a forked child as well."""
    monkeypatch.setattr(shared_module, "ANSWER_SECONDS", LONG)  # a busy machine is no failure
    shared = Shared(server[0])
    shared.put("user", "a", {"age": 31.0, "tags": ["x"]}, 5.0, 60.0)
    shared.put("user", "b", None, 5.0, 0.05)
    assert shared.get("user", "a") == ({"age": 31.0, "tags": ["x"]}, 5.0)
    eventually(lambda: shared.get("user", "b") is None)
    child = os.fork()
    if not child:
        os._exit(0 if shared.get("user", "a") is not None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert shared.get("user", "a") is not None
    assert shared.failed == 0
    shared.close()


def test_a_real_redis_that_dies(server: tuple[str, subprocess.Popen[bytes]]) -> None:
    """When the server is killed, rows go on coming from their source."""
    store = OnlineStore(shared=Shared(server[0]))
    cache = store.group("page", lambda entity: {"id": entity}, budget=LONG, max_age=60.0)
    assert cache.fetch("a")[0] == {"id": "a"}
    server[1].kill()
    server[1].wait()
    assert [cache.fetch(entity)[0] for entity in "bcd"] == [{"id": entity} for entity in "bcd"]
    store.close()
