"""`abloop serve` as it runs: the first start, several at once, several processes, and how it ends."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SLOW = """
import sys, threading, time
import server
from flask import Blueprint
from server.access import allow

routes = Blueprint("slow", __name__)

@routes.get("/slow")
@allow("anyone")
def slow():
    print("in the middle", flush=True)
    time.sleep(1.5)
    return "whole answer"

before = server._routes
server._routes = lambda: [*before(), routes]
server.run(sys.argv[1], None, "127.0.0.1", 0, workers=int(sys.argv[2]))
print("closed", flush=True)
"""


class Served:
    """A server in a process of its own."""

    def __init__(self, *command: str, **environment: str) -> None:
        """Start it and read its address."""
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | environment
        )
        assert self.process.stdout
        self.line = self.process.stdout.readline().strip()
        assert self.line.startswith("abloop dashboard: http://127.0.0.1:"), self.process.communicate(timeout=30)
        self.port = int(re.findall(r":(\d+)", self.line)[-1])

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Return status and text of an address."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with closing(connection):
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def stop(self, number: int) -> tuple[str, str]:
        """Send a signal and return what it said after that."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=60)


@contextmanager
def served(*command: str, **environment: str) -> Iterator[Served]:
    """Run a server, which does not outlive the test."""
    server = Served(*command, **environment)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate(timeout=60)


def command(url: str, *options: str) -> tuple[str, ...]:
    """Return the command that serves a database on a free port."""
    return (sys.executable, "-m", "abloop", "serve", "--port", "0", "--url", url, *options)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of a database that is not there yet."""
    return f"sqlite:///{tmp_path}/abloop.db"


def test_it_prints_how_to_log_in_once_and_ends_quietly(url: str) -> None:
    """The first start prints a password, the second none; several are answered at once; Ctrl-C is no error."""
    codes: list[int] = []
    with served(*command(url)) as server:
        assert server.process.stdout
        first = server.process.stdout.readline()
        assert re.fullmatch(r"First start: log in as admin with the one-time password [a-z0-9-]{23}\n", first)
        visitors = [threading.Thread(target=lambda: codes.append(server.get("/login")[0])) for _ in range(4)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join()
        while server.get("/readyz")[0] == 503:  # what pages need is being loaded
            time.sleep(0.05)
        assert server.get("/readyz") == (200, '{"status":"ready"}\n')
        _, errors = server.stop(signal.SIGINT)
    assert codes == [200] * 4
    assert server.process.returncode == 0
    assert [line for line in errors.splitlines() if not line.startswith("Task queue depth")] == []
    with served(*command(url)) as server:
        said, _ = server.stop(signal.SIGTERM)
    assert said == ""
    assert server.process.returncode == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_under_way_is_answered_before_it_ends(url: str, workers: int) -> None:
    """A request in the middle of SIGTERM gets its whole answer; the store is closed; the exit code is 0."""
    answers: list[tuple[int, str]] = []
    with served(sys.executable, "-c", SLOW, url, str(workers)) as server:
        visitor = threading.Thread(target=lambda: answers.append(server.get("/slow")))
        visitor.start()
        assert server.process.stdout
        while "in the middle" not in server.process.stdout.readline():
            pass
        said, errors = server.stop(signal.SIGTERM)
        visitor.join()
    assert answers == [(200, "whole answer")]
    assert server.process.returncode == 0, errors
    assert said.strip() == "closed"
    assert "Traceback" not in errors


def test_several_processes_are_one_server(url: str) -> None:
    """With two workers a token and the numbers of /metrics are the same, whichever answers; logs are JSON with ids."""
    with served(*command(url, "--workers", "2"), ABLOOP_LOG="json") as server:
        made = (sys.executable, "-m", "abloop", "token", "add", "scrape", "--grants", "read", "--url", url, "--json")
        token = json.loads(subprocess.check_output(made, text=True, cwd=ROOT))["token"]
        for number in range(20):
            assert server.get("/login", **{"X-Request-ID": f"look-{number}"})[0] == 200
        code, text = server.get("/metrics", Authorization=f"Bearer {token}")
        _, errors = server.stop(signal.SIGTERM)
    assert code == 200
    counted = re.search(r'abloop_http_requests_total\{method="GET",route="/login",status="200"\} (\S+)', text)
    assert counted
    assert float(counted[1]) == 20
    assert 'abloop_http_seconds_bucket{le="+Inf",route="/login"} 20.0' in text
    lines = [json.loads(line) for line in errors.splitlines()]
    assert {line["request"] for line in lines if line.get("path") == "/login"} == {f"look-{n}" for n in range(20)}
    assert token.split("_", 2)[2] not in errors


def test_a_slow_sender_holds_up_nobody(url: str) -> None:
    """Connections that send a byte now and then leave others their answer."""
    with served(*command(url)) as server:
        slow = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=30) for _ in range(30)]
        for connection in slow:
            connection.connect()
            connection.sock.sendall(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nna")
        start = time.monotonic()
        assert server.get("/healthz")[0] == 200
        assert time.monotonic() - start < 10
        for connection in slow:
            connection.close()
        server.stop(signal.SIGTERM)
    assert server.process.returncode == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--workers", "0"), "allowed: 1 to 256"),
        (("--proxies", "99"), "allowed: 0 to 10"),
        (("--port", "99999"), "port"),
    ],
)
def test_wrong_settings_are_one_sentence(url: str, options: tuple[str, ...], words: str) -> None:
    """A setting that cannot be is refused with exit code 1, and no account is made."""
    done = subprocess.run(command(url, *options), capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
