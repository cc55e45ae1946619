"""Who asks, and what they may: the one place where a request is let in.

Every route has one rule, written above its view:

    @routes.get("/strategies/<name:name>")
    @allow("read")
    def strategy(name: str) -> str: ...
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args

import msgspec
from flask import Flask, Response, abort, current_app, g, redirect, request, session, url_for
from flask_login import LoginManager, current_user
from flask_wtf.csrf import CSRFProtect
from werkzeug.wrappers import Response as Answer

from abloop.store.people import Grant, Person, Sessions
from abloop.store.secret import fingerprint, verify_secret
from abloop.store.tokens import Token, Tokens, split
from server.config import Config
from server.source import Source

Rule = Literal["anyone", "person", "read", "edit", "ingest", "admin"]
Kind = Literal["user", "token", "nobody"]
View = TypeVar("View", bound=Callable[..., Any])
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_RULE = "abloop_rule"
_MOST_KNOWN = 10_000


class Principal(msgspec.Struct, frozen=True):
    """Who asks.

    Attributes:
        name: Name of the person, or of the token with its id.
        kind: `user`, `token` or `nobody`.
        grants: What they may do.
        key: Id of the token; secret id of the session, which is never shown.
        person: The account, of a user.
    """

    name: str
    kind: Kind
    grants: frozenset[Grant] = frozenset()
    key: str = ""
    person: Person | None = None

    def may(self, rule: Rule) -> bool:
        """Return whether a rule lets them in; `person` is anybody who is logged in."""
        return rule == "anyone" or (self.kind == "user" if rule == "person" else rule in self.grants)


NOBODY = Principal("nobody", "nobody")


class Visitor:
    """A person who is logged in, as Flask-Login asks for one.

    Args:
        principal: Who it is.
    """

    is_authenticated = is_active = True
    is_anonymous = False

    def __init__(self, principal: Principal) -> None:
        """Keep it."""
        self.principal = principal

    def get_id(self) -> str:
        """Return the secret id of the session: the cookie names a session that can be ended, not a person."""
        return self.principal.key


def allow(rule: Rule) -> Callable[[View], View]:
    """Say who may use a route; written under the route's decorator, once for each view.

    Args:
        rule: `anyone`; `person`, anybody logged in; or the grant that is needed: `read`, `edit`, `ingest`, `admin`.
    """
    if rule not in get_args(Rule):
        raise ValueError(f"rule {rule!r}; allowed: {', '.join(get_args(Rule))}")

    def mark(view: View) -> View:
        setattr(view, _RULE, rule)
        return view

    return mark


def rule_of(app: Flask, endpoint: str | None) -> Rule:
    """Return the rule of an endpoint; a page that is not there is as well kept as one that is."""
    rule: Rule = getattr(app.view_functions[endpoint], _RULE) if endpoint is not None else "person"
    return rule


def principal() -> Principal:
    """Return who asks; in a request only."""
    found: Principal = g.get("principal", NOBODY)
    return found


def guard(app: Flask) -> None:
    """Have an app ask everybody who they are. Call it after the routes are there.

    Args:
        app: The app, with its `Source` and `Config` in `extensions`.

    Raises:
        TypeError: A route has no rule.
    """
    allow("anyone")(app.view_functions["static"])
    missing = sorted(name for name, view in app.view_functions.items() if not hasattr(view, _RULE))
    if missing:
        raise TypeError(f"routes without a rule: {', '.join(missing)}. Write @allow(...) above their views")
    logins = LoginManager(app)
    logins.session_protection = None  # the session is kept here, and ends here
    logins.user_loader(_visitor)
    app.extensions["abloop_tokens"] = _Known()
    app.extensions["abloop_csrf"] = CSRFProtect(app)
    app.before_request(_let_in)
    app.context_processor(lambda: {"principal": principal()})


def _let_in() -> Answer | None:
    """Find out who asks, and let them in or say why not."""
    rule = rule_of(current_app, request.endpoint)
    header = request.headers.get("Authorization")
    if header is not None:
        g.principal = _from_token(header)
    elif rule != "anyone" or request.endpoint != "static":
        g.principal = current_user.principal if current_user.is_authenticated else NOBODY
    asking = principal()
    if request.endpoint is None and asking.kind == "token":
        return None
    if not asking.may(rule):
        return _refuse(asking, rule)
    if request.method in CHANGING and asking.kind != "token":
        current_app.extensions["abloop_csrf"].protect()
    return None


def _refuse(asking: Principal, rule: Rule) -> Answer:
    """Say what is missing: a log-in, a new password or a grant."""
    if asking.kind == "nobody":
        if request.method == "GET" and not wants_json():
            target = request.full_path.rstrip("?") if request.path != "/" else None
            return redirect(url_for("login.login", next=target))
        abort(401)
    if asking.person is not None and asking.person.once is not None:
        if request.method == "GET" and not wants_json():
            return redirect(url_for("login.password"))
        abort(403, "The one-time password has to be changed first: open /password in a browser.")
    have = ", ".join(sorted(asking.grants)) or "none"
    abort(403, f"This needs the grant {rule!r}; {asking.name} has: {have}. Ask an admin for it.")


def wants_json() -> bool:
    """Return whether the caller is a program: it asks the API, shows a token or prefers JSON."""
    if request.path.startswith("/v1/") or "Authorization" in request.headers:
        return True
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def forget_token(key: str) -> None:
    """Let go of what is remembered of a token."""
    current_app.extensions["abloop_tokens"].forget(key)


def _visitor(secret: str) -> Visitor | None:
    """Return who is logged in by a session; None where it ended."""
    source: Source = current_app.extensions["abloop"]
    config: Config = current_app.extensions["abloop_config"]
    sessions = Sessions(source.workspace().database, config.idle, config.absolute)
    person = sessions.person(secret, time.time())
    if person is None:
        session.clear()
        return None
    return Visitor(Principal(person.name, "user", person.grants, secret, person))


def _from_token(header: str) -> Principal:
    """Return whose token an `Authorization` header holds."""
    scheme, _, text = header.partition(" ")
    key, secret = split(text.strip())
    source: Source = current_app.extensions["abloop"]
    now = time.time()
    if scheme.lower() == "bearer" and key:
        tokens = Tokens(source.workspace().database)
        token = tokens.find(key)
        if token is not None and token.valid(now) and current_app.extensions["abloop_tokens"].proves(token, secret):
            tokens.note_use(token, now)
            return Principal(f"{token.name} ({key})", "token", frozenset(token.grants), key)
    abort(401, "The token is wrong, expired or revoked. Send 'Authorization: Bearer abl_...'; an admin makes tokens.")


class _Known:
    """Secrets that were proven once, as fast hashes: argon2 is asked once for each token and process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._proven: dict[str, tuple[str, str]] = {}

    def proves(self, token: Token, secret: str) -> bool:
        """Return whether a secret is the token's."""
        proven = (token.hash, fingerprint(secret))
        if self._proven.get(token.id) == proven:
            return True
        if not verify_secret(token.hash, secret):
            return False
        with self._lock:
            if len(self._proven) >= _MOST_KNOWN:
                self._proven.clear()
            self._proven[token.id] = proven
        return True

    def forget(self, key: str) -> None:
        """Let go of a token."""
        with self._lock:
            self._proven.pop(key, None)


def protect(response: Response) -> Response:
    """Add the headers that keep a page inert, and keep pages out of caches."""
    config: Config = current_app.extensions["abloop_config"]
    response.headers.update(HEADERS)
    if config.https:
        response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; script-src 'self'; "
        "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
