"""What somebody who means harm sends: nothing breaks, nothing is told, nothing is kept that bites."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from abloop.store.access_tables import people
from abloop.store.people import People
from abloop.store.sql import Database
from abloop.store.tokens import Tokens
from server import Config, create_app
from server.access import allow
from server.limits import too_deep
from server.login import local
from server.source import Source
from tests.server.people import bearer, client_of, csrf
from tests.server.reading import read

SCRIPTS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "{{7*7}}{% raw %}",
    "</code></pre><svg onload=alert(1)>",
    "javascript:alert(1)",
    "\u202eevil\u2066",
)
QUERIES = ("' OR '1'='1", "1; DROP TABLE abloop_people; --", "%", "_", "\\", "\x00", "a" * 5_000, "\ud800", "é漢")


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    """Return a server, on SQLite and on Postgres."""
    app = create_app(database_url, config=Config(body_bytes=20_000))
    yield app
    app.extensions["abloop"].close()


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    """Return an admin's browser."""
    return client_of(app)


def database(app: Flask) -> Database:
    """Return the database of a server."""
    source: Source = app.extensions["abloop"]
    return source.workspace().database


def inert(browser: FlaskClient, path: str) -> str:
    """Return a page's text, after looking that nothing on it can run."""
    page = read(browser, path)
    for tag, attributes in page.found:
        assert tag not in ("script", "style", "iframe", "object", "svg", "base")
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        assert not str(attributes.get("href", "")).startswith("javascript:")
        assert tag != "img" or str(attributes["src"]).startswith("/static/")
    return page.text


def test_scripts_in_stored_texts_stay_text(app: Flask, admin: FlaskClient) -> None:
    """Scripts in names of tokens, in reasons and in what was typed at log-in are shown as text, in pages and files."""
    for script in SCRIPTS:
        form = {"name": script, "grants": "read", "why": script, "csrf_token": csrf(admin)}
        answer = admin.post("/tokens", data=form)
        assert answer.status_code in (201, 400)
        assert script not in answer.text or script.startswith(("'", "{", "java"))
        app.test_client().post("/login", data={"name": script, "password": script, "csrf_token": "x"})
        form = {"action": "role", "role": script, "why": script, "csrf_token": form["csrf_token"]}
        assert admin.post(f"/people/{script.replace('/', '')}", data=form).status_code in (400, 404)
    text = inert(admin, "/tokens") + inert(admin, "/audit") + inert(admin, "/people")
    for script in SCRIPTS[:-1]:
        assert script in text
    kept = admin.get("/audit.json").get_json()["entries"]
    assert set(SCRIPTS[:-1]) <= {entry["why"] for entry in kept}


def test_files_are_no_formulas(app: Flask, admin: FlaskClient) -> None:
    """A reason that a spreadsheet would compute is quoted in the CSV; the JSON has it as it is."""
    why = '=HYPERLINK("http://evil.example")'
    admin.post("/tokens", data={"name": "x", "grants": "read", "why": why, "csrf_token": csrf(admin)})
    table = admin.get("/audit.csv")
    assert "attachment" in table.headers["Content-Disposition"]
    assert "'=HYPERLINK" in table.text
    assert ",=" not in table.text
    assert why in [entry["why"] for entry in admin.get("/audit.json").get_json()["entries"]]


@pytest.mark.parametrize("name", ["who", "what", "target", "before", "head", "check", "next", "unheard"])
def test_filters_with_sql_find_nothing_and_break_nothing(admin: FlaskClient, name: str) -> None:
    """SQL, wildcards, NUL and halves of characters in a query are text that is not there."""
    for query in QUERIES:
        safe = query.encode("utf-8", "surrogatepass")
        for path in ("/audit", "/audit.csv", "/audit.json", "/login", "/people"):
            answer = admin.get(path, query_string={name: safe}, buffered=True)
            assert answer.status_code in (200, 302), (path, query)
    assert admin.get("/people").status_code == 200


