"""How a context is read: finite numbers and texts as they are, everything else missing, nothing raised."""

from __future__ import annotations

import enum
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abloop.errors import BlueprintError
from abloop.features.quick import quick_read_all
from abloop.features.read import read, read_categorical, read_numeric, readers
from abloop.features.spec import Feature


class Selfish:
    """Gives itself where a NumPy scalar would give its value, as a mock does."""

    def item(self) -> Any:
        """Return itself."""
        return self


class Colour(enum.StrEnum):
    """A text with a name."""

    RED = "red"


NUMERIC: dict[str, tuple[Any, float | None]] = {
    "float": (1.5, 1.5),
    "whole": (3, 3.0),
    "true": (True, 1.0),
    "numpy-float64": (np.float64(2.5), 2.5),
    "numpy-float32": (np.float32(0.5), 0.5),
    "numpy-int": (np.int64(7), 7.0),
    "numpy-bool": (np.bool_(True), 1.0),
    "numpy-one": (np.array([4.0]), 4.0),
    "nan": (math.nan, None),
    "infinite": (-math.inf, None),
    "numpy-nan": (np.float32("nan"), None),
    "huge": (10**400, None),
    "none": (None, None),
    "text": ("3", None),
    "bytes": (b"3", None),
    "list": ([1.0], None),
    "complex": (1j, None),
    "pandas-missing": (pd.NA, None),
    "time-missing": (pd.NaT, None),
    "object": (object(), None),
}
CATEGORICAL: dict[str, tuple[Any, str | None]] = {
    "text": ("web", "web"),
    "empty": ("", ""),
    "long": ("x" * 300, "x" * 200),
    "enum": (Colour.RED, "red"),
    "whole": (3, "3"),
    "true": (True, "True"),
    "float": (0.5, "0.5"),
    "nan": (math.nan, None),
    "infinite": (math.inf, None),
    "none": (None, None),
    "bytes": (b"web", None),
    "list": (["web"], None),
    "object": (object(), None),
    "pandas-missing": (pd.NA, None),
    "numpy-text": (np.str_("web"), "web"),
}


@pytest.mark.parametrize(("value", "expected"), NUMERIC.values(), ids=NUMERIC)
def test_numbers(value: Any, expected: float | None) -> None:
    """A finite number is read as a plain float, anything else is missing."""
    found = read_numeric(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "value",
    [np.array([1.0, 2.0]), np.array([]), pd.Series([1.0, 2.0]), Selfish(), np.float64],
    ids=["two", "no", "series", "mock", "class"],
)
def test_what_is_no_single_number_is_missing(value: Any) -> None:
    """One feature that is no number is missing; it does not take the whole decision with it."""
    assert read_numeric(value) is None


@pytest.mark.parametrize(("value", "expected"), CATEGORICAL.values(), ids=CATEGORICAL)
def test_categories(value: Any, expected: str | None) -> None:
    """Texts, numbers and booleans are read as plain text, anything else is missing."""
    found = read_categorical(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("scalar", "plain"),
    [(np.float64(3.5), 3.5), (np.float32(0.5), 0.5), (np.int64(3), 3), (np.bool_(True), True)],
    ids=["float64", "float32", "int64", "bool"],
)
def test_numpy_scalars_are_the_category_of_their_value(scalar: Any, plain: float) -> None:
    """A NumPy scalar and the plain number it stands for are one category."""
    assert read_categorical(scalar) == read_categorical(plain)


def test_no_whole_number_is_too_large_to_be_a_category() -> None:
    """A number longer than Python prints is read without an exception, to at most 200 characters."""
    found = read_categorical(10**5_000)
    assert found is None or len(found) <= 200


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), anything))
def test_any_context_can_be_read(context: dict[str, Any]) -> None:
    """Whatever JSON-like values a product passes, each feature is a finite float, a short text or missing."""
    plan = readers([Feature("a"), Feature("b", "categorical"), Feature("c"), Feature("nowhere", "categorical")])
    a, b, c, nowhere = read(plan, context)
    assert all(value is None or (type(value) is float and math.isfinite(value)) for value in (a, c))
    assert b is None or (type(b) is str and len(b) <= 200)
    assert nowhere is None
    assert (a, b) == (read_numeric(context.get("a")), read_categorical(context.get("b")))


def test_only_named_keys_are_looked_at() -> None:
    """A context's other keys are never read, so that nothing is logged that no feature names."""

    class Guarded(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            assert key == "age"
            return super().get(key, default)

    assert read(readers([Feature("age")]), Guarded(age=31, ssn="secret")) == (31.0,)


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        (Feature(""), ["features[0].name", "''", "1 to 200"]),
        (Feature("a\nb"), ["features[0].name", "printable"]),
        (Feature("x", "numerical"), ["features[0].type", "'numerical'", "Did you mean 'numeric'", "'categorical'"]),  # type: ignore[arg-type]
    ],
    ids=["empty", "newline", "type"],
)
def test_wrong_features_are_refused(feature: Feature, words: list[str]) -> None:
    """A refusal names the path, what came and what is allowed."""
    with pytest.raises(BlueprintError) as refused:
        feature.check("features[0]")
    assert [word for word in words if word not in str(refused.value)] == []


def test_many_contexts_are_read_as_each_alone() -> None:
    """What is read of many contexts at once is what is read of each, whatever they hold, and no other object."""
    features = [Feature("age"), Feature("hour", "time")]
    plan, many = readers(features), quick_read_all(features)
    plain: list[dict[str, Any]] = [{"age": float(at), "hour": at / 2} for at in range(5)]
    odd: list[dict[str, Any]] = [
        {"age": 1.0},
        {"age": 3, "hour": 1.0},
        {"age": True, "hour": np.float64(2.5)},
        {"age": math.nan, "hour": math.inf},
        {"age": 1.7e308, "hour": 1.7e308},  # their sum is no number, and they are
        {"age": None, "hour": "1970-01-02"},
    ]
    for contexts in ([], plain, *([*plain, each] for each in odd), odd):
        assert many(contexts) == [read(plan, each) for each in contexts]
        assert {type(value) for row in many(contexts) for value in row} <= {float, type(None)}
    texts = [Feature("age"), Feature("colour", "categorical")]
    rows = [{"age": 1.0, "colour": "red"}, {"age": 2.0, "colour": "x" * 300}, {"colour": 7}]
    assert quick_read_all(texts)(rows) == [read(readers(texts), each) for each in rows]
