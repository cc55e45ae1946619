"""The pages: what stands on them, and that nothing on them can bite."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from abloop import offline
from abloop.blueprint import from_mapping
from abloop.loop import Loop
from abloop.rollout.promote import withdraw
from abloop.testing import ManualClock
from server import create_app
from tests.loops import TTL, open_loop, send_traffic, two_arms
from tests.server.people import client_of, csrf
from tests.server.reading import links, read

QUICK = {"learners": ["t"], "folds": 2, "repeats": 1}
HOSTILE = "<script>alert(1)</script>"
SLASHES = "/team/check out/é"


def fill(loop: Loop, clock: ManualClock) -> None:
    """Register four strategies: one that personalises and is measured, one skewed, one hostile, one empty."""
    rng = np.random.default_rng(0)
    loop.register(two_arms(experiment={"explore": 0.3}, model=QUICK), who="maria", why="Spring campaign.")
    send_traffic(loop, "checkout", 2_000, rng, effect=0.25)
    loop.register(two_arms("skewed"))
    skewed = loop.strategy("skewed")
    for unit in map(str, range(2_000)):
        if skewed.snapshot.assignment.arm(unit) == 0 or int(unit) % 2:
            skewed.get_decision(unit, {"user_id": unit, "x": 0.0})
            skewed.log_observations(unit, {"bought": 1})
    loop.register(two_arms(HOSTILE, arms=[{"name": HOSTILE}, {"name": "green"}], control="green"), why=HOSTILE)
    loop.strategy(HOSTILE).get_decision("only", {"user_id": "only", "x": 1.0})
    loop.register(two_arms(SLASHES))
    clock.advance(TTL + 1)
    for name in ("checkout", "skewed", HOSTILE):
        offline.cycle(loop, name)
    loop.refresh()
    send_traffic(loop, "checkout", 500, rng, effect=0.25, prefix="later")
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of an installation that was filled through the two calls and the cold path."""
    directory, clock = tmp_path_factory.mktemp("home"), ManualClock()
    loop = open_loop(directory, clock)
    fill(loop, clock)
    loop.close()
    return directory


