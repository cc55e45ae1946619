"""The status: every observation that was received is accounted for, at any moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop import offline
from abloop.errors import UnknownNameError
from abloop.store.late import join_late
from abloop.store.status import read_status
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop, two_arms

STEPS = st.lists(st.tuples(st.sampled_from(["decide", "observe", "ship", "join", "late", "wait"]), st.integers(0, 6)))


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_the_sum_always_holds(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]) -> None:
    """Received = joined + waiting + orphaned + late + expired + duplicates, whatever happens in whatever order."""
    clock = ManualClock()
    loop = open_loop(tmp_path_factory.mktemp("d"), clock)
    loop.register(two_arms())
    strategy, sent = loop.strategy("checkout"), 0
    for step, number in steps:
        if step == "decide":
            strategy.get_decision(f"d{number}", {"user_id": "u", "x": 1.0})
        elif step == "observe":
            strategy.log_observations(f"d{number}", {"bought": 1.0})
            sent += 1
        elif step == "ship":
            offline.ship_spool(loop)
        elif step == "join":
            offline.join_rows(loop, "checkout")
        elif step == "late":
            join_late(loop, "checkout")
        else:
            clock.advance(TTL * number / 3)
        (custody,) = read_status(loop).strategies
        assert custody.balanced, custody
    offline.ship_spool(loop)
    (custody,) = read_status(loop, "checkout").strategies
    assert (custody.balanced, custody.observations) == (True, sent)
    loop.close()


def test_what_waits_and_what_lags(tmp_path: Path) -> None:
    """Spool, oldest decision, lag behind the TTL and share of observed rows are said as they are."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms())
    for index in range(4):
        loop.strategy("checkout").get_decision(f"d{index}", {"user_id": "u", "x": 1.0})
    loop.strategy("checkout").log_observations("d0", {"bought": 1.0})
    loop.strategy("checkout").log_observations("nobody", {"bought": 1.0})
    before = read_status(loop)
    assert (before.segments, before.strategies[0].decisions, before.spool_oldest) == (1, 0, clock())
    offline.ship_spool(loop)
    clock.advance(TTL + 5)
    (custody,) = read_status(loop).strategies
    assert (custody.waiting, custody.lag, custody.oldest) == (4, 5.0, clock() - TTL - 5)
    offline.join_rows(loop, "checkout")
    (custody,) = read_status(loop).strategies
    assert (custody.waiting, custody.rows, custody.lag, custody.oldest) == (0, 4, 0.0, None)
    assert custody.observed == {"bought": 0.25}
    assert {fate: number for fate, number in custody.fates.items() if number} == {"joined": 1, "orphaned": 1}
    assert custody.joined_share == 0.5
    with pytest.raises(UnknownNameError):
        read_status(loop, "nothing")
    loop.close()
