"""Every page of every kind of strategy: before there is anything, while records wait, and where a table is damaged."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from abloop import offline
from abloop.loop import Loop
from abloop.records import Observation, encode
from abloop.testing import ManualClock
from server import Config, create_app
from tests.loops import open_loop, two_arms
from tests.server.crowd import KINDS
from tests.server.people import client_of, csrf
from tests.server.reading import read
from tests.server.test_dashboard import KINDS_OF_PAGES

DAY = 86_400.0
READ_TABLES = ("/strategies", "/readouts", "/models", "/data", "/lists", "/decisions", "/effects")
TO_DO = {
    "/strategies": r"get_decision and log_observations|Nobody is in the experiment",
    "/readouts": "No complete rows yet",
    "/effects": r"Make it now|nothing tells units apart|no arms whose effects|is a bandit",
    "/tradeoffs": r"There is nothing to tune yet|Propose a round",
    "/models": "No model serves",
    "/data": r"no complete row yet.*abloop cycle",
    "/lists": r"get_ranking|only an ordering has lists",
    "/edit": "Save",
    "/versions": "In your product",
    "/decisions": "your product has not asked",
}


def passed(loop: Loop, number: int = 12) -> None:
    """Let some units pass through every kind."""
    for name in KINDS:
        handle = loop.strategy(name)
        for unit in map(str, range(number)):
            context = {"user_id": unit, "x": float(unit), "visits": float(unit), "country": "FI"}
            if name == "feed":
                handle.get_ranking(unit, [context, context])
                handle.log_observations(f"{unit}/0", {"clicked": 1})
            else:
                handle.get_decision(unit, context)
                handle.log_observations(unit, {KINDS[name]["metrics"][0]["name"]: 1})
        assert handle.errors == 0
    loop.spool.seal()
    offline.ship_spool(loop)


def browser_of(directory: Path) -> FlaskClient:
    """Return an admin's browser."""
    return client_of(create_app(f"sqlite:///{directory}/abloop.db", config=Config(rate="", login_rate="")))


@pytest.mark.parametrize("name", KINDS)
def test_an_empty_strategy_says_what_to_do(tmp_path: Path, name: str) -> None:
    """Before the first decision each page answers, and says what comes next."""
    loop = open_loop(tmp_path)
    loop.register(KINDS[name], who="maria", why="first")
    loop.close()
    browser = browser_of(tmp_path)
    for page, said in TO_DO.items():
        text = " ".join(read(browser, f"{page}/{name}").text.split())
        assert re.search(said, text), f"{page}/{name}: {text[:1500]}"


def looked(browser: FlaskClient) -> dict[tuple[str, str], tuple[int, str]]:
    """Return what each page of each strategy answers: its code and its text."""
    answers = {(page, name): browser.get(f"{page}/{name}") for name in KINDS for page in KINDS_OF_PAGES}
    return {place: (answer.status_code, answer.text) for place, answer in answers.items()}


def test_waiting_records_and_damaged_tables(tmp_path: Path) -> None:
    """While records wait each page answers; where a table file is gone each says so, and the editor still opens."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    for name, blueprint in KINDS.items():
        loop.register(blueprint, why=name)
    passed(loop)
    browser = browser_of(tmp_path)
    assert {place: code for place, (code, _) in looked(browser).items() if code != 200} == {}
    clock.advance(DAY)
    for name in KINDS:
        offline.join_rows(loop, name)
    assert {place: code for place, (code, _) in looked(browser).items() if code != 200} == {}  # of a handful of rows
    for file in loop.table_directory.rglob("*.parquet"):
        file.write_bytes(b"PAR1 is not the beginning of this")
    loop.close()
    for (page, name), (code, text) in looked(browser_of(tmp_path)).items():
        assert code in ((200, 503) if page in READ_TABLES else (200,)), f"{page}/{name}"
        assert code == 200 or re.search("estore (it|the file) from a backup", text), f"{page}/{name}: {text}"
        assert "Traceback" not in text


def test_dead_letters_are_told_and_tried_again(tmp_path: Path) -> None:
    """A record that could not be kept stands on the page with its reason, and is kept after the cause was put right."""
    loop = open_loop(tmp_path, ManualClock(time.time()))
    loop.register(two_arms())
    loop.strategy("checkout").get_decision("d1", {"user_id": "u1", "x": 1.0})
    stray = Observation("d1", "checkout", loop.clock(), "spent", 3.0, "k1")
    loop.spool.append(encode(stray))
    loop.spool.seal()
    offline.ship_spool(loop)
    browser = browser_of(tmp_path)
    text = read(browser, "/data/checkout").text
    assert "1 record could not be kept" in text
    assert "'spent'" in text
    loop.register(two_arms(metrics=[{"name": "bought"}, {"name": "spent", "role": "secondary"}]))
    form = {"csrf_token": csrf(browser, "/data/checkout"), "why": "the metric is known now"}
    assert browser.post("/replay/checkout", data=form).status_code == 303
    until = time.monotonic() + 60
    while browser.get("/errand/checkout").get_json()["status"] == "running" and time.monotonic() < until:
        time.sleep(0.1)
    text = read(browser, "/data/checkout").text
    assert "Trying dead letters again: done" in text
    assert "could not be kept" not in text
    loop.close()
