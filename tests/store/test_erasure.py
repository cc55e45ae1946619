"""Erasure: a unit is gone from every byte on every disk, stays gone whatever comes late, and others are untouched."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop import offline
from abloop.errors import DataError, UnknownNameError
from abloop.loop import Loop
from abloop.records import Observation, encode
from abloop.store.erasure import erase
from abloop.store.late import join_late
from abloop.store.spool import Spool
from abloop.store.status import read_status
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop, two_arms
from tests.test_pseudonyms import holding, open_hidden

UNIT, OTHER = "unit-7f3a9c", "unit-7f3a9"  # the name of the one begins with that of the other
SPEND = {"name": "spend", "by": "unit", "window": 10 * TTL, "combine": "sum"}
EVENTS = {"name": "seen", "key": "user_id", "events": [{"name": "n", "metric": "bought", "window": "1h"}]}


def open_shop(directory: Path, clock: ManualClock) -> Loop:
    """Return an installation with a strategy that keeps as much as there is to keep of a unit."""
    loop = open_loop(directory, clock)
    loop.register(two_arms(metrics=[{"name": "bought"}, SPEND], experiment={"sticky": True}))
    return loop


def act(loop: Loop, unit: str, name: str) -> None:
    """Let a unit decide twice, and be observed in all ways."""
    strategy = loop.strategy("checkout")
    for part in "ab":
        strategy.get_decision(f"{name}{part}", {"user_id": unit, "x": 1.0})
    strategy.log_observations(f"{name}a", {"bought": 1.0})
    strategy.log_unit_observations(unit, {"spend": 2.0})


def table(loop: Loop) -> pd.DataFrame:
    """Return the training table."""
    files = [loop.table_directory / file.name for file in loop.manifest.files("checkout")]
    frames = [pd.read_parquet(file) for file in files]
    return pd.concat(frames) if frames else pd.DataFrame({"unit": [], "decision_id": []})


STAGES = st.lists(st.sampled_from(["act", "ship", "join", "late", "wait"]), max_size=8)


@settings(max_examples=30, deadline=None)
@given(STAGES, STAGES)
def test_nothing_is_left_wherever_it_was(
    tmp_path_factory: pytest.TempPathFactory, before: list[str], after: list[str]
) -> None:
    """Whatever stage its records had reached, nothing is left of the unit, all of the other is, and sums hold."""
    directory, clock = tmp_path_factory.mktemp("d"), ManualClock()
    loop = open_shop(directory, clock)
    acted = 0

    def go(stages: list[str], units: list[str]) -> None:
        nonlocal acted
        for stage in stages:
            if stage == "act":
                acted += 1
                for unit in units:
                    act(loop, unit, f"{unit == UNIT}{acted}")
            elif stage == "ship":
                offline.ship_spool(loop)
            elif stage == "join":
                offline.join_rows(loop, "checkout")
            elif stage == "late":
                join_late(loop, "checkout")
            else:
                clock.advance(TTL)

    go(before, [UNIT, OTHER])
    loop.refresh()
    done = erase(loop, UNIT, who="me", why="asked")
    assert (done.proven, done.at) == (True, clock())
    assert sum(done.found.values()) >= 4 * before.count("act")
    assert not any(erase(loop, UNIT).found.values())
    clock.advance(1)
    go(after, [OTHER])
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    join_late(loop, "checkout")
    found = table(loop)
    assert found["unit"].tolist() == [OTHER] * (2 * acted)
    assert found["decision_id"].is_unique
    (custody,) = read_status(loop).strategies
    assert custody.balanced
    loop.close()


def test_no_byte_is_left(tmp_path: Path) -> None:
    """No file under the directory holds the unit: not the database, its log, the spool, the table or its versions."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(metrics=[{"name": "bought"}, SPEND], experiment={"sticky": True}))
    unit = "person@example.com"
    for index in range(3):
        act(loop, unit, f"d{index}")
        act(loop, OTHER, f"e{index}")
        loop.refresh()  # writes sticky arms
        offline.ship_spool(loop)
        clock.advance(TTL + 1)
        offline.join_rows(loop, "checkout")
        join_late(loop, "checkout")
    clock.advance(10 * TTL)
    join_late(loop, "checkout")
    act(loop, unit, "last")
    loop.strategy("checkout").log_observations("never", {"bought": 1.0})
    assert len(holding(tmp_path, unit)) >= 4
    done = erase(loop, unit)
    assert done.proven, done.left
    assert holding(tmp_path, unit) == []
    assert holding(tmp_path, OTHER) != []
    assert done.found["training table"] == 6
    assert done.found["sticky"] == 1
    assert done.found["its earlier versions"] >= 2
    loop.close()


def test_what_comes_late_stays_gone(tmp_path: Path) -> None:
    """A record from before the erasure that comes after it is dropped and counted; what the unit does later is kept."""
    clock = ManualClock()
    loop = open_shop(tmp_path, clock)
    act(loop, UNIT, "d")
    away = [payload for segment in loop.spool_directory.glob("*.spool") for payload in _payloads(segment)]
    erase(loop, UNIT)
    clock.advance(60)
    spool = Spool(loop.spool_directory, clock=loop.clock)
    for payload in [*away, encode(Observation("db", "checkout", clock(), "bought", 1.0, "k"))]:
        spool.append(payload)
    spool.close()
    act(loop, UNIT, "again")
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    assert sorted(table(loop)["decision_id"]) == ["againa", "againb"]
    (custody,) = read_status(loop).strategies
    assert custody.balanced
    assert custody.fates["erased"] >= 3
    assert erase(loop, UNIT).found["training table"] == 2
    loop.close()


