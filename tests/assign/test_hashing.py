"""The hash of assignment: one point for a unit in every language, uniform, independent between salts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from xxhash import xxh3_64

from abloop.assign.hashing import SIZE, draw, hash64, prefix, threshold

# text before the unit, unit, XXH3 64-bit with seed 0: the first three are published with the hash itself
VECTORS = {
    "empty": ("", "", 0x2D06800538D394C2),
    "one-letter": ("", "a", 0xE6C632B61E964E1F),
    "three-letters": ("a", "bc", 0x78AF5F94892F3950),
    "arm": ("checkout:arm\0", "user-1", 0x1F0F5BC484EF978C),
    "explore": ("checkout:explore\0", "user-1", 0x03F022035EB33789),
    "holdout": ("checkout:holdout\0", "user-1", 0x73CB17784D78A725),
    "two-byte-letters": ("s:arm\0", "é" * 100, 0x4D825EF3719E7A0B),
    "long": ("s:arm\0", "x" * 300, 0xE2EF9D12F9F74CC3),
}


@pytest.mark.parametrize(("before", "unit", "point"), VECTORS.values(), ids=VECTORS)
def test_golden_vectors(before: str, unit: str, point: int) -> None:
    """A unit's point never changes between releases, or every experiment would be dealt anew."""
    assert draw(before, unit) == hash64((before + unit).encode()) == point


@given(st.text(max_size=40), st.text(max_size=40))
def test_the_hash_is_xxh3_of_salt_and_unit(salt: str, unit: str) -> None:
    """The point is XXH3 of `salt:purpose`, NUL and the unit, and lies in [0, 2**64)."""
    try:
        expected = xxh3_64(f"{salt}:arm\0{unit}".encode(), seed=0).intdigest()
    except UnicodeEncodeError:
        expected = xxh3_64(f"{salt}:arm\0{unit}".encode("utf-8", "surrogatepass")).intdigest()
    assert draw(prefix(salt, "arm"), unit) == expected
    assert 0 <= expected < SIZE


@pytest.mark.parametrize("unit", ["{}", "user-{}", "00000000-0000-4000-8000-{:012d}"], ids=["number", "name", "uuid"])
def test_draws_are_uniform(unit: str) -> None:
    """However regular their names, units fall into equal bins alike: over 100 salts the p-values are uniform too."""
    units = [unit.format(i) for i in range(2_000)]
    p_values = []
    for salt in range(100):
        before = prefix(f"s{salt}", "arm")
        bins = np.bincount([draw(before, name) * 20 // SIZE for name in units], minlength=20)
        p_values.append(stats.chisquare(bins).pvalue)
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3
    assert min(p_values) > 1e-5


@pytest.mark.parametrize(
    ("one", "two"),
    [(("checkout", "arm"), ("checkout", "explore")), (("checkout", "arm"), ("search", "arm"))],
    ids=["purposes", "experiments"],
)
def test_draws_with_different_salts_are_independent(one: tuple[str, str], two: tuple[str, str]) -> None:
    """Where a unit falls in one draw says nothing about another (chi-square of an 8 x 8 table, fixed ids)."""
    table = np.zeros((8, 8), dtype=int)
    for i in range(20_000):
        table[draw(prefix(*one), f"u{i}") * 8 // SIZE, draw(prefix(*two), f"u{i}") * 8 // SIZE] += 1
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_lone_surrogates_are_units_too() -> None:
    """Text that UTF-8 cannot hold is drawn as its own bytes, so that no unit is refused."""
    points = {draw("s:arm\0", unit) for unit in ("\ud800", "\ud801", "?", "\ufffd")}
    assert len(points) == 4
    assert draw("", "\ud800") == xxh3_64(b"\xed\xa0\x80").intdigest()


@given(st.floats(0, 1), st.floats(0, 1))
def test_threshold_is_monotone_and_exact(one: float, two: float) -> None:
    """A greater share has a greater threshold, at most 2**64, and right to within one point of a float."""
    low, high = sorted((one, two))
    assert 0 == threshold(0.0) <= threshold(low) <= threshold(high) <= threshold(1.0) == SIZE
    assert threshold(low) / SIZE == pytest.approx(low, abs=2**-64)
    assert threshold(-0.5) == 0
    assert threshold(1.5) == SIZE
