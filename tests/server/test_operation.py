"""What those who run a server see: health, readiness, numbers, logs, settings."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from abloop.errors import DataError
from abloop.loop import Loop
from abloop.store.sql import Database
from abloop.store.tables import schema
from server import Config, create_app
from server.config import read_config
from server.logs import JsonFormatter
from server.source import Source
from tests import postgres as throwaway
from tests.loops import two_arms
from tests.server.people import bearer, client_of, csrf


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """Return a server of an empty installation."""
    return create_app(f"sqlite:///{tmp_path}/abloop.db", config=Config())


@pytest.fixture
def loggers() -> Iterator[None]:
    """Put the loggers back that JSON logs change."""
    names = ("abloop", "server", "waitress", "gunicorn.error", "py.warnings")
    before = {name: (logging.getLogger(name).handlers, logging.getLogger(name).propagate) for name in names}
    level = logging.getLogger("abloop").level
    yield
    for name, (handlers, propagate) in before.items():
        logging.getLogger(name).handlers, logging.getLogger(name).propagate = handlers, propagate
    logging.getLogger("abloop").setLevel(level)


def test_ready_means_database_and_schema(tmp_path: Path, app: Flask) -> None:
    """Ready once the database answers with this abloop's schema; else 503 without a word of why; health needs none."""
    browser = app.test_client()
    assert browser.get("/readyz").get_json() == {"status": "ready"}
    database = Database(f"sqlite:///{tmp_path}/abloop.db")
    with database.transaction() as connection:
        connection.execute(schema.update().values(version=99))
    answer = browser.get("/readyz")
    assert (answer.status_code, answer.get_json()) == (503, {"status": "not ready"})
    assert browser.get("/healthz").status_code == 200
    broken = create_app("postgresql+psycopg://nobody@127.0.0.1:9/none?connect_timeout=1", config=Config())
    answer = broken.test_client().get("/readyz")
    assert (answer.status_code, answer.get_json()) == (503, {"status": "not ready"})
    assert broken.test_client().get("/healthz").status_code == 200


def test_requests_and_seconds_are_counted_by_route(app: Flask) -> None:
    """Each answer is counted under its route, never under its address; unknown methods and pages are one each."""
    browser = client_of(app)
    for path in ("/strategies/a", "/strategies/b", "/nowhere/1", "/nowhere/2"):
        browser.get(path)
    browser.open("/", method="BREW")
    text = browser.get("/metrics").text
    assert 'abloop_http_requests_total{method="GET",route="/strategies/<name:name>",status="404"} 2.0' in text
    assert 'abloop_http_requests_total{method="GET",route="none",status="404"} 2.0' in text
    assert 'method="other",route="none",status="405"' in text
    assert 'abloop_http_seconds_count{route="/strategies/<name:name>"} 2.0' in text
    assert "abloop_up 1.0" in text
    assert "nowhere/1" not in text


