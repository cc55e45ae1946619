"""Allocations: shares exact, and as few units moved as any allocation with these shares could."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from abloop.assign.allocation import Allocation, allocate, reallocate
from abloop.assign.experiment import Assignment
from abloop.assign.hashing import SIZE

NAMES = "abcdefgh"
arms = st.lists(st.sampled_from(NAMES), min_size=2, max_size=6, unique=True)


@st.composite
def versions(draw: st.DrawFn) -> list[tuple[list[str], list[float]]]:
    """Draw the arms and weights of several versions."""
    found = []
    for _ in range(draw(st.integers(2, 5))):
        names = draw(arms)
        parts = draw(st.lists(st.integers(1, 50), min_size=len(names), max_size=len(names)))
        found.append((names, [part / sum(parts) for part in parts]))
    return found


def lengths(allocation: Allocation) -> dict[str, int]:
    """Return how much of the hash space each arm has."""
    found: dict[str, int] = {}
    start = 0
    for end, name in allocation:
        found[name] = found.get(name, 0) + end - start
        start = end
    return found


def moved(before: Allocation, after: Allocation) -> int:
    """Return how much of the hash space changes its arm, by walking over both."""
    ends = sorted({end for end, _ in (*before, *after)})
    total = start = 0
    for end in ends:
        one = next(name for stop, name in before if start < stop)
        two = next(name for stop, name in after if start < stop)
        total += (end - start) * (one != two)
        start = end
    return total


@given(versions())
def test_shares_are_exact_and_movement_least(history: list[tuple[list[str], list[float]]]) -> None:
    """Over any history each arm has the share it would have anew, and units move only out of what shrinks."""
    now = allocate(*history[0])
    for names, weights in history[1:]:
        plain, before = lengths(allocate(names, weights)), lengths(now)
        after = reallocate(now, names, weights)
        assert lengths(after) == {name: length for name, length in plain.items() if length}
        least = sum(max(0, length - plain.get(name, 0)) for name, length in before.items())
        assert moved(now, after) == least
        assert after[-1][0] == SIZE
        assert all(one[1] != two[1] for one, two in pairwise(after))
        now = after


@given(versions())
def test_the_same_again_moves_nobody(history: list[tuple[list[str], list[float]]]) -> None:
    """The same arms and weights, in any order, leave every unit where it is, but for the rounding of shares."""
    names, weights = history[0]
    now = allocate(names, weights)
    order = sorted(range(len(names)), key=lambda index: names[index])
    shares = [lengths(now)[names[index]] / SIZE for index in order]
    assert moved(now, reallocate(now, [names[index] for index in order], shares)) <= SIZE * 1e-12


def test_assignment_follows_the_allocation() -> None:
    """A unit's arm is the owner of the interval that its point falls into, checked against a plain search."""
    allocation = reallocate(allocate("ab", [0.5, 0.5]), "abc", [0.3, 0.3, 0.4])
    names = ["a", "b", "c"]
    assignment = Assignment("s", [0.3, 0.3, 0.4], allocation=[(end, names.index(name)) for end, name in allocation])
    old = Assignment("s", [0.5, 0.5])
    changed = 0
    for i in range(5_000):
        arm = assignment.arm(f"u{i}")
        changed += arm != old.arm(f"u{i}")
        assert arm in (old.arm(f"u{i}"), 2)
    assert 1_850 < changed < 2_150  # 40 % of 5,000, six standard errors
