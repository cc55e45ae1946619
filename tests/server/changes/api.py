"""Changes made over the API, by a person in a browser as by a program."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from abloop import tuning
from abloop.blueprint import from_mapping
from abloop.blueprint.parameters import with_settings
from abloop.compare import compare
from abloop.optimize.trials import Lift, Round, State, Trial
from abloop.rollout.pause import pause
from server.source import Source
from tests.loops import two_arms
from tests.server.changes.access import Change
from tests.server.people import csrf

NAME, WHO = "checkout", {"who": "tests", "why": "test"}
WEIGHTS: dict[str, Any] = {
    "space": {"type": "number"},
    "arms": [],
    "policy": {"formula": "w * x", "weights": [{"name": "w", "value": 1.0, "low": 0.0, "high": 2.0}]},
}


def _prepare(app: Flask, state: str) -> None:
    """Make two versions of a strategy, in a state from which the change can be made."""
    source: Source = app.extensions["abloop"]
    workspace = source.workspace()
    if state == "empty":
        return
    base = from_mapping(two_arms(**WEIGHTS)) if state.startswith("round") else from_mapping(two_arms())
    workspace.catalogue.add_blueprint(base, at=time.time(), **WHO)
    other = with_settings(base, {"w": 0.5}) if state.startswith("round") else from_mapping(two_arms(default="green"))
    workspace.catalogue.add_blueprint(other, at=time.time(), serve=False, **WHO)
    if state == "paused":
        pause(workspace, NAME, **WHO)
    if state == "compared":
        compare(workspace, NAME, [1, 2], **WHO)
    if state.startswith("round"):
        trial, begun = Trial(0, 0, {"w": 0.5}), Round(0, 1)
        if state == "round read":
            trial = Trial(0, 0, {"w": 0.5}, "read", 2, {"bought": Lift(0.1, 0.01)})
            begun = Round(0, 1, "read")
        workspace.tunings.advance(State(NAME, (begun,), (trial,)), at=time.time(), **WHO)
        if state == "round running":
            tuning.propose(workspace, NAME, **WHO)


def _post(path: str, body: dict[str, Any], state: str, app: Flask, browser: FlaskClient) -> TestResponse:
    _prepare(app, state)
    return browser.post(f"/v1/{path}", json={"why": "test", **body}, headers={"X-CSRFToken": csrf(browser)})


def _change(path: str, body: dict[str, Any], state: str = "two versions") -> Change:
    return partial(_post, path, body, state)


CHANGES: dict[str, Change] = {
    "v1.api.post_blueprint": _change("blueprints", {"blueprint": two_arms()}, "empty"),
    "v1.api.post_serve": _change("blueprints/serve", {"strategy": NAME, "version": 2}),
    "v1.api.post_phase": _change("strategies/phase", {"strategy": NAME, "action": "resume"}, "paused"),
    "v1.api.post_comparison": _change("comparisons", {"strategy": NAME, "versions": [1, 2]}),
    "v1.api.post_comparison_stop": _change("comparisons/stop", {"strategy": NAME}, "compared"),
    "v1.api.post_propose": _change("tuning/propose", {"strategy": NAME}, "round proposed"),
    "v1.api.post_read": _change("tuning/read", {"strategy": NAME, "early": True}, "round running"),
    "v1.api.post_pick": _change("tuning/pick", {"strategy": NAME, "trial": 0}, "round read"),
    "v1.api.post_erasure": _change("erasures", {"unit": "u1"}),
}
_TRAFFIC = "what products write all the time is in the journal, by decision id"
UNAUDITED: dict[str, str] = {
    "v1.api.post_decisions": _TRAFFIC,
    "v1.api.post_rankings": _TRAFFIC,
    "v1.api.post_observations": _TRAFFIC,
    "v1.api.post_spool": _TRAFFIC,
    "v1.api.post_sticky": "arms that units keep follow from decisions, which are in the journal",
    "v1.api.post_sticky_read": "it only reads; names of units do not belong in an address",
    "v1.api.post_features": "it only reads; names of entities do not belong in an address",
    "v1.api.post_validate": "it only checks",
}
