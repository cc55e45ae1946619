"""What those who run a server ask it: whether it lives, whether it is ready, how much it did."""

from __future__ import annotations

from flask import Blueprint as Routes
from flask import Response, current_app, jsonify

from abloop.errors import AbloopError
from abloop.store.migrations import SCHEMA_VERSION, read_version
from server.access import allow
from server.measures import Measures
from server.source import Source
from server.warmth import Warmth

routes = Routes("operation", __name__)


@routes.get("/healthz")
@allow("anyone")
def healthz() -> Response:
    """Say that the process answers; it asks no database."""
    return jsonify({"status": "ok"})


@routes.get("/readyz")
@allow("anyone")
def readyz() -> tuple[Response, int]:
    """Say whether requests are answered fast: the database is there, its schema is this abloop's, pages are loaded.

    Until they are, pages and API answer all the same; only the first page would be slow.
    """
    source: Source = current_app.extensions["abloop"]
    try:
        with source.workspace().database.reading() as connection:
            version, whole = read_version(connection, source.url)
    except AbloopError as error:
        current_app.logger.warning("not ready: %s", error)
        return jsonify({"status": "not ready"}), 503
    warmth: Warmth = current_app.extensions["abloop_warmth"]
    ready = whole and version == SCHEMA_VERSION and warmth.ready
    return jsonify({"status": "ready" if ready else "not ready"}), 200 if ready else 503


@routes.get("/metrics")
@allow("read")
def metrics() -> Response:
    """Say where all records are, and what this server answered how fast, for Prometheus."""
    from abloop.adapters.prometheus import exposition

    source: Source = current_app.extensions["abloop"]
    measures: Measures = current_app.extensions["abloop_measures"]
    stored = exposition(source.workspace())
    return Response([stored, measures.text()], mimetype="text/plain; version=0.0.4")
