"""Dead letters: whatever comes, the line goes on, nothing is lost, and a fix brings it back once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from abloop import offline
from abloop.errors import UnknownNameError
from abloop.loop import Loop
from abloop.records import Decision, Observation, encode
from abloop.store.counts import read_counts
from abloop.store.dead import read_dead
from abloop.store.replay import replay
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop, two_arms

DAY = 86_400.0


def made(loop: Loop, decision_id: str = "d", **changes: Any) -> Decision:
    """Return a decision of the strategy."""
    fields = (decision_id, "checkout", 1, "u", loop.clock(), (1.0,), (), "blue", 0.5, "randomise", "blue")
    return msgspec.structs.replace(Decision(*fields), **changes)  # type: ignore[arg-type]


def seen(loop: Loop, decision_id: str = "d", **changes: Any) -> Observation:
    """Return an observation of the strategy."""
    return msgspec.structs.replace(Observation(decision_id, "checkout", loop.clock(), "bought", 1.0, "k"), **changes)


def open_shop(directory: Path) -> Loop:
    """Return an installation with a strategy."""
    loop = open_loop(directory, ManualClock())
    loop.register(two_arms())
    return loop


WRONG = {
    "another strategy": (lambda loop: made(loop, strategy="chekout"), "'checkout'"),
    "another version": (lambda loop: made(loop, version=7), "has no version 7; allowed: 1"),
    "another arm": (lambda loop: made(loop, arm="red"), "'red'"),
    "a text for a number": (lambda loop: made(loop, features=("1",)), "feature 'x' is '1', a str; allowed: float"),
    "too many features": (lambda loop: made(loop, features=(1.0, 2.0)), "it has 2 features; allowed: 1"),
    "a propensity of 2": (lambda loop: made(loop, propensity=2.0), "its propensity is 2.0; allowed: above 0"),
    "predictions": (lambda loop: made(loop, predictions=(1.0,)), "it has 1 predictions; allowed: 0 or 2"),
    "no id": (lambda loop: made(loop, ""), "its id is empty"),
    "a zero in its id": (lambda loop: made(loop, "d\0"), "zero character"),
    "a clock ahead": (lambda loop: made(loop, time=loop.clock() + 2 * DAY), "its time is 2.0 days ahead"),
    "a clock behind": (lambda loop: made(loop, time=loop.clock() - 2 * DAY), "its time is 2.0 days behind"),
    "no time": (lambda loop: made(loop, time=float("nan")), "its time is nan"),
    "1 MB of context": (lambda loop: made(loop, decision="x" * 1_000_000), "bytes; allowed: 262,144"),
    "another metric": (lambda loop: seen(loop, name="bougth"), "'bought'"),
    "no number": (lambda loop: seen(loop, value=float("inf")), "is inf; allowed: finite numbers"),
    "a unit where a decision is": (lambda loop: seen(loop, "", unit="u"), "is of a decision"),
    "noise": (lambda loop: b"\x93\x09\x01\x02", "it cannot be read"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_kept_stops_nothing(tmp_path: Path, kind: str) -> None:
    """It is a dead letter with the reason, counted, and what stands before and behind it arrives."""
    loop = open_shop(tmp_path)
    build, reason = WRONG[kind]
    record = build(loop)
    for payload in (encode(made(loop, "before")), record if isinstance(record, bytes) else encode(record)):
        loop.spool.append(payload)
    loop.spool.append(encode(made(loop, "behind")))
    assert offline.ship_spool(loop).refused == 1
    (letter,) = read_dead(loop.database)
    assert reason in letter.reason
    assert loop.journal.backlog("checkout").waiting == 2
    assert read_counts(loop.database, letter.strategy)["dead"] == 1
    loop.close()


def test_a_fix_brings_it_back_once(tmp_path: Path) -> None:
    """What was wrong is put right, the letter is replayed, and it is in the training table once."""
    loop = open_shop(tmp_path)
    late = [made(loop, "other", strategy="banner"), seen(loop, "other", strategy="banner")]
    off = [made(loop, "ahead", time=loop.clock() + 2 * DAY), seen(loop, "ahead", time=loop.clock() + 2 * DAY + 5)]
    large = made(loop, "large", decision="x" * 1_000_000)
    for record in (*late, *off, large):
        loop.spool.append(encode(record))
    offline.ship_spool(loop)
    assert len(read_dead(loop.database)) == 5
    assert replay(loop, strategy="banner").kept == 0
    loop.register(two_arms("banner"))
    assert replay(loop, strategy="banner").kept == 2
    assert replay(loop, strategy="banner").kept == 0
    ids = [letter.id for letter in read_dead(loop.database) if "ahead" in letter.reason]
    left = replay(loop, ids, shift=-DAY / 2).left
    assert ["1.5 days ahead" in letter.reason for letter in left] == [True, True]
    assert replay(loop, ids, shift=-2 * DAY).kept == 2
    assert replay(loop).kept == 1
    assert read_dead(loop.database) == []
    with pytest.raises(UnknownNameError, match="no dead letter 99"):
        replay(loop, [99])
    loop.clock.advance(TTL + 1)  # type: ignore[attr-defined]
    assert [offline.join_rows(loop, name) for name in ("banner", "checkout")] == [1, 2]
    assert read_counts(loop.database, "checkout")["joined"] == 1
    loop.close()


def test_one_id_with_two_contents_stays_a_letter(tmp_path: Path) -> None:
    """The first decision counts; the other is kept among the dead letters, however often it is replayed."""
    loop = open_shop(tmp_path)
    for record in (made(loop), made(loop, arm="green", decision="green"), made(loop, latency=9)):
        loop.spool.append(encode(record))
    offline.ship_spool(loop)
    for _ in range(2):
        (letter,) = read_dead(loop.database)
        assert "came again with different content" in letter.reason
        assert len(replay(loop).left) == 1
    assert loop.journal.backlog("checkout").waiting == 1
    loop.close()


def test_a_version_registered_meanwhile_is_known(tmp_path: Path) -> None:
    """A blueprint that is registered while records are shipped makes none of its records a dead letter."""
    loop = open_shop(tmp_path)
    other = open_loop(tmp_path, loop.clock)  # type: ignore[arg-type]
    loop.spool.append(encode(made(loop)))

    class Registering(offline.Inspector):
        """Registers a version after the first record."""

        def __call__(self, record: Any, segment: Any) -> str:
            found = super().__call__(record, segment)
            other.register(two_arms(metrics=[{"name": "bought"}, {"name": "liked"}]))
            return found

    loop.spool.append(encode(made(loop, "two", version=2)))
    loop.spool.append(encode(seen(loop, "two", name="liked")))
    inspector, offline.Inspector = offline.Inspector, Registering  # type: ignore[misc]
    try:
        assert offline.ship_spool(loop).refused == 0
    finally:
        offline.Inspector = inspector  # type: ignore[misc]
    loop.close()
    other.close()
