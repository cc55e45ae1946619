"""Group-sequential bounds: published tables, an independent integral, simulation, and plans that change."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from abloop.errors import DataError
from abloop.stats.group_sequential import HIGHEST, SPENDINGS, Spending, crossing, looks, spend


@pytest.mark.parametrize(
    ("kind", "count", "published"),
    [
        ("obrien_fleming", 2, [2.963, 1.969]),
        ("obrien_fleming", 3, [3.710, 2.511, 1.993]),
        ("obrien_fleming", 4, [4.333, 2.963, 2.359, 2.014]),
        ("obrien_fleming", 5, [4.877, 3.357, 2.680, 2.290, 2.031]),
        ("pocock", 2, [2.157, 2.201]),
        ("pocock", 5, [2.438, 2.427, 2.410, 2.397, 2.386]),
    ],
)
def test_published_spending_bounds(kind: Spending, count: int, published: list[float]) -> None:
    """Two-sided bounds at .05 with equal steps are those printed for Lan and DeMets' spending functions."""
    found = [look.z for look in looks(list(range(1, count + 1)), count, kind=kind)]
    assert found == pytest.approx(published, abs=6e-4)


@pytest.mark.parametrize(
    ("alpha", "count", "pocock", "fleming"),
    [
        (0.05, 2, 2.178, 1.977),
        (0.05, 5, 2.413, 2.040),
        (0.05, 10, 2.555, 2.087),
        (0.05, 20, 2.672, 2.126),
        (0.01, 4, 2.939, 2.609),
        (0.01, 5, 2.986, 2.621),
        (0.10, 5, 2.122, 1.751),
    ],
)
def test_published_constants(alpha: float, count: int, pocock: float, fleming: float) -> None:
    """Pocock's and O'Brien-Fleming's constants, as Jennison and Turnbull print them, spend alpha."""
    steps = list(range(1, count + 1))
    assert crossing(steps, [pocock] * count)[-1] == pytest.approx(alpha, abs=2e-4)
    falling = [fleming * math.sqrt(count / step) for step in steps]
    assert crossing(steps, falling)[-1] == pytest.approx(alpha, abs=2e-4)


@pytest.mark.parametrize(("constant", "growth"), [(2.413, 1.229), (None, 1.028)])
def test_published_cost_in_sample_size(constant: float | None, growth: float) -> None:
    """With a fixed test's size times the printed factor, five looks have its power of .8."""
    steps = np.arange(1, 6) / 5
    bounds = [constant or 2.040 / math.sqrt(step) for step in steps]
    drift = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * math.sqrt(growth)
    assert crossing(steps.tolist(), bounds, drift)[-1] == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize("two_sided", [True, False])
@pytest.mark.parametrize("drift", [0.0, 2.0])
def test_equals_a_multivariate_normal_integral(two_sided: bool, drift: float) -> None:
    """For uneven looks the recursion is SciPy's integral of the joint normal density over the inner region."""
    information, bounds = np.array([0.1, 0.55, 0.7, 1.3]), np.array([2.5, 2.1, 2.4, 1.9])
    root = np.sqrt(information)
    shared = np.minimum.outer(information, information) / np.outer(root, root)
    inner = stats.multivariate_normal.cdf(
        bounds,
        mean=drift * root,
        cov=shared,
        lower_limit=-bounds if two_sided else None,
        maxpts=4_000_000,
        abseps=1e-9,
        releps=1e-9,
    )
    found = crossing(information.tolist(), bounds.tolist(), drift, two_sided=two_sided)[-1]
    assert found == pytest.approx(1 - inner, abs=2e-6)


