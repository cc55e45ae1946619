"""One encoding for a single decision and for a training frame."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.features.column import FrameColumn, to_column
from abloop.features.encode import Encoder
from abloop.features.fit import MOST_LEVELS, fit_encoder
from abloop.features.spec import Feature
from abloop.records import Column, FeatureValue

FEATURES = [Feature("age"), Feature("channel", "categorical"), Feature("income"), Feature("land", "categorical")]
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.none() | st.sampled_from(["web", "phone", "", "é", "1", "nan"]) | st.text(max_size=3)
rows = st.lists(st.tuples(numbers, texts, numbers, texts), min_size=1, max_size=12)


def turned(values: list[tuple[FeatureValue, ...]]) -> list[FrameColumn]:
    """Return rows as columns."""
    found = list(zip(*values, strict=True)) or [()] * len(FEATURES)
    return [to_column(column, feature.type) for column, feature in zip(found, FEATURES, strict=True)]


def categories(values: list[str | None]) -> list[FrameColumn]:
    """Return one column of categories."""
    return [to_column(values, "categorical")]


@settings(max_examples=200, deadline=None)
@given(rows, rows)
def test_row_equals_frame(training: list[tuple[FeatureValue, ...]], new: list[tuple[FeatureValue, ...]]) -> None:
    """A decision and the training table see one number for one value, missing and unseen values included."""
    encoder = fit_encoder(FEATURES, turned(training))
    for values in (training, new):
        frame = encoder.frame(turned(values))
        assert frame.dtype == np.float64
        assert frame.shape == (len(values), len(FEATURES))
        np.testing.assert_array_equal(frame, [encoder.row(row) for row in values])


@settings(deadline=None)
@given(st.lists(texts, max_size=60))
def test_levels_are_the_ranks_of_frequencies(values: list[str | None]) -> None:
    """The most frequent category is 0, the next 1; ties go by the alphabet; a missing value is no category."""
    (column,) = fit_encoder([Feature("channel", "categorical")], categories(values)).columns
    counts = pd.Series([value for value in values if value is not None], dtype=object).value_counts()
    expected = sorted(counts.index, key=lambda level: (-counts[level], level))
    assert list(column.levels) == expected


def test_at_most_255_levels() -> None:
    """The rarest categories beyond 255 are read as unseen, in a row and in a frame."""
    values = [f"c{i:03d}" for i in range(300) for _ in range(2 if i < 200 else 1)]
    encoder = fit_encoder([Feature("c", "categorical")], categories(values))
    assert len(encoder.columns[0].levels) == MOST_LEVELS == 255
    assert encoder.row(("c199",)) == [199.0]
    assert math.isnan(encoder.row(("c299",))[0])
    assert np.isnan(encoder.frame(categories(["c299"]))[0, 0])


def test_unseen_and_missing_are_nan() -> None:
    """Neither a new category nor a missing value passes for zero."""
    encoder = Encoder([Column("age", "numeric"), Column("channel", "categorical", ("web",))])
    assert encoder.row((0.0, "web")) == [0.0, 0.0]
    assert np.isnan(encoder.row((None, "new"))).all()
    assert np.isnan(encoder.frame([to_column([None], "numeric"), *categories([None])])).all()


def test_no_features_and_no_rows() -> None:
    """An encoding of nothing gives frames of the right shape."""
    assert Encoder([]).row(()) == []
    assert fit_encoder(FEATURES, turned([])).frame(turned([])).shape == (0, 4)


@pytest.mark.parametrize("values", [(1.0,), (1.0, "web", 2.0, "a", 3.0)], ids=["short", "long"])
def test_another_number_of_features_is_refused(values: tuple[FeatureValue, ...]) -> None:
    """A row of another blueprint's features is an error, not a wrong prediction."""
    with pytest.raises(ValueError, match="zip"):
        fit_encoder(FEATURES, turned([])).row(values)
