"""How many requests were answered and how fast, for Prometheus; the numbers of all processes of one server."""

from __future__ import annotations

import time

from flask import Flask, Response, current_app, g, request

from server.config import shares_metrics

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Measures:
    """The counters of one app."""

    def __init__(self) -> None:
        """Begin at nothing. The package is loaded here, when it is settled whether processes share their numbers."""
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self.registry = CollectorRegistry()
        self.requests = Counter(
            "abloop_http_requests",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "abloop_http_seconds",
            "Seconds that a request took.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )

    def text(self) -> bytes:
        """Return the numbers in Prometheus' format, those of all processes together."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        if not shares_metrics():
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def measure(app: Flask) -> None:
    """Have an app count what it answers.

    Args:
        app: The app.
    """
    app.extensions["abloop_measures"] = Measures()
    app.after_request(_count)


def _count(response: Response) -> Response:
    measures: Measures = current_app.extensions["abloop_measures"]
    route = request.url_rule.rule if request.url_rule is not None else "none"
    method = request.method if request.method in _METHODS else "other"
    measures.requests.labels(method, route, str(response.status_code)).inc()
    if "begun" in g:
        measures.seconds.labels(route).observe(time.perf_counter() - g.begun)
    return response