@settings(max_examples=60)
@given(
    st.lists(st.floats(0.01, 1.0), min_size=1, max_size=30),
    st.sampled_from(SPENDINGS),
    st.sampled_from([0.001, 0.01, 0.05, 0.2]),
    st.booleans(),
)
def test_spends_alpha_whatever_the_steps(steps: list[float], kind: Spending, alpha: float, two_sided: bool) -> None:
    """Whenever looks come, the chance of a false alarm is what was spent; at the end it is alpha."""
    information = np.cumsum(steps).tolist()
    found = looks(information, information[-1], alpha, kind=kind, two_sided=two_sided)
    crossed = crossing(information, [look.z for look in found], two_sided=two_sided)
    assert crossed == pytest.approx([look.spent for look in found], abs=1e-9)
    assert found[-1].spent == pytest.approx(alpha)
    assert all(look.p <= look.spent + 1e-12 for look in found)


def test_one_look_is_the_fixed_test() -> None:
    """A single look at the planned end has the bound of a fixed test."""
    assert looks([7.0], 7.0)[0].z == pytest.approx(stats.norm.ppf(0.975), abs=1e-9)
    assert looks([7.0], 7.0, two_sided=False)[0].z == pytest.approx(stats.norm.ppf(0.95), abs=1e-9)


def test_more_information_than_planned() -> None:
    """The look that overruns the plan spends what is left; a look after it can find nothing, and alpha holds."""
    information = [400.0, 900.0, 1_300.0, 1_500.0]
    found = looks(information, 1_000)
    assert [look.fraction for look in found] == [0.4, 0.9, 1.0, 1.0]
    assert found[2].spent == pytest.approx(0.05)
    assert found[3].z == HIGHEST
    assert crossing(information, [look.z for look in found])[-1] == pytest.approx(0.05, abs=1e-9)


def test_less_information_than_planned() -> None:
    """A test that ends early has spent less than alpha, never more."""
    found = looks([100.0, 300.0, 600.0], 1_000)
    assert found[-1].spent == pytest.approx(spend("obrien_fleming", 0.6))
    assert crossing([100.0, 300.0, 600.0], [look.z for look in found])[-1] < 0.05


def test_a_plan_that_changes_keeps_past_bounds() -> None:
    """A longer plan from the third look on leaves the first two bounds alone, and alpha holds."""
    information = [250.0, 500.0, 750.0, 1_500.0]
    before, after = looks(information[:2], 1_000), looks(information, [1_000, 1_000, 1_500, 1_500])
    assert after[:2] == before
    assert [look.spent for look in after] == sorted(look.spent for look in after)
    assert crossing(information, [look.z for look in after])[-1] == pytest.approx(0.05, abs=1e-9)


def test_published_spending_at_half() -> None:
    """At half the information O'Brien-Fleming spends .00305 of .05, Pocock .03101, a cube .00625."""
    found = [spend(kind, 0.5) for kind in SPENDINGS]
    assert found == pytest.approx([0.00305, 0.03101, 0.00625], abs=5e-6)


@pytest.mark.parametrize(
    ("information", "planned", "place"),
    [
        ([], 1.0, "no looks"),
        ([1.0, 1.0], 2.0, "information[1] is 1.0"),
        ([2.0, 1.0], 2.0, "information[1] is 1.0"),
        ([math.nan], 2.0, "information[0] is nan"),
        ([-1.0], 2.0, "information[0] is -1.0"),
        ([1.0], 0.0, "planned[0] is 0.0"),
        ([1.0, 2.0], [1.0], "1 plans for 2 looks"),
    ],
)
def test_bad_plans_are_named(information: list[float], planned: float | list[float], place: str) -> None:
    """Looks out of order, none at all, NaN and impossible plans are refused by place."""
    with pytest.raises(DataError, match=re.escape(place)):
        looks(information, planned)


def test_bad_settings_are_named() -> None:
    """An unknown spending, alpha of one and a missing bound are refused."""
    with pytest.raises(DataError, match="obrien_fleming"):
        spend("obrien", 0.5)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="alpha is 1"):
        looks([1.0], 1.0, alpha=1.0)
    with pytest.raises(DataError, match="1 bounds for 2 looks"):
        crossing([1.0, 2.0], [2.0])
    with pytest.raises(DataError, match=re.escape("bounds[0] is nan")):
        crossing([1.0], [math.nan])
