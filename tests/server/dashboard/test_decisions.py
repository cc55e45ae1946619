"""The explorer: every decision is found by what one knows of it, and told to its last number."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from abloop import offline
from abloop.loop import Loop
from abloop.testing import ManualClock
from server import create_app
from tests.loops import TTL, two_arms
from tests.server.dashboard.test_editor import changes_of, post, workspace_of
from tests.server.people import client_of
from tests.server.reading import read

HOSTILE = "../a b/<script>alert('x')</script>\"%2f?#&\u202e"
NAME = "team/check out"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """Return a server on 120 decisions of one strategy, and one each of hostile ids and units."""
    url, clock = f"sqlite:///{tmp_path}/abloop.db", ManualClock(time.time() - 2 * TTL)
    loop = Loop(url, clock=clock, refresh_seconds=3_600.0)
    loop.register(two_arms())
    loop.register(two_arms(NAME, arms=[{"name": "<i>a</i>"}, {"name": "b"}]))
    for number in range(120):
        clock.advance(1)
        loop.strategy("checkout").get_decision(f"d{number:03}", {"user_id": f"u{number % 9}", "x": 0.5})
        loop.strategy("checkout").log_observations(f"d{number:03}", {"bought": 1})
    loop.strategy(NAME).get_decision(HOSTILE, {"user_id": HOSTILE, "x": "<b>1</b>"})
    loop.strategy(NAME).get_decision("d003", {"user_id": "u3", "x": 1})
    clock.advance(TTL + 1)
    loop.spool.seal()
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    loop.close()
    return create_app(url)


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    """Return a viewer's browser."""
    return client_of(app, "viewer")


def found(browser: FlaskClient, path: str) -> list[str]:
    """Return the addresses of the decisions that a page lists."""
    page = read(browser, path)
    return [
        str(given["href"])
        for tag, given in page.found
        if tag == "a" and str(given.get("href")).startswith("/decision/")
    ]


def older(browser: FlaskClient, path: str) -> str:
    """Return the address of the next page; empty on the last one."""
    links = [str(given.get("href")) for tag, given in read(browser, path).found if tag == "a"]
    return next((link for link in links if "before=" in link), "")


def test_pages_hold_each_decision_once(browser: FlaskClient) -> None:
    """From the newest on, page after page lists every decision once; each opens."""
    path, every = "/decisions/checkout", []
    while path:
        every += found(browser, path)
        path = older(browser, path)
    assert every == [f"/decision/checkout?id=d{number:03}" for number in reversed(range(120))]
    assert "computed again" in read(browser, every[-1]).text


def test_by_unit_time_and_id(browser: FlaskClient) -> None:
    """A unit, a span of time or an id narrows the list; what fits nothing, and what is no time, is said."""
    assert len(found(browser, "/decisions/checkout?unit=u3")) == 13
    assert found(browser, "/decisions/checkout?id=d007") == ["/decision/checkout?id=d007"]
    assert len(found(browser, "/decisions/checkout?since=2001-01-01T00:00&until=2100-01-01T00:00&unit=u1")) == 14
    assert "Nothing fits" in read(browser, "/decisions/checkout?until=2001-01-01T00:00").text
    assert "allowed: e.g. 2026-12-01T08:30" in read(browser, "/decisions/checkout?since=soon").text
    assert "not whole" in read(browser, "/decisions/checkout?before=x:y").text
    assert len(found(browser, "/decisions?unit=u3")) == 14
    assert len(found(browser, "/decisions?id=d003")) == 2
    assert "There is no decision 'nope'" in read(browser, "/decisions?id=nope").text
    read(browser, "/decisions", 200)


def test_a_decision_is_told(browser: FlaskClient) -> None:
    """Features with their source, reason, probability, latency, and what happened then."""
    text = read(browser, "/decision/checkout?id=d005").text
    for said in (
        "Everything is randomised",
        "context['x']",
        "0.5",
        "in its row",
        "same to the last bit",
        "µs",
        "without a model",
    ):
        assert said in text
    read(browser, "/decision/checkout?id=nope", 404)
    read(browser, "/decision/checkout", 404)


def test_hostile_ids_stay_text(browser: FlaskClient) -> None:
    """An id, a unit, an arm and a feature that are markup are text, and their links lead to them."""
    (link,) = found(browser, "/decisions?unit=" + quote(HOSTILE))
    page = read(browser, link)
    assert HOSTILE in page.text
    assert [tag for tag, given in page.found if tag in ("i", "b") or (tag == "script" and not given.get("src"))] == []
    for odd in ("\0", "%00", "\ud800", "a" * 3_000):
        assert browser.get("/decisions", query_string={"unit": odd.encode("utf-8", "surrogatepass")}).status_code == 200
        code = browser.get("/decision/checkout", query_string={"id": odd.encode("utf-8", "surrogatepass")}).status_code
        assert code == 404


def test_a_unit_is_erased_by_an_admin(app: Flask) -> None:
    """An admin who types the unit's name again erases it everywhere; others may not; the log names no unit."""
    editor, admin = client_of(app, "editor"), client_of(app, "admin")
    assert editor.post("/erase", data={"unit": "u3", "again": "u3", "why": "asked"}).status_code == 403
    assert "Erase this unit" not in read(editor, "/decision/checkout?id=d003").text
    assert "type its name" in post(admin, "/erase", 422, unit="u3", again="u4", why="asked")
    post(admin, "/erase", unit="u3", again="u3", why="asked")
    until = time.monotonic() + 60
    while admin.get("/erasing").json["status"] == "running" and time.monotonic() < until:
        time.sleep(0.1)
    assert found(admin, "/decisions?unit=u3") == []
    assert "a second look found none" in read(admin, "/decision/checkout?id=d005").text
    assert [entry.target for entry in workspace_of(app).audit.walk() if entry.what == "erase unit"] == [
        "all strategies"
    ]
    assert "u3" not in "".join(entry.body for entry in workspace_of(app).audit.walk())
    assert changes_of(app)[-1][1:] == ("erase unit", "all strategies", "asked")
