"""The page of trade-offs in each state of tuning, and each step that is taken there."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from abloop import tuning
from abloop.optimize.trials import Lift, Point, Round, State, Trial
from abloop.registration import register
from abloop.tuning.frontier import Outlook
from server import create_app
from server.errands import Order, run
from server.expected import Expected
from server.expected import keep as keep_expected
from server.work import Errand
from tests.loops import two_arms
from tests.server.changes.edit import tuned
from tests.server.dashboard.test_editor import changes_of, post, workspace_of
from tests.server.people import client_of
from tests.server.reading import read
from tests.shop import SERVED, blueprint


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """Return a server of an empty installation."""
    return create_app(f"sqlite:///{tmp_path}/abloop.db")


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    """Return an editor's browser."""
    return client_of(app, "editor")


def keep(app: Flask, *trials: Trial, status: str = "read", reason: str = "") -> None:
    """Keep a state of one round with these trials."""
    workspace = workspace_of(app)
    round_ = Round(0, 1, status, 1, time.time(), reason)  # type: ignore[arg-type]
    workspace.tunings.advance(State("shop_list", (round_,), trials), at=0.0, who="tests", why="tests")


def trial(number: int, orders: float, compute: float, latency: float = 0.0) -> Trial:
    """Return a trial that was read."""
    lifts = {"orders": Lift(orders, 0.01), "compute": Lift(compute, 0.01), "latency": Lift(latency, 0.01)}
    return Trial(number, 0, {"fresh": number / 10}, "read", version=1, lifts=lifts, units=900)


def wait(browser: FlaskClient) -> None:
    """Wait until the errand has ended."""
    until = time.monotonic() + 120
    while browser.get("/errand/shop_list").json["status"] == "running" and time.monotonic() < until:
        time.sleep(0.1)


def test_each_state_says_what_it_is(app: Flask, browser: FlaskClient) -> None:
    """Nothing to tune, never tuned, a marked round, nothing within the limits: each says so, and what to do."""
    register(workspace_of(app), two_arms())
    assert "There is nothing to tune yet" in read(browser, "/tradeoffs/checkout").text
    assert "nothing with a range" in post(browser, "/propose/checkout", 422, why="try")
    register(workspace_of(app), blueprint())
    assert "It was never tuned" in read(browser, "/tradeoffs/shop_list").text
    assert "no round" in post(browser, "/read/shop_list", 422, why="read")
    assert "was not read" in post(browser, "/pick/shop_list", 422, trial=3, why="try")
    keep(
        app,
        Trial(0, 0, {"fresh": 0.5}, "failed", reason="no unit got it"),
        status="marked",
        reason="another comparison",
    )
    text = read(browser, "/tradeoffs/shop_list").text
    assert "Round 0 says nothing" in text
    assert "no unit got it" in text


def test_what_keeps_no_limit_is_said(app: Flask, browser: FlaskClient) -> None:
    """Where every trial is beyond a limit, the page says so and picks none for best."""
    register(workspace_of(app), blueprint())
    keep(app, trial(0, 0.1, -0.1, latency=0.5))
    text = read(browser, "/tradeoffs/shop_list").text
    assert "Nothing that was tried keeps the limits" in text
    assert "beyond a limit" in text
    assert "beaten by none" not in text.replace("which of them none beats", "")


def test_trials_under_another_formula_are_named(app: Flask, browser: FlaskClient) -> None:
    """What no longer compares with what serves stays in the table, is not drawn, and the page says why."""
    register(workspace_of(app), blueprint())
    keep(app, trial(0, 0.1, -0.2))
    policy = blueprint()["policy"]
    changed = {**policy, "formula": policy["formula"].replace("depth}", "depth * 1}")}
    register(workspace_of(app), blueprint(policy=changed))
    page = read(browser, "/tradeoffs/shop_list")
    assert "1 of the trials cannot be compared with what serves" in page.text
    assert "Measured under another policy.formula" in page.text
    assert "not comparable" in page.text
    assert "+10.0" in page.text  # against what served then
    assert "A model needs 4 trials that were read; there are 0" in page.text
    assert "No trial was read yet" not in page.text
    assert "Nothing that was tried keeps the limits" not in page.text
    assert "cannot be served any more" in post(browser, "/pick/shop_list", 422, trial=0, why="try")


