"""Lists as they were made: newest first and whole; each place with what it brought, by the definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from abloop import offline
from abloop.errors import DataError
from abloop.lists import places_figure, read_lists
from abloop.testing import ManualClock
from tests.loops import open_loop, two_arms
from tests.test_rankings import DAY, lists, raw


def test_lists_are_told_whole(tmp_path: Path) -> None:
    """Order, scores, teams, chances and outcomes are those of the records; means of places are counted by hand."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    ranking = {"challenger": "-quality", "slots": [1], "explore": 0.3}
    loop.register(raw(ranking=ranking))
    with pytest.raises(DataError, match="no complete list yet"):
        read_lists(loop, "feed")
    made = lists(loop, 40, np.random.default_rng(0))
    clock.advance(2 * DAY)
    offline.ship_spool(loop)
    offline.join_rows(loop, "feed")
    found = read_lists(loop, "feed", most=5)
    assert (found.lists, found.candidates, len(found.newest), len(found.places)) == (40, 240, 5, 6)
    for one in found.newest:
        assert [each.index for each in one.candidates] == made[one.list_id]
        assert [each.position for each in one.candidates] == list(range(6))
        assert {each.team for each in one.candidates} <= {"policy", "challenger", ""}
        assert all(each.outcomes["seen_at"] is None for each in one.candidates)
    every = read_lists(loop, "feed", most=40).newest
    for place in found.places:
        values = [float(one.candidates[place.position].outcomes["click"] or 0.0) for one in every]
        assert place.mean.mean == pytest.approx(np.mean(values))
        assert place.mean.low < place.mean.mean < place.mean.high
    assert found.places[1].explored > 0
    assert places_figure(found).data[0].y == tuple(place.mean.mean for place in found.places)
    loop.register(two_arms())
    with pytest.raises(DataError, match="decides a choice; only an ordering has lists"):
        read_lists(loop, "checkout")
    loop.close()