@pytest.fixture(scope="module")
def client(home: Path) -> FlaskClient:
    """Return a browser on that installation."""
    return client_of(create_app(f"sqlite:///{home}/abloop.db"))


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of a database that is not there yet."""
    return f"sqlite:///{tmp_path}/abloop.db"


def test_list_names_every_strategy_and_each_link_opens(client: FlaskClient) -> None:
    """The list links every strategy, whatever its name, and says phase, verdict, rows and who."""
    page = read(client, "/")
    assert len(links(page)) == 4
    for address in links(page):
        read(client, address)
    for said in (
        "checkout",
        "personalised",
        "Personalise: choosing",
        "2,500",
        "no data",
        "gate",
        HOSTILE,
        SLASHES,
    ):
        assert said in page.text


def test_strategy_page_shows_verdict_numbers_and_history(client: FlaskClient) -> None:
    """A strategy's page has phase, verdict, each metric with n and interval, the policy's table, plots and history."""
    page = read(client, "/strategies/checkout")
    for said in (
        "Personalise: choosing",
        "Each unit gets the arm that the policy gives",
        "Lift over 'blue'",
        "bought",
        "[",
        "n = ",
        "Release minus arm",
        "hold at every look",
        "Spring campaign.",
        "On the verdict below.",
    ):
        assert said in page.text
    plots = [attributes for tag, attributes in page.found if tag == "svg"]
    assert len(plots) >= 2
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)


def test_tables_are_labelled(client: FlaskClient) -> None:
    """Every table has a caption and every header cell says what it heads."""
    page = read(client, "/strategies/checkout")
    tags = [tag for tag, _ in page.found]
    assert tags.count("table") == tags.count("caption") > 2
    assert all(attributes["scope"] in ("row", "col") for tag, attributes in page.found if tag == "th")


def test_sample_ratio_mismatch_is_a_banner_above_the_numbers(client: FlaskClient) -> None:
    """Sample ratio mismatch is an alarm that stands before every number, with its sentence."""
    page = read(client, "/strategies/skewed")
    assert ("div", {"class": "banner alarm", "role": "alert"}) in page.found
    assert page.text.index("Sample ratio mismatch") < page.text.index("What the gate says")
    assert "does not fit the logged propensities (p < 0.001)" in page.text


def test_numbers_that_were_not_estimated_are_dashes(client: FlaskClient) -> None:
    """No page shows nan, inf or None; an arm of one unit has a dash for its interval."""
    pages = [read(client, address).text for address in ["/", *links(read(client, "/"))]]
    for text in pages:
        assert not re.search(r"\b(nan|inf|None|null)\b", text, re.IGNORECASE)
    assert "\u2013" in read(client, "/strategies/%3Cscript%3Ealert(1)%3C/script%3E").text


def test_hostile_name_stays_inert(client: FlaskClient) -> None:
    """A name, an arm and a reason that are scripts are shown as text: no page has inline script, style or handler."""
    for address in ("/", *links(read(client, "/")), "/strategies/%3Cscript%3E"):
        page = read(client, address, 404 if address.endswith("%3Cscript%3E") else 200)
        for tag, attributes in page.found:
            assert tag not in ("style", "iframe", "object")
            if tag == "script":
                given = attributes.get("src") or ""
                assert attributes.get("type") == "application/json" or given.startswith("/static/")
            assert not [name for name in attributes if name == "style" or name.startswith("on")]
    assert HOSTILE in read(client, "/").text


def test_nothing_comes_from_elsewhere(client: FlaskClient) -> None:
    """Every address on a page is on this server, and what it links is there."""
    for tag, attributes in read(client, "/strategies/checkout").found:
        address = attributes.get("href" if tag in ("a", "link") else "src")
        if address is not None and not address.startswith("#"):
            assert re.match(r"/(?!/)", address)
            assert client.get(address, buffered=True).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/strategies/checkout", "/strategies/none", "/nowhere", "/healthz", "/static/abloop.css"]
)
def test_every_answer_has_strict_headers(client: FlaskClient, path: str) -> None:
    """Pages, errors and files alike forbid scripts from elsewhere, framing, sniffing and referrers."""
    headers = client.get(path, buffered=True).headers
    rules = {rule.strip() for rule in headers["Content-Security-Policy"].split(";")}
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= rules
    assert {"base-uri 'none'", "form-action 'self'"} <= rules
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert [rule for rule in rules if "unsafe" in rule] == ["style-src 'self' 'unsafe-inline'"]


def test_unknown_strategy_names_the_known_ones(client: FlaskClient) -> None:
    """An unknown strategy is a 404 with a sentence that names the known ones, as a page and as JSON."""
    assert "Did you mean 'checkout'?" in read(client, "/strategies/chekout", 404).text
    answer = client.get("/strategies/chekout", headers={"Accept": "application/json"})
    assert answer.status_code == 404
    assert "'skewed'" in answer.get_json()["detail"]


def test_unknown_page_and_wrong_method(client: FlaskClient) -> None:
    """A page that is not there and a method that is not allowed are answered with a page."""
    assert "There is no page at '/nowhere'" in read(client, "/nowhere", 404).text
    answer = client.post("/", headers={"X-CSRFToken": csrf(client)})
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert answer.mimetype == "text/html"


def test_empty_installation_says_what_to_type(url: str) -> None:
    """Without a strategy the page gives the command of the demo and the two calls, for this very database."""
    page = read(client_of(create_app(url)), "/")
    assert "No strategies yet" in page.text
    assert f"abloop demo --url {url}" in page.text
    for call in (f"abloop.connect('{url}')", "get_decision", "log_observations", f"abloop cycle banner --url {url}"):
        assert call in page.text


def test_the_code_of_the_empty_page_runs(url: str) -> None:
    """The Python that the empty page tells one to type works as it stands, and its strategy is then listed."""
    browser = client_of(create_app(url))
    code = re.search(r"import abloop.*?\"bought\": 1}\)", read(browser, "/").text, re.DOTALL)
    assert code
    names: dict[str, Any] = {}
    exec(code[0], names)
    names["loop"].close()
    assert links(read(browser, "/")) == ["/strategies/banner"]
    page = read(browser, "/strategies/banner")
    assert "No complete rows yet" in page.text
    assert f"abloop cycle banner --url {url}" in page.text


def test_another_directory_is_named_in_the_commands(url: str, tmp_path: Path) -> None:
    """Where files are kept elsewhere, the commands on the page say so."""
    text = read(client_of(create_app(url, tmp_path / "else where")), "/").text
    assert f"--directory '{tmp_path}/else where'" in text
    assert f"abloop.connect('{url}', '{tmp_path}/else where')" in text


def test_missing_package_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a package is not installed, the page says which and how to install it."""
    client = client_of(create_app(f"sqlite:///{home}/abloop.db"))
    monkeypatch.setitem(sys.modules, "duckdb", None)
    assert "pip install 'abloop[all]'" in read(client, "/strategies/checkout", 503).text


