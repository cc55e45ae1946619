"""A stream of records: whatever its order, doubles and delays, the training table is the same, and nothing is lost."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from abloop import offline
from abloop.loop import Loop
from abloop.testing import ManualClock
from tests.faults.stream import BLUEPRINT, START, TTL, make, run, send

LONG = os.environ.get("ABLOOP_LONG") == "1"
RECORDS = 1_000_000 if LONG else 60_000


def table(directory: Path, payloads: list[bytes], passes: int) -> dict[str, bytes]:
    """Return the files of the training table, after records arrived in so many passes of the shipper."""
    directory.mkdir()
    clock = ManualClock(START)
    loop = Loop(f"sqlite:///{directory}/x.db", directory, clock=clock, refresh_seconds=3_600.0)
    loop.register(BLUEPRINT)
    size = -(-len(payloads) // passes)
    for start in range(0, len(payloads), size):
        send(loop, payloads[start : start + size], parts=2)
        clock.advance(TTL / passes)
        offline.ship_spool(loop)
    clock.advance(10 * TTL)
    offline.join_rows(loop, "s")
    files = [file.name for file in loop.manifest.files("s")]
    loop.close()
    return {name: (directory / "tables" / name).read_bytes() for name in files}


def test_the_order_of_arrival_leaves_no_trace(tmp_path: Path) -> None:
    """Shuffled, doubled and delayed records give the same files as ordered ones, byte for byte."""
    stream = make(0, RECORDS // 4, most_copies=1)
    ordered = table(tmp_path / "ordered", stream.payloads, 1)
    again = stream.payloads + random.Random(1).choices(stream.payloads, k=len(stream.payloads) // 4)
    random.Random(2).shuffle(again)
    assert table(tmp_path / "shuffled", again, 5) == ordered
    assert sum(map(len, ordered.values())) > len(stream.payloads)


@pytest.mark.parametrize("seed", range(2))
def test_an_oracle_agrees(tmp_path: Path, seed: int) -> None:
    """None lost, doubled or wrong: the table is that of pandas, and what was received is accounted for."""
    run(tmp_path, seed, 10_000)
