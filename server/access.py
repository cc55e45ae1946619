"""Who asks, and what they may: the one place where a request is let in.

Every route has one rule, written above its view:

    @routes.get("/strategies/<name:name>")
    @allow("read")
    def strategy(name: str) -> str: ...
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar, get_args

from flask import Flask, current_app, g, redirect, request, session, url_for
from flask_login import LoginManager, current_user
from flask_wtf.csrf import CSRFProtect
from werkzeug.exceptions import Forbidden, NotFound, TooManyRequests, Unauthorized
from werkzeug.wrappers import Response as Answer

from abloop.store.people import Sessions
from server.config import Config
from server.principal import NOBODY, Principal, Rule
from server.proof import Proofs
from server.source import Source

View = TypeVar("View", bound=Callable[..., Any])
FREE = ("static", "operation.healthz", "operation.readyz")  # nobody is asked here, and nothing is counted
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
WRONG = "The token is wrong, expired or revoked. Send 'Authorization: Bearer abl_...'; an admin makes tokens."
_RULE = "abloop_rule"


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
    """Return the rule of an endpoint; without one, anybody who is somebody may learn that there is no such page."""
    rule: Rule = getattr(app.view_functions[endpoint], _RULE) if endpoint is not None else "person"
    return rule


def principal() -> Principal:
    """Return who asks; in a request only."""
    found: Principal = g.get("principal", NOBODY)
    return found


def home() -> str:
    """Return the address of the first page; in a request only."""
    return f"{request.script_root}/"


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
    source: Source = app.extensions["abloop"]
    logins = LoginManager(app)
    logins.session_protection = None  # sessions are kept here, and end here
    logins.user_loader(_visitor)
    app.extensions["abloop_proofs"] = Proofs(lambda: source.workspace().database)
    app.extensions["abloop_csrf"] = CSRFProtect(app)
    app.before_request(_recognise)
    app.context_processor(lambda: {"principal": principal(), "home": home()})


def admit() -> Answer | None:
    """Let the request in, or say why not; after it is known who asks, and counted."""
    asking, rule = principal(), rule_of(current_app, request.endpoint)
    if refusal := g.get("refusal"):
        raise refusal
    if request.endpoint is None and asking.kind == "token":
        return None
    if not asking.may(rule):
        return _refuse(asking, rule)
    if "\0" in request.path:
        raise NotFound  # no database keeps such a name
    if request.method in CHANGING and asking.kind != "token":
        if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            raise Forbidden("This form was sent from another site. Open the page here and send it again.")
        current_app.extensions["abloop_csrf"].protect()
    return None


def _recognise() -> None:
    """Find out who asks. A wrong token is refused by `admit`, once the request is counted."""
    if request.endpoint in FREE:
        return
    header = request.headers.get("Authorization")
    if header is not None:
        proofs: Proofs = current_app.extensions["abloop_proofs"]
        found = proofs.principal(header, request.remote_addr or "unknown")
        if isinstance(found, Principal):
            g.principal = found
        elif found:
            g.refusal = TooManyRequests("Too many wrong tokens came from this address.", retry_after=int(found) + 1)
        else:
            g.refusal = Unauthorized(WRONG)
    elif current_user.is_authenticated:
        g.principal = current_user.principal


def _refuse(asking: Principal, rule: Rule) -> Answer:
    """Say what is missing: a log-in, a new password or a grant."""
    page = request.method in ("GET", "HEAD") and not wants_json()
    if asking.kind == "nobody":
        if page:
            target = request.script_root + request.full_path.rstrip("?") if request.path != "/" else None
            return redirect(url_for("login.login", next=target))
        raise Unauthorized
    if asking.person is not None and asking.person.once is not None:
        if page:
            return redirect(url_for("login.password"))
        raise Forbidden("The one-time password has to be changed first: open /password in a browser.")
    have = ", ".join(sorted(asking.grants)) or "none"
    needed = "a person who is logged in" if rule == "person" else f"the grant {rule!r}"
    raise Forbidden(f"This needs {needed}; {asking.name} has: {have}. Ask an admin for it.")


def wants_json() -> bool:
    """Return whether the caller is a program: it asks the API, shows a token or prefers JSON."""
    if request.path.startswith("/v1/") or "Authorization" in request.headers:
        return True
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def forget_tokens() -> None:
    """Ask the database again for every token, e.g. since one was revoked."""
    proofs: Proofs = current_app.extensions["abloop_proofs"]
    proofs.forget()


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
