"""What the server logs: each request with its id, as a JSON object a line where that is wanted; never a secret."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid

from flask import Flask, Response, g, has_request_context, request

from server.access import principal
from server.config import Config

log = logging.getLogger("abloop.server")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, text, and of a request its id, method, path and caller."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a line."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        entry: dict[str, object] = {"at": at, "level": record.levelname.lower(), "logger": record.name}
        entry["text"] = record.getMessage()
        if has_request_context():
            entry |= {"request": request_id(), "method": request.method, "path": request.path}
            entry["who"] = principal().name
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def begin_logs(app: Flask, config: Config) -> None:
    """Give each request an id, and have requests logged where JSON is wanted.

    Args:
        app: The app.
        config: The settings.
    """
    app.before_request(_start)
    app.after_request(_echo)
    if config.log != "json":
        return
    app.after_request(_tell)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in ("abloop", app.logger.name, "waitress", "gunicorn.error", "py.warnings"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    logging.getLogger("abloop").setLevel(logging.INFO)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def request_id() -> str:
    """Return the id of the request: the caller's own where it sent a plain one, else a new one."""
    if "request_id" not in g:
        g.request_id = plain_id(request.headers.get("X-Request-ID", "")) or uuid.uuid4().hex
    found: str = g.request_id
    return found


def plain_id(sent: str) -> str:
    """Return the id that a caller sent, where it is a plain one; an empty text for any other."""
    return sent if _ID.fullmatch(sent) else ""


def _start() -> None:
    g.begun = time.perf_counter()


def _echo(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id()
    return response


def _tell(response: Response) -> Response:
    seconds = time.perf_counter() - g.get("begun", time.perf_counter())
    fields = {"status": response.status_code, "ms": round(seconds * 1_000, 2), "address": request.remote_addr}
    log.info("request", extra={"fields": fields})
    return response
