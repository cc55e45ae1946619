"""Experiments as draws: shares as given, draws independent, nobody moves when a share changes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from xxhash import xxh3_64_intdigest

from abloop.assign.experiment import Assignment

UNITS = [f"u{i}" for i in range(12_000)]


@pytest.mark.parametrize(
    "weights",
    [(0.5, 0.5), (0.9, 0.1), (0.7, 0.2, 0.1), (0.01, 0.99), (0.1,) * 10],
    ids=["halves", "tenth", "three", "hundredth", "ten"],
)
def test_arms_hold_their_shares(weights: tuple[float, ...]) -> None:
    """Each arm gets its share of units (chi-square, fixed ids)."""
    assignment = Assignment("checkout", weights)
    counts = np.bincount([assignment.arm(unit) for unit in UNITS], minlength=len(weights))
    assert stats.chisquare(counts, np.asarray(weights) * len(UNITS)).pvalue > 1e-3


def test_arm_equals_a_second_implementation() -> None:
    """The arm is the first whose cumulative weight exceeds the unit's point of [0, 1)."""
    weights = (0.3, 0.45, 0.25)
    points = [xxh3_64_intdigest(b"checkout:arm\0" + unit.encode()) / 2**64 for unit in UNITS]
    expected = np.searchsorted(np.cumsum(weights)[:-1], points, side="right")
    assignment = Assignment("checkout", weights)
    assert [assignment.arm(unit) for unit in UNITS] == expected.tolist()


@given(st.text(st.characters(), max_size=30), st.lists(st.integers(1, 100), min_size=2, max_size=12))
def test_every_unit_has_an_arm(unit: str, parts: list[int]) -> None:
    """Any text is a unit, surrogates included, and its arm is one of the arms, the same each time."""
    assignment = Assignment("s", [part / sum(parts) for part in parts])
    assert 0 <= assignment.arm(unit) < len(parts)
    assert assignment.arm(unit) == Assignment("s", assignment.weights, holdout=0.3, explore=0.2).arm(unit)
    assert assignment.explores(unit)
    assert not assignment.held_out(unit)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_holdout_and_explore_hold_their_shares(share: float) -> None:
    """Held-out and exploring units are as many as asked for (binomial, fixed ids)."""
    assignment = Assignment("checkout", (0.5, 0.5), holdout=share, explore=share)
    for found in (sum(map(assignment.held_out, UNITS)), sum(map(assignment.explores, UNITS))):
        assert stats.binomtest(found, len(UNITS), share).pvalue > 1e-3


def test_the_three_draws_are_independent() -> None:
    """Arm, explore share and holdout of a unit say nothing about each other (chi-square, fixed ids)."""
    assignment = Assignment("checkout", (0.5, 0.5), holdout=0.3, explore=0.4)
    table = np.zeros((2, 2, 2), dtype=int)
    for unit in UNITS:
        table[assignment.arm(unit), int(assignment.explores(unit)), int(assignment.held_out(unit))] += 1
    assert stats.chi2_contingency(table).pvalue > 1e-3


@pytest.mark.parametrize("draw", ["explores", "held_out"])
def test_a_greater_share_keeps_its_units(draw: str) -> None:
    """Raising a share only adds units to it: nobody who explored or was held out leaves."""
    sets = [
        {unit for unit in UNITS[:3_000] if getattr(Assignment("s", (0.5, 0.5), explore=x, holdout=x), draw)(unit)}
        for x in (0.0, 0.05, 0.2, 0.5, 0.99)
    ]
    assert sets[0] == set()
    assert all(less < more for less, more in pairwise(sets))


def test_a_ramp_moves_only_those_it_must() -> None:
    """With two arms, moving weight from control to treatment takes no unit out of treatment."""
    before, after = Assignment("s", (0.9, 0.1)), Assignment("s", (0.5, 0.5))
    moved = [unit for unit in UNITS if before.arm(unit) != after.arm(unit)]
    assert {(before.arm(unit), after.arm(unit)) for unit in moved} == {(0, 1)}
    assert stats.binomtest(len(moved), len(UNITS), 0.4).pvalue > 1e-3


def test_the_salt_deals_anew() -> None:
    """Another salt gives other arms, the same salt the same arms."""
    one, again, other = (Assignment(salt, (0.5, 0.5)) for salt in ("a", "a", "b"))
    assert [one.arm(unit) for unit in UNITS] == [again.arm(unit) for unit in UNITS]
    differing = sum(one.arm(unit) != other.arm(unit) for unit in UNITS)
    assert stats.binomtest(differing, len(UNITS), 0.5).pvalue > 1e-3
