"""Logging in and out: what a person goes through, and what an attacker tries."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from abloop.store.people import People
from abloop.store.secret import hash_secret, verify_secret
from server import Config, create_app
from server.login import local
from server.source import Source
from tests.server.people import PASSWORD, client_of, csrf
from tests.server.reading import read


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    """Return a server, on SQLite and on Postgres."""
    app = create_app(database_url, config=Config())
    yield app
    app.extensions["abloop"].close()


def people(app: Flask) -> People:
    """Return the accounts of a server."""
    source: Source = app.extensions["abloop"]
    return People(source.workspace().database)


def enter(browser: FlaskClient, name: str, password: str, **more: str) -> TestResponse:
    """Send the log-in form."""
    return browser.post("/login", data={"name": name, "password": password, "csrf_token": csrf(browser), **more})


def test_the_first_admin_chooses_a_password_and_goes_on(app: Flask) -> None:
    """The one-time password opens one page only, where another is chosen; then everything opens, also next time."""
    once = people(app).begin(at=time.time())
    browser = app.test_client()
    assert enter(browser, "Admin", once).headers["Location"] == "/password"
    assert browser.get("/").headers["Location"] == "/password"
    assert browser.get("/people").headers["Location"] == "/password"
    form = {"old": once, "new": PASSWORD, "again": PASSWORD, "csrf_token": csrf(browser, "/password")}
    assert browser.post("/password", data={**form, "again": "other"}).status_code == 400
    assert browser.post("/password", data={**form, "old": "wrong"}).status_code == 400
    assert browser.post("/password", data=form).headers["Location"] == "/"
    page = read(browser, "/")
    assert "Your password is changed" in page.text
    assert "admin" in page.text
    other = app.test_client()
    assert enter(other, "admin", once).status_code == 401
    assert enter(other, "admin", PASSWORD).headers["Location"] == "/"
    assert "Add somebody" in read(other, "/people").text


def test_an_old_one_time_password_is_refused(app: Flask) -> None:
    """A one-time password that nobody used for three days says how to get another one."""
    once = people(app).add("maria", "admin", at=time.time() - 4 * 86_400)
    answer = enter(app.test_client(), "maria", once)
    assert answer.status_code == 401
    assert "abloop user reset" in answer.text


def test_log_out_ends_the_session_everywhere(app: Flask) -> None:
    """After log-out the very same cookie opens nothing: what was copied before is worthless."""
    browser = client_of(app)
    cookie = browser.get_cookie("abloop")
    assert cookie is not None
    browser.post("/logout", data={"csrf_token": csrf(browser)})
    thief = app.test_client()
    thief.set_cookie("abloop", cookie.value)
    for who in (browser, thief):
        assert who.get("/").headers["Location"] == "/login"


def test_another_password_logs_other_browsers_out(app: Flask) -> None:
    """Who changes the password stays in; every other browser of the same person is out at once."""
    mine, other = client_of(app), client_of(app)
    form = {"old": PASSWORD, "new": "eleven amber lynxes", "again": "eleven amber lynxes"}
    mine.post("/password", data={**form, "csrf_token": csrf(mine, "/password")})
    assert mine.get("/").status_code == 200
    assert other.get("/").status_code == 302


@pytest.mark.parametrize("action", ["disable", "reset", "log out"])
def test_an_admin_ends_what_a_person_has_open(app: Flask, action: str) -> None:
    """Disabling, resetting and logging out take effect with the next request of that person."""
    admin, maria = client_of(app), client_of(app, "editor", "maria")
    assert maria.get("/").status_code == 200
    admin.post("/people/maria", data={"action": action, "csrf_token": csrf(admin)})
    assert maria.get("/").status_code == 302
    assert enter(app.test_client(), "maria", PASSWORD).status_code == (302 if action == "log out" else 401)


def test_a_role_takes_effect_at_once(app: Flask) -> None:
    """Who is made viewer or admin is so with the next request."""
    admin, maria = client_of(app), client_of(app, "viewer", "maria")
    assert maria.get("/people").status_code == 403
    admin.post("/people/maria", data={"action": "role", "role": "admin", "csrf_token": csrf(admin)})
    assert maria.get("/people").status_code == 200


def test_each_log_in_has_its_own_session(app: Flask) -> None:
    """What a browser held before log-in opens nothing after it: a session cannot be fixed beforehand."""
    browser = app.test_client()
    people(app).add("maria", "viewer", at=time.time())
    people(app).choose("maria", PASSWORD)
    browser.get("/login")
    planted = browser.get_cookie("abloop")
    assert planted is not None
    enter(browser, "maria", PASSWORD)
    first = browser.get_cookie("abloop")
    enter(browser, "maria", PASSWORD)
    second = browser.get_cookie("abloop")
    assert first is not None
    assert second is not None
    assert len({planted.value, first.value, second.value}) == 3
    attacker = app.test_client()
    attacker.set_cookie("abloop", planted.value)
    assert attacker.get("/").status_code == 302


def test_ten_failures_lock_account_and_address(app: Flask) -> None:
    """After ten wrong passwords the right one has to wait; another account from another address does not."""
    client_of(app, "viewer", "maria")
    client_of(app, "viewer", "oskar")
    bad = app.test_client()
    for _ in range(10):
        assert enter(bad, "maria", "wrong").status_code == 401
    locked = enter(bad, "MARIA", PASSWORD)
    assert locked.status_code == 429
    assert 0 < int(locked.headers["Retry-After"]) <= 901
    assert "Try again in 15 min" in locked.text
    far = {"REMOTE_ADDR": "203.0.113.9"}
    form = {"password": PASSWORD, "csrf_token": csrf(bad)}
    for name, code in (("maria", 429), ("oskar", 302)):
        assert bad.post("/login", data={**form, "name": name}, environ_base=far).status_code == code
        form["csrf_token"] = csrf(bad)


def test_names_that_do_not_exist_are_not_told_apart(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown, disabled and wrong give the same page, the same code and the same lock, after one hash each."""
    client_of(app, "viewer", "maria")
    client_of(app, "viewer", "gone")
    people(app).disable("gone", True)
    asked: list[str] = []

    def count(hashed: str, secret: str) -> bool:
        asked.append(secret)
        return verify_secret(hashed, secret)

    monkeypatch.setattr("server.login.verify_secret", count)
    texts = set()
    for name in ("maria", "gone", "nobody-here"):
        answer = enter(app.test_client(), name, "wrong")
        assert answer.status_code == 401
        texts.add(re.sub(r'value="[^"]+"', "", answer.text))
    assert len(texts) == 1
    assert asked == ["wrong"] * 3


