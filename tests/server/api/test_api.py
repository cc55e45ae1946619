"""The API by hand: what a program in any language meets."""

from __future__ import annotations

import threading
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from abloop import offline
from abloop.records import Decision, decode
from abloop.store.workspace import Workspace
from abloop.testing import ManualClock
from server import Config, create_app
from server.source import Source
from tests.loops import TTL, open_loop, send_traffic, two_arms
from tests.server.people import bearer

Headers = dict[str, str]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """Return a server with one strategy, on a clock that a test turns."""
    found = create_app(f"sqlite:///{tmp_path}/abloop.db", config=Config(rate="", calls=0))
    source_of(found).loop().register(
        two_arms(metrics=[{"name": "bought"}, {"name": "kept", "by": "unit", "window": 1e6}])
    )
    yield found
    source_of(found).close()


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    """Return a client."""
    return app.test_client()


@pytest.fixture
def headers(app: Flask) -> Headers:
    """Return the headers of a token that may do everything."""
    return bearer(app, "read", "edit", "ingest", "admin")


def source_of(app: Flask) -> Source:
    """Return where an app reads from."""
    found: Source = app.extensions["abloop"]
    return found


def shipped(app: Flask) -> Workspace:
    """Return the installation, after what the server wrote was shipped."""
    source_of(app).loop().spool.seal()
    workspace = source_of(app).workspace()
    offline.ship_spool(workspace)
    return workspace


def decision(unit: str = "u1", **more: Any) -> dict[str, Any]:
    """Return the body of a request for a decision."""
    return {"strategy": "checkout", "context": {"user_id": unit, "x": 1.0}, **more}


def test_one_decision_and_many(app: Flask, browser: FlaskClient, headers: Headers) -> None:
    """One is answered by an object, a list by a list; a unit has its arm; each is in the journal, once."""
    one = browser.post("/v1/decisions", json=decision(decision_id="d0"), headers=headers).get_json()
    assert one["arm"] == one["value"]
    assert (one["reason"], one["propensity"], one["version"], one["decision_id"]) == ("randomise", 0.5, 1, "d0")
    asked = [decision(f"u{index}", decision_id=f"d{index}") for index in range(40)]
    many = browser.post("/v1/decisions", json=asked, headers=headers).get_json()
    assert [each["decision_id"] for each in many] == [f"d{index}" for index in range(40)]
    assert {each["arm"] for each in many} == {"blue", "green"}
    for _ in range(10):
        assert browser.post("/v1/decisions", json=asked, headers=headers).get_json() == many
    assert shipped(app).journal.backlog("checkout").waiting == 40


def test_a_call_that_cannot_be_answered_gets_the_default(browser: FlaskClient, headers: Headers) -> None:
    """A context without its unit is no error of the request: the product gets the default, and is told why."""
    found = browser.post("/v1/decisions", json={"strategy": "checkout", "context": {}}, headers=headers)
    assert found.status_code == 200
    assert (found.get_json()["value"], found.get_json()["reason"]) == ("blue", "error")
    assert "context['user_id'] is missing" in found.get_json()["error"]


def test_a_decision_that_the_caller_logs(app: Flask, browser: FlaskClient, headers: Headers) -> None:
    """With `log: false` nothing is written here, and the record is in the answer."""
    found = browser.post("/v1/decisions", json=decision(decision_id="d1", log=False), headers=headers).get_json()
    record = decode(b64decode(found["record"]))
    assert isinstance(record, Decision)
    assert (record.decision_id, record.arm, record.features) == ("d1", found["arm"], (1.0,))
    assert shipped(app).journal.backlog("checkout").waiting == 0


