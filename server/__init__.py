"""The dashboard: what the store holds, as pages for people. Reads only; no page changes anything."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from flask import Flask, Response

from abloop.errors import DataError
from server import dashboard, failures, operation
from server.dashboard.routes import Name
from server.source import Source

__all__ = ["create_app", "run"]
DEFAULT_URL = "sqlite:///abloop.db"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def create_app(url: str = DEFAULT_URL, directory: str | Path | None = None) -> Flask:
    """Return the dashboard of one installation, for any WSGI server.

    The database is opened with the first page, and again with the next one if that failed: a dashboard that
    starts before its database shows what is wrong and recovers by itself.

    Args:
        url: SQLAlchemy URL of SQLite or Postgres.
        directory: Where spool and training tables are; beside an SQLite file by default.
    """
    app = Flask(__name__)
    app.url_map.merge_slashes = False
    app.url_map.converters["name"] = Name
    app.extensions["abloop"] = Source(url, directory)
    app.register_blueprint(dashboard.routes)
    app.register_blueprint(operation.routes)
    failures.handle(app)
    app.after_request(_protect)
    return app


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
    source.workspace()
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
    if host not in LOOPBACK:
        sys.stdout.write("It has no login: everybody who reaches this address can read it.\n")
    sys.stdout.flush()
    try:
        listener.run()
    finally:
        listener.close()
        source.close()


def _protect(response: Response) -> Response:
    """Add the headers that keep a page inert, and keep pages out of caches."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    return response
