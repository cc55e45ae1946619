"""Windows and buckets: what a tally covers, and what a feature is of it."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from abloop.features.spec import Feature
from abloop.features.tally import DAY, HOUR, MINUTE, Tallied, bucket_of, first_bucket, resolution_of, value_of

EVENTS = st.lists(st.tuples(st.floats(0, 1e6), st.floats(-10, 10)), max_size=12)


@given(st.floats(0, 2e9), st.floats(1, 60 * DAY), st.floats(0, 70 * DAY))
def test_a_window_covers_what_it_says(now: float, window: float, ago: float) -> None:
    """All that happened within the window less one bucket counts, and nothing from before the window."""
    resolution = resolution_of(window)
    counts = bucket_of(now - ago, resolution) >= first_bucket(now, window)
    if ago < window - resolution - 1e-3:
        assert counts
    if ago > window + 1e-3:
        assert not counts


def test_resolutions() -> None:
    """Minutes up to two days, hours beyond."""
    assert (resolution_of(2 * DAY), resolution_of(2 * DAY + 1)) == (MINUTE, HOUR)


@given(EVENTS, EVENTS)
def test_tallies_add_up(one: list[tuple[float, float]], two: list[tuple[float, float]]) -> None:
    """The tally of two parts is the tally of all: count, sum and the latest value."""

    def of(events: list[tuple[float, float]]) -> Tallied:
        total = Tallied()
        for at, value in events:
            total = total.plus(Tallied(1, value, value, at))
        return total

    both, everything = of(one).plus(of(two)), of(one + two)
    assert (both.count, both.last_at) == (everything.count, everything.last_at)
    assert math.isclose(both.sum, everything.sum, abs_tol=1e-9)


def test_features_of_a_tally() -> None:
    """A count and a sum of nothing are zero; a mean and a last value of nothing are missing."""
    some, none = Tallied(2, 3.0, 1.0, 5.0), Tallied()
    features = [Feature("f", metric="m", window=60.0, tally=tally) for tally in ("count", "sum", "mean", "last")]  # type: ignore[arg-type]
    assert [value_of(feature, some) for feature in features] == [2.0, 3.0, 1.5, 1.0]
    assert [value_of(feature, none) for feature in features] == [0.0, 0.0, None, None]
