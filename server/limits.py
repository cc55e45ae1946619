"""How much one caller may ask."""

from __future__ import annotations

from flask import Flask, request
from flask_limiter import Limiter

from server.access import principal
from server.config import Config

FREE = ("static", "operation.healthz", "operation.readyz")


def limit(app: Flask, config: Config) -> None:
    """Count the requests of each token and each address, and refuse those beyond the limit. Call it after `guard`.

    Args:
        app: The app.
        config: The settings.
    """
    limiter = Limiter(
        caller,
        default_limits=[config.rate] if config.rate else [],
        default_limits_exempt_when=lambda: request.endpoint in FREE,
        storage_uri=config.limits_url,
        headers_enabled=True,
    )
    enter = app.view_functions["login.enter"]
    app.view_functions["login.enter"] = limiter.limit(config.login_rate, key_func=address)(enter)
    limiter.init_app(app)


def caller() -> str:
    """Return who is counted: the token, or the address where there is none."""
    asking = principal()
    return f"token {asking.key}" if asking.kind == "token" else address()


def address() -> str:
    """Return the address that is counted."""
    return f"address {request.remote_addr or 'unknown'}"
