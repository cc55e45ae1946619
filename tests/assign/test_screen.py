"""Screens: shares as given, layers disjoint, draws independent, nobody leaves when traffic rises."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from abloop.assign.experiment import Assignment, BucketAssignment
from abloop.assign.fnv import bucket, fnv1a
from abloop.assign.screen import Screen

KINDS = {
    "sequential": [str(i) for i in range(4_000)],
    "uuid": [f"{i * 2654435761 % 2**32:08x}-0000-4000-8000-{i:012x}" for i in range(4_000)],
    "e-mail": [f"person.{i}@example.com" for i in range(4_000)],
    "non-ascii": [f"käyttäjä-{i}-\U0001f600" for i in range(4_000)],
}
HALVES = Assignment("checkout", [0.5, 0.5])


@pytest.mark.parametrize("kind", KINDS)
def test_arms_and_layers_are_uniform_over_200_salts(kind: str) -> None:
    """Over 200 salts and layers the chi-square p-values of arms, slots and traffic are themselves uniform.

    Each Kolmogorov test is at .001 and the smallest of 600 p-values above 1e-6: a false alarm in 400 seeds.
    """
    units = KINDS[kind]
    found = []
    for salt in range(200):
        name = f"s{salt}"
        arms = np.bincount([Assignment(name, [0.25] * 4).arm(unit) for unit in units], minlength=4)
        found.append(stats.chisquare(arms).pvalue)
        slots = [Screen(name, HALVES, layer=(name, low / 4, (low + 1) / 4)) for low in range(4)]
        counts = np.array([sum(slot.inside(unit, 0.0) for unit in units[:1_000]) for slot in slots])
        assert counts.sum() == 1_000
        found.append(stats.chisquare(counts).pvalue)
        half = Screen(name, HALVES, traffic=0.5)
        found.append(stats.binomtest(sum(half.inside(unit, 0.0) for unit in units[:1_000]), 1_000, 0.5).pvalue)
    assert stats.kstest(found[0::3], "uniform").pvalue > 1e-3
    assert stats.kstest(found[1::3], "uniform").pvalue > 1e-3
    assert min(found) > 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_arm_traffic_layer_and_holdout_are_independent(kind: str) -> None:
    """Of one strategy and of two, no draw says anything about another (chi-square at .001, fixed ids)."""
    units = KINDS[kind]
    screens = [
        Screen("checkout", HALVES, traffic=0.5),
        Screen("search", HALVES, traffic=0.5),
        Screen("checkout", HALVES, layer=("checkout", 0.0, 0.5)),
        Screen("checkout", HALVES, layer=("other", 0.0, 0.5)),
    ]
    draws = [[screen.inside(unit, 0.0) for unit in units] for screen in screens]
    draws += [[Screen("x", HALVES, holdouts=[("all", 0.5)]).held_out(unit) for unit in units]]
    draws += [
        [bool(HALVES.arm(unit)) for unit in units],
        [bool(Assignment("search", [0.5, 0.5]).arm(u)) for u in units],
    ]
    p_values = []
    for index, one in enumerate(draws):
        for two in draws[index + 1 :]:
            table = np.zeros((2, 2), dtype=int)
            np.add.at(table, (np.array(one, dtype=int), np.array(two, dtype=int)), 1)
            p_values.append(stats.chi2_contingency(table).pvalue)
    assert min(p_values) > 1e-3 / len(p_values)


def test_more_traffic_and_ramps_add_only() -> None:
    """Who is in at a share is in at every greater one; a ramp is its step of the time."""
    units = KINDS["uuid"]
    shares = [0.0, 0.01, 0.2, 0.5, 0.99, 1.0]
    sets = [{u for u in units if Screen("s", HALVES, traffic=share).inside(u, 0.0)} for share in shares]
    assert all(less <= more for less, more in pairwise(sets))
    assert (len(sets[0]), len(sets[-1])) == (0, len(units))
    ramp = Screen("s", HALVES, ramp=[(10.0, 0.01), (20.0, 0.5)])
    assert [ramp.traffic(now) for now in (9.9, 10.0, 19.9, 20.0, 1e9)] == [0.0, 0.01, 0.01, 0.5, 0.5]
    assert {u for u in units if ramp.inside(u, 15.0)} == sets[1]


def test_fnv_is_the_published_hash() -> None:
    """The hash gives the vectors that are published with it."""
    published = {"": 0x811C9DC5, "a": 0xE40C292C, "foobar": 0xBF9CF968}
    assert {text: fnv1a(text) for text in published} == published


@pytest.mark.parametrize("version", [1, 2])
def test_buckets_keep_their_arms_and_their_traffic(version: int) -> None:
    """Arms and coverage are those of the ranges that the SDKs describe, recomputed here."""
    weights, coverage = (0.2, 0.5, 0.3), 0.4
    assignment = BucketAssignment("seed", weights, version)
    screen = Screen("seed", assignment, traffic=coverage)
    starts = [0.0, 0.2, 0.7]
    for unit in KINDS["e-mail"][:2_000]:
        point = bucket("seed", unit, version)
        ranges = [(start, start + coverage * weight) for start, weight in zip(starts, weights, strict=True)]
        inside = [index for index, (low, high) in enumerate(ranges) if low <= point < high]
        assert screen.inside(unit, 0.0) == bool(inside)
        assert not inside or assignment.arm(unit) == inside[0]