@pytest.mark.parametrize("number", ["0", "-1", "9" * 30, "1e3", "", "NaN", "1 OR 1=1"])
def test_wrong_page_numbers_are_the_first_page(admin: FlaskClient, number: str) -> None:
    """A place in the log that is no number that a database holds is no error."""
    assert admin.get("/audit", query_string={"before": number}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/../config.py",
        "/static/%2e%2e/config.py",
        "/static/..%2f..%2fetc/passwd",
        "/static/....//config.py",
        "/%2fevil.example/",
        "/static//etc/passwd",
        "/%00",
        "/strategies/%00",
        "/strategies/../people",
        "/people/%2e%2e",
        "/strategies/" + "a" * 5_000,
        "/\\\\evil.example",
        "/%ff%fe",
    ],
)
def test_paths_lead_nowhere_else(app: Flask, admin: FlaskClient, path: str) -> None:
    """Tricks with paths end at a page that says there is none; for nobody, at the log-in of this very server."""
    answer = admin.get(path, buffered=True)
    assert answer.status_code in (400, 404, 405, 308)
    assert "root:" not in answer.text
    assert "class Config" not in answer.text
    outside = app.test_client().get(path, buffered=True)
    assert outside.status_code in (302, 308, 400, 404)
    if place := outside.headers.get("Location"):
        assert place.startswith(("/login", "http://localhost/"))
        assert not place.startswith("//")


def test_too_large_and_too_deep_bodies_are_refused(app: Flask) -> None:
    """A body above the limit is 413, JSON of too many levels 400, as JSON with what to do; what fits is let through."""
    browser, headers = app.test_client(), bearer(app, "admin")
    large = browser.post("/people", data={"name": "x" * 30_000}, headers=headers)
    assert large.status_code == 413
    assert large.get_json()["fix"]
    for body in ("[" * 5_000, '{"a":' * 40 + "1" + "}" * 40, "[" * 33 + "]" * 33):
        deep = browser.post("/people", data=body, content_type="application/json", headers=headers)
        assert deep.status_code == 400
        assert "32 levels" in deep.get_json()["detail"]
    fits = browser.post("/people", json={"text": "[" * 500, "list": [[]] * 200}, headers=headers)
    assert fits.status_code == 422
    assert "user name" in fits.get_json()["detail"]


