"""The pages on which an admin says who may log in, and what programs may do."""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import Blueprint as Routes
from flask import current_app, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from abloop.errors import AbloopError, DataError, UnknownNameError
from abloop.store.attempts import Attempts, account
from abloop.store.people import GRANTS, People, Sessions
from abloop.store.sql import Database
from abloop.store.tokens import Tokens
from server.access import allow, forget_tokens, principal, wants_json
from server.audit import audited
from server.numbers import moment
from server.source import Source

routes = Routes("people", __name__)
GRANT_WORDS = {
    "ingest": "send decisions and observations",
    "read": "read everything",
    "edit": "change blueprints, experiments and tuning",
    "admin": "people, tokens, audit log, erasure",
}


@routes.get("/people")
@allow("admin")
def people() -> str:
    """Show who may log in."""
    return _people()


@routes.post("/people")
@allow("admin")
def add_person() -> Response:
    """Make an account and show its one-time password, once."""
    name, role = request.form.get("name", ""), request.form.get("role", "")
    try:
        password = People(_database()).add(name, role, at=time.time())
    except DataError as error:
        return _said(_people, error)
    audited("create user", name.strip(), _why(), {"role": role})
    if wants_json():
        return make_response({"name": name.strip(), "role": role, "password": password}, 201)
    return make_response(_people(shown=(name.strip(), password)), 201)


@routes.post("/people/<name>")
@allow("admin")
def change_person(name: str) -> Response:
    """Change a role, disable, enable, reset a password or log out everywhere."""
    action, database, shown = request.form.get("action", ""), _database(), None
    accounts = People(database)
    try:
        if action == "role":
            accounts.assign(name, request.form.get("role", ""))
        elif action in ("disable", "enable"):
            accounts.disable(name, action == "disable")
        elif action == "reset":
            shown = (name, accounts.reset(name, at=time.time()))
            Attempts(database).forget(account(name))
        elif action == "log out":
            accounts.get(name)
            Sessions(database).close_all(name)
        else:
            raise DataError(f"action {action!r}; allowed: role, disable, enable, reset, log out")
    except AbloopError as error:
        return _said(_people, error)
    words = {"role": "change role", "reset": "reset password", "log out": "end sessions"}
    audited(
        words.get(action, f"{action} user"), name, _why(), {"role": request.form["role"]} if action == "role" else {}
    )
    if wants_json():
        return make_response({"name": name, "action": action} | ({"password": shown[1]} if shown else {}))
    return make_response(_people(shown=shown)) if shown else redirect(url_for("people.people"))


@routes.get("/tokens")
@allow("admin")
def tokens() -> str:
    """Show the tokens."""
    return _tokens()


@routes.post("/tokens")
@allow("admin")
def add_token() -> Response:
    """Make a token and show it, once."""
    name, grants, days = request.form.get("name", ""), request.form.getlist("grants"), request.form.get("days", "")
    try:
        lifetime = _days(days)
        token = Tokens(_database()).add(name, grants, who=principal().name, at=time.time(), days=lifetime)
    except DataError as error:
        return _said(_tokens, error)
    key = token.split("_")[1]
    audited("create token", f"{name.strip()} ({key})", _why(), {"grants": sorted(set(grants)), "days": lifetime})
    if wants_json():
        return make_response({"name": name.strip(), "token": token, "grants": sorted(set(grants))}, 201)
    return make_response(_tokens(shown=(name.strip(), token)), 201)


@routes.post("/tokens/<key>")
@allow("admin")
def revoke_token(key: str) -> Response:
    """Refuse a token from now on."""
    try:
        token = Tokens(_database()).revoke(key, time.time())
    except UnknownNameError as error:
        return _said(_tokens, error)
    forget_tokens()
    audited("revoke token", f"{token.name} ({key})", _why())
    return make_response({"id": key, "revoked": True}) if wants_json() else redirect(url_for("people.tokens"))


def _said(page: Callable[[str], str], error: AbloopError) -> Response:
    """Return the page with what is wrong on it; a program gets its JSON as for every error."""
    if wants_json():
        raise error
    return make_response(page(str(error)), 404 if isinstance(error, UnknownNameError) else 400)


def _people(said: str = "", shown: tuple[str, str] | None = None) -> str:
    now = time.time()
    rows = [(person, moment(person.seen, now) if person.seen else None) for person in People(_database()).all()]
    return render_template("people.html", rows=rows, roles=GRANTS, said=said, shown=shown, now=now)


def _tokens(said: str = "", shown: tuple[str, str] | None = None) -> str:
    now = time.time()
    rows = [
        (token, *(moment(at, now) if at else None for at in (token.at, token.expires, token.used)), token.valid(now))
        for token in Tokens(_database()).all()
    ]
    return render_template("tokens.html", rows=rows, grants=GRANT_WORDS, said=said, shown=shown)


def _days(text: str) -> float | None:
    """Return days as typed; None where nothing was."""
    try:
        return float(text) if text.strip() else None
    except ValueError as error:
        raise DataError(f"{text!r} days; allowed: a number, or nothing to never expire") from error


def _why() -> str:
    return request.form.get("why", "")[:1_000]


def _database() -> Database:
    source: Source = current_app.extensions["abloop"]
    return source.workspace().database
