"""The pages of reviewers: what stands on them is what the library says, and nothing on them can bite."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from abloop import hte
from abloop.loop import Loop
from abloop.readout import readout
from server import Config, create_app
from server.numbers import interval, number, percent
from tests.server.crowd import KINDS, fill
from tests.server.people import client_of, csrf
from tests.server.reading import Elements, read

FORM = "/checkout/form"
KINDS_OF_PAGES = (
    *("/strategies", "/readouts", "/effects", "/tradeoffs", "/models", "/data", "/lists"),
    *("/edit", "/versions", "/decisions"),
)
PAGES = [f"{page}/{name}" for page in KINDS_OF_PAGES for name in KINDS]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a crowded installation."""
    directory = tmp_path_factory.mktemp("crowd")
    fill(directory)
    return directory


@pytest.fixture(scope="module")
def app(home: Path) -> Flask:
    """Return a server of it."""
    return create_app(f"sqlite:///{home}/abloop.db", config=Config(rate="", login_rate=""))


@pytest.fixture(scope="module")
def client(app: Flask) -> FlaskClient:
    """Return an editor's browser."""
    return client_of(app, "editor")


@pytest.fixture(scope="module")
def viewer(app: Flask) -> FlaskClient:
    """Return a viewer's browser."""
    return client_of(app, "viewer")


@pytest.fixture(scope="module")
def loop(home: Path) -> Iterator[Loop]:
    """Return the same installation as the library sees it."""
    found = Loop(f"sqlite:///{home}/abloop.db", refresh_seconds=3_600.0)
    yield found
    found.close()


def figures(page: str) -> list[dict[str, object]]:
    """Return the figures that a page carries, as the script reads them."""
    found = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    return [json.loads(each) for each in found]


@pytest.mark.parametrize("path", PAGES)
def test_every_kind_of_strategy_has_every_page(client: FlaskClient, path: str) -> None:
    """Choices, numbers, orderings and bandits have each page; none shows nan, and all is labelled and inert."""
    page = read(client, path)
    assert not re.search(r"\b(nan|NaN|inf|None|null|undefined)\b", _without_data(client.get(path).text))
    tags = [tag for tag, _ in page.found]
    assert tags.count("table") == tags.count("caption")
    assert tags.count("h1") == 1
    for tag, attributes in page.found:
        assert tag not in ("style", "iframe", "object")
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        if tag == "script":
            assert attributes.get("type") == "application/json" or (attributes["src"] or "").startswith("/static/")
        if tag == "th":
            assert attributes["scope"] in ("row", "col", "rowgroup")


def _without_data(answer: str) -> str:
    """Return the text of a page, without what scripts read."""
    page = Elements()
    page.feed(re.sub(r"<script.*?</script>|<textarea.*?</textarea>", "", answer, flags=re.DOTALL))
    return page.text


@pytest.mark.parametrize("path", [f"/strategies{FORM}", f"/readouts{FORM}", f"/effects{FORM}", f"/models{FORM}"])
def test_names_that_are_scripts_stay_text(client: FlaskClient, path: str) -> None:
    """An arm, a country and a reason that close a script and open another are data inside figures and text outside."""
    answer = client.get(path).text
    assert "<script>alert" not in answer
    assert "alert(1)" in answer or path.startswith("/models")
    for figure in figures(answer):
        assert isinstance(figure["data"], list)


def test_the_readout_page_says_what_the_readout_says(client: FlaskClient, loop: Loop) -> None:
    """Means, lifts, intervals and units on the page are the readout's, and so is what to do."""
    seen, page = readout(loop, "checkout/form"), read(client, f"/readouts{FORM}")
    assert seen.recommendation.text in page.text
    for metric in seen.metrics:
        assert metric.metric in page.text
        for arm in metric.arms:
            assert f"n = {arm.mean.n:,}" in page.text
            if arm.comparison is not None:
                assert percent(arm.comparison.relative.value, sign=True) in page.text
    assert re.search(r"Goal.*Secondary.*Guardrails", page.text, re.DOTALL)
    drawn = figures(client.get(f"/readouts{FORM}").text)
    forest = next(each for each in drawn if "relative lift" in json.dumps(each["layout"]))
    values = [value for trace in forest["data"] for value in trace["x"]]  # type: ignore[attr-defined]
    found = [arm.comparison.relative for m in seen.metrics for arm in m.arms if arm.comparison]
    assert sorted(values) == pytest.approx(sorted(each.value for each in found if not each.reason))


