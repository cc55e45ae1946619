"""PlanOut's operators: its own values, frequencies, and what is said of a mistake."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

import abloop.adapters.planout as planout
from abloop.adapters.planout import Assignment, Operator
from abloop.adapters.planout.arms import Arms, arms_of
from abloop.errors import DataError

CASES = Path(__file__).parents[4] / "shared" / "vectors" / "planout" / "operators.json"
UNITS = 20_000
BOUND = 0.999  # of each test below: with fixed salts it holds once and for all


def drawn(name: str, unit: Any, experiment: str = "exp", variable: str = "x", **args: Any) -> Any:
    """Return what an operator gives."""
    params = Assignment(experiment)
    params[variable] = getattr(planout, name)(unit=unit, **args)
    return params[variable]


def chi_square(counts: Counter[Any], shares: dict[Any, float]) -> float:
    """Return Pearson's statistic of counts against shares, as a probability of less."""
    total = sum(counts.values())
    assert set(counts) <= set(shares)
    found = sum((counts[key] - total * share) ** 2 / (total * share) for key, share in shares.items())
    return float(chi2.cdf(found, len(shares) - 1))


@pytest.fixture(scope="module")
def cases() -> list[dict[str, Any]]:
    """Return what PlanOut 0.6.0 itself answered; skip by name where the folder is absent."""
    if not CASES.is_file():
        pytest.skip(f"{CASES.parent} is absent: PlanOut's own values are not there")
    found: list[dict[str, Any]] = json.loads(CASES.read_text())
    return found


def test_values_are_planouts(cases: list[dict[str, Any]]) -> None:
    """All 400 cases, none left out: the value is the one that PlanOut 0.6.0 gave, to the last bit and type."""
    assert len(cases) == 400
    for case in cases:
        found = drawn(case["operator"], case["unit"], case["experiment_salt"], case["variable"], **case["args"])
        assert repr(found) == repr(case["value"]), case


@pytest.mark.parametrize("p", [0.02, 0.5, 0.9])
def test_trial_frequencies(p: float) -> None:
    """A trial succeeds with its probability: chi-square over 20,000 units below the 99.9 % bound."""
    counts = Counter(drawn("BernoulliTrial", unit, p=p) for unit in range(UNITS))
    assert chi_square(counts, {0: 1 - p, 1: p}) < BOUND


@pytest.mark.parametrize("k", [2, 3, 10])
def test_uniform_frequencies(k: int) -> None:
    """Every choice is equally likely."""
    counts = Counter(drawn("UniformChoice", unit, choices=list(range(k))) for unit in range(UNITS))
    assert chi_square(counts, dict.fromkeys(range(k), 1 / k)) < BOUND


@pytest.mark.parametrize("weights", [[1, 1], [0.2, 0.3, 0.5], [90, 5, 5]])
def test_weighted_frequencies(weights: list[float]) -> None:
    """Every choice is as likely as its weight says."""
    choices = list("abc")[: len(weights)]
    counts = Counter(drawn("WeightedChoice", unit, choices=choices, weights=weights) for unit in range(UNITS))
    shares = {choice: weight / sum(weights) for choice, weight in zip(choices, weights, strict=True)}
    assert chi_square(counts, shares) < BOUND


def test_integer_frequencies() -> None:
    """Every whole number from min to max is equally likely."""
    counts = Counter(drawn("RandomInteger", unit, min=-3, max=4) for unit in range(UNITS))
    assert chi_square(counts, dict.fromkeys(range(-3, 5), 1 / 8)) < BOUND


def test_float_frequencies() -> None:
    """A number falls into each tenth of its range equally often, and never outside."""
    found = [drawn("RandomFloat", unit, min=5, max=7) for unit in range(UNITS)]
    assert all(5 <= number <= 7 for number in found)
    counts = Counter(min(9, math.floor((number - 5) * 5)) for number in found)
    assert chi_square(counts, dict.fromkeys(range(10), 0.1)) < BOUND


