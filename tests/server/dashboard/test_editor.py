"""The editor: it shows what is, loses nothing, and changes nothing without a why and an entry in the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from abloop.registration import register
from abloop.store.workspace import Workspace
from server import create_app
from server.source import Source
from tests.loops import two_arms
from tests.server.people import client_of, csrf
from tests.server.reading import read

HOSTILE = "</script><script>alert(1)</script>\u2028 & 'x'"
TEXT = "strategy: checkout\narms: [{name: blue}, {name: green}]\nmetrics: [{name: bought}]\nfeatures: [{name: x}]\n"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """Return a server with two strategies, one of a hostile name."""
    made = create_app(f"sqlite:///{tmp_path}/abloop.db")
    workspace = workspace_of(made)
    register(workspace, two_arms(), who="maria", why="Spring campaign.")
    register(workspace, two_arms(HOSTILE.replace("\u2028", "/")), who="maria", why=HOSTILE)
    return made


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    """Return an editor's browser."""
    return client_of(app, "editor")


def workspace_of(app: Flask) -> Workspace:
    """Return the installation."""
    source: Source = app.extensions["abloop"]
    return source.workspace()


def post(browser: FlaskClient, path: str, code: int = 302, **form: Any) -> str:
    """Send a form, with the token of its session, and return the page."""
    answer = browser.post(path, data={"csrf_token": csrf(browser), **form})
    assert answer.status_code == code, answer.text
    return answer.text


def changes_of(app: Flask) -> list[tuple[str, str, str, str]]:
    """Return who did what to what and why on pages, oldest first, without log-ins."""
    found = [each for each in workspace_of(app).audit.walk() if each.kind == "user" and each.what != "log in"]
    return [(entry.who, entry.what, entry.target, entry.why) for entry in found]


def validate(browser: FlaskClient, **asked: Any) -> dict[str, Any]:
    """Ask what a draft is."""
    headers = {"X-CSRFToken": csrf(browser), "Content-Type": "application/json"}
    answer = browser.post("/validate", data=json.dumps(asked), headers=headers)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = json.loads(answer.text)
    return said


def test_a_draft_is_read_with_field_and_line(browser: FlaskClient) -> None:
    """What is wrong has its field, its line, what came and what is allowed; a form and a text say the same."""
    said = validate(browser, text=TEXT + "experiment: {explore: 3}\n", strategy="checkout")
    assert (said["problem"]["path"], said["problem"]["line"]) == ("experiment.explore", 5)
    assert said["problem"]["said"] == "experiment.explore is 3.0; allowed: a number in [0.01, 1]"
    again = validate(browser, value=said["value"], strategy="checkout")
    assert (again["problem"]["path"], again["value"]) == ("experiment.explore", said["value"])
    assert list(again["value"]) == ["strategy", "arms", "metrics", "features", "experiment"]
    for text in ("a: [", "arms: *x", "", "- 1", "\t", "{" * 99, "x: !!python/object:os.system {}", "a: 1\na: 2"):
        assert validate(browser, text=text)["problem"]["said"], text
    for value in (None, 3, [], "text", {"strategy": [[[]]]}, {"arms": {"": None}}):
        assert validate(browser, value=value)["problem"]["said"], value
    assert (
        "allowed: 'checkout'"
        in validate(browser, text=TEXT.replace("checkout", "other"), strategy="checkout")["problem"]["said"]
    )
    assert "allowed: a new name" in validate(browser, text=TEXT)["problem"]["said"]


