"""The calls that products make all the time, answered before Flask: no page of the server is as often asked.

Only what is plain is answered here: a token that was proven a moment ago, JSON that decodes, strategies that are there.
Everything else goes the usual way, which says what is wrong; so there is one place that says it, and one that lets in.
"""

from __future__ import annotations

import io
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from flask import Flask

from abloop.errors import AbloopError, AwayError
from abloop.loop import Loop
from server.api.deciding import Decisions, Observations, decide_all, observe_all
from server.api.endpoint import JSON, RETRY_SECONDS, encode
from server.config import Config
from server.failures import AWAY
from server.headers import HEADERS, STRICT_TRANSPORT
from server.limits import too_deep
from server.logs import plain_id
from server.measures import Measures
from server.proof import Proofs
from server.source import Source

log = logging.getLogger("abloop.server")
Environ = dict[str, Any]
Start = Callable[..., Any]
GRANT: Final = "ingest"
KINDS = (JSON, f"{JSON}; charset=utf-8", f"{JSON};charset=utf-8")
MINUTE = 60.0


class Fast:
    """A WSGI app before another one.

    Args:
        app: The app; what is not answered here is answered by it.
    """

    def __init__(self, app: Flask) -> None:
        """Wrap the app."""
        self._next = app.wsgi_app
        self._source: Source = app.extensions["abloop"]
        self._config: Config = app.extensions["abloop_config"]
        self._proofs: Proofs = app.extensions["abloop_proofs"]
        self._measures: Measures = app.extensions["abloop_measures"]
        self._limit = _Limit(self._config.calls)
        self._headers = [("Content-Type", JSON), *HEADERS, ("Cache-Control", "no-store")]
        if self._config.https:
            self._headers.append(STRICT_TRANSPORT)
        decisions, observations = msgspec.json.Decoder(Decisions), msgspec.json.Decoder(Observations)

        def decide(loop: Loop, body: bytes, environ: Environ) -> Any:
            del environ
            return decide_all(loop, decisions.decode(body))

        def observe(loop: Loop, body: bytes, environ: Environ) -> Any:
            return observe_all(loop, observations.decode(body), environ.get("HTTP_IDEMPOTENCY_KEY", ""))

        self._calls = {"/v1/decisions": decide, "/v1/observations": observe}

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer a request, or hand it on."""
        call = self._calls.get(environ["PATH_INFO"])
        if call is None or environ["REQUEST_METHOD"] != "POST" or environ.get("SCRIPT_NAME"):
            return self._next(environ, start)
        begun, path = time.perf_counter(), environ["PATH_INFO"]
        body = self._body(environ)
        if body is None:
            return self._next(environ, start)
        try:
            answer = encode(call(self._source.loop(), body, environ))
        except AwayError as error:  # a part may be kept: only the caller may send it again
            return self._away(start, str(error))
        except (AbloopError, msgspec.MsgspecError, ValueError, RecursionError):  # said the usual way
            return self._next(environ, start)
        name = plain_id(environ.get("HTTP_X_REQUEST_ID", "")) or uuid.uuid4().hex
        took = time.perf_counter() - begun
        self._measures.requests.labels("POST", path, "200").inc()
        self._measures.seconds.labels(path).observe(took)
        if self._config.log == "json":
            said = {"request": name, "method": "POST", "path": path, "status": 200, "ms": round(took * 1_000, 2)}
            log.info("request", extra={"fields": said})
        start("200 OK", [*self._headers, ("Content-Length", str(len(answer))), ("X-Request-ID", name)])
        return (answer,)

    def _away(self, start: Start, text: str) -> Iterable[bytes]:
        """Answer that nothing can be kept just now."""
        log.warning("%s", text)
        answer = encode(
            {"error": "The store cannot be read", "detail": AWAY, "path": "", "fix": "Try again in a moment"}
        )
        again = [("Content-Length", str(len(answer))), ("Retry-After", str(RETRY_SECONDS))]
        start("503 SERVICE UNAVAILABLE", [*self._headers, *again])
        return (answer,)

    def _body(self, environ: Environ) -> bytes | None:
        """Return the body of a request that may be answered here, left in its place for who comes after."""
        known = self._proofs.known(environ.get("HTTP_AUTHORIZATION", ""))
        length = environ.get("CONTENT_LENGTH") or ""
        if known is None or not known.may(GRANT) or environ.get("CONTENT_TYPE") not in KINDS or not length.isdigit():
            return None
        if int(length) > self._config.body_bytes or not self._limit.lets(known.key):
            return None
        body: bytes = environ["wsgi.input"].read(int(length))
        environ["wsgi.input"] = io.BytesIO(body)
        return None if too_deep(body, self._config.depth) else body


class _Limit:
    """How many of these calls each token has left in this minute; beyond that the usual limit holds."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._begun, self._counts = 0.0, dict[str, int]()

    def lets(self, key: str) -> bool:
        """Count a call and return whether it is within the limit."""
        if not self._most:
            return True
        now = time.monotonic()
        with self._lock:
            if now - self._begun >= MINUTE:
                self._begun, self._counts = now, {}
            count = self._counts[key] = self._counts.get(key, 0) + 1
        return count <= self._most
