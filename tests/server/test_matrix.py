"""Every route and everybody: who is let in, and that each change is in the log once."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Blueprint as Routes
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

import server
from abloop.store.people import GRANTS
from abloop.store.tokens import Tokens
from server import Config, create_app
from server.access import CHANGING, FREE, rule_of
from server.principal import Principal
from tests.server import changes
from tests.server.changes.access import Change
from tests.server.people import bearer, client_of, csrf

FILES = {"static", "dashboard.plotly"}  # with them the log-in page is shown as others are
OPEN = FILES | {"operation.healthz", "operation.readyz", "login.login", "login.enter"}
ARGUMENTS = {"filename": "abloop.css", "name": "none", "key": "none"}
PEOPLE = ("viewer", "editor", "admin")
TOKENS = ("read", "edit", "ingest", "admin")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """Return a server of an empty installation."""
    return create_app(f"sqlite:///{tmp_path_factory.mktemp('home')}/abloop.db", config=Config(rate="", login_rate=""))


def routes(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Yield every route with each of its methods."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method


def address(app: Flask, rule: Rule) -> str:
    """Return an address of a route."""
    values = {name: ARGUMENTS.get(name, "1") for name in rule.arguments}
    with app.test_request_context():
        return str(app.url_map.bind("localhost").build(rule.endpoint, values, method=next(iter(rule.methods or ()))))


def refused(answer: TestResponse) -> bool:
    """Return whether an answer lets nobody in: to the log-in, refused, or to wait after too many wrong tokens."""
    return answer.status_code in (401, 403, 429) or "/login" in answer.headers.get("Location", "")


def knocks(app: Flask) -> Iterator[tuple[str, Principal, FlaskClient, dict[str, str]]]:
    """Yield everybody: how they are called, what they may, their browser and their headers."""
    for role in PEOPLE:
        browser = client_of(app, role)
        yield role, Principal(role, "user", GRANTS[role]), browser, {"X-CSRFToken": csrf(browser)}
    for grant in TOKENS:
        yield f"token:{grant}", Principal(grant, "token", frozenset({grant})), app.test_client(), bearer(app, grant)


def test_everybody_at_every_route(app: Flask) -> None:
    """Who is somebody gets what the route's rule says, and nothing breaks."""
    for called, who, browser, headers in knocks(app):
        for rule, method in routes(app):
            if rule.endpoint in ("login.leave", "login.login", "login.enter"):
                continue
            answer = browser.open(address(app, rule), method=method, headers=headers, buffered=True)
            place = f"{called} {method} {rule.rule}: {answer.status_code}"
            assert refused(answer) != who.may(rule_of(app, rule.endpoint)), place
            assert answer.status_code < 500, place


@pytest.mark.parametrize("called", ["nobody", "expired", "revoked", "wrong", "stolen id", "basic"])
def test_nobody_sees_only_the_log_in(app: Flask, called: str) -> None:
    """Without a valid token or session each page is a log-in or a refusal, whether there is such a page or not."""
    headers = {
        "nobody": {},
        "expired": bearer(app, *TOKENS, days=1e-9),
        "revoked": bearer(app, *TOKENS),
        "wrong": {"Authorization": "Bearer abl_nothing_nothing"},
        "stolen id": {"Authorization": bearer(app, *TOKENS)["Authorization"][:-1] + "!"},
        "basic": {"Authorization": "Basic YWRtaW46YWRtaW4="},
    }[called]
    if called == "revoked":
        assert app.test_client().get("/metrics", headers=headers).status_code == 200
        key, database = headers["Authorization"].split("_")[1], app.extensions["abloop"].workspace().database
        Tokens(database).revoke(key, time.time())
        app.extensions["abloop_proofs"].forget()
    for rule, method in routes(app):
        answer = app.test_client().open(address(app, rule), method=method, headers=headers, buffered=True)
        if (
            rule.endpoint in FREE
            or (rule.endpoint in FILES and called == "nobody")
            or (rule.endpoint in OPEN and called == "nobody")
        ):
            assert answer.status_code in (200, 400), rule.rule
        else:
            assert refused(answer), f"{called} {method} {rule.rule}: {answer.status_code}"
    for path in ("/nowhere", "/strategies/checkout", "/v1/nothing", "/.git/config"):
        assert refused(app.test_client().get(path, headers=headers))


def test_what_is_open_is_listed(app: Flask) -> None:
    """Nothing is open to anyone but what is listed here, and whoever changes something has logged in."""
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert {name for name in endpoints if rule_of(app, name) == "anyone"} <= OPEN
    for rule, method in routes(app):
        if method in CHANGING and rule.endpoint != "login.enter":
            assert rule_of(app, rule.endpoint) in ("person", "ingest", "edit", "admin", "read"), rule.rule


def test_a_route_without_a_rule_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app with a route that does not say who may use it is not made; its name is in the error."""
    routes = Routes("extra", __name__)
    routes.get("/extra")(lambda: "secret")
    before = server._routes
    monkeypatch.setattr(server, "_routes", lambda: [*before(), routes])
    with pytest.raises(TypeError, match=r"without a rule: extra\.<lambda>"):
        create_app()


def collected() -> tuple[dict[str, Change], dict[str, str]]:
    """Return the changes of all rooms, and the routes whose changes are not in the log, with the reason."""
    made: dict[str, Change] = {}
    silent: dict[str, str] = {}
    for module in pkgutil.iter_modules(changes.__path__):
        found = importlib.import_module(f"tests.server.changes.{module.name}")
        made |= found.CHANGES
        silent |= found.UNAUDITED
    return made, silent


MADE, SILENT = collected()


def test_every_route_that_changes_something_is_known(app: Flask) -> None:
    """Each route with POST, PUT, PATCH or DELETE is in `tests/server/changes`, or has a reason to be silent there."""
    changing = {rule.endpoint for rule, method in routes(app) if method in CHANGING}
    assert changing == set(MADE) | set(SILENT)
    assert all(reason.strip() for reason in SILENT.values())


@pytest.mark.parametrize("endpoint", sorted(MADE))
def test_each_change_is_one_entry(tmp_path: Path, endpoint: str) -> None:
    """A change that succeeds adds exactly one entry under the name of who made it; the chain holds."""
    app = create_app(f"sqlite:///{tmp_path}/abloop.db", config=Config())
    browser, log = client_of(app), app.extensions["abloop"].workspace().audit
    before = log.entries()
    answer = MADE[endpoint](app, browser)
    assert answer.status_code in (200, 201, 202, 204, 302, 303), answer.text
    added = [entry for entry in log.entries()[: -len(before)] if entry.kind != "command"]  # which prepare it
    assert len(added) == 1
    assert added[0].who == "an.admin"
    assert log.check().altered is None


@pytest.mark.parametrize("forged", ["", "x", "another browser's"])
@pytest.mark.parametrize("endpoint", sorted(MADE))
def test_no_change_without_the_token_of_the_form(
    tmp_path: Path, endpoint: str, forged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same request without the CSRF token, or with another browser's, is refused and changes nothing."""
    app = create_app(f"sqlite:///{tmp_path}/abloop.db", config=Config())
    browser, log = client_of(app), app.extensions["abloop"].workspace().audit
    sent, before = csrf(app.test_client()) if forged.startswith("another") else forged, len(log.entries())
    for module in pkgutil.iter_modules(changes.__path__):
        name = f"tests.server.changes.{module.name}.csrf"
        monkeypatch.setattr(name, lambda *_: sent, raising=False)
    assert MADE[endpoint](app, browser).status_code == 400
    assert len([entry for entry in log.entries() if entry.kind != "command"]) == before