def test_observations_sent_ten_times_count_once(app: Flask, browser: FlaskClient, headers: Headers) -> None:
    """With a key of their own, or one of the request, a batch may be sent again: same answer, same rows."""
    batch = [
        {"strategy": "checkout", "decision_id": f"d{index}", "observations": {"bought": 1}, "key": f"k{index}"}
        for index in range(20)
    ]
    units = [{"strategy": "checkout", "unit": f"u{index}", "observations": {"kept": 2.5}} for index in range(20)]
    for _ in range(10):
        assert browser.post("/v1/observations", json=batch, headers=headers).get_json() == {"accepted": 20}
        named = {**headers, "Idempotency-Key": "import-7"}
        assert browser.post("/v1/observations", json=units, headers=named).get_json() == {"accepted": 20}
    workspace = shipped(app)
    assert workspace.journal.backlog("checkout").observations == 20
    with workspace.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM abloop_late").scalar() == 20


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"strategy": "checkout", "decision_id": "d", "observations": {"bougt": 1}}, "observations.bougt"),
        ({"strategy": "checkout", "decision_id": "d", "observations": {"bought": "1"}}, "observations[...]"),
        ({"strategy": "checkout", "observations": {"bought": 1}}, "decision_id"),
        ({"strategy": "checkout", "decision_id": "d", "unit": "u", "observations": {"bought": 1}}, "decision_id"),
        ({"strategy": "checkout", "decision_id": "d", "observations": {"kept": 1}}, "observations.kept"),
        ({"strategy": "checkout", "decision_id": "d\0", "observations": {"bought": 1}}, "decision_id"),
        ({"strategy": "checkout", "decision_id": "d", "observations": {}}, "observations"),
        ({"strategy": "checkout", "decision_id": "d", "observations": {"bought": 1}, "kee": ""}, ""),
    ],
)
def test_a_wrong_observation_says_where_and_nothing_is_kept(
    app: Flask, browser: FlaskClient, headers: Headers, body: dict[str, Any], path: str
) -> None:
    """One wrong item of a batch refuses the batch, with its path."""
    right = {"strategy": "checkout", "decision_id": "d0", "observations": {"bought": 1}}
    alone = browser.post("/v1/observations", json=body, headers=headers)
    assert (alone.status_code, alone.get_json()["path"]) == (422, path)
    batch = browser.post("/v1/observations", json=[right, body], headers=headers)
    assert batch.status_code == 422
    assert batch.get_json()["path"].startswith("[")
    assert shipped(app).journal.backlog("checkout").observations == 0


def test_what_is_said_of_wrong_requests(browser: FlaskClient, headers: Headers) -> None:
    """Each kind of mistake has its status, and JSON with what to do; none shows its inside."""

    def post(path: str, **given: Any) -> tuple[int, dict[str, str]]:
        found = browser.post(path, headers={**headers, **given.pop("more", {})}, **given)
        assert found.content_type == "application/json"
        assert set(found.get_json()) == {"error", "detail", "path", "fix"}
        assert "Traceback" not in found.text
        return found.status_code, found.get_json()

    assert post("/v1/decisions", data=b"{", content_type="application/json")[0] == 400
    assert post("/v1/decisions", data=b"x", content_type="text/plain")[0] == 415
    assert post("/v1/decisions", data=b"\xff", content_type="application/json")[0] == 400
    assert post("/v1/decisions", data=b'["' + b"x" * 2_000_000 + b'"]', content_type="application/json")[0] == 413
    assert post("/v1/decisions", json=[decision()] * 1_001)[0] == 422
    assert post("/v1/decisions", json={"strategy": "nothing", "context": {}})[0] == 404
    assert post("/v1/decisions", data=b"[" * 50_000, content_type="application/json")[0] == 400
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    assert post("/v1/decisions", json=decision(context={"user_id": "u", "x": deep}))[0] in (400, 422)
    assert post("/v1/blueprints", json={"blueprint": {}})[0] == 422
    assert post("/v1/spool/../../etc/passwd", data=b"", content_type="application/octet-stream")[0] == 404
    name = "01795855055128462592-0017570-000003-ab4bfddf.spool"
    assert post(f"/v1/spool/{name}", data=b"garbage", content_type="application/octet-stream")[0] == 422
    assert post("/v1/spool/x.spool", data=b"", content_type="application/octet-stream")[1]["path"] == "segment"
    refused = browser.post("/v1/decisions", json=decision(), headers={"Authorization": "Bearer abl_wrong_token"})
    assert (refused.status_code, refused.get_json()["path"]) == (401, "")
    assert browser.put("/v1/decisions", headers=headers).status_code == 405


