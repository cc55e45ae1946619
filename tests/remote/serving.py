"""Servers that the tests of the client talk to: a real one on loopback, and some that are broken."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import waitress
from flask import Flask

from abloop.remote.loop import RemoteLoop
from abloop.store.workspace import Workspace
from server import Config, create_app
from server.source import Source
from tests.server.people import bearer

NEVER = 3_600.0


class Live:
    """A server on loopback, which can be stopped and started again at the same address.

    Args:
        directory: Where its installation is.

    Attributes:
        app: What it serves.
        token: A token with the grants `ingest` and `edit`.
        requests: Path of each request so far.
    """

    def __init__(self, directory: Path, clock: Callable[[], float] | None = None) -> None:
        """Serve."""
        directory.mkdir(parents=True, exist_ok=True)
        self.app: Flask = create_app(f"sqlite:///{directory}/abloop.db", config=Config(rate="", calls=0))
        if clock is not None:
            self.workspace.clock = clock
        self.token = bearer(self.app, "ingest", "edit")["Authorization"].split()[1]
        self.requests: list[str] = []
        self._answer = self.app.wsgi_app
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def workspace(self) -> Workspace:
        """Its installation."""
        source: Source = self.app.extensions["abloop"]
        return source.workspace()

    def start(self) -> None:
        """Listen."""

        def count(environ: dict[str, Any], start: Any) -> Any:
            self.requests.append(environ["PATH_INFO"])
            return self._answer(environ, start)

        listening = socket.create_server(("127.0.0.1", self._port))
        self._port = listening.getsockname()[1]
        self._channels: dict[int, Any] = {}
        self._server = waitress.create_server(count, map=self._channels, sockets=[listening], threads=4)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError):
            self._server.run()

    def stop(self) -> None:
        """Refuse every connection from now on."""
        self._server.task_dispatcher.shutdown()
        for channel in list(self._channels.values()):
            channel.close()
        self._server.close()
        self._thread.join(5)

    def close(self) -> None:
        """Stop, and close the installation."""
        self.stop()
        self.app.extensions["abloop"].close()

    def connect(self, directory: Path, **arguments: Any) -> RemoteLoop:
        """Return a client without background threads that would race the test."""
        given: dict[str, Any] = {"pull_seconds": NEVER, "push_seconds": NEVER, **arguments}
        return RemoteLoop(self.url, self.token, directory, **given)


@contextmanager
def broken(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Give the address of a server that does one thing with every connection.

    Args:
        answer: Is given the connection after its request was read.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    closed = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(5)
            connection.recv(65_536)
            answer(connection)

    def listen() -> None:
        with suppress(OSError):
            while not closed.is_set():
                connection, _ = listening.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        closed.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)
