"""Retention: nothing older than the blueprint says stays, nothing younger goes, and the sums hold."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pandas as pd
import pytest

from abloop import offline
from abloop.errors import UnknownNameError
from abloop.loop import Loop
from abloop.rollout.versions import rollback
from abloop.store.compaction import compact
from abloop.store.late import join_late
from abloop.store.retention import DAY, READABLE, Retained, retain
from abloop.store.status import read_status
from abloop.store.tables import dead, decisions, entities, files, late, observations
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop, two_arms

KEPT = 30 * DAY
TABLES = (observations, late, entities, decisions)


def open_shop(directory: Path, clock: ManualClock, retention: float = KEPT) -> Loop:
    """Return an installation whose strategy keeps rows for 30 days, or for ever."""
    loop = open_loop(directory, clock)
    loop.register(two_arms(lifecycle={"ttl": TTL, "retention": retention}))
    return loop


def pass_a_day(loop: Loop, clock: ManualClock, day: int, units: int = 4) -> None:
    """Decide in the morning and the evening, observe all but one, one of them late, join, and go to the next day."""
    strategy = loop.strategy("checkout")
    for index in range(units):
        if index == units // 2:
            clock.advance(DAY / 2)
        name = f"d{day}-{index}"
        strategy.get_decision(name, {"user_id": f"u{index}", "x": 1.0})
        if index:
            strategy.log_observations(name, {"bought": 1.0})
    strategy.log_observations(f"nobody{day}", {"bought": 1.0})
    clock.advance(DAY / 2 - 60)
    strategy.log_observations(f"d{day}-0", {"bought": 1.0})
    clock.advance(60)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    join_late(loop, "checkout")


def table(loop: Loop) -> pd.DataFrame:
    """Return the training table."""
    files = [loop.table_directory / file.name for file in loop.manifest.files("checkout")]
    return pd.concat([pd.read_parquet(file) for file in files]) if files else pd.DataFrame({"time": []})


def left(loop: Loop, limit: float) -> dict[str, int]:
    """Return how many rows of the database are older, by table."""
    with loop.database.reading() as connection:
        return {each.name: len(connection.execute(each.select().where(each.c["at"] <= limit)).all()) for each in TABLES}


@pytest.mark.parametrize("compacted", [False, True])
def test_what_is_older_goes_and_the_rest_stays(tmp_path: Path, compacted: bool) -> None:
    """Day by day the table holds the rows of the last 30 days, at most a day's more, and every sum holds."""
    clock = ManualClock()
    loop = open_shop(tmp_path, clock)
    made: list[float] = []
    for day in range(45):
        made += [clock()] * 2 + [clock() + DAY / 2] * 2
        pass_a_day(loop, clock, day)
        if compacted:
            compact(loop, "checkout")
        retain(loop, "checkout")
        limit = clock() - KEPT
        times = table(loop)["time"].tolist()
        assert sorted(times) == [at for at in made if at >= min(times)]
        assert limit - DAY < min(times) <= min(at for at in made if at > limit)
        assert sum(left(loop, limit).values()) == 0
        (custody,) = read_status(loop).strategies
        assert custody.balanced
    assert custody.rows == len(made)
    assert custody.fates["expired"] > 0
    assert custody.table_rows == len(times) < len(made)
    loop.close()


def test_everything_stays_where_nothing_is_said(tmp_path: Path) -> None:
    """Without a retention no row ever goes."""
    clock = ManualClock()
    loop = open_shop(tmp_path, clock, retention=0.0)
    pass_a_day(loop, clock, 0)
    clock.advance(1000 * DAY)
    assert retain(loop, "checkout") == Retained()
    assert len(table(loop)) == 4
    loop.close()


def test_a_decision_that_never_was_joined_goes(tmp_path: Path) -> None:
    """What waits for longer than it may be kept is counted as expired, with its observations."""
    clock = ManualClock()
    loop = open_shop(tmp_path, clock)
    loop.strategy("checkout").get_decision("d", {"user_id": "u", "x": 1.0})
    loop.strategy("checkout").log_observations("d", {"bought": 1.0})
    offline.ship_spool(loop)
    clock.advance(KEPT + 1)
    assert retain(loop, "checkout") == Retained(observations=1, decisions=1)
    assert retain(loop, "checkout") == Retained()
    (custody,) = read_status(loop).strategies
    assert (custody.balanced, custody.waiting, custody.fates["expired"]) == (True, 0, 1)
    loop.close()


def test_what_comes_after_is_not_kept(tmp_path: Path) -> None:
    """A record that is older when it comes is dropped and counted, and is no dead letter."""
    clock = ManualClock()
    loop = open_shop(tmp_path, clock)
    loop.strategy("checkout").get_decision("d", {"user_id": "u", "x": 1.0})
    loop.strategy("checkout").log_observations("d", {"bought": 1.0})
    clock.advance(KEPT + 1)
    offline.ship_spool(loop)
    (custody,) = read_status(loop).strategies
    assert (custody.balanced, custody.waiting, custody.dead, custody.fates["expired"]) == (True, 0, 0, 1)
    loop.close()