def test_filter_frequencies() -> None:
    """A filter keeps each choice with probability p, and independently: pairs come with p squared."""
    found = [drawn("BernoulliFilter", unit, choices=["a", "b"], p=0.3) for unit in range(UNITS)]
    shares = {(): 0.49, ("a",): 0.21, ("b",): 0.21, ("a", "b"): 0.09}
    assert chi_square(Counter(map(tuple, found)), shares) < BOUND


@pytest.mark.parametrize("name", ["Sample", "FastSample"])
def test_sample_frequencies(name: str) -> None:
    """Every ordered pair out of four is equally likely, and no sample holds a choice twice."""
    found = [tuple(drawn(name, unit, choices=list("abcd"), draws=2)) for unit in range(UNITS)]
    pairs = {(left, right): 1 / 12 for left in "abcd" for right in "abcd" if left != right}
    assert chi_square(Counter(found), pairs) < BOUND


def test_salts_are_independent() -> None:
    """Two variables of one experiment, and one variable of two experiments, are drawn independently of each other."""
    choices = [0, 1]
    for left, right in [(("e", "x"), ("e", "y")), (("e", "x"), ("f", "x"))]:
        counts = Counter(
            (
                drawn("UniformChoice", unit, *left, choices=choices),
                drawn("UniformChoice", unit, *right, choices=choices),
            )
            for unit in range(UNITS)
        )
        assert chi_square(counts, {(a, b): 0.25 for a in choices for b in choices}) < BOUND


def test_salt_and_full_salt() -> None:
    """`salt` stands for the variable's name, `full_salt` for both salts, and a list is joined by dots."""
    args: dict[str, Any] = {"min": 0, "max": 10**9}
    assert drawn("RandomInteger", 7, "e", "x", salt="y", **args) == drawn("RandomInteger", 7, "e", "y", **args)
    assert drawn("RandomInteger", 7, "e", "x", full_salt="f.y", **args) == drawn("RandomInteger", 7, "f", "y", **args)
    assert drawn("RandomInteger", [7, "a"], **args) == drawn("RandomInteger", "7.a", **args)
    assert drawn("RandomInteger", "\udc80é", **args) in range(10**9 + 1)


def test_list_units_grow_as_in_planout() -> None:
    """PlanOut appends to a unit that is a list, for what follows too; so do we, and leave the product's list alone."""
    unit, params = [7, "a"], Assignment("e")
    params.some = planout.Sample(choices=["x", "y", "z"], unit=unit)
    params.number = planout.RandomInteger(min=0, max=10**9, unit=unit)
    assert params.number == drawn("RandomInteger", [7, "a", 2, 1], "e", "number", min=0, max=10**9)
    assert unit == [7, "a"]


def test_one_operator_twice_keeps_its_salt() -> None:
    """An operator that is assigned twice keeps the name it was assigned to first as its salt, as in PlanOut."""
    operator, params = planout.RandomInteger(min=0, max=10**9, unit=1), Assignment("e")
    params.a, params.b = operator, operator
    assert params.a == params.b


