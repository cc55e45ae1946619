"""What each answer tells a browser it may do: nothing but show this page with this server's own files."""

from __future__ import annotations

from flask import Response, current_app, request

from server.config import Config

HEADERS = (
    (
        "Content-Security-Policy",  # plotly writes styles into the page; scripts come from files only
        (
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
            "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        ),
    ),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)
STRICT_TRANSPORT = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
STATIC_SECONDS = 3_600


def protect(response: Response) -> Response:
    """Add the headers that keep a page inert, and keep pages out of caches."""
    config: Config = current_app.extensions["abloop_config"]
    headers = response.headers
    for name, value in HEADERS:
        headers.add(name, value)
    if config.https:
        headers.add(*STRICT_TRANSPORT)
    if request.endpoint == "static" and response.status_code in (200, 304):
        headers["Cache-Control"] = f"public, max-age={STATIC_SECONDS}"
    else:
        headers.setdefault("Cache-Control", "no-store")
    return response