def test_a_readout_can_be_read_in_other_ways(client: FlaskClient, loop: Loop) -> None:
    """Fixed, sequential and Bayesian reading are one choice away; a wrong one names those there are."""
    fixed = readout(loop, "checkout/form", reading={"inference": "fixed", "correction": "holm"})
    low = fixed.metrics[0].arms[1].lift
    assert low is not None
    page = read(client, f"/readouts{FORM}?inference=fixed&metric=spent")
    assert "Into spent" in page.text
    assert "read it once, at the planned end" in page.text
    assert "better with" in read(client, f"/readouts{FORM}?inference=bayes").text
    assert "'sequential'" in read(client, f"/readouts{FORM}?inference=magic", 404).text
    assert "Did you mean 'spent'?" in read(client, f"/readouts{FORM}?metric=spend", 404).text


def test_small_segments_are_for_editors(client: FlaskClient, viewer: FlaskClient) -> None:
    """A segment of fewer than 30 units is hidden from viewers on the page and in what they take along."""
    path = f"/readouts{FORM}?by=country"
    assert "hidden" not in read(client, path).text
    page = read(viewer, path)
    assert "hidden" in page.text
    assert "fewer than 30" in page.text
    for browser, there in ((client, True), (viewer, False)):
        taken = browser.get(f"/readouts.json{FORM}?by=country").get_json()
        by_arm = taken["metrics"][0]["segments"]["country"]
        assert any("Åland" in differ["segments"] for differ in by_arm.values()) is there
    assert "categorical feature" in read(client, f"/readouts{FORM}?by=visits", 404).text


def test_a_readout_can_be_taken_along(client: FlaskClient, loop: Loop) -> None:
    """CSV has a line for each measure and arm with the readout's numbers; what a spreadsheet would run is text."""
    seen = readout(loop, "checkout/form")
    answer = client.get(f"/readouts.csv{FORM}")
    assert answer.mimetype == "text/csv"
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(lines) == sum(len(metric.arms) for metric in seen.metrics)
    assert float(lines[0]["mean"]) == seen.metrics[0].arms[0].mean.mean
    assert "attachment" in answer.headers["Content-Disposition"]
    taken = client.get(f"/readouts.json{FORM}").get_json()
    assert taken["units"] == seen.units


def test_the_landing_page_has_days_neighbours_and_versions(client: FlaskClient) -> None:
    """It draws each day's decisions by arm, with a table of the same, and names what runs beside it."""
    answer = client.get(f"/strategies{FORM}").text
    arrivals = figures(answer)[0]
    total = sum(count for trace in arrivals["data"] for count in trace["y"])  # type: ignore[attr-defined]
    assert total == 600
    page = read(client, f"/strategies{FORM}")
    for said in ("What to do next", "Experiments beside it", "bandit", "Versions", "Blueprint in force", "version 4"):
        assert said in page.text


def test_who_gets_what_is_the_kept_report(client: FlaskClient, loop: Loop) -> None:
    """The page shows the newest kept report: its words, gains against each arm, parts, tree; nothing is fitted."""
    kept = hte.newest(loop, "checkout/form")
    assert kept is not None
    page = read(client, f"/effects{FORM}")
    assert kept.report.words in page.text
    for worth in kept.report.verdict.arms.values():
        assert re.search(re.escape(number(worth.mean, 2)[:4]), page.text)
    arm, parts = next(iter(kept.report.calibration.items()))
    drawn = figures(client.get(f"/effects{FORM}").text)
    bars = [t for each in drawn for t in each["data"] if t.get("name") == "measured" and t["type"] == "bar"]  # type: ignore[attr-defined]
    assert bars[0]["y"] == pytest.approx([each.measured.mean for each in parts]), arm
    assert "Choosing is better by" in page.text
    assert "Made" in page.text
    assert "by worker" in page.text


