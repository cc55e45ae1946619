"""Cookies: what a browser keeps, signed with the installation's own secret."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, Request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from werkzeug.middleware.proxy_fix import ProxyFix

from abloop.errors import StoreError
from abloop.store.secret import installation_secret
from server.config import Config
from server.source import Source

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class LateSecret(SecureCookieSessionInterface):
    """Signed cookies whose secret is in the database, which may come up after the server."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return what the cookie holds; nothing where the database is not there yet."""
        if not app.secret_key:
            source: Source = app.extensions["abloop"]
            try:
                app.secret_key = installation_secret(source.workspace().database)
            except StoreError:
                return None
        return super().open_session(app, request)


def configure(app: Flask, config: Config) -> None:
    """Set what cookies are marked with, how much a request may send, and whose word on addresses is taken.

    Args:
        app: The app.
        config: The settings.
    """
    app.session_interface = LateSecret()
    app.config.update(
        SECRET_KEY=config.secret or None,
        SESSION_COOKIE_NAME="__Host-abloop" if config.https and not config.prefix else "abloop",
        SESSION_COOKIE_SECURE=config.https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=config.body_bytes,
        MAX_FORM_MEMORY_SIZE=config.body_bytes,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,
    )
    if config.proxies:
        hops = config.proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)  # type: ignore[method-assign]
    if config.prefix:
        app.wsgi_app = Prefix(app.wsgi_app, config.prefix)  # type: ignore[method-assign,assignment]


class Prefix:
    """An app below a path; the proxy before it may strip the path or not.

    Args:
        app: It.
        prefix: The path.
    """

    def __init__(self, app: WSGIApplication, prefix: str) -> None:
        """Keep them."""
        self._app, self._prefix = app, prefix

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        environ["SCRIPT_NAME"] = self._prefix
        path = environ.get("PATH_INFO", "")
        if path == self._prefix or path.startswith(f"{self._prefix}/"):
            environ["PATH_INFO"] = path[len(self._prefix) :] or "/"
        return self._app(environ, start)
