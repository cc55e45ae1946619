"""Value checks: one way of saying no."""

from __future__ import annotations

import math
from typing import Any

import pytest

from abloop import validate
from abloop.errors import BlueprintError, DataError


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 1, 1.0], ids=str)
def test_numbers_in_range(value: float) -> None:
    """A finite number of a closed range passes, its ends included."""
    validate.in_range("x", value, 0, 1)


@pytest.mark.parametrize(
    "value",
    [-1e-9, 1.0000001, math.nan, math.inf, True, "0.5", None, [0.5], 0.5j, 10**400],
    ids=["below", "above", "nan", "infinite", "boolean", "text", "none", "list", "complex", "huge"],
)
def test_what_is_no_number_in_range(value: Any) -> None:
    """Anything else is refused with path, value and the range, as the class asked for."""
    with pytest.raises(DataError) as refused:
        validate.in_range("arms[1].weight", value, 0, 1, error=DataError)
    assert "arms[1].weight is " in str(refused.value)
    assert "allowed: a number in [0, 1]" in str(refused.value)
    assert refused.value.place == "arms[1].weight"


@pytest.mark.parametrize(
    ("open_low", "open_high", "shown"),
    [(False, False, "[0, 1]"), (True, False, "(0, 1]"), (False, True, "[0, 1)"), (True, True, "(0, 1)")],
)
def test_open_ends(open_low: bool, open_high: bool, shown: str) -> None:
    """An open end refuses the end itself and is shown with a round bracket."""
    for value, refused in ((0, open_low), (1, open_high), (2, True)):
        if refused:
            with pytest.raises(BlueprintError) as error:
                validate.in_range("x", value, 0, 1, open_low=open_low, open_high=open_high)
            assert shown in str(error.value)
        else:
            validate.in_range("x", value, 0, 1, open_low=open_low, open_high=open_high)


@pytest.mark.parametrize("value", ["a", "x" * 200, "käyttäjä 用户", " "], ids=["one", "longest", "letters", "space"])
def test_texts(value: str) -> None:
    """A printable text of 1 to 200 characters passes."""
    validate.text("strategy", value)


@pytest.mark.parametrize(
    "value", ["", "x" * 201, "a\nb", "a\0", "\ud800", 5, None, b"a"],
    ids=["empty", "long", "newline", "nul", "surrogate", "number", "none", "bytes"],
)  # fmt: skip
def test_what_is_no_text(value: Any) -> None:
    """Anything else is refused with path, value and what is allowed."""
    with pytest.raises(BlueprintError) as refused:
        validate.text("strategy", value)
    assert str(refused.value).startswith(f"strategy is {value!r}; allowed: a text of 1 to 200 printable")
    assert refused.value.place == "strategy"


def test_one_of_names_the_nearest() -> None:
    """A value that is not in the list is refused with the list and the nearest of it."""
    validate.one_of("role", "goal", ("goal", "guardrail"))
    with pytest.raises(BlueprintError, match="Did you mean 'goal'") as refused:
        validate.one_of("metrics[0].role", "gaol", iter(("goal", "guardrail")))
    assert "metrics[0].role" in str(refused.value)
    assert "'guardrail'" in str(refused.value)


def test_distinct_names_the_double() -> None:
    """The first name that stands twice is named; upper and lower case are different names."""
    validate.distinct("arms", ["a", "A", "b"])
    with pytest.raises(BlueprintError, match="arms has 'b' twice"):
        validate.distinct("arms", iter(["a", "b", "b", "a"]))