def test_a_draft_says_what_it_changes(browser: FlaskClient) -> None:
    """Each field that differs is told with what it means; whether rows may be shared; and both texts, line by line."""
    said = validate(browser, text=TEXT.replace("x}", "y}"), strategy="checkout")
    paths = [row["path"] for row in said["rows"]]
    assert paths == ["features[x]", "features[y]", "lifecycle.ttl"]
    assert [row["hint"][:7] for row in said["rows"]] == ["What is", "What is", "Seconds"]
    assert (said["shares"], said["known"]) == (False, 0)
    assert "starts without the rows of version 1" in said["words"]
    assert {"same", "added", "changed"} & {pair["kind"] for pair in said["pairs"]}
    same = validate(browser, text=TEXT + "lifecycle: {ttl: 1h}\n", strategy="checkout")
    assert (same["rows"], same["known"]) == ([], 1)


def test_a_version_is_saved_served_and_rolled_back(app: Flask, browser: FlaskClient) -> None:
    """Each change is a version or a serving with who and why, and one entry in the log."""
    form = {"newest": 1, "served": 1, "version": 1, "do": "save"}
    new = TEXT + "experiment: {explore: 0.2}\n"
    assert "Say why" in post(browser, "/edit/checkout", 422, text=new, why="  ", **form)
    assert "is 2.0" in post(browser, "/edit/checkout", 422, text=new.replace("0.2", "2"), why="more", **form)
    assert "experiment.explore" in post(browser, "/edit/checkout", 200, text=new, **form | {"do": "check"})
    assert changes_of(app) == []
    post(browser, "/edit/checkout", text=new, why="more exploration", serve="no", **form)
    workspace = workspace_of(app)
    assert (workspace.catalogue.serving("checkout").version, workspace.catalogue.blueprint("checkout")[0]) == (1, 2)
    post(browser, "/serve/checkout", version=2, why="it is time")
    post(browser, "/pause/checkout", why="a fire")
    assert "paused already" in post(browser, "/pause/checkout", 422, why="a fire")
    assert "is paused" in post(browser, "/serve/checkout", 422, version=1, why="back")
    post(browser, "/resume/checkout", why="it is out")
    post(browser, "/serve/checkout", version=1, why="back")
    assert "word for word" in post(browser, "/edit/checkout", 409, text=new, why="again", **form | {"newest": 2})
    assert "no release" in post(browser, "/withdraw/checkout", 422, why="no")
    assert "no version" in post(browser, "/serve/checkout", 422, why="x")
    assert "checkout version 99" in post(browser, "/serve/checkout", 404, version=99, why="x")
    assert "Say why" in post(browser, "/serve/checkout", 422, version=2)
    serving = workspace.catalogue.serving("checkout")
    assert (serving.version, serving.who, serving.why) == (1, "an.editor", "back")
    kept = ["register blueprint", "serve version", "pause", "resume", "serve version"]
    whys = ["more exploration", "it is time", "a fire", "it is out", "back"]
    assert changes_of(app) == [("an.editor", what, "checkout", why) for what, why in zip(kept, whys, strict=True)]


def test_versions_are_compared_and_the_comparison_ends(app: Flask, browser: FlaskClient) -> None:
    """Versions decide side by side, in the shares that were asked, until somebody says why that ends."""
    register(workspace_of(app), two_arms(experiment={"explore": 0.2}), why="more")
    assert "two or more" in post(browser, "/compare/checkout", 422, version=[1], why="curious")
    assert "shares is" in post(browser, "/compare/checkout", 422, version=[1, 2], shares="a lot", why="curious")
    post(browser, "/compare/checkout", version=[2, 1], shares="90, 10", why="curious")
    page = read(browser, "/versions/checkout").text
    assert "version 1 (90" in page
    assert "version 2 (10" in page
    post(browser, "/uncompare/checkout", why="seen enough")
    assert "compares nothing" in post(browser, "/uncompare/checkout", 422, why="again")
    assert [entry[1] for entry in changes_of(app)] == ["compare versions", "end comparison"]


