"""The server: decisions over HTTP beside a bare Flask echo, clients that pull, and the landing page of many strategies.

`decisions` is `POST /v1/decisions` with a token, as `abloop serve` answers it: checked, decided, written to the spool.
`echo` is the least that Flask can do with the same body: read its JSON and send it back, in the same waitress with the
same threads. Each runs in a process of its own; they take turns under the same load, wrk's, on loopback. Targets are
multiples of the time: half of a rate is twice the time. A client that pulls makes its decisions in its own process; its
requests are counted. Pages are fetched by somebody who logs in as soon as a server that was just started is ready;
scripts and styles are files that browsers keep.
"""

from __future__ import annotations

import http.client
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlencode

import abloop
from abloop.store.people import People
from abloop.store.tokens import Tokens
from benchmarks.timing import Ratio, ratio

TARGET: Final = {"decisions_to_echo": 2.0}
LIMITS: Final = {"first_ms": 300, "landing_ms": 300, "landing_kb": 300, "requests_a_decision": 0.0}
CONNECTIONS: Final = 16
THREADS: Final = 8
BODY: Final = '{"strategy":"shop","context":{"user_id":"u-17","country":"FI","visits":3}}'
SHOP: Final[dict[str, Any]] = {
    "strategy": "shop",
    "arms": [{"name": "blue"}, {"name": "green"}],
    "metrics": [{"name": "bought"}],
    "features": [{"name": "country", "type": "categorical"}, {"name": "visits"}],
}
PASSWORD: Final = "nine violet herons"  # noqa: S105 - of an account of this run alone
STRATEGIES, EXPERIMENTS, UNITS = 1_000, 100, 100


def serve(kind: str, url: str) -> None:
    """Serve until the process is ended; its port is printed."""
    import waitress
    from flask import Flask, jsonify, request

    if kind == "echo":
        app = Flask("echo")
        app.add_url_rule("/v1/decisions", "echo", lambda: jsonify(request.get_json()), methods=["POST"])
    else:
        from server import Config, create_app

        app = create_app(url, config=Config(rate="", login_rate="", calls=0))
        if kind == "pages":  # as `abloop serve` does
            app.extensions["abloop_warmth"].begin(app)
    listener = waitress.create_server(app, host="127.0.0.1", port=0, threads=THREADS, ident=None)
    print(listener.socket.getsockname()[1], flush=True)
    listener.run()


@contextmanager
def served(kind: str, url: str = "") -> Iterator[int]:
    """Give the port of a server in a process of its own."""
    code = f"from benchmarks.serve import serve; serve({kind!r}, {url!r})"
    with tempfile.TemporaryFile("w+") as said, ExitStack() as stack:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=said, stderr=subprocess.DEVNULL)  # noqa: S603
        stack.callback(process.wait)
        stack.callback(process.terminate)
        while process.poll() is None:
            said.seek(0)
            if (line := said.readline()).endswith("\n"):
                yield int(line)
                return
            time.sleep(0.02)
        raise RuntimeError(f"the server ended at once, with {process.returncode}")


def load(port: int, seconds: float, headers: Mapping[str, str], directory: Path, *, quick: bool) -> tuple[float, float]:
    """Return requests a second and the 99th percentile in milliseconds."""
    if quick or shutil.which("wrk") is None:
        return _python(port, seconds, headers)
    script = directory / "post.lua"
    lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    script.write_text("\n".join(['wrk.method = "POST"', f"wrk.body = '{BODY}'", *lines]))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "--latency", "-s", str(script)]
    command.append(f"http://127.0.0.1:{port}/v1/decisions")
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"not every request was answered:\n{said}")
    rate, (late, unit) = re.findall(r"Requests/sec:\s+([\d.]+)", said)[0], re.findall(r"99%\s+([\d.]+)(\w+)", said)[0]
    return float(rate), float(late) * {"us": 0.001, "ms": 1.0, "s": 1_000.0}[unit]


def _python(port: int, seconds: float, headers: Mapping[str, str]) -> tuple[float, float]:
    """Do what wrk does, slowly."""
    took: list[float] = []
    until = time.perf_counter() + seconds

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while (started := time.perf_counter()) < until:
            connection.request("POST", "/v1/decisions", BODY, dict(headers))
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"status {answer.status}")
            took.append(time.perf_counter() - started)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(took) / seconds, sorted(took)[int(0.99 * len(took))] * 1_000


def deciding(directory: Path, seconds: float, rounds: int, *, quick: bool) -> tuple[Ratio, dict[str, Any]]:
    """Return how long a decision takes as a multiple of an echo, and rates and late ones of both."""
    url = f"sqlite:///{directory}/served.db"
    loop = abloop.connect(url)
    loop.register(SHOP)
    token = Tokens(loop.database).add("benchmark", ["ingest"], who="benchmark", at=time.time())
    loop.close()
    plain = {"Content-Type": "application/json"}
    headers = {"decisions": {**plain, "Authorization": f"Bearer {token}"}, "echo": plain}
    taken: dict[str, list[float]] = {name: [] for name in headers}
    late: dict[str, list[float]] = {name: [] for name in headers}
    with served("decisions", url) as ours, served("echo") as theirs:
        ports = {"decisions": ours, "echo": theirs}
        for number in range(rounds + 1):
            for name, port in ports.items():
                rate, p99 = load(port, seconds, headers[name], directory, quick=quick)
                if number:  # the first round does not count
                    taken[name].append(1.0 / rate)
                    late[name].append(p99)
    rates = {name: round(1.0 / median(each)) for name, each in taken.items()}
    return ratio(taken, "decisions", "echo"), {
        "requests_a_second": rates,
        "p99_ms": {name: round(median(each), 1) for name, each in late.items()},
    }


