"""Versions: the order that semver.org publishes, and a total order for any text."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abloop.policy.versions import at_least, version_key

PUBLISHED = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
             "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0", "2.0.0.1", "2.0.1"]  # fmt: skip


@pytest.mark.parametrize(("lower", "higher"), list(combinations(PUBLISHED, 2)))
def test_published_order(lower: str, higher: str) -> None:
    """Each version is below all that follow it on semver.org, a fourth number counts too."""
    assert at_least(higher, lower)
    assert not at_least(lower, higher)


@pytest.mark.parametrize("alike", ["1.2.0", "1.2", "v1.2", " 1.2.0 ", "1.2.0+build.7", "1.2.0.0"])
def test_ways_of_writing_one_version(alike: str) -> None:
    """Missing numbers are zero; a leading v, blanks and build data do not count."""
    assert version_key(alike) == version_key("1.2.0")


@given(st.lists(st.text("0129.-+vab", max_size=12) | st.text(max_size=6), min_size=2, max_size=6))
def test_any_texts_are_in_order(texts: list[str]) -> None:
    """Any texts have one order; a text is at least itself; missing is at least nothing."""
    ranked = sorted(texts, key=version_key)
    assert all(at_least(after, before) for before, after in pairwise(ranked))
    assert not at_least(None, texts[0])
    assert not at_least(texts[0], None)