def test_switch_and_withdrawal_are_told(tmp_path: Path, url: str) -> None:
    """A verdict that waits for a person says so, a verdict on an older version says so, a withdrawal says why."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    manual = {"ttl": TTL, "switch": "manual"}
    loop.register(two_arms(lifecycle=manual, model=QUICK, experiment={"holdout": 0.05}))
    send_traffic(loop, "checkout", 2_000, np.random.default_rng(0), effect=0.25)
    clock.advance(TTL + 1)
    turn = offline.cycle(loop, "checkout")
    browser = client_of(create_app(url))
    page = read(browser, "/strategies/checkout")
    assert turn.serving.phase == "randomise"
    assert "a person has to make the switch" in page.text
    assert "held out" in page.text
    withdraw(loop, turn.serving, who="maria", why="Complaints from Oulu.")
    assert "Complaints from Oulu." in read(browser, "/strategies/checkout").text
    loop.register(two_arms())
    assert "This was said of version 1; version 2 is served now." in read(browser, "/strategies/checkout").text
    loop.close()


def test_spaces_without_arms_have_pages_in_each_phase(tmp_path: Path) -> None:
    """A number's page says that the default is given, then how well its label is predicted."""
    clock, rng = ManualClock(), np.random.default_rng(0)
    loop = open_loop(tmp_path, clock)
    loop.register(
        from_mapping(
            {
                "strategy": "worth",
                "space": {"type": "number"},
                "metrics": [{"name": "spend"}],
                "features": [{"name": "x"}],
                "labels": [{"name": "spend"}],
            }
        )
    )
    client = client_of(create_app(f"sqlite:///{tmp_path}/abloop.db"))
    assert "Each unit gets the default" in read(client, "/strategies/worth").text
    handle = loop.strategy("worth")
    for i in range(600):
        x = float(rng.normal())
        handle.get_decision(f"d{i}", {"user_id": str(i), "x": x})
        handle.log_observations(f"d{i}", {"spend": 3 * x + float(rng.normal(0, 0.1))})
    clock.advance(86_401)
    offline.cycle(loop, "worth")
    loop.close()
    page = read(client, "/strategies/worth").text
    for said in ("Each unit gets what the formula gives", "Error taken away", "nothing to compare"):
        assert said in page


def test_records_in_the_spool_are_told(tmp_path: Path) -> None:
    """Before anything was brought in, the page says that records wait on this machine; afterwards it does not."""
    loop = open_loop(tmp_path)
    loop.register(two_arms())
    browser = client_of(create_app(f"sqlite:///{tmp_path}/abloop.db"))
    assert "Not brought in yet" not in read(browser, "/strategies/checkout").text
    send_traffic(loop, "checkout", 50, np.random.default_rng(0))
    loop.spool.seal()
    assert "Not brought in yet" in read(browser, "/strategies/checkout").text
    offline.ship_spool(loop)
    assert "Not brought in yet" not in read(browser, "/strategies/checkout").text
    loop.close()
