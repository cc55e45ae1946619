"""Changes of blueprints, of what is served, of tuning, and erasures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from abloop import tuning
from abloop.compare import SETTLE_SECONDS, compare
from abloop.offline import join_rows, ship_spool
from abloop.registration import register
from abloop.rollout.pause import pause
from abloop.rollout.promote import promote
from abloop.store.workspace import Workspace
from server.source import Source
from tests.loops import two_arms
from tests.server.people import csrf
from tests.shop import SERVED, blueprint

Change = Callable[[Flask, FlaskClient], TestResponse]
TEXT = "strategy: {name}\narms: [{{name: blue}}, {{name: green}}]\nmetrics: [{{name: bought}}]\n"


def _workspace(app: Flask) -> Workspace:
    source: Source = app.extensions["abloop"]
    return source.workspace()


def _post(browser: FlaskClient, path: str, **form: Any) -> TestResponse:
    return browser.post(path, data={"csrf_token": csrf(browser), "why": "because", **form})


def _create(app: Flask, browser: FlaskClient) -> TestResponse:
    return _post(browser, "/new", text=TEXT.format(name="fresh"), newest=0, served=0, do="save")


def _save(app: Flask, browser: FlaskClient) -> TestResponse:
    register(_workspace(app), two_arms())
    return _post(browser, "/edit/checkout", text=TEXT.format(name="checkout"), newest=1, served=1, do="save")


def _serve(app: Flask, browser: FlaskClient) -> TestResponse:
    for explore in (0.1, 0.2):
        register(_workspace(app), two_arms(experiment={"explore": explore}))
    return _post(browser, "/serve/checkout", version=1)


def _pause(app: Flask, browser: FlaskClient) -> TestResponse:
    register(_workspace(app), two_arms())
    return _post(browser, "/pause/checkout")


def _resume(app: Flask, browser: FlaskClient) -> TestResponse:
    register(_workspace(app), two_arms())
    pause(_workspace(app), "checkout", who="tests", why="a fire")
    return _post(browser, "/resume/checkout")


def _withdraw(app: Flask, browser: FlaskClient) -> TestResponse:
    from abloop.evaluate.verdict import refuse
    from abloop.train.fit import constant_release
    from abloop.train.table import load_table

    workspace = _workspace(app)
    register(workspace, two_arms())
    ship = refuse("tests")
    release = constant_release(load_table(workspace, "checkout"), [0.0, 1.0])
    promote(workspace, workspace.catalogue.serving("checkout"), ship, release)
    return _post(browser, "/withdraw/checkout")


def _compare(app: Flask, browser: FlaskClient) -> TestResponse:
    for explore in (0.1, 0.2):
        register(_workspace(app), two_arms(experiment={"explore": explore}))
    return _post(browser, "/compare/checkout", version=[1, 2])


def _uncompare(app: Flask, browser: FlaskClient) -> TestResponse:
    for explore in (0.1, 0.2):
        register(_workspace(app), two_arms(experiment={"explore": explore}))
    compare(_workspace(app), "checkout", [1, 2], who="tests", why="curious")
    return _post(browser, "/uncompare/checkout")


def _switch(app: Flask, browser: FlaskClient) -> TestResponse:
    register(_workspace(app), two_arms(lifecycle={"switch": "manual"}))
    return _post(browser, "/switch/checkout")


def _propose(app: Flask, browser: FlaskClient) -> TestResponse:
    register(_workspace(app), blueprint())
    return _post(browser, "/propose/shop_list")


def _read(app: Flask, browser: FlaskClient) -> TestResponse:
    register(_workspace(app), blueprint())
    tuning.propose(_workspace(app), "shop_list", who="tests")
    return _post(browser, "/read/shop_list", early="yes")


def _pick(app: Flask, browser: FlaskClient) -> TestResponse:
    tuned(app)
    return _post(browser, "/pick/shop_list", trial=0)


def tuned(app: Flask) -> None:
    """Bring a round of trials, of thirty units each, that was read."""
    from abloop.loop import Loop

    workspace = _workspace(app)
    register(workspace, blueprint(lifecycle={"ttl": 1}))
    tuning.propose(workspace, "shop_list", who="tests")
    later = workspace.clock() + SETTLE_SECONDS + 1
    loop = Loop(f"sqlite:///{workspace.database.engine.url.database}", clock=lambda: later, refresh_seconds=3_600.0)
    handle = loop.strategy("shop_list")
    for number in range(200):
        given = handle.get_decision(f"d{number}", {"user_id": f"u{number}"}) or SERVED
        logged = {"orders": 10 + given["fresh"] + number % 7 / 7, "compute": 5 + given["depth"] + number % 5 / 5}
        handle.log_observations(f"d{number}", {**logged, "latency": 6 + number % 3 / 3})
    loop.close()
    clock, workspace.clock = workspace.clock, lambda: later + 60
    ship_spool(workspace)
    join_rows(workspace, "shop_list")
    workspace.clock = clock
    tuning.read(workspace, "shop_list", early=True, who="tests")


def _erase(app: Flask, browser: FlaskClient) -> TestResponse:
    return _post(browser, "/erase", unit="u-17", again="u-17")


CHANGES: dict[str, Change] = {
    "dashboard.begin_comparison": _compare,
    "dashboard.create": _create,
    "dashboard.end_comparison": _uncompare,
    "dashboard.erase": _erase,
    "dashboard.pause": _pause,
    "dashboard.pick": _pick,
    "dashboard.propose": _propose,
    "dashboard.read": _read,
    "dashboard.resume": _resume,
    "dashboard.save": _save,
    "dashboard.serve": _serve,
    "dashboard.switch": _switch,
    "dashboard.withdraw": _withdraw,
}
UNAUDITED = {
    "dashboard.validate": "says what is wrong with a draft; nothing is kept",
    "dashboard.foresee": "asks a model what weights would change; nothing is kept or served",
    "dashboard.frontier": "asks a model for the trade-offs it expects; nothing is served",
}
