"""Changes made on the pages of strategies."""

from __future__ import annotations

import time

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from abloop.blueprint import from_mapping
from server.source import Source
from tests.loops import two_arms
from tests.server.changes.access import Change
from tests.server.people import csrf


def _compute(app: Flask, browser: FlaskClient) -> TestResponse:
    source: Source = app.extensions["abloop"]
    workspace = source.workspace()
    workspace.catalogue.add_blueprint(from_mapping(two_arms()), at=time.time(), who="tests", why="")
    answer = browser.post("/effects/checkout", data={"csrf_token": csrf(browser, "/effects/checkout")})
    errands = app.extensions.get("abloop_errands")
    while errands is not None and (last := errands.last("checkout")) is not None and last.runs:
        time.sleep(0.05)
    return answer


def _replay(app: Flask, browser: FlaskClient) -> TestResponse:
    source: Source = app.extensions["abloop"]
    source.workspace().catalogue.add_blueprint(from_mapping(two_arms()), at=time.time(), who="tests", why="")
    return browser.post("/replay/checkout", data={"csrf_token": csrf(browser, "/data/checkout"), "why": "put right"})


CHANGES: dict[str, Change] = {"dashboard.compute_effects": _compute, "dashboard.replay": _replay}
UNAUDITED: dict[str, str] = {}