def test_all_is_told_against_what_serves_now(app: Flask, browser: FlaskClient) -> None:
    """Once a trial serves, table and figure count from it; a frontier expected before is not shown any more."""
    register(workspace_of(app), blueprint())
    keep(app, trial(0, 0.25, -0.2), trial(1, 0.5, -0.4))
    workspace = workspace_of(app)
    keep_expected(workspace, "shop_list", Expected(2, (Point(dict(SERVED), {"orders": Lift(0.123, 0.01)}),)))
    assert "+12.3" in read(browser, "/tradeoffs/shop_list").text
    policy = blueprint()["policy"]
    weights = [{**each, "value": 0.0 if each["name"] == "fresh" else each["value"]} for each in policy["weights"]]
    register(workspace, blueprint(policy={**policy, "weights": weights}))  # those of trial 0
    text = read(browser, "/tradeoffs/shop_list").text
    for said in ("+20.0", "25.0"):  # 1.5 / 1.25 and 0.6 / 0.8
        assert said in text
    for gone in ("+50.0", "40.0", "+12.3"):
        assert gone not in text


def test_without_a_log_nothing_is_believed(app: Flask, browser: FlaskClient) -> None:
    """The line of what the tests left of the journal stands only where there was one."""
    register(workspace_of(app), blueprint())
    keep(app, trial(0, 0.25, -0.2), trial(1, 0.5, -0.4))
    points = (Point(dict(SERVED), {"orders": Lift(0.123, 0.01)}),)
    keep_expected(workspace_of(app), "shop_list", Expected(2, points))
    assert "before the tests" not in read(browser, "/tradeoffs/shop_list").text


def test_trials_are_drawn_and_told(app: Flask, browser: FlaskClient) -> None:
    """Every number of the figure is in the table: changes with intervals, units, weights; any two metrics are drawn."""
    register(workspace_of(app), blueprint())
    keep(app, trial(0, 0.1, -0.2), trial(1, 0.05, 0.1), trial(2, 0.3, -0.3, latency=0.5))
    page = read(browser, "/tradeoffs/shop_list")
    for said in ("+10.0", "+8.0", "+12.0", "900", "beaten by none", "beaten", "beyond a limit", "0.02"):
        assert said in page.text
    assert [tag for tag, _ in page.found].count("figure") == 3  # changes, each weight, rounds
    answer = browser.get("/tradeoffs/shop_list?across=latency&upwards=orders").text
    figure = json.loads(answer.split('<script type="application/json">')[1].split("</script>")[0])
    assert figure["layout"]["xaxis"]["title"]["text"].startswith("latency")
    read(browser, "/tradeoffs/shop_list?across=nothing", 404)
    read(browser, "/tradeoffs/none", 404)


def test_a_round_from_the_page(app: Flask, browser: FlaskClient) -> None:
    """A round is proposed in the background, runs, is read, and one of its points is served, each with its why."""
    register(workspace_of(app), blueprint())
    assert "allowed: 1 to 100" in post(browser, "/propose/shop_list", 422, arms=999, why="try")
    post(browser, "/propose/shop_list", arms=2, why="less compute")
    assert "is under way" in post(browser, "/foresee/shop_list", 422, **{f"weight.{name}": 0.5 for name in SERVED})
    wait(browser)
    state = tuning.status(workspace_of(app), "shop_list")
    assert (state.rounds[-1].status, len(state.trials)) == ("running", 2)
    text = read(browser, "/tradeoffs/shop_list").text
    assert "Units of each arm so far" in text
    assert "Round 0 runs." in text
    assert "too few units" in post(browser, "/read/shop_list", 422, why="now")
    assert "round 0 of tuning" in post(browser, "/uncompare/shop_list", 422, why="no")
    post(browser, "/read/shop_list", early="yes", why="now")
    assert "Round 0 says nothing" in read(browser, "/tradeoffs/shop_list").text
    assert [entry[1] for entry in changes_of(app)] == ["propose round", "read round"]


def test_a_point_is_picked(app: Flask, browser: FlaskClient) -> None:
    """A point is served beside what serves, with who and why."""
    tuned(app)
    post(browser, "/pick/shop_list", trial=1, why="less compute")
    comparison = workspace_of(app).comparisons.current()["shop_list"]
    assert [entry.version for entry in comparison.entries] == [1, 3]
    assert (comparison.who, comparison.why) == ("an.editor", "less compute")
    assert "A comparison runs" in read(browser, "/tradeoffs/shop_list").text
    assert "The comparison so far" in read(browser, "/versions/shop_list").text
    assert changes_of(app) == [("an.editor", "pick trial", "shop_list", "less compute")]