def test_an_unknown_name_takes_as_long() -> None:
    """A hash that is not there takes as long as one that is; medians of both, taken in turns."""
    hashed, taken = hash_secret(PASSWORD), {"known": [], "unknown": []}  # type: ignore[var-annotated]
    for _ in range(25):
        for name, value in (("known", hashed), ("unknown", "")):
            start = time.thread_time()
            assert not verify_secret(value, "wrong")
            taken[name].append(time.thread_time() - start)
    known, unknown = statistics.median(taken["known"]), statistics.median(taken["unknown"])
    assert abs(unknown / known - 1) < 0.1 or abs(unknown - known) < 0.003


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/%0d%0aSet-Cookie:x=1\r\n",
        "javascript:alert(1)",
        "http:evil",
        "/\t/evil.example",
        "///evil.example",
        "http://[",
        " /x",
    ],
)
def test_the_way_after_log_in_stays_here(app: Flask, target: str) -> None:
    """`?next=` leads to this server only, whatever it holds; also for who is logged in already."""
    browser = client_of(app)
    for answer in (
        enter(browser, "an.admin", PASSWORD, next=target),
        browser.get("/login", query_string={"next": target}),
    ):
        assert answer.status_code == 302
        assert answer.headers["Location"] == "/"
        assert "Set-Cookie: x=1" not in str(answer.headers)


def test_one_comes_back_to_the_page_that_was_asked_for(app: Flask) -> None:
    """A page that was asked for before log-in is opened after it, with its query."""
    browser = app.test_client()
    client_of(app, "admin", "maria")
    ask = browser.get("/audit?who=maria&what=a%20b")
    assert ask.status_code == 302
    page = read(browser, ask.headers["Location"])
    target = next(a["value"] for tag, a in page.found if tag == "input" and a.get("name") == "next")
    assert target == "/audit?who=maria&what=a%20b"
    assert enter(browser, "maria", PASSWORD, next=str(target)).headers["Location"] == target
    assert local("/strategies/a%2Fb") == "/strategies/a%2Fb"


def test_cookies_are_kept_from_scripts_and_other_sites(database_url: str) -> None:
    """The cookie is HttpOnly and SameSite=Lax; with https also Secure, bound to this host, and HSTS is sent."""
    plain, secure = (create_app(database_url, config=Config(https=https)) for https in (False, True))
    kept = plain.test_client().get("/login").headers["Set-Cookie"]
    assert "HttpOnly" in kept
    assert "SameSite=Lax" in kept
    assert "Secure" not in kept
    answer = secure.test_client().get("/login", base_url="https://localhost")
    assert answer.headers["Set-Cookie"].startswith("__Host-abloop=")
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in answer.headers["Set-Cookie"]
    assert "max-age=31536000" in answer.headers["Strict-Transport-Security"]
    assert "Strict-Transport-Security" not in plain.test_client().get("/login").headers
    for app in (plain, secure):
        app.extensions["abloop"].close()


def test_forms_of_other_sites_are_refused(app: Flask) -> None:
    """A form that a browser says came from another site is refused, even with the right token."""
    browser = client_of(app)
    form = {"name": "maria", "role": "admin", "csrf_token": csrf(browser)}
    for site in ("cross-site", "same-site"):
        assert browser.post("/people", data=form, headers={"Sec-Fetch-Site": site}).status_code == 403
    assert people(app).find("maria") is None
    assert browser.post("/people", data=form, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 201


def test_a_cookie_that_was_altered_opens_nothing(app: Flask) -> None:
    """One changed sign in a cookie, and a cookie signed with another secret, are no log-in."""
    browser = client_of(app)
    cookie = browser.get_cookie("abloop")
    assert cookie is not None
    value = cookie.value
    for place in (0, len(value) // 2, len(value) - 3):
        forged = value[:place] + ("A" if value[place] != "A" else "B") + value[place + 1 :]
        thief = app.test_client()
        thief.set_cookie("abloop", forged)
        assert thief.get("/").status_code == 302
