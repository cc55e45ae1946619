"""The server: pages for people, an API for programs, and who may use which."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from flask import Blueprint as Routes
from flask import Flask

from server import api, audit, dashboard, failures, login, operation, people
from server.access import admit, guard
from server.audit import tell, told
from server.config import Config, current_config
from server.fast import Fast
from server.headers import protect
from server.limits import limit, refuse_depth
from server.logs import begin_logs
from server.measures import measure
from server.routing import Name
from server.serving import serve
from server.sessions import configure
from server.source import Source
from server.warmth import Warmth

__all__ = ["Config", "create_app", "current_config", "run"]
DEFAULT_URL = "sqlite:///abloop.db"


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
    settings = current_config() if config is None else config
    app = Flask(__name__)
    app.url_map.merge_slashes = False
    app.url_map.converters["name"] = Name
    app.extensions["abloop"] = Source(url, directory)
    app.extensions["abloop_config"] = settings
    app.extensions["abloop_warmth"] = Warmth()
    configure(app, settings)
    for routes in _routes():
        app.register_blueprint(routes)
    failures.handle(app)
    begin_logs(app, settings)
    measure(app)
    guard(app)
    limit(app, settings)
    app.before_request(tell)
    app.teardown_request(told)
    app.before_request(admit)
    app.before_request(refuse_depth)
    app.after_request(protect)
    app.wsgi_app = Fast(app)  # type: ignore[method-assign, assignment]
    return app


def run(
    url: str = DEFAULT_URL,
    directory: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8765,
    *,
    workers: int = 1,
    config: Config | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered first. The address is printed once it answers.

    The first start of an installation prints the one-time password of the account `admin`.

    Args:
        url: SQLAlchemy URL of SQLite or Postgres.
        directory: Where spool and training tables are; beside an SQLite file by default.
        host: Address to listen on.
        port: Port; 0 takes a free one.
        workers: Processes; more than one needs gunicorn.
        config: Settings; those of the environment where None.

    Raises:
        StoreError: The database or the directory cannot be used.
        DataError: The address cannot be listened on, or a setting is none that is allowed.
        MissingExtraError: gunicorn is not installed.
    """
    settings = current_config() if config is None else config
    make = partial(create_app, url, directory, settings)
    serve(make, Source(url, directory), settings, host, port, workers)


def _routes() -> Iterator[Routes]:
    """Yield all pages and the API."""
    yield from (operation.routes, login.routes, people.routes, audit.routes, dashboard.routes, api.routes)