def test_weights_are_foreseen(
    app: Flask, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a model foresees of weights is told with its interval; why it cannot is told too."""
    register(workspace_of(app), blueprint())
    keep(app, trial(0, 0.1, -0.2))
    assert "allowed: 0 to 1" in post(browser, "/foresee/shop_list", 422, **{"weight.fresh": 3})
    post(browser, "/foresee/shop_list", **{f"weight.{name}": 0.5 for name in SERVED})
    wait(browser)
    assert "failed" in read(browser, "/tradeoffs/shop_list").text  # of one trial no model can be made
    monkeypatch.setattr(tuning, "expect", lambda *_: [{"orders": Lift(0.05, 0.01)}])
    place = next((tmp_path / "abloop.files" / "errands").glob("*.json"))
    errand = Errand("foresee", "shop_list", "maria", "", time.time(), {"weights": {"fresh": 0.25}})
    assert run(Order(f"sqlite:///{tmp_path}/abloop.db", None, str(place), errand)).status == "done"
    text = read(browser, "/tradeoffs/shop_list").text
    for said in ("Expected of", "fresh 0.25", "+5.0", "[+3.0", "+7.0"):
        assert said in text


def test_the_expected_frontier_is_drawn_and_served(
    app: Flask, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a model expects is drawn and told with intervals; a point of it is served as it was shown."""
    register(workspace_of(app), blueprint())
    keep(app, *(trial(number, 0.1 * number, -0.2 + 0.01 * number) for number in range(3)))
    assert "A model needs 4 trials that were read; there are 3" in read(browser, "/tradeoffs/shop_list").text
    workspace_of(app).tunings.advance(
        State(
            "shop_list", (Round(0, 1, "read", 1, time.time()),), tuple(trial(each, 0.1, -0.1) for each in range(4)), 1
        ),
        at=0.0,
        who="tests",
        why="tests",
    )
    assert "between those that were tried too" in read(browser, "/tradeoffs/shop_list").text
    lifts = {"orders": Lift(0.2, 0.05), "compute": Lift(-0.3, 0.05), "latency": Lift(0.0, 0.01)}
    weights = dict.fromkeys(SERVED, 1 / 3)
    less = {**lifts, "orders": Lift(0.1, 0.05)}
    points = (Point(weights, lifts, 0.875), Point(weights, lifts, 0.5), Point(weights, less, 0.75, 2))
    outlook = Outlook(points, {"orders": 0.93})
    monkeypatch.setattr(tuning, "outlook", lambda *_: outlook)  # of which two cannot be told apart
    place = tmp_path / "abloop.files" / "errands" / "one.json"
    place.parent.mkdir(parents=True)
    errand = Errand("frontier", "shop_list", "maria", "", time.time())
    done = run(Order(f"sqlite:///{tmp_path}/abloop.db", None, str(place), errand))
    assert (done.status, done.said) == ("done", "The frontier has 2 points that can be told apart; see below.")
    answer = browser.get("/tradeoffs/shop_list").text
    assert "before the tests, believed: orders 93%." in answer
    figure = json.loads(answer.split('<script type="application/json">')[1].split("</script>")[0])
    (drawn,) = [trace for trace in figure["data"] if trace["name"] == "expected frontier"]
    assert [data[2] for data in drawn["customdata"]] == ["point-0", "point-1"]
    assert 'id="point-1"' in answer
    text = read(browser, "/tradeoffs/shop_list").text
    for said in ("by maria , of 4 trials", "+20.0", "[+10.2", "87.5", "trial 2", "Serve point 1"):
        assert said in " ".join(text.split()).replace("maria,", "maria ,"), said
    assert "allowed: 0 to 1" in post(browser, "/pick/shop_list", 422, why="cheaper")
    post(
        browser, "/pick/shop_list", why="cheaper", **{f"weight.{name}": repr(value) for name, value in weights.items()}
    )
    comparison = workspace_of(app).comparisons.current()["shop_list"]
    _, made = workspace_of(app).catalogue.blueprint("shop_list", comparison.entries[1].version)
    assert {weight.name: weight.value for weight in made.policy.weights if weight.name in weights} == weights
    (entry,) = [each for each in workspace_of(app).audit.walk() if each.what == "pick trial"]
    assert json.loads(entry.body)["choice"] == weights
