"""The server: pages for people, an API for programs, and who may use which."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint as Routes
from flask import Flask

from abloop.errors import DataError
from abloop.store.people import People
from server import audit, failures, login, operation, people
from server.access import guard, protect
from server.config import Config, read_config
from server.limits import limit
from server.routing import Name
from server.sessions import configure
from server.source import Source

__all__ = ["create_app", "run"]
DEFAULT_URL = "sqlite:///abloop.db"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def create_app(url: str = DEFAULT_URL, directory: str | Path | None = None, config: Config | None = None) -> Flask:
    """Return the server of one installation, for any WSGI server.

    The database is opened with the first request, and again with the next one if that failed: a server that
    starts before its database says that it is not ready and recovers by itself.

    Args:
        url: SQLAlchemy URL of SQLite or Postgres.
        directory: Where spool and training tables are; beside an SQLite file by default.
        config: Settings; those of the environment (`ABLOOP_HTTPS`, `ABLOOP_PROXIES` ...) where None.

    Raises:
        DataError: A setting is none that is allowed.
        TypeError: A route says not who may use it.
    """
    settings = read_config(os.environ) if config is None else config
    app = Flask(__name__)
    app.url_map.merge_slashes = False
    app.url_map.converters["name"] = Name
    app.extensions["abloop"] = Source(url, directory)
    app.extensions["abloop_config"] = settings
    configure(app, settings)
    for routes in _routes():
        app.register_blueprint(routes)
    failures.handle(app)
    guard(app)
    limit(app, settings)
    app.after_request(protect)
    return app


def _routes() -> Iterator[Routes]:
    """Yield all pages and the API."""
    yield from (operation.routes, login.routes, people.routes, audit.routes)
    for name, rest in (("server.dashboard", "server.views"), ("server.api", "")):
        if module := name if find_spec(name) else rest:
            yield import_module(module).routes


def run(url: str = DEFAULT_URL, directory: str | Path | None = None, host: str = "127.0.0.1", port: int = 8765) -> None:
    """Serve the dashboard until interrupted; its address is printed once it answers.

    Args:
        url: SQLAlchemy URL of SQLite or Postgres.
        directory: Where spool and training tables are; beside an SQLite file by default.
        host: Address to listen on.
        port: Port; 0 takes a free one.

    Raises:
        StoreError: The database or the directory cannot be used.
        DataError: The address cannot be listened on.
    """
    import waitress

    app = create_app(url, directory)
    source: Source = app.extensions["abloop"]
    password = People(source.workspace().database).begin(at=time.time())
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        source.close()
        raise DataError(
            f"address {host}:{port} cannot be listened on: {error}. Name another, e.g. abloop serve --port 8766"
        ) from error
    listener = waitress.create_server(app, sockets=[listening], ident=None, threads=8)
    shown = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"abloop dashboard: http://{shown}:{listening.getsockname()[1]}\n")
    if password:
        sys.stdout.write(f"First start: log in as admin with the one-time password {password}\n")
    if host not in LOOPBACK and not app.extensions["abloop_config"].https:
        sys.stdout.write("It speaks http: put a proxy with https before it, and set ABLOOP_HTTPS=1 ABLOOP_PROXIES=1.\n")
    sys.stdout.flush()
    try:
        listener.run()
    finally:
        listener.close()
        source.close()
