"""What went wrong, as a page or as JSON that says what to do. Never a stack trace."""

from __future__ import annotations

import re

from flask import Flask, Response, current_app, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, default_exceptions

from abloop.errors import AbloopError, BlueprintError, ConflictError, DataError, StoreError, UnknownNameError
from server.access import principal, wants_json
from server.source import Source

AWAY = "The store cannot be read just now. The server's log says why; try again in a moment."
REACTIONS: tuple[tuple[type[AbloopError], int, str], ...] = (
    (UnknownNameError, 404, "Not found"),
    (BlueprintError, 422, "The blueprint is refused"),
    (DataError, 422, "The data are refused"),
    (ConflictError, 409, "Somebody else changed it"),
    (AbloopError, 503, "The store cannot be read"),
)
ASKED = {
    401: "Log in first, or send a token: 'Authorization: Bearer abl_...'",
    413: "The request is too large. Send less at a time.",
    429: "Too many requests. Wait a moment and try again.",
}
FIXES = {401: "Send 'Authorization: Bearer abl_...' with a token that is valid", 429: "Wait, then try again"}
_USUAL = {error.description for error in default_exceptions.values()}

UNFORESEEN = "The dashboard could not make this page. Its log says why; report it if it happens again."


def handle(app: Flask) -> None:
    """Let an app answer every error with a page.

    Args:
        app: The app.
    """
    app.register_error_handler(AbloopError, _refused)
    app.register_error_handler(ModuleNotFoundError, _not_installed)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unforeseen)


def _refused(error: AbloopError) -> Response:
    """Answer with the error's own text: it is written for people. What the store says is for those who may read."""
    if isinstance(error, StoreError) and "cannot contain NUL" in str(error):  # Postgres alone says so
        error = DataError("a text holds the character NUL, which no text of a database can hold; leave it out")
    code, title = next((code, title) for kind, code, title in REACTIONS if isinstance(error, kind))
    if code == 503:
        current_app.logger.warning("%r: %s", request.path, error)
    hidden = code == 503 and "read" not in principal().grants
    return answer(code, title, AWAY if hidden else str(error), place=error.place)


def _not_installed(error: ModuleNotFoundError) -> Response:
    """Answer with the package to install."""
    current_app.logger.error("%r: %s", request.path, error)
    text = f"Package {error.name!r} is not installed here. Install it: pip install 'abloop[all]'"
    return answer(503, "A package is missing", text)


def _http(error: HTTPException) -> Response:
    """Answer what is wrong with the request."""
    if error.response is not None:
        return make_response(error.response)
    code, said = error.code or 500, error.description or ""
    if code == 404:
        said = f"There is no page at {request.path!r}. The list of strategies links every page there is."
    said = ASKED.get(code, said) if said in _USUAL else said
    made = answer(code, error.name, said)
    if code == 401:
        made.headers["WWW-Authenticate"] = 'Bearer realm="abloop"'
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            made.headers[name] = value
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        made.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return made


def _unforeseen(error: Exception) -> Response:
    """Answer without a word of the error: it may hold a secret. The log has it."""
    current_app.logger.error("%r", request.path, exc_info=error)
    return answer(500, "Something broke", UNFORESEEN)


def answer(code: int, title: str, text: str, *, place: str = "", fix: str = "") -> Response:
    """Return what is wrong as a page, or as JSON where the caller is a program.

    Args:
        code: The status.
        title: What happened, in a few words.
        text: What came, what is allowed and what to do.
        place: Where in the body of the request it stands, e.g. `arms[1].weight`.
        fix: What to do; the last sentence of `text` where empty.
    """
    if wants_json():
        last = fix or FIXES.get(code) or re.split(r"(?<=[.!?:])\s+(?=[A-Za-z'])", text.strip())[-1]
        body = jsonify({"error": title, "detail": text, "path": place, "fix": last})
        body.status_code = code
        return body
    source: Source = current_app.extensions["abloop"]
    url = source.url if "read" in principal().grants else ""
    return make_response(render_template("error.html", code=code, title=title, text=text, url=url), code)
