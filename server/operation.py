"""What those who run the server ask it: does it live, and where are all records."""

from __future__ import annotations

from flask import Blueprint as Routes
from flask import Response, current_app, jsonify

from server.source import Source

routes = Routes("operation", __name__)


@routes.get("/metrics")
def metrics() -> Response:
    """Say where all records are, for Prometheus."""
    from abloop.adapters.prometheus import exposition

    source: Source = current_app.extensions["abloop"]
    return Response(exposition(source.workspace()), mimetype="text/plain; version=0.0.4")


@routes.get("/healthz")
def healthz() -> Response:
    """Say that the process answers; it asks no database."""
    return jsonify({"status": "ok"})
