"""How the tests log in."""

from __future__ import annotations

import re
import time
from functools import cache

from flask import Flask
from flask.testing import FlaskClient

from abloop.store.access_tables import people
from abloop.store.people import People
from abloop.store.secret import hash_secret
from abloop.store.tokens import Tokens
from server.source import Source

PASSWORD = "nine violet herons"  # noqa: S105


def client_of(app: Flask, role: str = "admin", name: str = "") -> FlaskClient:
    """Return a browser in which somebody of a role is logged in; the account is made where it is missing."""
    source: Source = app.extensions["abloop"]
    database, name = source.workspace().database, name or f"an.{role}"
    if People(database).find(name) is None:
        with database.transaction() as connection:
            row = {"name": name, "role": role, "hash": hashed(), "disabled": 0, "at": time.time()}
            connection.execute(people.insert().values(row))
    browser = app.test_client()
    answer = browser.post("/login", data={"name": name, "password": PASSWORD, "csrf_token": csrf(browser)})
    assert answer.status_code == 302, answer.text
    return browser


@cache
def hashed() -> str:
    """Return the hash of the password: a hash is slow on purpose, and hundreds of accounts have this one."""
    return hash_secret(PASSWORD)


def csrf(browser: FlaskClient, path: str = "/login") -> str:
    """Return the token that a form of a page has for its browser."""
    if path == "/login" and browser.get(path).status_code == 302:
        path = "/password"
    found = re.search(r'name="csrf_token" value="([^"]+)"', browser.get(path).text)
    assert found, path
    return found[1]


def bearer(app: Flask, *grants: str, days: float | None = None) -> dict[str, str]:
    """Return the headers of a program with a new token of some grants."""
    source: Source = app.extensions["abloop"]
    token = Tokens(source.workspace().database).add("test", grants, who="tests", at=time.time(), days=days)
    return {"Authorization": f"Bearer {token}"}
