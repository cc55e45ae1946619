"""The five categories of the paper, each from its YAML file: registered, decided on, trained, deciding by its model."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import sqlalchemy as sa

import abloop
from abloop import offline
from abloop.cli import main
from abloop.loop import Loop
from abloop.offline import Cycle
from abloop.testing import ManualClock
from tests.loops import open_loop

FILES = Path(__file__).with_name("blueprints")
DAY = 86_400.0
Send = Callable[[Loop, np.random.Generator, ManualClock, str], None]


def learned(
    directory: Path, name: str, send: Send, ttl: float, before: Callable[[Path], None] | None = None
) -> tuple[Loop, Cycle]:
    """Register a category, send traffic, wait for its TTL, and turn the cold path once."""
    clock = ManualClock()
    loop = open_loop(directory, clock)
    if before:
        before(directory)
    loop.register(abloop.load(FILES / f"{name}.yaml"))
    send(loop, np.random.default_rng(0), clock, "h")
    clock.advance(ttl + 1)
    result = offline.cycle(
        loop, loop.catalogue.serving(next(iter(loop.catalogue.servings()))).strategy, always_valid=False
    )
    loop.refresh()
    return loop, result


def make_people(directory: Path) -> None:
    """Write the table that the personalised setting fetches from."""
    rng = np.random.default_rng(5)
    engine = sa.create_engine(f"sqlite:///{directory}/abloop.db")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE people (user_id INTEGER PRIMARY KEY, country TEXT, joined TEXT)"))
        rows = [
            {"i": i, "c": ["FI", "SE", "NO"][int(rng.integers(3))], "j": f"{2015 + int(rng.integers(10))}-05-01"}
            for i in range(3_000)
        ]
        connection.execute(sa.text("INSERT INTO people VALUES (:i, :c, :j)"), rows)
    engine.dispose()


def setting(loop: Loop, rng: np.random.Generator, clock: ManualClock, prefix: str) -> None:
    """Video that always plays pays on fast lines and costs on slow ones."""
    handle = loop.strategy("autoplay_default")
    for i in range(3_000):
        bandwidth = float(rng.uniform(0.5, 40))
        arm = handle.get_decision(f"{prefix}{i}", {"user_id": i, "bandwidth": bandwidth})
        gain = {"off": 0.0, "wifi": 2.0, "always": 8.0 if bandwidth > 8 else -4.0}[arm]
        handle.log_observations(f"{prefix}{i}", {"minutes": float(rng.normal(20 + gain, 4)), "opted_out": 0})
    assert handle.errors == 0


def test_personalised_setting(tmp_path: Path) -> None:
    """Each person gets the arm that is best for their line; country and year come from a table."""
    loop, result = learned(tmp_path, "personalised_setting", setting, 2 * DAY, make_people)
    assert result.verdict.verdict == "personalise"
    handle = loop.strategy("autoplay_default")
    fast = [handle.get_decision(f"n{i}", {"user_id": i, "bandwidth": 35.0}) for i in range(300)]
    slow = [handle.get_decision(f"s{i}", {"user_id": i, "bandwidth": 3.0}) for i in range(300)]
    assert fast.count("always") > 250 > 50 > slow.count("always")
    found = abloop.explain(loop, "n7")
    values = {feature.name: feature for feature in found.features}
    assert found.repeated
    assert values["country"].value in ("FI", "SE", "NO")
    assert values["country"].source == "group 'person' of '7'"
    assert values["country"].age is not None
    assert values["bandwidth"].source == "context['bandwidth']"
    assert values["joined_year"].value in range(2015, 2025)
    assert values["where"].value == f"{values['country'].value}|3"
    loop.close()


def feed(loop: Loop, rng: np.random.Generator, clock: ManualClock, prefix: str) -> None:
    """People click on topics they have an affinity for, and rate what they clicked by its title."""
    handle = loop.strategy("feed_order")
    for i in range(250):
        contexts = [
            {
                "user_id": f"{prefix}{i}",
                "topic": str(rng.choice(["sport", "news"])),
                "age_hours": float(rng.uniform(0, 48)),
                "title": str(rng.choice(["great find", "dull thing"])),
                "tags": [str(rng.choice(["a", "b"]))],
                "affinity": float(rng.uniform()),
            }
            for _ in range(8)
        ]
        handle.get_ranking(f"{prefix}{i}", contexts)
        for index, context in enumerate(contexts):
            if rng.random() < 0.05 + 0.8 * context["affinity"]:
                stars = 4.0 if "great" in context["title"] else 2.0
                handle.log_observations(f"{prefix}{i}/{index}", {"clicked": 1, "rating": stars})
    assert handle.errors == 0


def test_ranking(tmp_path: Path) -> None:
    """Before a model the order given stands; after, likely clicks with good titles come first."""
    loop, result = learned(tmp_path, "ranking", feed, DAY)
    before = abloop.explain(loop, "h0/3")
    assert (before.decision.phase, before.decision.decision) == ("default", {"position": 3, "score": None})
    assert before.repeated
    assert result.serving.phase == "personalise"
    handle = loop.strategy("feed_order")
    contexts = [
        {"user_id": "n1", "topic": "sport", "age_hours": 5, "title": "dull thing", "tags": ["a"], "affinity": 0.05},
        {"user_id": "n1", "topic": "sport", "age_hours": 5, "title": "great find", "tags": ["a"], "affinity": 0.95},
        {"user_id": "n1", "topic": "sport", "age_hours": 5, "title": "dull thing", "tags": ["a"], "affinity": 0.95},
    ]
    orders = [
        handle.get_ranking(f"n{i}", [{**context, "user_id": f"n{i}"} for context in contexts]) for i in range(100)
    ]
    explored = sum(order == [0, 1, 2] for order in orders)
    assert [1, 2, 0] in orders
    assert explored + sum(order == [1, 2, 0] for order in orders) == 100
    assert 0 < explored < 25
    assert all(abloop.explain(loop, f"n{i}/{index}").repeated for i in range(5) for index in range(3))
    score = handle.get_decision("single", {**contexts[1], "user_id": "n1"})
    assert score is None or 0 < score < 5
    loop.close()


def screens(loop: Loop, rng: np.random.Generator, clock: ManualClock, prefix: str) -> None:
    """A screen that was visited before is opened again; a prefetched one that is opened is there at once."""
    handle = loop.strategy("prefetch_profile")
    for i in range(3_000):
        chance = float(rng.choice([0.03, 0.85]))
        history = {"profile": 3} if chance > 0.5 else {"other": 1}
        fetched = handle.get_decision(
            f"{prefix}{i}", {"user_id": f"u{i}", "screen": "home", "history": history, "visits": 2}
        )
        assert fetched in (True, False)
        opened = rng.random() < chance
        handle.log_observations(f"{prefix}{i}", {"opened": opened, "instant": bool(opened and fetched)})
    assert handle.errors == 0


def test_prefetch(tmp_path: Path) -> None:
    """A probability above the threshold fetches; the gate compares that rule with always and never."""
    loop, result = learned(tmp_path, "prefetch", screens, 3_600)
    assert result.verdict.verdict == "personalise", result.verdict.reason
    handle = loop.strategy("prefetch_profile")
    likely = [handle.get_decision(f"l{i}", {"user_id": f"x{i}", "history": ["profile"] * 3}) for i in range(300)]
    seldom = [handle.get_decision(f"s{i}", {"user_id": f"x{i}", "history": ["other"]}) for i in range(300)]
    assert likely.count(True) > 250 > 50 > seldom.count(True)
    shown = next(e for e in (abloop.explain(loop, f"l{i}") for i in range(300)) if e.decision.phase == "personalise")
    assert shown.repeated
    assert shown.formula == "opened > threshold"
    assert shown.filled.endswith("> 0.3")
    loop.close()


def on_device(payload: bytes, context: dict[str, Any]) -> bool:
    """Decide as a phone does: from the file alone, without abloop."""
    session = onnxruntime.InferenceSession(payload)
    said = json.loads(session.get_modelmeta().custom_metadata_map["abloop"])
    row: list[float] = []
    for column in said["columns"]:
        value = context.get(column["name"])
        if column["type"] == "categorical":
            row.append(column["levels"].index(value) if value in column["levels"] else np.nan)
        elif column["type"] == "sparse":
            row += [np.nan if value is None else value.get(key, 0) for key in column["levels"]]
        else:
            row.append(np.nan if value is None else value)
    ((predicted,),) = session.run(None, {"inputs": np.array([row], dtype=np.float32)})[0]
    assert said["formula"] == "opened > threshold"
    return bool(predicted > said["weights"]["threshold"])


def test_prefetch_on_a_phone(tmp_path: Path) -> None:
    """Exported within 100 kB, the model decides on a device what `get_decision` gives, and no longer the default."""
    loop, result = learned(tmp_path, "prefetch", screens, 3_600)
    assert result.serving.phase == "personalise"
    file, handle = tmp_path / "opened.onnx", loop.strategy("prefetch_profile")
    arguments = ["export", "prefetch_profile", "opened", str(file), "--most-bytes", "100000"]
    assert main([*arguments, "--url", f"sqlite:///{tmp_path}/abloop.db"]) == 0
    likely = {"screen": "home", "history": {"profile": 3.0}, "visits": 2.0}
    others = [{"screen": "home", "history": {"other": 1.0}, "visits": 2.0}, {"screen": "unseen"}, {}]
    payload = file.read_bytes()
    assert on_device(payload, likely)
    assert not on_device(payload, others[0])
    for context in (likely, *others):
        made = (handle.get_details(f"p{i}", {"user_id": f"y{i}", **context}) for i in range(30))
        server = {details.value for details in made if details.reason == "personalise"}
        assert server == {on_device(payload, context)}
    loop.close()


def nudges(loop: Loop, rng: np.random.Generator, clock: ManualClock, prefix: str) -> None:
    """Offers bring visits, chatter brings none; what was opened is tallied as it comes."""
    handle = loop.strategy("notify")
    for i in range(4_000):
        kind = str(rng.choice(["offer", "chatter"]))
        person = f"p{int(rng.integers(1_500))}"
        sent = handle.get_decision(f"{prefix}{i}", {"person": person, "hour": float(rng.integers(24)), "kind": kind})
        effect = (0.35 if kind == "offer" else -0.02) * sent
        visited = rng.random() < 0.1 + effect
        handle.log_observations(f"{prefix}{i}", {"visited": visited, "opened": bool(sent and visited)})
        clock.advance(1.0)
    assert handle.errors == 0


def test_notification(tmp_path: Path) -> None:
    """A random policy sends more of what works, logs its propensity, and reads tallies that were counted live."""
    loop, result = learned(tmp_path, "notification", nudges, 4 * 3_600)
    assert result.verdict.verdict == "personalise", result.verdict.reason
    handle = loop.strategy("notify")
    offers = [handle.get_decision(f"o{i}", {"person": f"q{i}", "hour": 12, "kind": "offer"}) for i in range(300)]
    chatter = [handle.get_decision(f"c{i}", {"person": f"q{i}", "hour": 12, "kind": "chatter"}) for i in range(300)]
    assert offers.count(True) > 240 > 90 > chatter.count(True)
    found = [abloop.explain(loop, f"o{i}") for i in range(40)]
    assert all(explained.repeated for explained in found)
    assert any(0.0 < explained.decision.propensity < 1.0 for explained in found)
    handle.get_decision("again", {"person": "q1", "hour": 12, "kind": "offer"})
    before = {f.name: f.value for f in abloop.explain(loop, "again").features}
    handle.log_observations("again", {"opened": 1})
    handle.get_decision("after", {"person": "q1", "hour": 12, "kind": "offer"})
    after = {f.name: f.value for f in abloop.explain(loop, "after").features}
    assert (before["opens_14d"], after["opens_14d"]) == (0.0, 1.0)
    loop.close()


def customers(loop: Loop, rng: np.random.Generator, clock: ManualClock, prefix: str) -> None:
    """Spending grows with the first basket, more so from search."""
    handle = loop.strategy("customer_value")
    for i in range(2_000):
        source, basket = str(rng.choice(["search", "ad"])), float(rng.uniform(5, 100))
        seen = dt.datetime(2026, 1, 1 + i % 28, tzinfo=dt.UTC)
        handle.get_decision(f"{prefix}{i}", {"customer": i, "source": source, "basket": basket, "first_seen": seen})
        handle.log_observations(
            f"{prefix}{i}", {"spend": basket * (3 if source == "search" else 1) + float(rng.normal(0, 10))}
        )
    assert handle.errors == 0


def test_value_estimation(tmp_path: Path) -> None:
    """Before a model the default, after it the margin of the predicted spend, within the bounds."""
    loop, result = learned(tmp_path, "value_estimation", customers, 90 * DAY)
    assert result.serving.phase == "personalise", result.verdict.reason
    handle = loop.strategy("customer_value")
    given = [
        handle.get_decision(f"n{i}", {"customer": f"n{i}", "source": "search", "basket": 90.0}) for i in range(200)
    ]
    defaults = sum(value == 20 for value in given)
    assert 0 < defaults < 30
    assert all(value == pytest.approx(0.8 * 270, rel=0.15) for value in given if value != 20)
    assert all(abloop.explain(loop, f"n{i}").repeated for i in range(50))
    assert abloop.explain(loop, "h3").decision.decision == 20
    loop.close()


def screens_opened(loop: Loop, rng: np.random.Generator, clock: ManualClock, prefix: str) -> None:
    """From the feed people go to profiles, late in the day to the search; on profiles they stay longer."""
    handle = loop.strategy("next_screen")
    for i in range(1_500):
        now, hour = str(rng.choice(["feed", "profile"])), float(rng.uniform(0, 24))
        likely = 2 if hour > 18 else 1 if now == "feed" else 0
        opened = likely if rng.random() < 0.85 else int(rng.integers(3))
        handle.get_decision(f"{prefix}{i}", {"user_id": f"u{i}", "now": now, "hour": hour})
        seconds = float(rng.exponential(20.0 if now == "profile" else 5.0))
        handle.log_observations(f"{prefix}{i}", {"opened": opened, "seconds": seconds})
    assert handle.errors == 0


def test_classes_and_quantile_of_one_network(tmp_path: Path) -> None:
    """From YAML to a structured value: one network predicts classes and a quantile, and decides by both."""
    loop, result = learned(tmp_path, "next_screen", screens_opened, 3_600)
    assert result.serving.phase == "personalise", result.verdict.reason
    release = loop.catalogue.artefact(result.serving.release)
    assert release.network is not None
    handle = loop.strategy("next_screen")
    states = (("feed", 8.0, "profile"), ("profile", 8.0, "feed"), ("feed", 23.0, "search"))
    for now, hour, likely in states:
        given = [
            handle.get_decision(f"{now}{hour}{i}", {"user_id": f"n{i}", "now": now, "hour": hour}) for i in range(60)
        ]
        assert sum(value["screen"] == likely for value in given) > 55
        stay = np.median([value["patience"] for value in given])
        assert (stay > 20) == (now == "profile")
    assert all(abloop.explain(loop, f"feed8.0{i}").repeated for i in range(20))
    loop.close()
