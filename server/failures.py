"""What went wrong, as a page or as JSON that says what to do. Never a stack trace."""

from __future__ import annotations

from flask import Flask, Response, current_app, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from abloop.errors import AbloopError, UnknownNameError
from server.source import Source

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
    """Answer with the error's own text: it is written for people."""
    if isinstance(error, UnknownNameError):
        return _answer(404, "Not found", str(error))
    current_app.logger.warning("%s: %s", request.path, error)
    return _answer(503, "The store cannot be read", str(error))


def _not_installed(error: ModuleNotFoundError) -> Response:
    """Answer with the package to install."""
    current_app.logger.error("%s: %s", request.path, error)
    text = f"Package {error.name!r} is not installed here. Install it: pip install 'abloop[all]'"
    return _answer(503, "A package is missing", text)


def _http(error: HTTPException) -> Response:
    """Answer what is wrong with the request."""
    code, said = error.code or 500, error.description or ""
    if code == 404:
        said = f"There is no page at {request.path!r}. The list of strategies links every page there is."
    answer = _answer(code, error.name, said)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return answer


def _unforeseen(error: Exception) -> Response:
    """Answer without a word of the error: it may hold a secret. The log has it."""
    current_app.logger.error("%s", request.path, exc_info=error)
    return _answer(500, "Something broke", UNFORESEEN)


def _answer(code: int, title: str, text: str) -> Response:
    """Return a page, or JSON where the client prefers it."""
    kinds = ["text/html", "application/json"]
    if request.accept_mimetypes.best_match(kinds) == "application/json":
        answer = jsonify({"error": title, "detail": text})
        answer.status_code = code
        return answer
    source: Source = current_app.extensions["abloop"]
    page = render_template("error.html", code=code, title=title, text=text, url=source.url)
    return make_response(page, code)
