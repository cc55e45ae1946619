"""Every decision is found once, newest first, wherever it is, and so is what happened after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from abloop import offline
from abloop.errors import DataError, UnknownNameError
from abloop.loop import Loop
from abloop.store.aftermath import read_outcomes
from abloop.store.search import search
from abloop.testing import ManualClock
from tests.loops import TTL, two_arms

METRICS = [{"name": "bought"}, {"name": "rating", "default": None}, {"name": "spend", "window": "7d", "combine": "sum"}]
HOSTILE = "'; DROP TABLE abloop_decisions; --\u202e%_\\"


@pytest.fixture
def loop(database_url: str, tmp_path: Path) -> Loop:
    """Return an installation with 30 joined decisions, 10 that wait and 10 in the spool."""
    clock = ManualClock()
    made = Loop(database_url, tmp_path / "files", clock=clock, refresh_seconds=3_600.0)
    made.register(two_arms(metrics=METRICS))
    decide(made, clock, range(30))
    clock.advance(TTL + 1)
    made.spool.seal()
    offline.ship_spool(made)
    offline.join_rows(made, "checkout")
    decide(made, clock, range(30, 40))
    made.spool.seal()
    offline.ship_spool(made)
    decide(made, clock, range(40, 50))
    return made


def decide(loop: Loop, clock: ManualClock, numbers: range) -> None:
    """Decide for seven units in turn, a second apart; every third buys."""
    for number in numbers:
        clock.advance(1)
        unit = HOSTILE if number % 7 == 0 else f"u{number % 7}"
        loop.strategy("checkout").get_decision(f"d{number:02}", {"user_id": unit, "x": 1.0})
        if number % 3 == 0:
            loop.strategy("checkout").log_observations(f"d{number:02}", {"bought": 1, "spend": 2.5})


def test_pages_hold_every_decision_once(loop: Loop) -> None:
    """Page after page gives each decision once, newest first, with where it is."""
    pages: list[Any] = []
    while page := search(loop, "checkout", before=pages[-1].place if pages else None, most=7):
        pages += page
    assert [one.decision_id for one in pages] == [f"d{number:02}" for number in reversed(range(50))]
    assert [one.where for one in pages] == ["spool"] * 10 + ["waiting"] * 10 + ["joined"] * 30
    loop.close()


def test_a_unit_is_found_whatever_its_name(loop: Loop) -> None:
    """A unit's decisions, and no other's, are found by its exact name; nothing of a name is taken as SQL."""
    for unit, numbers in ((HOSTILE, range(0, 50, 7)), ("u3", range(3, 50, 7)), ("u", []), ("%", []), ("u3\0", [])):
        found = search(loop, "checkout", unit=unit)
        assert [one.decision_id for one in found] == [f"d{number:02}" for number in reversed(numbers)]
    loop.close()


def test_times_bound_a_search(loop: Loop) -> None:
    """From when and until when are inclusive, and go across all places."""
    every = search(loop, "checkout")
    some = search(loop, "checkout", since=every[44].time, until=every[5].time)
    assert some == every[5:45]
    assert search(loop, "checkout", since=every[0].time + 1) == []
    with pytest.raises(UnknownNameError):
        search(loop, "none")
    loop.close()


def test_outcomes_tell_what_is_there_and_what_is_waited_for(loop: Loop) -> None:
    """A metric is in its row, at its default, missing, waiting for the TTL or its window, late, or not logged yet."""
    loop.strategy("checkout").log_observations("d03", {"rating": 4})
    loop.spool.seal()
    offline.ship_spool(loop)

    def told(number: int) -> list[tuple[str, float | None, int]]:
        return [(one.stage, one.value, one.count) for one in read_outcomes(loop, loop.find(f"d{number:02}"))]

    assert told(0) == [("joined", 1.0, 1), ("missing", None, 0), ("window", 2.5, 1)]
    assert told(1) == [("default", 0.0, 0), ("missing", None, 0), ("window", None, 0)]
    assert told(3) == [("joined", 1.0, 1), ("late", 4.0, 1), ("window", 2.5, 1)]
    assert told(33) == [("waiting", 1.0, 1), ("none", None, 0), ("waiting", 2.5, 1)]
    assert told(42) == [("waiting", 1.0, 1), ("none", None, 0), ("waiting", 2.5, 1)]
    assert told(41) == [("none", None, 0), ("none", None, 0), ("none", None, 0)]
    loop.close()


def test_pseudonyms_are_found_by_the_name_that_product_code_uses(tmp_path: Path) -> None:
    """Where a blueprint writes pseudonyms, a unit is found by its own name; without the key that is said."""
    url = f"sqlite:///{tmp_path}/abloop.db"
    loop = Loop(url, clock=ManualClock(), refresh_seconds=3_600.0, pseudonym_key="0123456789abcdef")
    loop.register(two_arms(pseudonymise=["user_id"]))
    loop.strategy("checkout").get_decision("d", {"user_id": "u-17", "x": 1.0})
    assert [one.unit for one in search(loop, "checkout", unit="u-17")] == [loop.pseudonym("u-17")]  # type: ignore[misc]
    loop.close()
    with pytest.raises(DataError, match="key"):
        search(Loop(url), "checkout", unit="u-17")
