"""Tallies: every event counts once, whatever is shipped again and in whatever order, and none is missing on its way."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

import abloop
from abloop import offline
from abloop.features.tally import bucket_of, first_bucket, resolution_of
from abloop.loop import Loop
from abloop.records import Decision, Observation
from abloop.store.events import tallies
from abloop.store.journal import Journal
from abloop.store.sql import Database
from abloop.testing import ManualClock
from tests.loops import open_loop
from tests.store.shipping import send

pytestmark = pytest.mark.usefixtures("patient_groups")
HOUR, DAY = 3_600.0, 86_400.0
WINDOWS = {"hour": HOUR, "day": DAY, "month": 30 * DAY}


def blueprint(**sections: Any) -> dict[str, Any]:
    """Return a blueprint that tallies clicks of a user and of a page."""
    features = [
        {"name": f"{tally}_{name}", "group": "user", "metric": "click", "tally": tally, "window": window}
        for name, window in WINDOWS.items()
        for tally in ("count", "sum", "mean", "last")
    ]
    features.append({"name": "page_clicks", "group": "page", "metric": "click", "window": DAY})
    return {
        "strategy": "s",
        "arms": [{"name": "a"}, {"name": "b"}],
        "metrics": [{"name": "click"}, {"name": "other", "role": "secondary"}],
        "groups": [
            {"name": "user", "key": "user_id", "events": True, "max_age": 0, "budget": 1},
            {"name": "page", "key": "page_id", "events": True, "max_age": 0, "budget": 1},
        ],
        "features": features,
        "lifecycle": {"ttl": 2 * DAY},
        **sections,
    }


def seen(loop: Loop, decision_id: str, user: str, page: str) -> dict[str, Any]:
    """Decide, and return the features as they were logged."""
    loop.strategy("s").get_decision(decision_id, {"user_id": user, "page_id": page})
    return {feature.name: feature.value for feature in abloop.explain(loop, decision_id).features}


def expected(events: list[tuple[str, str, float, float]], user: str, page: str, now: float) -> dict[str, Any]:
    """Return the features by brute force over events: user, page, time, value."""
    out: dict[str, Any] = {}
    for name, window in WINDOWS.items():
        first, size = first_bucket(now, window), resolution_of(window)
        mine = [(at, value) for who, _, at, value in events if who == user and bucket_of(at, size) >= first]
        out[f"count_{name}"] = float(len(mine))
        out[f"sum_{name}"] = pytest.approx(sum(value for _, value in mine))
        out[f"mean_{name}"] = pytest.approx(np.mean([value for _, value in mine])) if mine else None
        out[f"last_{name}"] = max(mine)[1] if mine else None
    first = first_bucket(now, DAY)
    out["page_clicks"] = float(sum(1 for _, where, at, _ in events if where == page and bucket_of(at, 60) >= first))
    return out


def test_live_and_shipped_are_one(tmp_path: Path) -> None:
    """At every moment, before and after shipping and joining, features are what a count of all events gives."""
    clock, rng = ManualClock(), np.random.default_rng(0)
    loop = open_loop(tmp_path, clock)
    loop.register(blueprint())
    events: list[tuple[str, str, float, float]] = []
    for step in range(120):
        user, page = f"u{rng.integers(3)}", f"p{rng.integers(2)}"
        found = seen(loop, f"d{step}", user, page)
        assert found == expected(events, user, page, clock()), step
        for _ in range(int(rng.integers(3))):
            value = float(rng.integers(1, 9))
            loop.strategy("s").log_observations(f"d{step}", {"click": value, "other": 1})
            events.append((user, page, clock(), value))
            clock.advance(0.001)
        clock.advance(float(rng.choice([1.0, 90.0, HOUR, DAY])))
        if rng.random() < 0.3:
            offline.ship_spool(loop)
        if rng.random() < 0.1:
            offline.join_rows(loop, "s")
    assert loop.strategy("s").errors == 0
    loop.close()


def test_another_process_sees_what_was_shipped(tmp_path: Path) -> None:
    """Events that one process logged are features in another as soon as they are shipped, and count once in both."""
    clock = ManualClock()
    one, two = open_loop(tmp_path, clock), open_loop(tmp_path, clock)
    one.register(blueprint())
    seen(one, "d1", "u", "p")
    one.strategy("s").log_observations("d1", {"click": 2})
    two.strategy("s").log_observations("d1", {"click": 3})  # of a decision that it did not make
    clock.advance(1)
    assert seen(one, "d2", "u", "p")["count_hour"] == 1.0
    assert seen(two, "d3", "u", "p")["count_hour"] == 0.0
    offline.ship_spool(one)
    clock.advance(1)
    assert [seen(loop, f"e{i}", "u", "p")["count_hour"] for i, loop in enumerate((one, two))] == [2.0, 2.0]
    assert [seen(loop, f"f{i}", "u", "p")["sum_hour"] for i, loop in enumerate((one, two))] == [5.0, 5.0]
    one.close()
    two.close()


@settings(max_examples=60)
@given(st.data())
def test_every_event_counts_once(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """In any order of segments, with records shipped again and a crash in between, tallies are those of the events."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('d')}/x.db")
    journal = Journal(database)
    decisions = [
        Decision(f"d{i}", "s", 1, "u", 60.0 * i, (), (), "a", 0.5, "randomise", "a", entities=(f"e{i % 2}", ""))
        for i in range(3)
    ]
    observations = [
        Observation(f"d{owner}", "s", 1_000.0 + 61.0 * index, "click", float(value), key)
        for index, (owner, value, key) in enumerate(
            data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.sampled_from(["", "k"])), max_size=8))
        )
    ]
    records: list[tuple[int, Any]] = list(enumerate(data.draw(st.permutations([*decisions, *observations])), 1))
    cuts = sorted({0, len(records), *data.draw(st.lists(st.integers(0, len(records)), max_size=3))})

    def keys(strategy: str, version: int) -> tuple[str, ...]:
        return ("user", "")

    batches = [records[start:end] for start, end in pairwise(cuts)]
    for batch in batches:
        start = journal.shipped("segment")
        send(journal, "segment", batch, keys)
        if data.draw(st.booleans()):
            send(journal, "segment", batch, keys, start)  # as after a crash before the answer came
    unique: dict[str, Observation] = {}
    for offset, record in records:
        if isinstance(record, Observation):
            unique.setdefault(f"{record.decision_id}/{record.key}" if record.key else str(offset), record)
    with database.reading() as connection:
        rows = connection.execute(sa.select(tallies).where(tallies.c.resolution == 60)).mappings().all()
    for entity in ("e0", "e1"):
        mine = [
            o for o in unique.values() if o.decision_id in {d.decision_id for d in decisions if d.entities[0] == entity}
        ]
        found = [row for row in rows if row["entity"] == entity]
        assert sum(row["count"] for row in found) == len(mine)
        assert sum(row["sum"] for row in found) == sum(o.value for o in mine)
    database.close()


