"""How the server runs: in one process by waitress, in several by gunicorn; it ends when told, not in mid-request."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from types import FrameType
from typing import Any

from flask import Flask

from abloop.errors import DataError, MissingExtraError
from abloop.ids import user
from abloop.store.people import People
from server.config import METRICS_DIRECTORY, Config
from server.source import Source

LOOPBACK = ("127.0.0.1", "::1", "localhost")
STOP_SECONDS = 30.0  # what is under way when the server is told to stop has that long
THREADS = 8
Make = Callable[[], Flask]


def serve(make: Make, source: Source, config: Config, host: str, port: int, workers: int = 1) -> None:
    """Serve until told to stop by SIGTERM or SIGINT; the address is printed once it answers.

    Args:
        make: Makes the app; each process makes its own.
        source: The same installation; the first start makes its first account.
        config: The settings.
        host: Address to listen on.
        port: Port; 0 takes a free one.
        workers: Processes; more than one needs gunicorn.

    Raises:
        StoreError: The database or the directory cannot be used.
        DataError: The address cannot be listened on.
        MissingExtraError: gunicorn is not installed.
    """
    if not 1 <= workers <= 256:
        raise DataError(f"--workers is {workers}; allowed: 1 to 256")
    with closing(_listen(host, port)) as listening:
        run = partial(_gunicorn, _base(), make, workers) if workers > 1 else partial(_waitress, make())
        try:  # last, so that nothing can keep the password from being printed
            password = _begin(source)
        finally:
            source.close()
        shown = f"[{host}]" if ":" in host else host
        run(config, listening, _words(f"http://{shown}:{listening.getsockname()[1]}", password, host, config))


def _begin(source: Source) -> str:
    """Make the first account where there is none and return its one-time password; else an empty text."""
    workspace, now = source.workspace(), time.time()
    password = People(workspace.database).begin(at=now)
    if password:
        log, body = workspace.audit, {"role": "admin"}
        log.append(at=now, who=user(), kind="command", what="create user", target="admin", why="first start", body=body)
    return password


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1_024
        )
    except (OSError, OverflowError) as error:
        raise DataError(
            f"address {host}:{port} cannot be listened on: {error}. Name another, e.g. abloop serve --port 8766"
        ) from error


def _words(address: str, password: str, host: str, config: Config) -> str:
    """Return what is printed once the server answers."""
    lines = [f"abloop dashboard: {address}{config.prefix}"]
    if password:
        lines.append(f"First start: log in as admin with the one-time password {password}")
    if host not in LOOPBACK and not config.https:
        lines.append("It speaks http: put a proxy with https before it and set ABLOOP_HTTPS=1 ABLOOP_PROXIES=1.")
    return "\n".join(lines) + "\n"


def _tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _waitress(app: Flask, config: Config, listening: socket.socket, told: str) -> None:
    """Serve in this process until told to stop; then finish what is under way."""
    import waitress
    from waitress import wasyncore

    app.extensions["abloop_warmth"].begin(app)
    channels: dict[int, Any] = {}
    listener = waitress.create_server(
        app,
        map=channels,
        sockets=[listening],
        ident=None,
        threads=THREADS,
        channel_timeout=30,
        cleanup_interval=10,
        max_request_body_size=8 * config.body_bytes,  # above `body_bytes` the app refuses, in its own words
        max_request_header_size=64 * 1024,
        clear_untrusted_proxy_headers=not config.proxies,  # the app reads them then, hop by hop
    )
    stopping = [False]
    with _stopped_by(lambda: (stopping.__setitem__(0, True), listener.pull_trigger())):
        _tell(told)
        while not stopping[0]:
            wasyncore.loop(timeout=1.0, use_poll=True, map=channels, count=1)
        listener.del_channel()
        listening.close()  # nobody new is let in
        until = time.monotonic() + STOP_SECONDS
        while time.monotonic() < until and any(map(_busy, channels.values())):
            wasyncore.loop(timeout=0.05, use_poll=True, map=channels, count=1)
        listener.task_dispatcher.shutdown(timeout=1)
        _close(app)


def _close(app: Flask) -> None:
    """Close what an app has open."""
    app.extensions["abloop_warmth"].end()
    app.extensions["abloop"].close()


def _busy(channel: Any) -> bool:
    """Return whether a connection has a request that is not answered, or an answer that is not sent."""
    return bool(getattr(channel, "requests", ()) or getattr(channel, "total_outbufs_len", 0))


@contextmanager
def _stopped_by(stop: Callable[[], object]) -> Iterator[None]:
    """Call a function at SIGTERM and SIGINT; a second signal ends the process at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.SIG_DFL)
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _base() -> type:
    """Return what an application of gunicorn is made from.

    Raises:
        MissingExtraError: gunicorn is not installed.
    """
    try:
        from gunicorn.app.base import BaseApplication
    except ModuleNotFoundError as error:
        raise MissingExtraError("several workers need the package gunicorn: pip install gunicorn") from error
    found: type = BaseApplication
    return found


def _gunicorn(base: type, make: Make, workers: int, config: Config, listening: socket.socket, told: str) -> None:
    """Serve in several processes until told to stop."""

    class Application(base):  # type: ignore[misc]
        """The app, as gunicorn runs it."""

        def load_config(self) -> None:
            """Set what gunicorn is told."""
            settings = {
                "bind": f"fd://{os.dup(listening.fileno())}",
                "workers": workers,
                "worker_class": "gthread",
                "threads": THREADS,
                "graceful_timeout": int(STOP_SECONDS),
                "timeout": 120,
                "keepalive": 5,
                "loglevel": "warning",
                "when_ready": lambda _: _tell(told),
                "worker_exit": lambda _, worker: _close(worker.app.wsgi()),
                "limit_request_field_size": 16_384,
                "forwarded_allow_ips": "*" if config.proxies else "127.0.0.1",
            }
            for name, value in settings.items():
                self.cfg.set(name, value)

        def load(self) -> Flask:
            """Make the app of one worker."""
            app = make()
            app.extensions["abloop_warmth"].begin(app)
            return app

    parent, directory = os.getpid(), tempfile.mkdtemp(prefix="abloop-metrics-")
    os.environ[METRICS_DIRECTORY] = directory
    try:
        Application().run()
    except SystemExit as error:
        if error.code or os.getpid() != parent:  # a worker that ends comes along here too
            raise
    finally:
        if os.getpid() == parent:
            os.environ.pop(METRICS_DIRECTORY, None)
            shutil.rmtree(directory, ignore_errors=True)