def test_a_second_editor_loses_nothing(app: Flask, browser: FlaskClient) -> None:
    """Of two who edit one version the second sees what the first changed, keeps the text, and can save after it."""
    form = {"newest": 1, "served": 1, "version": 1, "do": "save"}
    other = client_of(app, "editor", "otto")
    post(other, "/edit/checkout", text=TEXT + "experiment: {explore: 0.3, holdout: 0.1}\n", why="his", **form)
    mine = TEXT + "experiment: {explore: 0.2}\n"
    page = post(browser, "/edit/checkout", 409, text=mine, why="hers", **form)
    assert "Somebody else changed this strategy" in page
    assert "Version 2 by <bdi>otto</bdi>" in page
    assert page.count("both changed it") == 1
    assert "experiment.holdout" in page
    assert mine.splitlines()[-1] in page
    assert 'name="newest" value="2"' in page
    assert workspace_of(app).catalogue.serving("checkout").version == 2
    post(browser, "/edit/checkout", text=mine, why="hers", **form | {"newest": 2, "served": 2, "version": 2})
    assert workspace_of(app).catalogue.serving("checkout").version == 3
    post(other, "/serve/checkout", version=1, why="no")
    stale = post(
        browser, "/edit/checkout", 409, text=mine.replace("0.2", "0.25"), why="x", **form | {"newest": 3, "served": 3}
    )
    assert "Served now: version 1" in stale


def test_a_strategy_is_made_from_the_browser(app: Flask, browser: FlaskClient) -> None:
    """A new strategy is served at once; a name that is taken is refused; its page says how product code uses it."""
    assert "checkout_button" in read(browser, "/new").text
    assert "there is already" in post(browser, "/new", 422, text=TEXT, why="new", do="save")
    post(browser, "/new", text=TEXT.replace("checkout", "a/b c"), why="new", do="save")
    assert workspace_of(app).catalogue.serving("a/b c").phase == "randomise"
    page = read(browser, "/versions/a/b c").text
    assert 'loop.strategy("a/b c")' in page
    assert changes_of(app) == [("an.editor", "register blueprint", "a/b c", "new")]


def test_readers_look_and_change_nothing(app: Flask) -> None:
    """A viewer sees blueprint and versions without a button; every changing address refuses."""
    viewer = client_of(app, "viewer")
    assert [
        tag for tag, given in read(viewer, "/edit/checkout").found if given.get("form") == "save" and tag == "button"
    ] == []
    assert "Roll back" not in read(viewer, "/versions/checkout").text
    token = csrf(viewer, "/password")
    for path in ("edit", "serve", "pause", "resume", "withdraw", "compare", "uncompare", "switch"):
        answer = viewer.post(f"/{path}/checkout", data={"csrf_token": token, "why": "x", "version": 1})
        assert answer.status_code == 403, path
    assert client_of(app, "editor").post("/pause/checkout", data={"why": "no token"}).status_code == 400


def test_hostile_names_and_whys_stay_text(app: Flask, browser: FlaskClient) -> None:
    """A name and a why that are script are text on every page, also inside the data blocks."""
    name = HOSTILE.replace("\u2028", "/")
    register(workspace_of(app), two_arms(name, experiment={"explore": 0.2}), why=HOSTILE)
    for path in (f"/edit/{name}", f"/versions/{name}", f"/changes/{name}?before=1&after=2"):
        page = read(browser, path)
        assert "alert" in page.text
        blocks = [given for tag, given in page.found if tag == "script"]
        assert all(given.get("src") or given.get("type") == "application/json" for given in blocks)


def test_what_is_not_there_is_said(browser: FlaskClient) -> None:
    """An unknown strategy or version is a page that says so; odd numbers are no error of the server."""
    for path in (
        "/edit/none",
        "/versions/none",
        "/changes/none",
        "/edit/checkout?version=9",
        "/changes/checkout?after=9",
    ):
        read(browser, path, 404)
    for path in (
        "/edit/checkout?version=x",
        "/versions/checkout?page=-3",
        "/versions/checkout?page=99999999999",
        "/changes/checkout?before=x",
    ):
        read(browser, path, 200)