def test_a_key_sent_again_after_the_join_does_not_count(tmp_path: Path) -> None:
    """What comes for a decision that was joined came after its TTL, and is no event any more."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(blueprint(lifecycle={"ttl": 60}))
    seen(loop, "d", "u", "p")
    loop.strategy("s").log_observations("d", {"click": 1}, key="k")
    clock.advance(61)
    offline.ship_spool(loop)
    offline.join_rows(loop, "s")
    other = open_loop(tmp_path, clock)
    other.strategy("s").log_observations("d", {"click": 1}, key="k")
    offline.ship_spool(other)
    assert seen(other, "e", "u", "p")["count_hour"] == 1.0
    loop.close()
    other.close()


def test_old_buckets_are_let_go(tmp_path: Path) -> None:
    """The tallies of a busy entity do not grow without end."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(blueprint())
    sizes = []
    for month in range(5):
        for day in range(30):
            seen(loop, f"d{month}-{day}", "u", "p")
            loop.strategy("s").log_observations(f"d{month}-{day}", {"click": 1})
            clock.advance(DAY)
        offline.ship_spool(loop)
        with loop._database.reading() as connection:
            sizes.append(connection.execute(sa.select(sa.func.count()).select_from(tallies)).scalar_one())
    assert sizes[4] == sizes[3] == sizes[2]
    loop.close()


def test_nothing_is_tallied_without_event_groups(tmp_path: Path) -> None:
    """A strategy without event groups leaves no tallies."""
    loop = open_loop(tmp_path)
    loop.register(blueprint(groups=[], features=[]))
    loop.strategy("s").get_decision("d", {"user_id": "u"})
    loop.strategy("s").log_observations("d", {"click": 1})
    offline.ship_spool(loop)
    with loop._database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tallies)).scalar_one() == 0
    loop.close()