def pulling(directory: Path, decisions: int) -> dict[str, Any]:
    """Return the requests of a client that pulls, while it makes so many decisions."""
    from abloop.remote.loop import RemoteLoop

    url = f"sqlite:///{directory}/pulled.db"
    loop = abloop.connect(url)
    loop.register(SHOP)
    token = Tokens(loop.database).add("benchmark", ["ingest"], who="benchmark", at=time.time())
    loop.close()
    with served("decisions", url) as port:
        client = RemoteLoop(f"http://127.0.0.1:{port}", token, directory / "client", pull_seconds=1e6, push_seconds=1e6)
        shop = client.strategy("shop")
        while not shop.snapshot.version:  # a busy machine may need longer than a client waits
            client.refresh()
        before = client.puller.requests + client.pusher.requests
        started = time.perf_counter()
        for index in range(decisions):
            shop.get_decision(f"d{index}", {"user_id": f"u{index}", "country": "FI", "visits": 3})
        took = time.perf_counter() - started
        during = client.puller.requests + client.pusher.requests - before
        if not client.push(60.0) or shop.errors:
            raise RuntimeError(f"{shop.errors} decisions were not made, or not every record was pushed")
        pushes = client.pusher.requests
        client.close()
    return {
        "decisions": decisions,
        "requests_while_deciding": during,
        "microseconds_a_decision": round(1e6 * took / decisions, 1),
        "requests_to_push_them": pushes,
    }


def landing(directory: Path, strategies: int, experiments: int) -> dict[str, Any]:
    """Return how long the landing pages take, in milliseconds, and how large they are, in kB."""
    from abloop import offline

    url = f"sqlite:///{directory}/many.db"
    loop = abloop.connect(url)
    for number in range(strategies):
        each = {**SHOP, "strategy": f"shop_{number:04d}", "lifecycle": {"ttl": 0.001}}
        loop.catalogue.add_blueprint(_blueprint(each), at=time.time(), who="benchmark", why="benchmark")
    for number in range(experiments):
        shop = loop.strategy(f"shop_{number:04d}")
        for unit in range(UNITS):
            shop.get_decision(f"d{unit}", {"user_id": f"u{unit}", "country": "FI", "visits": unit})
            shop.log_observations(f"d{unit}", {"bought": unit % 2})
    loop.spool.seal()
    offline.ship_spool(loop)
    time.sleep(0.01)
    for number in range(experiments):
        offline.join_rows(loop, f"shop_{number:04d}")
    people = People(loop.database)
    people.add("benchmark", "viewer", at=time.time())
    people.choose("benchmark", PASSWORD)
    loop.close()
    with served("pages", url) as port:
        return visit(port, ("/", "/strategies/shop_0000"))


def visit(port: int, paths: tuple[str, ...]) -> dict[str, Any]:
    """Return how long somebody waits who logs in once the server is ready, the first time and later ones."""
    connection, cookies = http.client.HTTPConnection("127.0.0.1", port, timeout=60), {}

    def ask(path: str, form: Mapping[str, str] | None = None) -> tuple[int, str]:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request("POST" if form else "GET", path, urlencode(form) if form else None, headers)
        answer = connection.getresponse()
        for each in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = each.partition(";")[0].partition("=")
            cookies[name] = value
        return answer.status, answer.read().decode()

    while ask("/readyz")[0] != 200:
        time.sleep(0.05)
    token = re.findall(r'name="csrf_token" value="([^"]+)"', ask("/login")[1])[0]
    ask("/login", {"name": "benchmark", "password": PASSWORD, "csrf_token": token})
    found = {}
    for path in paths:
        times, size = [], 0
        for _ in range(6):
            started = time.perf_counter()
            status, text = ask(path)
            times.append(time.perf_counter() - started)
            size = len(text.encode())
            if status != 200:
                raise RuntimeError(f"{path}: status {status}")
        found[path] = {"first_ms": round(times[0] * 1e3), "ms": round(median(times[1:]) * 1e3), "kb": round(size / 1e3)}
    connection.close()
    return found


def _blueprint(raw: dict[str, Any]) -> Any:
    from abloop.blueprint import from_mapping

    return from_mapping(raw)


def measure(quick: bool = False) -> dict[str, Any]:
    """Return the ratios of this machine.

    Args:
        quick: A load from Python for a moment, few strategies: shows that it works, and no more.
    """
    seconds, rounds, decisions = (0.5, 1, 500) if quick else (4.0, 7, 20_000)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        found, rates = deciding(directory, seconds, rounds, quick=quick)
        pulls = pulling(directory, decisions)
        strategies, experiments = (20, 5) if quick else (STRATEGIES, EXPERIMENTS)
        pages = landing(directory, strategies, experiments)
    wrk = shutil.which("wrk") is not None and not quick
    return {
        "ratios": {"decisions_to_echo": found.plain()},
        "target": TARGET,
        **rates,
        "load": "wrk" if wrk else "Python threads; for wrk's: apt-get install wrk, and no --quick",
        "connections": CONNECTIONS if wrk else 2,
        "pulled": pulls,
        "pages": {"strategies": strategies, "experiments": experiments, **pages},
        "limits": LIMITS,
        "python": platform.python_version(),
        "versions": {"abloop": abloop.__version__, **{name: version(name) for name in ("flask", "waitress")}},
    }