def test_logs_are_json_with_ids_and_without_secrets(
    tmp_path: Path, loggers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line is an object; a request has id, method, path, status and who; no password, token or cookie is there."""
    app = create_app(f"sqlite:///{tmp_path}/abloop.db", config=Config(log="json"))
    browser = client_of(app, "admin", "maria")
    headers = bearer(app, "read") | {"X-Request-ID": "order-66"}
    app.test_client().get("/metrics", headers=headers)
    app.test_client().get("/strategies/a%0Ab", headers=bearer(app, "read"))
    form = {"name": "maria\n{}", "password": "wrong password", "csrf_token": csrf(browser)}
    browser.post("/login", data=form)
    said = capsys.readouterr().err
    lines = [json.loads(line) for line in said.splitlines()]
    found = next(line for line in lines if line.get("request") == "order-66")
    assert {"method": "GET", "path": "/metrics", "status": 200, "level": "info"}.items() <= found.items()
    assert found["who"].startswith("test (")
    assert any("log-in of 'maria" in line["text"] for line in lines)
    cookie = browser.get_cookie("abloop")
    assert cookie is not None
    for secret in ("nine violet herons", "wrong password", headers["Authorization"][7:], cookie.value):
        assert secret not in said


def test_an_error_in_the_log_has_its_trace() -> None:
    """A logged exception is one line, with its trace in it."""
    try:
        raise RuntimeError("two\nlines")
    except RuntimeError as error:
        record = logging.LogRecord("abloop", 40, "x", 1, "broke %s", ("here",), (type(error), error, None))
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["text"] == "broke here"
    assert "RuntimeError: two\nlines" in json.loads(line)["trace"]


def test_the_loop_of_the_server_decides(app: Flask) -> None:
    """What a product registers is decided by the server's own loop, on the same installation, until it is closed."""
    source: Source = app.extensions["abloop"]
    loop = source.loop()
    assert isinstance(loop, Loop)
    assert loop is source.loop()
    loop.register(two_arms())
    assert loop.strategy("checkout").get_decision("d1", {"user_id": "u", "x": 1.0}) in ("blue", "green")
    source.close()
    assert source.workspace().find("d1").unit == "u"
    source.close()


def test_settings_come_from_the_environment() -> None:
    """Each setting has a variable; a value that cannot be is named with what is allowed."""
    config = read_config({"ABLOOP_HTTPS": "yes", "ABLOOP_PROXIES": "2", "ABLOOP_IDLE": "60", "ABLOOP_LOG": "json"})
    assert (config.https, config.proxies, config.idle, config.log) == (True, 2, 60.0, "json")
    for name, value, words in (
        ("HTTPS", "maybe", "1 or 0"),
        ("PROXIES", "many", "a number"),
        ("PROXIES", "-1", "0 to 10"),
        ("SECRET", "short", "32 or more"),
        ("LOG", "xml", "'text', 'json'"),
        ("BODY_BYTES", "1", "1024"),
        ("PREFIX", "abloop/", "/abloop"),
        ("IDLE", "0", "above 0"),
    ):
        with pytest.raises(DataError, match=words):
            read_config({f"ABLOOP_{name}": value})


def test_below_a_path_every_link_stays_there(tmp_path: Path) -> None:
    """Behind a proxy that shows it below a path, links, forms and redirects keep the path, stripped or not."""
    app = create_app(f"sqlite:///{tmp_path}/abloop.db", config=Config(prefix="/ab"))
    source: Source = app.extensions["abloop"]
    browser = client_of(create_app(f"sqlite:///{tmp_path}/abloop.db", config=Config()))
    cookie = browser.get_cookie("abloop")
    assert cookie is not None
    inside = app.test_client()
    inside.set_cookie("abloop", cookie.value)
    for path in ("/people", "/ab/people"):
        page = inside.get(path)
        assert page.status_code == 200
        assert 'action="/ab/people"' in page.text
        assert 'href="/ab/"' in page.text
        assert 'href="/people' not in page.text
    assert app.test_client().get("/ab/people").headers["Location"] == "/ab/login?next=/ab/people"
    source.close()


def test_an_account_that_only_reads_shows_pages(postgres: throwaway.Databases) -> None:
    """A server whose database account may only read shows pages and numbers to tokens, and is ready."""
    url = postgres.make()
    app = create_app(url, config=Config())
    client_of(app)
    app.extensions["abloop"].loop().register(two_arms())
    headers = bearer(app, "read")
    app.extensions["abloop"].close()
    role = f"reader_{url.split('?')[0].rsplit('/', 1)[1]}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
        connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    reading = create_app(url.replace("postgres@", f"{role}@"), config=Config())
    for path in ("/", "/strategies/checkout", "/metrics", "/readyz"):
        assert reading.test_client().get(path, headers=headers).status_code == 200, path
    browser = reading.test_client()
    form = {"name": "an.admin", "password": "nine violet herons", "csrf_token": csrf(browser)}
    answer = browser.post("/login", data=form)
    assert answer.status_code == 503
    assert "permission" not in answer.text
    reading.extensions["abloop"].close()
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {role}")
        connection.exec_driver_sql(f"DROP ROLE {role}")
    engine.dispose()
    postgres.drop(url)