def test_grants_hold(app: Flask, browser: FlaskClient) -> None:
    """A token that may only read cannot decide, and one that may only decide cannot read or change."""
    reads, ingests = bearer(app, "read"), bearer(app, "ingest")
    assert browser.post("/v1/decisions", json=decision(), headers=reads).status_code == 403
    assert browser.post("/v1/decisions", json=decision(), headers=ingests).status_code == 200
    assert browser.get("/v1/strategies", headers=ingests).status_code == 403
    assert browser.post("/v1/blueprints", json={"blueprint": two_arms()}, headers=ingests).status_code == 403
    assert browser.post("/v1/erasures", json={"unit": "u", "why": "w"}, headers=bearer(app, "edit")).status_code == 403


def test_concurrent_edits_of_one_blueprint_lose_nothing(app: Flask, browser: FlaskClient, headers: Headers) -> None:
    """Of editors who read the same version one saves; the others see 409, and every version that was saved is there."""
    read = browser.get("/v1/blueprints?strategy=checkout", headers=headers)
    tag = read.headers["ETag"]
    statuses: list[int] = []

    def save(number: int) -> None:
        edited = {**read.get_json()["blueprint"], "default": f"d{number}"}
        body = {"blueprint": edited, "why": "edit"}
        made = app.test_client().post("/v1/blueprints", json=body, headers={**headers, "If-Match": tag})
        statuses.append(made.status_code)

    editors = [threading.Thread(target=save, args=(number,)) for number in range(6)]
    for editor in editors:
        editor.start()
    for editor in editors:
        editor.join()
    assert sorted(statuses) == [201, 409, 409, 409, 409, 409]
    versions = browser.get("/v1/blueprints/versions?strategy=checkout", headers=headers).get_json()["versions"]
    assert [version["version"] for version in versions] == [1, 2]
    assert [change["path"] for change in versions[1]["changes"]] == ["default"]
    again = browser.get("/v1/blueprints?strategy=checkout", headers=headers)
    body = {"blueprint": {**again.get_json()["blueprint"], "default": "late"}, "why": "edit"}
    made = browser.post("/v1/blueprints", json=body, headers={**headers, "If-Match": again.headers["ETag"]})
    assert (made.status_code, made.get_json()["version"]) == (201, 3)
    same = browser.post("/v1/blueprints", json=body, headers=headers)
    assert (same.status_code, same.get_json()["new"]) == (200, False)


def test_every_change_is_in_the_log_of_changes(app: Flask, browser: FlaskClient, headers: Headers) -> None:
    """Registering, serving, pausing, comparing and erasing each leave one entry, with who and why; refusals none."""
    workspace = source_of(app).workspace()
    before = len(workspace.audit.entries())
    changed = two_arms(metrics=[{"name": "bought"}], default="green")
    steps: list[tuple[str, dict[str, Any]]] = [
        ("/v1/blueprints", {"blueprint": changed, "why": "a"}),
        ("/v1/blueprints/serve", {"strategy": "checkout", "version": 1, "why": "b"}),
        ("/v1/strategies/phase", {"strategy": "checkout", "action": "pause", "why": "c"}),
        ("/v1/strategies/phase", {"strategy": "checkout", "action": "resume", "why": "d"}),
        ("/v1/comparisons", {"strategy": "checkout", "versions": [1, 2], "why": "e"}),
        ("/v1/comparisons/stop", {"strategy": "checkout", "why": "f"}),
        ("/v1/erasures", {"unit": "u-secret", "why": "g"}),
    ]
    for path, body in steps:
        assert browser.post(path, json=body, headers=headers).status_code in (200, 201), path
        refused = browser.post(path, json={**body, "strategy": "nothing"}, headers=headers).status_code
        assert refused in (404, 422), path
    found = workspace.audit.entries()[: len(workspace.audit.entries()) - before]
    assert [entry.why for entry in reversed(found)] == list("abcdefg")
    assert "u-secret" not in str(found)
    assert workspace.audit.check().altered is None