def test_assignment_is_a_mapping() -> None:
    """Items and attributes are one; overrides stay; what was never assigned is said by name."""
    params = Assignment("e", {"fixed": 1})
    params.fixed, params["plain"] = 2, 3
    assert dict(params) == {"fixed": 1, "plain": 3}
    assert params.get_overrides() == {"fixed": 1}
    assert (len(params), str(params)) == (2, "{'fixed': 1, 'plain': 3}")
    del params["plain"]
    with pytest.raises(AttributeError, match="no parameter 'plain' was assigned"):
        _ = params.plain
    assert not hasattr(params, "__deepcopy__")


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("UniformChoice", {"unit": 1}, "has no argument 'choices', only salt, unit; pass choices=..."),
        ("UniformChoice", {"choices": "ab", "unit": 1}, "choices is 'ab'; allowed: a list"),
        ("UniformChoice", {"choices": ["a"]}, "has no argument 'unit'"),
        ("BernoulliTrial", {"p": 1.5, "unit": 1}, r"p is 1.5; allowed: a number in \[0, 1\]"),
        ("BernoulliTrial", {"p": math.nan, "unit": 1}, "p is nan"),
        ("BernoulliFilter", {"p": "x", "choices": [1], "unit": 1}, "p is 'x'; allowed: a number"),
        ("RandomInteger", {"min": 0.5, "max": 3, "unit": 1}, "min is 0.5; allowed: a whole number"),
        ("RandomInteger", {"min": 3, "max": 2, "unit": 1}, "max is 2; allowed: a whole number of at least 3"),
        ("RandomFloat", {"min": None, "max": 3, "unit": 1}, "min is None; allowed: a number"),
        ("WeightedChoice", {"choices": ["a"], "weights": [1, 2], "unit": 1}, "one number for each choice"),
        ("WeightedChoice", {"choices": ["a"], "weights": ["1"], "unit": 1}, "one number for each choice"),
        ("Sample", {"choices": [1], "draws": 2, "unit": 1}, "draws is 2; allowed: a whole number from 0 to 1"),
        ("UniformChoice", {"choices": ["a"], "salt": 3, "unit": 1}, "salt is 3; allowed: a text"),
    ],
)
def test_mistakes_are_said(name: str, args: dict[str, Any], said: str) -> None:
    """A bare assignment says which argument came, and what is allowed."""
    with pytest.raises(DataError, match=said):
        Assignment("e")["x"] = getattr(planout, name)(**args)


def test_empty_choices() -> None:
    """Nothing to choose from is an empty list, as in PlanOut."""
    assert drawn("UniformChoice", 1, choices=[]) == []
    assert drawn("WeightedChoice", 1, choices=[], weights=[1]) == []
    assert drawn("BernoulliFilter", 1, choices=[], p=0.5) == []
    assert drawn("Sample", 1, choices=[]) == []


@pytest.mark.parametrize(
    ("operator", "arms"),
    [
        (planout.UniformChoice(choices=[1, 2], unit=1), Arms(("1", "2"), (0.5, 0.5), (1, 2))),
        (planout.BernoulliTrial(p=0.25, unit=1), Arms(("0", "1"), (0.75, 0.25), (0, 1))),
        (
            planout.UniformChoice(choices=["a", "b", "a", "c"], unit=1),
            Arms(tuple("abc"), (0.5, 0.25, 0.25), tuple("abc")),
        ),
        (
            planout.WeightedChoice(choices=["a", "b", "c"], weights=[3, 0, 1], unit=1),
            Arms(("a", "c"), (0.75, 0.25), ("a", "c")),
        ),
        (planout.UniformChoice(choices=[1, "1"], unit=1), None),
        (planout.UniformChoice(choices=["a"], unit=1), None),
        (planout.BernoulliTrial(p=1, unit=1), None),
        (planout.WeightedChoice(choices=["a", "b"], weights=[-1, 2], unit=1), None),
        (planout.WeightedChoice(choices=["a", "b"], weights=[math.inf, 2], unit=1), None),
        (planout.RandomInteger(min=0, max=1, unit=1), None),
        (planout.Sample(choices=["a", "b"], unit=1), None),
    ],
    ids=["numbers", "trial", "merged", "never", "alike", "one", "sure", "negative", "infinite", "integer", "sample"],
)
def test_arms(operator: Operator, arms: Arms | None) -> None:
    """Choices become arms by their text; what cannot be told apart, or cannot vary, becomes none."""
    assert arms_of(operator) == arms


@given(st.one_of(st.text(), st.integers(), st.lists(st.one_of(st.text(), st.integers()), max_size=4)), st.text())
def test_same_unit_same_value(unit: Any, salt: str) -> None:
    """A value depends on salts and unit alone, whatever they are, and is one of the choices."""
    first, again = (drawn("UniformChoice", unit, salt, choices=["a", "b", "c"]) for _ in range(2))
    assert first == again
    assert first in "abc"
