"""One record of treatment against control: adjusted, relative, and never silently not a number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from abloop.errors import DataError, UnknownNameError
from abloop.stats.bayes import posterior
from abloop.stats.compare import difference, effect, fieller
from abloop.stats.contrast import Arm, Contrast, Reason, contrast, contrast_of
from abloop.stats.cuped import adjusted, coefficients
from abloop.stats.estimand import Estimand, linear
from abloop.stats.moments import Products, moments, products, products_of_sums
from abloop.stats.sequential import always_valid, mixture
from tests.stats.experiments import KINDS, X, reduced, trials

Y = Estimand("y")
RATIO = Estimand("y", over="d")


def plain(values: object) -> Products:
    """Return the moments of one column, y."""
    return products({"y": np.asarray(values, dtype=float).tolist()})


@pytest.mark.parametrize("kind", KINDS)
def test_swapping_arms_turns_the_sign(kind: str) -> None:
    """Treatment and control exchanged: the difference turns, variance and degrees of freedom stay."""
    for trial in trials(10, 20):
        one, two = reduced(trial.treatment, KINDS[kind]), reduced(trial.control, KINDS[kind])
        there, back = contrast(one, two, KINDS[kind]), contrast(two, one, KINDS[kind])
        assert there.difference == pytest.approx(-back.difference, rel=1e-9)
        assert there.variance == pytest.approx(back.variance, rel=1e-9)
        assert there.freedom == pytest.approx(back.freedom, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_units_of_measurement_do_not_matter(kind: str) -> None:
    """Values in cents instead of euros, covariates in any unit: the same lift, error, p-value."""
    estimand = KINDS[kind]
    for trial in trials(11, 20):
        arms = [{**arm, "y": arm["y"] * 100, "x": arm["x"] / 7} for arm in (trial.treatment, trial.control)]
        once = contrast(reduced(trial.treatment, estimand), reduced(trial.control, estimand), estimand)
        again = contrast(reduced(arms[0], estimand), reduced(arms[1], estimand), estimand)
        one, two = effect(once, relative=True), effect(again, relative=True)
        assert (one.value, one.error, one.p_value) == pytest.approx((two.value, two.error, two.p_value), rel=1e-7)


def test_moments_and_products_say_the_same() -> None:
    """The contrast of s over m is `difference` of the same moments, which readouts have used so far."""
    rng = np.random.default_rng(1)
    one, two = (moments(rng.gamma(2, 3, n).tolist(), (rng.poisson(2, n) + 1.0).tolist()) for n in (90, 140))
    found = effect(contrast(one.products(), two.products(), Estimand("s", over="m")), 0.9)
    wanted = difference(one, two, 0.9)
    assert (found.n, found.value, found.low, found.high) == pytest.approx(
        (wanted.n, wanted.mean, wanted.low, wanted.high)
    )


@given(st.integers(0, 10_000))
def test_slopes_are_derivatives(seed: int) -> None:
    """The slopes of a ratio are its change when the mean of a column changes a little."""
    rng = np.random.default_rng(seed)
    sample = products({"y": rng.gamma(2, 1, 9).tolist(), "d": (rng.gamma(2, 1, 9) + 0.1).tolist()})
    found = linear(RATIO, sample)
    for i, slope in enumerate(found.slopes):
        ends = []
        for step in (1e-6, -1e-6):
            means = list(sample.means)
            means[i] += step
            ends.append(means[0] / means[1])
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-7)


def test_the_covariance_cut_is_one_less_the_correlation_squared() -> None:
    """A covariate takes rho squared off the variance, and nothing off the truth (20,000 units, seeded)."""
    rng = np.random.default_rng(2)
    for rho in (0.0, 0.5, 0.9):
        arms = []
        for lift in (0.3, 0.0):
            x = rng.normal(size=10_000)
            y = lift + rho * x + math.sqrt(1 - rho * rho) * rng.normal(size=10_000)
            arms.append(products({"y": y.tolist(), "x": x.tolist()}))
        raw, taken = contrast(*arms, Y), contrast(*arms, Estimand("y", covariates=(X,)))
        assert taken.variance / raw.variance == pytest.approx(1 - rho * rho, abs=0.02)
        assert taken.difference == pytest.approx(0.3, abs=4 * math.sqrt(taken.variance))


def test_no_other_coefficients_leave_less_variance() -> None:
    """Moving a coefficient either way leaves the adjusted value more variance within the samples."""
    estimand = Estimand("y", covariates=(X, Estimand("w")))
    for trial in trials(12, 10):
        sample = reduced(trial.control, estimand)
        best = coefficients(estimand, sample)

        def left(theta: tuple[float, ...], sample: Products = sample) -> float:
            slopes = adjusted(estimand, sample, theta).slopes
            return sample.covary(slopes, slopes)

        for i, factor in ((0, 1.01), (0, 0.99), (1, 1.01), (1, 0.99)):
            moved = tuple(value * factor if i == j else value for j, value in enumerate(best))
            assert left(best) <= left(moved)


def test_fieller_inverts_the_test() -> None:
    """At its ends the lift is just rejected: d - l b is as many standard errors from zero as the quantile says."""
    for joint in (
        Contrast(100, 0.3, 2.0, 0.04, -0.01, 0.01, 98.0, slope=0.15),
        Contrast(100, 0.3, -2.0, 0.04, -0.03, 0.03, 98.0, slope=-0.15),
    ):
        times = stats.t.ppf(0.975, 98.0)
        found = effect(joint, relative=True, interval="fieller")
        assert found.low < found.value < found.high
        for end in (found.low, found.high):
            lift = end * math.copysign(1.0, joint.baseline)
            gap = joint.difference - lift * joint.baseline
            variance = joint.variance - 2 * lift * joint.covariance + lift**2 * joint.baseline_variance
            assert abs(gap) == pytest.approx(times * math.sqrt(variance), rel=1e-9)
    vague = Contrast(100, 0.3, 0.1, 0.04, -0.01, 0.01, 98.0, slope=3.0)
    assert fieller(vague, 1.96) is None
    assert effect(vague, relative=True, interval="fieller").reason == "unbounded"


def test_fieller_and_delta_agree_where_the_baseline_is_sure() -> None:
    """With a baseline forty errors from zero both intervals of the lift are nearly the same."""
    joint = Contrast(10_000, 0.1, 2.0, 0.0045, -0.0025, 0.0025, 9_990.0, slope=0.05)
    one, two = (effect(joint, relative=True, interval=interval) for interval in ("delta", "fieller"))
    assert (one.low, one.high) == pytest.approx((two.low, two.high), abs=0.1 * one.error)


BAD: list[tuple[Products, Products, Estimand, Reason, str]] = [
    (plain([]), plain([1, 2]), Y, "empty_arm", "treatment: 0 units"),
    (plain([1, 2]), plain([3]), Y, "few_units", "control: 1 units"),
    (plain([1, 2]), plain([3, 3, 3]), Y, "no_variance", "control: 3 units"),
    (plain([0.1] * 7), plain([1, 2]), Y, "no_variance", "treatment: 7 units"),
    (plain([1, math.nan]), plain([1, 2]), Y, "not_finite", "treatment: 2 units, y has mean nan"),
    (products_of_sums(["y"], 5, [math.inf], [[math.inf]]), plain([1, 2]), Y, "not_finite", "treatment: 5 units"),
    (products_of_sums(["y"], 5, [10.0], [[1.0]]), plain([1, 2]), Y, "negative_variance", "treatment: 5 units"),
    (
        products({"y": [1.0, 2.0], "d": [0.0, 0.0]}),
        products({"y": [1.0, 2.0], "d": [1.0, 2.5]}),
        RATIO,
        "zero_denominator",
        "treatment: 2 units, d is 0",
    ),
    (
        products({"y": [2.0, 4.0, 5.0], "d": [1.0, 2.0, 2.5]}),
        products({"y": [1.0, 2.0], "d": [1.0, 2.5]}),
        RATIO,
        "no_variance",
        "treatment: 3 units",
    ),
]


@pytest.mark.parametrize(("treatment", "control", "estimand", "reason", "detail"), BAD)
def test_bad_data_have_a_named_reason(
    treatment: Products, control: Products, estimand: Estimand, reason: Reason, detail: str
) -> None:
    """Data that allow no interval say so by name, with arm and count, in every test; nothing raises."""
    joint = contrast(treatment, control, estimand)
    assert joint.reason == reason
    assert joint.detail.startswith(detail)
    for relative in (False, True):
        for found in (
            effect(joint, relative=relative),
            always_valid(joint, relative=relative),
            mixture(joint, 0.1, relative=relative),
        ):
            assert found.reason == reason
            assert math.isnan(found.low)
            assert math.isnan(found.p_value)
        assert posterior(joint, relative=relative).reason == reason


numbers = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, 1.0, 1e308, -1e308, 5e-324]))


@given(
    st.lists(st.tuples(numbers, numbers, numbers), max_size=5),
    st.lists(st.tuples(numbers, numbers, numbers), max_size=5),
)
def test_never_silently_not_a_number(one: list[tuple[float, ...]], two: list[tuple[float, ...]]) -> None:
    """Whatever floats come, every number of every test is a number, or there is a reason."""
    estimands = [Y, RATIO, Estimand("y", covariates=(X,)), Estimand("y", over="d", covariates=(X,))]
    samples = []
    for arm in (one, two):
        n = len(arm)
        sums = [sum(column) for column in zip(*arm, strict=True)] if arm else [0.0] * 3
        squares = [[sum(row[i] * row[j] for row in arm) for j in range(3)] for i in range(3)]
        samples.append(products_of_sums(["y", "d", "x"], n, sums, squares))
    for estimand in estimands:
        joint = contrast(*samples, estimand)
        for relative in (False, True):
            for found in (effect(joint, relative=relative), always_valid(joint, relative=relative)):
                values = (found.value, found.error, found.low, found.high, found.p_value, found.freedom)
                assert found.reason or not any(map(math.isnan, values))
            belief = posterior(joint, relative=relative)
            assert belief.reason or not any(map(math.isnan, (belief.value, belief.low, belief.chance, belief.loss)))


def test_a_control_at_zero_has_a_difference_and_no_lift() -> None:
    """A control whose mean is exactly zero has a difference with its interval; its lift says why it has none."""
    joint = contrast(plain([1.0, 2.0, 4.0]), plain([-1.0, 1.0, 0.0]), Y)
    assert effect(joint).reason == ""
    assert effect(joint, relative=True).reason == "zero_baseline"


def test_arms_of_any_kind_are_compared() -> None:
    """Values with variances of their own (quantiles, clustered means) are compared like means."""
    rng = np.random.default_rng(3)
    one, two = rng.normal(2, 1, 50), rng.normal(1, 2, 70)
    arms = [Arm(len(y), float(y.mean()), float(y.var(ddof=1) / len(y))) for y in (one, two)]
    for relative in (False, True):
        found, wanted = (
            effect(contrast_of(*arms), relative=relative),
            effect(contrast(plain(one), plain(two), Y), relative=relative),
        )
        assert (found.value, found.error, found.p_value) == pytest.approx((wanted.value, wanted.error, wanted.p_value))
    assert contrast_of(Arm(0, math.nan, math.nan), arms[1]).reason == "empty_arm"
    assert contrast_of(arms[0], Arm(9, math.nan, 1.0)).reason == "not_finite"
    assert contrast_of(arms[0], Arm(9, 1.0, 0.0)).reason == "no_variance"


def test_wrong_arguments_are_refused() -> None:
    """A confidence, side or column that does not exist is an error, not an answer."""
    joint = contrast(plain([1, 2]), plain([1, 3]), Y)
    with pytest.raises(DataError, match="confidence is 95"):
        effect(joint, 95)
    with pytest.raises(DataError, match="'two'"):
        effect(joint, side="both")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="unknown column 'z'"):
        contrast(plain([1, 2]), plain([1, 3]), Estimand("z"))
    with pytest.raises(DataError, match="columns"):
        plain([1]).merge(products({"x": [1.0]}))
    with pytest.raises(DataError, match="one value a unit"):
        products({"y": [1.0], "x": []})


def test_merging_in_any_order_is_the_whole() -> None:
    """Records of shards, merged in any order, have the means and products of all units."""
    for trial in trials(13, 10):
        whole = reduced(trial.control, KINDS["adjusted_ratio"])
        names, n = whole.columns, whole.units
        shards = [products({name: trial.control[name][i::3].tolist() for name in names}) for i in range(3)]
        for order in ((0, 1, 2), (2, 0, 1)):
            merged = shards[order[0]].merge(shards[order[1]]).merge(shards[order[2]])
            assert merged.units == n
            assert merged.means == pytest.approx(whole.means, rel=1e-12)
            assert np.array(merged.products) == pytest.approx(np.array(whole.products), rel=1e-9)
        assert whole.merge(products({name: [] for name in names})) == whole
