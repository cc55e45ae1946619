"""Orders of lists: stable by score, spread over kinds, slots with exact chances, two rankers in turns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.policy.rank import by_score, explore_slots, spread, team_draft

orders = st.integers(0, 30).flatmap(lambda n: st.permutations(range(n)))


@given(st.lists(st.none() | st.floats(allow_nan=False)))
def test_scores_order_stably(scores: list[float | None]) -> None:
    """Greatest first; equals and those without a score in the order given."""
    order = by_score(scores)
    assert sorted(order) == list(range(len(scores)))
    keyed = [(scores[at] is None, -(scores[at] or 0.0), at) for at in order]
    assert keyed == sorted(keyed)


@given(
    orders, st.lists(st.sampled_from(["a", "b", None]), min_size=30, max_size=30), st.integers(1, 3), st.integers(1, 9)
)
def test_a_spread_order_holds_its_cap(order: list[int], kinds: list[str | None], most: int, within: int) -> None:
    """Among the first places no kind is there too often while another could be, and nothing is lost."""
    found = spread(order, kinds, most, within)
    assert sorted(found) == sorted(order)
    top = [kinds[index] for index in found[:within] if kinds[index] is not None]
    allowed = sum(min(most, sum(kinds[index] == kind for index in order)) for kind in {"a", "b"})
    free = sum(kinds[index] is None for index in order)
    if allowed + free >= within:
        assert all(top.count(kind) <= most for kind in set(top))
    assert spread(order, [None] * 30, most, within) == list(order)


@settings(max_examples=100)
@given(orders, st.lists(st.integers(0, 8), max_size=3, unique=True).map(sorted), st.floats(0, 0.5), st.randoms())
def test_slots_only_swap(order: list[int], slots: list[int], share: float, random: object) -> None:
    """Every candidate stays in the list, and each place has a probability above zero."""
    draws = [(random.random(), random.random()) for _ in slots]  # type: ignore[attr-defined]
    found, chances = explore_slots(order, slots, share, draws)
    assert sorted(found) == sorted(order)
    assert len(chances) == len(order)
    assert all(0.0 <= chance <= 1.0 for chance in chances)


def test_chances_are_how_often() -> None:
    """Over 40,000 draws, each candidate is at each place as often as its logged chance says, within 5 errors."""
    rng, order, slots = np.random.default_rng(0), list(range(9)), [1, 3]
    counted, said = np.zeros((9, 9)), np.zeros((9, 9))
    for _ in range(40_000):
        found, chances = explore_slots(order, slots, 0.3, [tuple(rng.random(2)) for _ in slots])  # type: ignore[misc]
        for place, (index, chance) in enumerate(zip(found, chances, strict=True)):
            counted[index, place] += 1
            said[index, place] = chance
    seen = counted > 0
    share = counted / 40_000
    assert (np.abs(share - said)[seen] < 5 * np.sqrt(0.25 / 40_000)).all()


@given(
    st.integers(0, 20).flatmap(lambda n: st.tuples(st.permutations(range(n)), st.permutations(range(n)))), st.randoms()
)
def test_turns_are_fair(pair: tuple[list[int], list[int]], random: object) -> None:
    """Both rankers place as many candidates, up to one; each places its best that is left."""
    first, second = pair
    order, teams = team_draft(first, second, [random.random() for _ in range(len(first))])  # type: ignore[attr-defined]
    assert sorted(order) == sorted(first)
    assert abs(teams.count(0) - teams.count(1)) <= 1
    for at, (index, team) in enumerate(zip(order, teams, strict=True)):
        left = [each for each in (first, second)[team] if each not in order[:at]]
        assert left[0] == index


def test_equal_rankers_are_even() -> None:
    """Two equal orders give that order, and a coin says whose each pair's first is."""
    for draw, teams in ((0.0, [0, 1]), (0.9, [1, 0])):
        assert team_draft([5, 4], [5, 4], [draw]) == ([5, 4], teams)
    with pytest.raises(IndexError):
        team_draft([1, 2, 3], [1, 2, 3], [0.1])
