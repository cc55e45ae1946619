"""The shipper beside another one: a segment that the other has shipped and removed is no error."""

from __future__ import annotations

from pathlib import Path

import pytest

from abloop import offline
from abloop.store import ship as shipping
from abloop.store.segment import Segment
from abloop.store.status import read_status
from abloop.worker import Worker
from tests.loops import open_loop, two_arms


@pytest.mark.parametrize(("place", "moment"), [(Segment, "finished"), (Segment, "records"), (shipping, "_finish")])
def test_a_segment_that_another_worker_removes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: object, moment: str
) -> None:
    """Whenever another worker ships and removes a segment, this one goes on with the next, and all is kept once."""
    loop = open_loop(tmp_path)
    loop.register(two_arms())
    for number in range(3):
        loop.strategy("checkout").get_decision(f"d{number}", {"user_id": "u", "x": 1.0})
        loop.spool.seal()
    inner, theirs = getattr(place, moment), []

    def meanwhile(*given: object) -> object:
        monkeypatch.setattr(place, moment, inner)
        theirs.append(offline.ship_spool(loop).records)
        return inner(*given)

    monkeypatch.setattr(place, moment, meanwhile)
    turn = Worker(loop).turn()
    assert not turn.failed
    assert turn.shipped is not None
    assert (turn.shipped.records + theirs[0], turn.shipped.torn_bytes) == (3, 0)
    assert read_status(loop).strategies[0].decisions == 3
    assert not list(loop.spool_directory.glob("*.spool"))
    loop.close()