def _payloads(path: Path) -> list[bytes]:
    from abloop.store.segment import Segment

    return [payload for _, payload in Segment(path).records()]


def test_only_one_strategy(tmp_path: Path) -> None:
    """A unit that is erased from one strategy stays in the others."""
    clock = ManualClock()
    loop = open_shop(tmp_path, clock)
    loop.register(two_arms("search"))
    act(loop, UNIT, "d")
    loop.strategy("search").get_decision("d", {"user_id": UNIT, "x": 1.0})
    assert erase(loop, UNIT, "search").proven
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    assert [offline.join_rows(loop, name) for name in ("checkout", "search")] == [2, 0]
    loop.close()


def test_pseudonyms_are_found_by_their_unit(tmp_path: Path) -> None:
    """A unit is erased by its name where only its pseudonym is written; without the key that is refused."""
    clock = ManualClock()
    loop, plain = open_hidden(tmp_path, clock), open_hidden(tmp_path, clock, key="")
    loop.register(two_arms(pseudonymise=["user_id"]))
    for unit in (UNIT, OTHER):
        loop.strategy("checkout").get_decision(f"d-{unit}", {"user_id": unit, "x": 1.0})
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    with pytest.raises(DataError, match="their key is not here"):
        erase(plain, UNIT)
    done = erase(loop, UNIT)
    assert (done.proven, done.found["training table"]) == (True, 1)
    assert table(loop)["decision_id"].tolist() == [f"d-{OTHER}"]
    plain.close()
    loop.close()


def test_rows_of_others_that_name_it_are_said(tmp_path: Path) -> None:
    """A feature of another unit that has the unit as its value stays, and is counted."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(features=[{"name": "friend", "type": "categorical"}]))
    loop.strategy("checkout").get_decision("d", {"user_id": OTHER, "friend": UNIT})
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    done = erase(loop, UNIT)
    assert (done.proven, done.mentions) == (True, 1)
    loop.close()


def test_refusals(tmp_path: Path) -> None:
    """An empty unit and an unknown strategy are refused by name."""
    loop = open_shop(tmp_path, ManualClock())
    with pytest.raises(DataError, match="the unit is empty"):
        erase(loop, "")
    with pytest.raises(UnknownNameError, match="'chekout'"):
        erase(loop, UNIT, "chekout")
    assert not any(erase(loop, "nobody").found.values())
    loop.close()


def test_what_an_active_unit_does_later_stays(tmp_path: Path) -> None:
    """What the unit did after the erasure began is kept, in spool, database and table, and does not spoil the proof."""
    clock = ManualClock()
    loop = open_shop(tmp_path, clock)
    act(loop, UNIT, "d")
    clock.advance(1)
    act(loop, UNIT, "later")
    offline.ship_spool(loop)
    act(loop, UNIT, "last")
    clock.advance(-1)
    done = erase(loop, UNIT)
    assert (done.proven, done.at) == (True, clock())
    clock.advance(TTL + 2)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    assert sorted(table(loop)["decision_id"]) == ["lasta", "lastb", "latera", "laterb"]
    (custody,) = read_status(loop).strategies
    assert custody.balanced
    loop.close()


def test_a_letter_whose_clock_was_off_goes_too(tmp_path: Path) -> None:
    """A dead letter of the unit that says it is of next week is erased: its time may be what is wrong with it."""
    clock = ManualClock()
    loop = open_shop(tmp_path, clock)
    clock.advance(7 * 86_400.0)
    act(loop, UNIT, "d")
    loop.spool.seal()
    clock.advance(-7 * 86_400.0)
    offline.ship_spool(loop)
    assert erase(loop, UNIT).found["dead letters"] == 4
    assert not erase(loop, UNIT).found["dead letters"]
    loop.close()


def test_an_id_that_two_units_were_given(tmp_path: Path) -> None:
    """A decision of another unit that has the same id stays with its outcomes, wherever the erased one is."""
    clock = ManualClock()
    loop = open_shop(tmp_path, clock)
    strategy = loop.strategy("checkout")
    for name in ("d", "e"):
        strategy.get_decision(name, {"user_id": OTHER, "x": 1.0})
    strategy.log_observations("d", {"bought": 1.0})
    offline.ship_spool(loop)
    strategy.get_decision("d", {"user_id": UNIT, "x": 1.0})  # a dead letter
    offline.ship_spool(loop)
    strategy.get_decision("e", {"user_id": UNIT, "x": 1.0})  # in the spool
    strategy.log_observations("e", {"bought": 1.0})
    done = erase(loop, UNIT)
    assert (done.proven, done.found["dead letters"], done.found["decisions"]) == (True, 1, 0)
    strategy.log_observations("e", {"bought": 1.0})
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    found = table(loop)
    assert found["unit"].tolist() == [OTHER] * 2
    assert dict(zip(found["decision_id"], found["n.bought"], strict=True)) == {"d": 1, "e": 2}
    loop.close()