def test_a_report_is_made_in_the_background(client: FlaskClient, app: Flask, loop: Loop) -> None:
    """An editor has it made anew: the request returns at once, the page tells how far it is, then shows it."""
    before = hte.newest(loop, "checkout/form")
    form = {"csrf_token": csrf(client, f"/effects{FORM}")}
    began = time.monotonic()
    assert client.post(f"/effects{FORM}", data=form).status_code == 303
    assert time.monotonic() - began < 5
    errands = app.extensions["abloop_errands"]
    page = client.get(f"/effects{FORM}").text
    assert ('http-equiv="refresh"' in page and "Making the report" in page) or not errands.last("checkout/form").runs
    totals = set()
    while (last := errands.last("checkout/form")).runs:
        totals.add(client.get(f"/errand{FORM}").get_json()["total"])
        time.sleep(0.02)
    assert last.status == "done", last.said
    assert max(totals) > 1, "it never told how far it was"
    after = hte.newest(loop, "checkout/form")
    assert before is not None
    assert after is not None
    assert after.at > before.at
    assert after.who == "an.editor"
    assert "an.editor" in read(client, f"/effects{FORM}").text


def test_viewers_cannot_have_a_report_made(viewer: FlaskClient) -> None:
    """A viewer sees the command instead of the button, and the request is refused."""
    page = read(viewer, f"/effects{FORM}")
    assert "abloop hte checkout/form --keep" in page.text
    assert "Make it" not in page.text
    assert viewer.post(f"/effects{FORM}", data={"csrf_token": csrf(viewer, f"/readouts{FORM}")}).status_code in (
        400,
        403,
    )


def test_label_models_are_judged_in_production(client: FlaskClient) -> None:
    """The model's page has what the gate promised of the labels beside what was predicted and came, by release."""
    page = read(client, "/models/worth")
    for said in (
        "Promised offline by the gate",
        "Predictions in production",
        "Error taken away",
        "Share of its trees'",
    ):
        assert said in page.text
    release = re.search(r"SHA-256\s*([0-9a-f]{64})", page.text)
    assert release
    assert page.text.count(release[1][:12]) >= 3


def test_a_second_look_computes_nothing(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A readout is computed once for its rows and its serving, not at each request."""
    first = client.get(f"/readouts{FORM}")

    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("server.dashboard.reads.readout", fail)
    assert client.get(f"/readouts{FORM}").status_code == first.status_code == 200


def test_figures_come_from_the_installed_package(client: FlaskClient, app: Flask) -> None:
    """Plotly's script is this server's own, packed, kept by browsers for good under a name that follows its content."""
    address = next(
        each["src"] for tag, each in read(client, f"/strategies{FORM}").found if tag == "script" and each.get("src")
    )
    assert address is not None
    answer = client.get(address, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "immutable" in answer.headers["Cache-Control"]
    assert len(answer.data) < 2_000_000
    again = client.get(address, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert "immutable" not in client.get("/static/plotly.min.js").headers["Cache-Control"]


@pytest.mark.parametrize("page", ["readouts", "effects", "models", "readouts.csv", "readouts.json"])
def test_unknown_strategies_name_the_known(client: FlaskClient, page: str) -> None:
    """Each page of a strategy that is not there is a 404 that names those that are."""
    assert "'worth'" in read(client, f"/{page}/wurth", 404).text


def test_numbers_that_are_shown_are_those_of_the_policy(client: FlaskClient, loop: Loop) -> None:
    """What is served against each arm on the page is the readout's policy result."""
    seen = readout(loop, "worth")
    assert seen.policy is not None
    text = read(client, "/strategies/worth").text
    assert f"n = {seen.policy.policy.n:,}" in text
    assert any(interval(gain, places, sign=True) in text for gain in seen.policy.gains.values() for places in range(4))