def test_the_served_version_says_how_long(tmp_path: Path) -> None:
    """After a rollback to a version that keeps for ever nothing is dropped on its way because of the newer one."""
    clock = ManualClock()
    loop = open_shop(tmp_path, clock, retention=0.0)
    loop.register(two_arms(lifecycle={"ttl": TTL, "retention": KEPT}))
    rollback(loop, "checkout", 1, who="me", why="test")
    loop.strategy("checkout").get_decision("d", {"user_id": "u", "x": 1.0})
    clock.advance(KEPT + 1)
    assert offline.ship_spool(loop).records == 1
    assert retain(loop, "checkout") == Retained()
    assert offline.join_rows(loop, "checkout") == 1
    loop.close()


def test_dead_letters_go_too(tmp_path: Path) -> None:
    """A record that could not be kept is not kept for longer than one that could."""
    clock = ManualClock()
    loop = open_shop(tmp_path, clock)
    loop.strategy("checkout").get_decision("d", {"user_id": "u\0", "x": 1.0})
    with loop.database.transaction() as connection:
        row = {"segment": "s", "offset": 1, "reason": "r", "at": clock(), "payload": b""}
        connection.execute(dead.insert().values(strategy="checkout", **row))
        connection.execute(dead.insert().values(strategy="", **(row | {"offset": 2})))
    clock.advance(KEPT + 1)
    assert retain(loop, "checkout").letters == 1
    loop.close()


def test_versions_that_nobody_reads_go(tmp_path: Path) -> None:
    """A file that was replaced is listed for a week, then it is forgotten, and a turn later gone from the disk."""
    clock = ManualClock()
    loop = open_shop(tmp_path, clock, retention=0.0)
    for day in range(9):
        pass_a_day(loop, clock, day)
    before = {file.name for file in loop.manifest.files("checkout")}
    clock.advance(60)
    assert compact(loop, "checkout") == 9
    for path in loop.table_directory.iterdir():
        os.utime(path, (clock() - 2 * DAY,) * 2)
    assert retain(loop, "checkout") == Retained()
    clock.advance(READABLE - 60)
    assert {file.name for file in loop.manifest.files("checkout", loop.manifest.version("checkout") - 1)} == before
    clock.advance(61)
    assert retain(loop, "checkout") == Retained(files=9)
    assert before <= {path.name for path in loop.table_directory.iterdir()}
    assert retain(loop, "checkout") == Retained(deleted=9)
    assert [path.name for path in loop.table_directory.iterdir()] == [
        file.name for file in loop.manifest.files("checkout")
    ]
    with pytest.raises(UnknownNameError, match="retention has removed"):
        loop.manifest.files("checkout", 3)
    assert len(table(loop)) == 36
    loop.close()


def test_what_nobody_lists_goes_after_a_day(tmp_path: Path) -> None:
    """A file that a killed worker left goes a day later; one that may be listed yet, or is another's, stays."""
    loop = open_loop(tmp_path, ManualClock(time.time()))
    loop.register(two_arms())
    loop.table_directory.mkdir(exist_ok=True)
    names = ("checkout-v1-0.parquet", ".checkout-1-0", "search-v1-0.parquet", "notes.txt", "checkout-v1-1.parquet")
    for name in names:
        (loop.table_directory / name).touch()
        os.utime(loop.table_directory / name, (time.time() - 2 * DAY * (name != names[-1]),) * 2)
    assert retain(loop, "checkout") == Retained(deleted=2)
    assert {path.name for path in loop.table_directory.iterdir()} == set(names[2:])
    loop.close()


def test_files_of_a_release_that_did_not_say_when(tmp_path: Path) -> None:
    """A file whose range of times was not listed is asked itself."""
    clock = ManualClock()
    loop = open_shop(tmp_path, clock)
    pass_a_day(loop, clock, 0)
    (file,) = loop.manifest.files("checkout")
    with loop.database.transaction() as connection:
        connection.execute(files.update().values(oldest=None, newest=None))
    clock.advance(KEPT - 2 * DAY)
    assert retain(loop, "checkout").rows == 0
    clock.advance(2 * DAY)
    assert retain(loop, "checkout").rows == file.rows
    loop.close()


def test_an_unknown_strategy(tmp_path: Path) -> None:
    """There is nothing to keep of a strategy that is not there, and its name is said."""
    loop = open_loop(tmp_path)
    with pytest.raises(UnknownNameError, match="'checkuot'"):
        retain(loop, "checkuot")
    loop.close()
