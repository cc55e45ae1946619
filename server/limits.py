"""How much one caller may ask: requests a minute, bytes, and levels of JSON."""

from __future__ import annotations

import re
from typing import Any, cast

from flask import Flask, current_app, request
from flask_limiter import ApplicationLimit, Limiter
from werkzeug.exceptions import BadRequest

from server.access import FREE, principal
from server.config import Config

_BRACKETS = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


def limit(app: Flask, config: Config) -> None:
    """Count the requests of each token and each address, and refuse those beyond the limit. Call it after `guard`.

    Args:
        app: The app.
        config: The settings.
    """
    limiter = Limiter(
        caller,
        app=app,
        application_limits=[ApplicationLimit(config.rate, key_function=caller)] if config.rate else [],
        application_limits_exempt_when=lambda: request.endpoint in FREE,
        storage_uri=config.limits_url,
        request_identifier=lambda: request.endpoint or "none",  # those who look for pages that are not there count too
        headers_enabled=True,
    )
    if config.login_rate:
        enter = app.view_functions["login.enter"]
        app.view_functions["login.enter"] = cast(Any, limiter.limit(config.login_rate, key_func=address)(enter))


def caller() -> str:
    """Return who is counted: the token, or the address where there is none."""
    asking = principal()
    return f"token {asking.key}" if asking.kind == "token" else address()


def address() -> str:
    """Return the address that is counted."""
    return f"address {request.remote_addr or 'unknown'}"


def too_deep(body: bytes, most: int) -> bool:
    """Return whether JSON has more than some levels of lists and objects, or never closes them.

    Args:
        body: The text; what is no JSON is left to the parser.
        most: Levels that are allowed.

    Example:
        >>> too_deep(b'{"a": [1, "[[[["]}', 2), too_deep(b"[[[]]]", 2)
        (False, True)
    """
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    left = _TEXT.sub(b"", body).translate(_BRACKETS, _OTHERS)
    for _ in range(most):  # each turn takes the innermost level away
        if b"[" not in left:
            return False
        left = left.replace(b"[]", b"")
    return b"[" in left


def refuse_depth() -> None:
    """Refuse JSON of too many levels before it is parsed; a body that is too large is refused where it is read."""
    if request.content_length or request.headers.get("Transfer-Encoding"):
        if not (request.mimetype or "").endswith("json"):
            return
        config: Config = current_app.extensions["abloop_config"]
        if too_deep(request.get_data(), config.depth):
            raise BadRequest(f"The JSON has more than {config.depth} levels, or does not end. Send it flatter.")
