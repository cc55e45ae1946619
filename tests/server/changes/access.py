"""Changes of people, tokens and sessions."""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from abloop.store.people import People
from abloop.store.tokens import Tokens
from server.source import Source
from tests.server.people import PASSWORD, csrf

Change = Callable[[Flask, FlaskClient], TestResponse]


def _database(app: Flask):  # type: ignore[no-untyped-def]
    source: Source = app.extensions["abloop"]
    return source.workspace().database


def _enter(app: Flask, browser: FlaskClient) -> TestResponse:
    other = app.test_client()
    return other.post("/login", data={"name": "an.admin", "password": PASSWORD, "csrf_token": csrf(other)})


def _leave(app: Flask, browser: FlaskClient) -> TestResponse:
    return browser.post("/logout", data={"csrf_token": csrf(browser)})


def _choose(app: Flask, browser: FlaskClient) -> TestResponse:
    new = "eleven amber lynxes"
    form = {"old": PASSWORD, "new": new, "again": new, "csrf_token": csrf(browser, "/password")}
    return browser.post("/password", data=form)


def _add_person(app: Flask, browser: FlaskClient) -> TestResponse:
    return browser.post("/people", data={"name": "maria", "role": "editor", "csrf_token": csrf(browser)})


def _change_person(app: Flask, browser: FlaskClient) -> TestResponse:
    People(_database(app)).add("oskar", "viewer", at=time.time())
    return browser.post("/people/oskar", data={"action": "disable", "csrf_token": csrf(browser)})


def _add_token(app: Flask, browser: FlaskClient) -> TestResponse:
    return browser.post("/tokens", data={"name": "shop", "grants": "ingest", "csrf_token": csrf(browser)})


def _revoke_token(app: Flask, browser: FlaskClient) -> TestResponse:
    token = Tokens(_database(app)).add("shop", ["read"], who="tests", at=time.time())
    return browser.post(f"/tokens/{token.split('_')[1]}", data={"csrf_token": csrf(browser)})


CHANGES: dict[str, Change] = {
    "login.enter": _enter,
    "login.leave": _leave,
    "login.choose": _choose,
    "people.add_person": _add_person,
    "people.change_person": _change_person,
    "people.add_token": _add_token,
    "people.revoke_token": _revoke_token,
}
UNAUDITED: dict[str, str] = {}