def test_snapshots_are_not_sent_twice(app: Flask, browser: FlaskClient, headers: Headers) -> None:
    """What a client has is answered with 304, until anything else is served."""
    first = browser.get("/v1/snapshots?strategy=checkout&strategy=none", headers=headers)
    assert (list(first.get_json()["strategies"]), first.get_json()["unknown"]) == (["checkout"], ["none"])
    known = {**headers, "If-None-Match": first.headers["ETag"]}
    again = browser.get("/v1/snapshots?strategy=none&strategy=checkout", headers=known)
    assert (again.status_code, again.data) == (304, b"")
    source_of(app).loop().register(two_arms(default="green"))
    assert browser.get("/v1/snapshots?strategy=checkout&strategy=none", headers=known).status_code == 200


def test_what_is_read(tmp_path: Path) -> None:
    """Readout, models, effects, experiments, comparisons, tuning and explanations of a strategy with rows."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms())
    send_traffic(loop, "checkout", 600, np.random.default_rng(0), effect=0.25)
    clock.advance(TTL + 1)
    offline.cycle(loop, "checkout", always_valid=False)
    loop.close()
    app = create_app(f"sqlite:///{tmp_path}/abloop.db", config=Config(rate=""))
    browser, headers = app.test_client(), bearer(app, "read", "ingest")

    def get(path: str) -> Any:
        found = browser.get(f"/v1/{path}", headers=headers)
        assert found.status_code == 200, found.text
        return found.get_json()

    assert get("readouts?strategy=checkout")["rows"] == 600
    assert get("readouts?strategy=checkout&inference=sequential")["inference"] == "sequential"
    (experiment,) = get("experiments")
    assert (experiment["rows"], experiment["arms"]) == (600, {"blue": 0.5, "green": 0.5})
    models = get("models?strategy=checkout")
    release = models["serving"]["release"]
    assert models["verdicts"][0]["verdict"]["verdict"] == "personalise"
    assert get(f"models/{release}")["columns"] == ["x"]
    found = browser.get(f"/v1/artefacts/{release}", headers=headers)
    assert (found.status_code, len(found.data)) == (200, get(f"models/{release}")["bytes"])
    assert get("explanations?decision_id=u7")["repeated"]
    assert get("tuning?strategy=checkout")["rounds"] == []
    assert get("effects?strategy=checkout")["words"]
    source_of(app).close()


def test_the_document_describes_every_route(app: Flask, browser: FlaskClient, headers: Headers) -> None:
    """OpenAPI 3.1, for who may read: each route of the API with its grant, and nothing else."""
    document = browser.get("/openapi.json", headers=headers).get_json()
    assert document["openapi"] == "3.1.0"
    described = {(path, method.upper()) for path, each in document["paths"].items() for method in each}
    routes = {
        (rule.rule.replace("<", "{").replace(">", "}"), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) & {"GET", "POST"}
        if rule.rule.startswith("/v1/")
    }
    assert described == routes
    for each in document["paths"].values():
        for operation in each.values():
            assert operation["summary"].endswith(".")
    assert msgspec.json.encode(document)


def test_while_the_database_is_away(app: Flask, browser: FlaskClient, headers: Headers, tmp_path: Path) -> None:
    """What is known goes on deciding; what needs the database says when to come back."""
    assert browser.post("/v1/decisions", json=decision(), headers=headers).status_code == 200
    file = tmp_path / "abloop.db"
    source_of(app).workspace().database.close()
    kept = file.read_bytes()
    file.write_bytes(b"no database" * 1_000)
    for name in ("abloop.db-wal", "abloop.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    assert browser.post("/v1/decisions", json=decision(), headers=headers).status_code == 200
    away = browser.get("/v1/strategies", headers=headers)
    assert away.status_code == 503
    assert int(away.headers["Retry-After"]) > 0
    file.write_bytes(kept)


def test_calls_are_limited(tmp_path: Path) -> None:
    """Beyond the limit of a token there is 429 with when to come back, also on the short way."""
    app = create_app(f"sqlite:///{tmp_path}/abloop.db", config=Config(rate="5 per minute", calls=20))
    source_of(app).loop().register(two_arms())
    browser, headers = app.test_client(), bearer(app, "ingest")
    statuses = []
    for _ in range(40):
        found = browser.post("/v1/decisions", json=decision(), headers=headers)
        statuses.append(found.status_code)
    assert statuses.count(200) == 25
    assert set(statuses[25:]) == {429}
    assert int(found.headers["Retry-After"]) > 0
    source_of(app).close()
