"""The pages by which a person logs in and out, and chooses a password."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from flask import Blueprint as Routes
from flask import current_app, flash, g, make_response, redirect, render_template, request, session, url_for
from flask_login import login_user, logout_user
from werkzeug.wrappers import Response

from abloop.errors import DataError
from abloop.store.attempts import Attempts, account
from abloop.store.people import People, Person, Sessions
from abloop.store.secret import verify_secret
from abloop.store.sql import Database
from server.access import Visitor, allow, home, principal
from server.audit import audited
from server.config import Config
from server.principal import Principal
from server.source import Source

routes = Routes("login", __name__)
WRONG = "Name or password is wrong, or the account is disabled."
EXPIRED = "This one-time password has expired. Ask an admin for a new one, or run on the server: abloop user reset"


@routes.get("/login")
@allow("anyone")
def login() -> str | Response:
    """Ask for name and password."""
    target = local(request.args.get("next", ""), home())
    if principal().kind == "user":
        return redirect(target)
    return render_template("login.html", target=target, nobody=not People(_database()).all())


@routes.post("/login")
@allow("anyone")
def enter() -> Response:
    """Check name and password and begin a session with an id of its own."""
    name, password, now = request.form.get("name", ""), request.form.get("password", ""), time.time()
    target = local(request.form.get("next", ""), home())
    database, address = _database(), request.remote_addr or "unknown"
    attempts, keys = Attempts(database), [account(name), f"address {address}"]
    if wait := attempts.begin(keys, now):
        minutes = max(1, round(wait / 60))
        answer = _again(target, f"Too many log-ins failed. Try again in {minutes} min.", 429)
        answer.headers["Retry-After"] = str(int(wait) + 1)
        return answer
    people = People(database)
    person = people.find(name)
    right = verify_secret(person.hash if person else "", password[:1_000])  # nobody takes as long as somebody
    if person is None or not right or person.disabled:
        current_app.logger.warning("log-in of %r from %s failed", name[:64], address)
        return _again(target, WRONG, 401)
    if person.once is not None and now >= person.once:
        return _again(target, EXPIRED, 401)
    attempts.succeed(keys, now)
    attempts.forget(account(name))
    people.note_login(person.name, now)
    _begin(person, now)
    audited("log in", person.name, "", {"address": address})
    return redirect(url_for("login.password") if person.once is not None else target)


@routes.post("/logout")
@allow("person")
def leave() -> Response:
    """End the session, here and in the database."""
    asking = principal()
    _sessions().close(asking.key)
    audited("log out", asking.name, "")
    logout_user()
    session.clear()
    return redirect(url_for("login.login"))


@routes.get("/password")
@allow("person")
def password() -> str:
    """Ask for a new password."""
    return render_template("password.html")


@routes.post("/password")
@allow("person")
def choose() -> Response:
    """Keep a new password; every other session of the person ends."""
    asking, database, now = principal(), _database(), time.time()
    attempts, keys = Attempts(database), [account(asking.name)]
    if attempts.begin(keys, now):
        return make_response(render_template("password.html", said="Too many wrong passwords. Try again later."), 429)
    old = asking.person.hash if asking.person is not None else ""
    if not verify_secret(old, request.form.get("old", "")[:1_000]):
        return make_response(render_template("password.html", said="The present password is wrong."), 400)
    attempts.succeed(keys, now)
    new = request.form.get("new", "")
    try:
        if new != request.form.get("again", ""):
            raise DataError("the two new passwords differ; type the same one twice")
        People(database).choose(asking.name, new)
    except DataError as error:
        return make_response(render_template("password.html", said=str(error)), 400)
    audited("change password", asking.name, "")
    _begin(People(database).get(asking.name), now)
    flash("Your password is changed. Other browsers were logged out.")
    return redirect(home())


def local(target: str, other: str = "/") -> str:
    """Return an address on this server as it may be followed after log-in; another one where it is none.

    Example:
        >>> local("/strategies/checkout?page=2"), local("//evil.example"), local("https://evil.example")
        ('/strategies/checkout?page=2', '/', '/')
    """
    try:
        parts = urlsplit(target)
    except ValueError:
        return other
    plain = target.startswith("/") and not target.startswith("//") and target.isprintable() and "\\" not in target
    return target if plain and not parts.scheme and not parts.netloc else other


def _again(target: str, said: str, code: int) -> Response:
    return make_response(render_template("login.html", target=target, said=said, nobody=False), code)


def _begin(person: Person, now: float) -> None:
    """Begin a session; nothing that the browser held before is kept."""
    session.clear()
    made = Principal(person.name, "user", person.grants, _sessions().open(person.name, now), person)
    login_user(Visitor(made))
    g.acting = made


def _sessions() -> Sessions:
    config: Config = current_app.extensions["abloop_config"]
    return Sessions(_database(), config.idle, config.absolute)


def _database() -> Database:
    source: Source = current_app.extensions["abloop"]
    return source.workspace().database