@given(st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_depth_is_counted_as_json_has_it(value: object) -> None:
    """The depth that is counted in the text is the depth of the value."""

    def depth(part: object) -> int:
        inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    text, levels = json.dumps(value).encode(), depth(value)
    assert not too_deep(text, levels)
    assert levels == 0 or too_deep(text, levels - 1)


@given(st.text(), st.sampled_from(["/", "//", "/\\", "\\", "", "https:", "/x?", "/%2f"]))
def test_no_text_leads_to_another_server(rest: str, start: str) -> None:
    """Whatever `?next=` holds, what follows log-in is an absolute path on this server."""
    target = local(start + rest)
    assert target.startswith("/")
    assert not target.startswith(("//", "/\\"))
    assert target.isprintable()


def test_a_request_that_is_sent_again_changes_nothing(app: Flask, admin: FlaskClient) -> None:
    """A form that somebody replays after log-out is refused; a log-in that is replayed without its cookie too."""
    form = {"name": "maria", "role": "admin", "csrf_token": csrf(admin)}
    admin.post("/logout", data={"csrf_token": form["csrf_token"]})
    assert admin.post("/people", data=form).status_code in (400, 401)
    assert People(database(app)).find("maria") is None
    replay = {"name": "an.admin", "password": "nine violet herons", "csrf_token": form["csrf_token"]}
    assert app.test_client().post("/login", data=replay).status_code == 400


def test_tokens_are_limited_and_addresses_too(database_url: str) -> None:
    """Beyond the limit a token gets 429 with Retry-After, another token and address do not; guesses count as well."""
    app = create_app(database_url, config=Config(rate="5 per minute"))
    first, second = bearer(app, "read"), bearer(app, "read")
    browser = app.test_client()
    codes = [browser.get("/metrics", headers=first).status_code for _ in range(7)]
    assert codes == [200] * 5 + [429] * 2
    limited = browser.get("/metrics", headers=first)
    assert int(limited.headers["Retry-After"]) > 0
    assert limited.get_json()["fix"] == "Wait, then try again"
    assert browser.get("/metrics", headers=second).status_code == 200
    wrong = {"Authorization": "Bearer abl_a_b"}
    for number, (path, headers) in enumerate((("/nowhere", {}), ("/metrics", wrong), ("/login", {}))):
        far = {"REMOTE_ADDR": f"203.0.113.{number}"}
        found = [browser.get(path, headers=headers, environ_base=far).status_code for _ in range(7)]
        assert found[5:] == [429, 429], path
        assert 429 not in found[:5]
    assert browser.get("/healthz", environ_base={"REMOTE_ADDR": "203.0.113.8"}).status_code == 200
    app.extensions["abloop"].close()


def test_wrong_secrets_of_a_token_lock_their_address_only(app: Flask) -> None:
    """Ten wrong secrets for one token make their address wait; whoever has the right one goes on elsewhere."""
    headers = bearer(app, "read")
    wrong = {"Authorization": headers["Authorization"][:-5] + "wrong"}
    browser, far = app.test_client(), {"REMOTE_ADDR": "203.0.113.9"}
    codes = [browser.get("/metrics", headers=wrong, environ_base=far).status_code for _ in range(12)]
    assert codes == [401] * 10 + [429] * 2
    assert browser.get("/metrics", headers=headers).status_code == 200


def test_a_revoked_token_is_refused_at_once(app: Flask, admin: FlaskClient) -> None:
    """The request after a revocation is refused here, and within a second in every other process."""
    headers, browser = bearer(app, "read"), app.test_client()
    other = create_app(app.extensions["abloop"]._url, config=Config())
    key = headers["Authorization"].split("_")[1]
    assert browser.get("/metrics", headers=headers).status_code == 200
    assert other.test_client().get("/metrics", headers=headers).status_code == 200
    admin.post(f"/tokens/{key}", data={"csrf_token": csrf(admin)})
    assert browser.get("/metrics", headers=headers).status_code == 401
    until = time.monotonic() + 5
    while other.test_client().get("/metrics", headers=headers).status_code == 200:
        assert time.monotonic() < until
        time.sleep(0.1)
    other.extensions["abloop"].close()


def test_argon2_is_asked_once_for_each_token(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that was proven costs no more hashing, and a wrong one beside it is no way around it."""
    asked: list[str] = []
    headers, browser = bearer(app, "read"), app.test_client()
    from server import proof

    verify = proof.verify_secret
    monkeypatch.setattr(proof, "verify_secret", lambda *given: bool(asked.append(given[1])) or verify(*given))
    for _ in range(3):
        assert browser.get("/metrics", headers=headers).status_code == 200
        app.extensions["abloop_proofs"].forget()
    assert len(asked) == 1
    used = Tokens(database(app)).all()[0].used
    assert used is not None
    assert abs(used - time.time()) < 60


def test_a_token_never_acts_as_the_person_beside_it(app: Flask, admin: FlaskClient) -> None:
    """With a cookie of an admin and a token that may less, or a wrong one, the token counts."""
    assert admin.get("/people", headers=bearer(app, "read")).status_code == 403
    assert admin.get("/people", headers={"Authorization": "Bearer nonsense"}).status_code == 401
    assert admin.get("/people").status_code == 200


def test_proxies_are_believed_only_where_they_stand(database_url: str) -> None:
    """X-Forwarded-For is no address unless a proxy is configured, then only its own last value is."""
    sent = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil"}
    seen = {}
    for proxies in (0, 1):
        app = create_app(database_url, config=Config(proxies=proxies, rate=""))
        client_of(app, "viewer", "maria")
        browser = app.test_client()
        form = {"name": "maria", "password": "nine violet herons", "csrf_token": csrf(browser)}
        browser.post("/login", data=form, headers=sent)
        seen[proxies] = json.loads(app.extensions["abloop"].workspace().audit.entries()[0].body)["address"]
        assert "evil" not in str(browser.get("/", headers=sent).headers)
        app.extensions["abloop"].close()
    assert seen == {0: "127.0.0.1", 1: "203.0.113.7"}


def test_methods_and_request_ids_that_make_no_sense(app: Flask, admin: FlaskClient) -> None:
    """Unknown methods are refused, a request id with line breaks or of any length is replaced, a plain one echoed."""
    for method in ("TRACE", "CONNECT", "PROPFIND", "X" * 200):
        assert admin.open("/", method=method).status_code in (400, 405)
    assert admin.get("/healthz", headers={"X-Request-ID": "order-66"}).headers["X-Request-ID"] == "order-66"
    for bad in ("a b", "x" * 65, "<script>", "é", ""):
        echoed = admin.get("/healthz", headers={"X-Request-ID": bad}).headers["X-Request-ID"]
        assert len(echoed) == 32
        assert echoed.isalnum()


def test_a_text_that_the_database_cannot_hold_is_the_callers_mistake(app: Flask) -> None:
    """NUL in a text, which Postgres refuses, is answered as refused data and says so, not as a store that is away."""

    @allow("read")
    def refuse() -> str:
        with database(app).transaction() as connection:
            connection.execute(people.insert().values(name="a\0b", role="viewer", hash="", at=0.0))
        return "kept"

    app.view_functions["operation.metrics"] = refuse
    answer = app.test_client().get("/metrics", headers=bearer(app, "read"))
    if database(app).engine.dialect.name == "sqlite":
        assert answer.text == "kept"
    else:
        assert answer.status_code == 422
        assert "NUL" in answer.get_json()["detail"]
