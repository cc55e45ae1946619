"""Linear models as data: one row equals a frame, and parts that do not fit together are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.errors import ArtefactError
from abloop.models.linear import Linear, LinearModel
from abloop.models.link import Link

numbers = st.floats(-100, 100)
inputs = st.one_of(numbers, st.sampled_from([math.nan, 0.0, 1.0, 2.0, 3.0, -1.0, 0.5, 1e300]))


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(["identity", "logistic"]))
def test_row_equals_frame(data: st.DataObject, link: Link) -> None:
    """What is served for one unit is what the frame gives, to the last bit."""
    columns = data.draw(st.integers(1, 4))
    each = st.lists(numbers, min_size=columns, max_size=columns).map(tuple)
    levels = data.draw(
        st.lists(st.lists(numbers, max_size=3).map(tuple), min_size=columns, max_size=columns).map(tuple)
    )
    model = LinearModel(Linear(data.draw(numbers), data.draw(each), data.draw(each), levels, link), columns)
    rows = data.draw(st.lists(st.lists(inputs, min_size=columns, max_size=columns), min_size=1, max_size=5))
    np.testing.assert_array_equal(model.frame(np.asarray(rows)), [model.row(row) for row in rows])


def test_categories_are_looked_up() -> None:
    """A category adds what its level adds; unknown, between and missing levels add what a missing value does."""
    model = LinearModel(Linear(1.0, (0.0,), (-0.5,), ((10.0, 20.0),)), 1)
    assert [model.row([value]) for value in (0.0, 1.0, 2.0, 0.5, -1.0, math.nan)] == [11.0, 21.0, 0.5, 0.5, 0.5, 0.5]


REFUSED = {
    "short": (Linear(0.0, (1.0,), (0.0, 0.0), ((), ())), "parts for [1, 2] inputs; allowed: 2"),
    "slope-nan": (Linear(0.0, (math.nan, 0.0), (0.0, 0.0), ((), ())), "finite"),
    "level-infinite": (Linear(0.0, (0.0, 0.0), (0.0, 0.0), ((), (math.inf,))), "finite"),
    "intercept-nan": (Linear(math.nan, (0.0, 0.0), (0.0, 0.0), ((), ())), "finite"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_broken_models_are_refused(name: str) -> None:
    """A model that does not fit its inputs never serves, and the error says what is wrong."""
    spec, words = REFUSED[name]
    with pytest.raises(ArtefactError) as error:
        LinearModel(spec, 2)
    assert words in str(error.value)
