"""The formula language: one meaning for one decision and for a frame; total; its shares exact."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.policy.draws import softmax, thompson
from abloop.policy.formula import Formula
from abloop.policy.nodes import Kind
from tests.policy.formulas import ARMS, NAMES, VALUES, expressions

KINDS: list[Kind] = ["number", "truth", "text", "arms", "choice", "shares", "record"]


def columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return rows of values as the columns of a frame."""
    found: dict[str, Any] = {}
    for name, kind in NAMES.items():
        values = [row[name] for row in rows]
        if kind == "text":
            found[name] = np.asarray([*values, None], dtype=object)[:-1]
        else:
            found[name] = np.asarray([math.nan if value is None else value for value in values], dtype=np.float64)
    return found


def same(one: Any, many: Any) -> bool:
    """Return whether a decision's value and a row's are the same bits; all NaN are one."""
    if isinstance(one, float):
        return bool(np.float64(one).tobytes() == np.float64(many).tobytes() or (one != one and many != many))
    if one is None and isinstance(many, np.ndarray):
        return bool(np.isnan(many).all())
    if isinstance(one, tuple):
        return all(same(left, right) for left, right in zip(one, many, strict=True))
    return bool(one == many)


@pytest.mark.parametrize("kind", KINDS)
def test_one_decision_equals_its_row(kind: Kind) -> None:
    """Any well-typed formula gives the same bits for one decision and in a frame, and raises for no value."""

    @settings(max_examples=250)
    @given(expressions(kind), st.lists(VALUES, min_size=1, max_size=4), st.booleans())
    def law(text: str, rows: list[dict[str, Any]], bound: bool) -> None:
        formula = Formula(text, NAMES, ARMS)
        assert formula.kind == kind
        frame = formula.frame(columns(rows), len(rows))
        for index, row in enumerate(rows):
            names, function = formula.scalar({"w": row["w"], "cost": row["cost"]} if bound else {})
            alone = function(*[row[name] for name in names])
            if kind == "record":
                assert all(same(value, frame[field][index]) for field, value in alone.items()), (text, row)
            else:
                assert same(alone, frame[index]), (text, row, alone, frame[index])

    law()


@settings(max_examples=300)
@given(expressions("shares"), VALUES)
def test_shares_sum_to_one(text: str, row: dict[str, Any]) -> None:
    """A random policy is undefined or a probability for each arm, none below zero."""
    names, function = Formula(text, NAMES, ARMS).scalar()
    shares = function(*[row[name] for name in names])
    if shares is not None:
        assert abs(math.fsum(shares) - 1.0) < 1e-12
        assert all(0.0 <= share <= 1.0 for share in shares)


@settings(max_examples=300)
@given(expressions("number") | expressions("truth") | expressions("shares"), VALUES)
def test_shown_with_its_numbers(text: str, row: dict[str, Any]) -> None:
    """The formula with its values put in holds none of its names, and is no longer than it must be."""
    shown = Formula(text, NAMES, ARMS).show(row)
    assert not [
        name for name in ("x", "y", "w", "effect") if name in shown.replace("max", "").replace("exp", "").split()
    ]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(0.1, 2)), min_size=2, max_size=6))
def test_thompson_is_the_chance_to_be_greatest(arms: list[tuple[float, float]]) -> None:
    """Its shares are those of drawing each arm from its normal and taking the greatest."""
    means, deviations = zip(*arms, strict=True)
    draws = np.random.default_rng(0).normal(means, deviations, size=(40_000, len(arms)))
    counted = np.bincount(draws.argmax(axis=1), minlength=len(arms)) / len(draws)
    shares = thompson(means, deviations)
    assert shares is not None
    np.testing.assert_allclose(shares, counted, atol=0.03 if len(arms) > 2 else 0.011)


def test_thompson_without_uncertainty_is_the_best_arm() -> None:
    """An arm that is surely best gets everything; sure equals share."""
    assert thompson((0.0, 1.0, 0.5), (0.0, 0.0, 0.0)) == (0.0, 1.0, 0.0)
    assert thompson((1.0, 1.0), (0.0, 0.0)) == (0.5, 0.5)
    assert thompson((0.0, 1.0), (-1.0, 0.0)) is None


def test_softmax_is_its_definition() -> None:
    """Shares are exp(value / temperature) over their sum, also for values whose exponential overflows."""
    values = (0.3, -1.0, 2.0)
    expected = np.exp(np.array(values) / 0.7) / np.exp(np.array(values) / 0.7).sum()
    np.testing.assert_allclose(softmax(values, 0.7) or (), expected, rtol=1e-14)
    assert softmax((1e300, 0.0), 1.0) == (1.0, 0.0)
    assert softmax((math.nan, 0.0), 1.0) is None


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("x / y", {"x": 1.0, "y": 0.0}, math.nan),
        ("x + y", {"x": None, "y": 1.0}, math.nan),
        ("exp(x)", {"x": 1000.0}, math.inf),
        ("log(x)", {"x": -1.0}, math.nan),
        ("sqrt(x)", {"x": -1.0}, math.nan),
        ("min(x, y)", {"x": 1.0, "y": None}, math.nan),
        ("clip(x, 0, 1)", {"x": 3.0}, 1.0),
        ("x > 1", {"x": None}, False),
        ("x != 1", {"x": None}, False),
        ("not x > 1", {"x": None}, True),
        ("country != 'FI'", {"country": None}, False),
        ("country not in ('FI', 'SE')", {"country": None}, False),
        ("missing(country)", {"country": None}, True),
        ("feature('x') + 1", {"x": 1.0}, 2.0),
        ("1 if x > 0 else\n 2", {"x": 1.0}, 1.0),
        ("argmax(effect)", {"effect": (1.0, 3.0, 3.0)}, 1),
        ("arm('both') if country == 'FI' else arm('off')", {"country": "FI"}, 2),
    ],
)  # fmt: skip
def test_what_is_undefined_has_a_value(text: str, values: dict[str, Any], expected: Any) -> None:
    """Missing values, division by zero and overflow have the documented value, never an exception."""
    names, function = Formula(text, NAMES, ARMS).scalar()
    found = function(*[values[name] for name in names])
    assert same(expected, found)


def test_a_frame_of_many_chunks() -> None:
    """Rows are in order and whole over the borders of chunks; a name that is one for all rows is that."""
    rows = 50_000
    x = np.arange(float(rows))
    formula = Formula("x * w + effect", NAMES, ARMS)
    found = formula.frame({"x": x, "w": 2.0, "effect": (1.0, 2.0, 3.0)}, rows)
    np.testing.assert_array_equal(found, x[:, None] * 2.0 + np.array([1.0, 2.0, 3.0]))
    assert formula.frame({"x": x[:0], "w": 2.0, "effect": (1.0, 2.0, 3.0)}, 0).shape == (0, 3)


def test_a_thousand_arms() -> None:
    """The number of arms does not grow the compiled formula."""
    arms = [f"a{index}" for index in range(1_000)]
    names, function = Formula("best_arm(effect * w - 1, cost)", NAMES, arms).scalar({"cost": (0.0,) * 1_000, "w": 2.0})
    assert names == ("effect",)
    assert function(tuple(map(float, range(1_000)))) == 999
