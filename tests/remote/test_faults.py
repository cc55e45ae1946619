"""Whatever a server does, product code gets its decisions at once, by what was served last."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from abloop.errors import StoreError
from abloop.remote.loop import RemoteLoop
from tests.loops import two_arms
from tests.remote.serving import Live, broken

STALL_SECONDS = 0.05
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def refuse(connection: socket.socket) -> None:
    connection.close()


def hang(connection: socket.socket) -> None:
    connection.recv(1)


def reset(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def cut(connection: socket.socket) -> None:
    connection.sendall(HEAD + b'Content-Length: 1000\r\n\r\n{"strategies": {')


def truncated(connection: socket.socket) -> None:
    connection.sendall(HEAD + b'Content-Length: 17\r\n\r\n{"strategies": {}')


def drip(connection: socket.socket) -> None:
    for byte in HEAD + b"Content-Length: 1000\r\n\r\n" + b" " * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def fail(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 500 Oops\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\noops!")


def page(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<p>Hello!</p>")


def turn(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /v1/snapshots\r\nContent-Length: 0\r\n\r\n")


def squeeze(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 10\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\0")


def flood(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"\r\n" + b"[" * (1 << 20))
    while True:
        connection.sendall(b"[" * (1 << 20))


def babble(connection: socket.socket) -> None:
    connection.sendall(b"\xff\x00SSH-2.0-hello\r\n" * 100)


FAULTS = [refuse, hang, reset, cut, truncated, drip, fail, page, turn, squeeze, flood, babble]


def longest(loop: RemoteLoop, seconds: float) -> float:
    """Return how long the slowest of many calls took, the server being asked all the time."""
    checkout, slowest, until = loop.strategy("checkout"), 0.0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        checkout.get_decision("d", {"user_id": "u1"})
        slowest = max(slowest, time.perf_counter() - started)
        time.sleep(0.001)
    assert checkout.errors == 0
    return slowest


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a client that has pulled what is served."""
    directory = tmp_path_factory.mktemp("pulled")
    live = Live(directory / "server")
    loop = live.connect(directory / "client")
    loop.register(two_arms())
    loop.strategy("checkout")
    loop.close()
    live.close()
    return directory / "client"


@pytest.mark.parametrize("fault", FAULTS)
def test_the_last_good_snapshot_is_served_and_nothing_waits(
    pulled: Path, fault: Callable[[socket.socket], None]
) -> None:
    """It starts from the disk within a moment, answers at once, keeps what it wrote, and knows that it is stale."""
    with broken(fault) as url:
        started = time.perf_counter()
        loop = RemoteLoop(url, "token", pulled, pull_seconds=0.02, push_seconds=0.02)
        loop.transport.patience = 0.3
        loop.strategy("checkout")
        assert time.perf_counter() - started < 1.0
        assert loop.stale
        assert min(longest(loop, 0.4) for _ in range(3)) < STALL_SECONDS
        assert loop.strategy("checkout").snapshot.version == 1
        with pytest.raises(StoreError):
            loop.push(1.0)
        assert sum(path.stat().st_size for path in loop.spool.directory.iterdir()) > 0
        started = time.perf_counter()
        loop.close()
        assert time.perf_counter() - started < 1.5


@pytest.mark.parametrize("fault", [page, turn, truncated, squeeze])
def test_what_turns_bad_later_changes_nothing(tmp_path: Path, fault: Callable[[socket.socket], None]) -> None:
    """A proxy that begins to answer in a server's place is refused; what was served goes on, and no record is lost."""
    live = Live(tmp_path / "server")
    loop = live.connect(tmp_path / "client")
    loop.register(two_arms())
    checkout = loop.strategy("checkout")
    with broken(fault) as url:
        good, loop.transport._port = loop.transport._port, int(url.rsplit(":", 1)[1])
        loop.transport.close()
        with pytest.raises(StoreError):
            loop.refresh()
        for index in range(20):
            checkout.get_decision(f"d{index}", {"user_id": f"u{index}"})
        with pytest.raises(StoreError):
            loop.push()
        assert (checkout.errors, checkout.snapshot.version) == (0, 1)
        loop.transport._port = good
        loop.transport.close()
    loop.refresh()
    assert loop.push()
    assert live.workspace.journal.backlog("checkout").waiting == 20
    loop.close()
    live.close()


def test_a_server_that_is_none_is_said_at_the_start(tmp_path: Path) -> None:
    """Where the disk knows nothing, an address at which no abloop server is raises, and says what answered."""
    with broken(page) as url:
        loop = RemoteLoop(url, "token", tmp_path)
        with pytest.raises(StoreError, match=r"as no abloop server does .status 200, text/html"):
            loop.strategy("checkout")
        loop.close()


def test_a_busy_server_is_left_alone(tmp_path: Path) -> None:
    """A server that says when to come back is not asked before."""
    asked = []

    def busy(connection: socket.socket) -> None:
        asked.append(1)
        body = b'{"error": "Too many", "detail": "Wait.", "path": "", "fix": ""}'
        head = b"HTTP/1.1 429 Too Many\r\nContent-Type: application/json\r\nRetry-After: 60\r\nContent-Length: "
        connection.sendall(head + str(len(body)).encode() + b"\r\n\r\n" + body)

    with broken(busy) as url:
        loop = RemoteLoop(url, "token", tmp_path, pull_seconds=0.01, push_seconds=0.01)
        checkout = loop.strategy("checkout", default="blue")
        assert checkout.get_decision("d", {"user_id": "u"}) == "blue"
        time.sleep(0.3)
        assert len(asked) == 1
        loop.close()
