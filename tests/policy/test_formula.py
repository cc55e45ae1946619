"""The formula language: one meaning for one decision and for a frame; total; its shares exact."""

from __future__ import annotations

import math
import random
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from abloop.errors import BlueprintError
from abloop.policy.formula import Formula
from abloop.policy.nodes import Kind
from tests.policy.formulas import ARMS, NAMES, grown, row

KINDS: list[Kind] = ["number", "truth", "text", "arms", "choice", "shares", "record"]
SEEDS = st.integers(0, 2**40)
ROWS = 16


def columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return rows of values as the columns of a frame."""
    return {name: [row[name] for row in rows] for name in NAMES}


def same(one: Any, many: Any) -> bool:
    """Return whether a decision's value and a row's are the same bits; all NaN are one."""
    if isinstance(one, float):
        return bool(np.float64(one).tobytes() == np.float64(many).tobytes() or (one != one and many != many))
    if one is None and isinstance(many, np.ndarray):
        return bool(np.isnan(many).all())
    if isinstance(one, tuple):
        return all(same(left, right) for left, right in zip(one, many.tolist(), strict=True))
    return type(one) is type(getattr(many, "item", lambda: many)()) and bool(one == many)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=400)
@given(seed=SEEDS, depth=st.integers(1, 4), bound=st.booleans())
def test_one_decision_equals_its_row(kind: Kind, seed: int, depth: int, bound: bool) -> None:
    """Any well-typed formula gives the same bits for one decision and in a frame, and raises for no value."""
    rng = random.Random(seed)
    text, rows = grown(rng, kind, depth), [row(rng) for _ in range(ROWS)]
    try:
        formula = Formula(text, NAMES, ARMS)
    except BlueprintError:  # a deep one may be longer than is allowed
        assume(False)
    fixed = {name: rows[0][name] for name in formula.reads if name in ("w", "cost") and bound}
    rows = [{**values, **fixed} for values in rows]
    assert formula.kind == kind
    frame = formula.frame({**columns(rows), **fixed}, ROWS)
    names, function = formula.scalar(fixed)
    for index, values in enumerate(rows):
        alone = function(*[values[name] for name in names])
        if kind == "record":
            assert all(same(value, frame[field][index]) for field, value in alone.items()), (text, values)
        else:
            assert same(alone, frame[index]), (text, values, alone, frame[index])


@settings(max_examples=300)
@given(seed=SEEDS, depth=st.integers(1, 3))
def test_shares_sum_to_one(seed: int, depth: int) -> None:
    """A random policy is undefined or a probability for each arm, none below zero."""
    rng = random.Random(seed)
    names, function = Formula(grown(rng, "shares", depth), NAMES, ARMS).scalar()
    for _ in range(ROWS):
        values = row(rng)
        shares = function(*[values[name] for name in names])
        if shares is not None:
            assert abs(math.fsum(shares) - 1.0) < 1e-12
            assert all(0.0 <= share <= 1.0 for share in shares)


@settings(max_examples=300)
@given(seed=SEEDS, depth=st.integers(1, 3), kind=st.sampled_from(["number", "truth", "choice", "shares"]))
def test_shown_with_its_numbers(seed: int, depth: int, kind: Kind) -> None:
    """The formula with its values put in reads none of its names, and is itself a formula of the same kind."""
    rng = random.Random(seed)
    text = grown(rng, kind, depth)
    shown = Formula(text, NAMES, ARMS).show(row(rng))
    words = set(re.findall(r"[a-z]+(?![a-z(])", re.sub(r"'[^']*'|\([a-z]+: [^)]*\)", "", shown)))
    assert not words & {"x", "y", "w", "flag", "country", "device", "effect", "cost"}


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("x > w", {"x": 0.7123456789, "w": 0.3}, "0.712346 > 0.3"),
        ("(x + y) * w - (1 - y)", {"x": 1.0, "y": 2.0, "w": 3.0}, "(1 + 2) * 3 - (1 - 2)"),
        ("x - (y - w) / 2 / (x / y)", {"x": 1.0, "y": 2.0, "w": 3.0}, "1 - (2 - 3) / 2 / (1 / 2)"),
        ("country == 'FI' and not flag", {"country": "SE", "flag": True}, "'SE' == 'FI' and not True"),
        ("argmax(effect)", {"effect": (0.0, 0.2, 1e-9)}, "argmax((off: 0, on: 0.2, both: 1e-09))"),
        ("missing(x) or x in (1, 2)", {"x": None}, "missing(missing) or missing in (1, 2)"),
        ("{'a': feature('page views')}", {"page views": 2.0}, "{'a': 2}"),
    ],
)
def test_shown(text: str, values: dict[str, Any], expected: str) -> None:
    """Numbers have six digits, texts quotes, arms their names, and there are as few brackets as it takes."""
    assert Formula(text, NAMES, ARMS).show(values) == expected


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


@pytest.mark.parametrize(
    "text",
    [
        " + ".join(["x"] * 249),
        " / ".join(["x"] * 249),
        "argmax(" + " / ".join(["effect"] * 248) + ")",
        "argmax(w * y / x " + "- effect * 2 " * 120 + ")",
        "argmax(max(" + ", ".join(["effect"] * 490) + "))",
        "min(" + ", ".join(["x"] * 490) + ")",
        "(" * 31 + "x" + " + 1) / y" * 31,
        "x if flag else " * 30 + "y",
        " and ".join(["flag"] * 450),
        "x" + " < x" * 480,
    ],
)  # fmt: skip
def test_the_longest_formulas_run(text: str) -> None:
    """What is within the limits is compiled and evaluated, also by a caller that is deep in its own stack."""

    def deep(levels: int) -> Any:
        if levels:
            return deep(levels - 1)
        formula = Formula(text, NAMES, ARMS)
        names, function = formula.scalar()
        values = {"x": 1.5, "y": -2.0, "w": 0.5, "flag": True, "effect": (0.5, -0.25, 3.0)}
        formula.show(values)
        return function(*[values[name] for name in names]), formula.frame(values, 2)

    alone, frame = deep(500)
    assert same(alone, frame[0])


def test_a_frame_does_not_grow_the_formula() -> None:
    """Evaluating keeps nothing: a worker may do it for ever."""
    formula = Formula("best_arm(effect, cost)", NAMES, ARMS)
    held = len(formula._checker._known)
    for _ in range(3):
        formula.frame({"effect": np.zeros((4, 3)), "cost": (0.0, 0.0, 0.0)}, 4)
        formula.scalar()
    assert len(formula._checker._known) == held


def test_as_many_rows_as_arms() -> None:
    """A frame of as many rows as arms tells constants by arm from columns."""
    effect = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    formula = Formula("argmax(effect - cost + x)", NAMES, ARMS)
    found = formula.frame({"effect": effect, "cost": (0.0, 0.0, 5.0), "x": np.array([1.0, 2.0, 3.0])}, 3)
    assert found.tolist() == [0, 1, 0]


def test_no_numpy_for_one_decision() -> None:
    """Reading a formula and deciding with it loads no NumPy."""
    code = (
        "import sys; from abloop.policy.formula import Formula; "
        "Formula('thompson(effect, effect)', {'effect': 'arms'}, ('a', 'b')).scalar()[1]((1.0, 2.0)); "
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
