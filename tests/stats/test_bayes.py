"""Beliefs: normal and beta posteriors, expected loss, and shares of traffic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from abloop.errors import DataError
from abloop.stats.bayes import Normal, best_chances, posterior, thompson_shares
from abloop.stats.beta import Beta, beta_posterior
from abloop.stats.contrast import Contrast

JOINT = Contrast(200, 0.1, 0.5, 0.0016, -0.0008, 0.0008, 190.0)


@given(st.floats(-3, 3), st.floats(0.01, 9), st.floats(-2, 2), st.floats(0.01, 4))
def test_posterior_is_bayes_rule(value: float, variance: float, mean: float, prior: float) -> None:
    """Mean and deviation are those of prior times likelihood, integrated; so are chance and losses."""
    joint = Contrast(100, value, 1.0, variance, 0.0, 0.1, 98.0)
    found = posterior(joint, Normal(mean, prior, relative=False))
    x = np.linspace(mean - 60, mean + 60, 400_001)
    weight = np.exp(
        -0.5 * (x - value) ** 2 / variance
        - 0.5 * (x - mean) ** 2 / prior
        + 0.5 * (value - mean) ** 2 / (variance + prior)
    )
    weight /= weight.sum()
    assert found.value == pytest.approx(float(weight @ x), abs=1e-7)
    assert found.error == pytest.approx(math.sqrt(weight @ (x - found.value) ** 2), rel=1e-6)
    assert found.chance == pytest.approx(float(weight @ ((x > 0) + 0.5 * (x == 0))), abs=1e-3)
    assert found.loss == pytest.approx(float(weight @ np.maximum(0, -x)), abs=1e-6)
    assert found.loss_of_control == pytest.approx(float(weight @ np.maximum(0, x)), abs=1e-6)


def test_no_prior_is_the_data() -> None:
    """A flat belief has the effect, its error and the one-sided p-value's complement as the chance."""
    found = posterior(JOINT)
    assert (found.value, found.error) == (JOINT.difference, math.sqrt(JOINT.variance))
    assert found.chance == pytest.approx(stats.norm.cdf(2.5), rel=1e-12)
    wide = posterior(JOINT, Normal(0.0, 1e12))
    assert (wide.value, wide.chance) == pytest.approx((found.value, found.chance), rel=1e-9)


def test_a_prior_is_scaled_with_the_baseline() -> None:
    """A belief about the lift says the same of the difference, in units of the control's value."""
    one = posterior(JOINT, Normal(0.1, 0.04, relative=True))
    two = posterior(JOINT, Normal(0.05, 0.01, relative=False))
    assert (one.value, one.error) == pytest.approx((two.value, two.error), rel=1e-12)
    one = posterior(JOINT, Normal(0.1, 0.04, relative=True), relative=True)
    two = posterior(JOINT, Normal(0.05, 0.01, relative=False), relative=True)
    assert (one.value, one.error) == pytest.approx((two.value, two.error), rel=1e-12)
    zero = Contrast(200, 0.1, 0.0, 0.0016, -0.0008, 0.0008, 190.0)
    assert posterior(zero, Normal(0.1, 0.04, relative=True)).reason == "zero_baseline"
    assert posterior(zero).reason == ""


def test_lower_is_better_turns_chance_and_losses() -> None:
    """Where less is better, the treatment wins where it lost."""
    one, two = posterior(JOINT), posterior(JOINT, lower_is_better=True)
    assert two.chance == pytest.approx(1 - one.chance, rel=1e-9)
    assert (two.loss, two.loss_of_control) == (one.loss_of_control, one.loss)
    one, two = beta_posterior((30, 100), (20, 100)), beta_posterior((30, 100), (20, 100), lower_is_better=True)
    assert two.chance == pytest.approx(1 - one.chance, rel=1e-9)
    assert (two.loss, two.loss_of_control) == (one.loss_of_control, one.loss)


@pytest.mark.parametrize("z", [0.0, 3.0, 10.0, 30.0, 60.0])
def test_rare_losses_keep_their_digits(z: float) -> None:
    """The expected loss is the integral of the density's tail, however rare."""
    found = posterior(Contrast(100, z, 1.0, 1.0, 0.0, 0.1, 98.0))
    wanted = integrate.quad(lambda x: x * math.exp(-0.5 * (x + z) ** 2 + 0.5 * z * z), 0, 40)[0] * stats.norm.pdf(z)
    assert found.loss == pytest.approx(wanted, rel=1e-6)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_beta_chance_is_the_finite_sum(a1: int, b1: int, a0: int, b0: int) -> None:
    """For whole parameters the chance to beat control is Miller's finite sum."""
    found = (
        beta_posterior((a1 - 1, a1 + b1 - 2 or 1), (a0 - 1, a0 + b0 - 2 or 1)) if a1 + b1 > 2 and a0 + b0 > 2 else None
    )
    if found is None:
        return

    def log_beta(a: int, b: int) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    terms = [log_beta(a0 + i, b1 + b0) - math.log(b1 + i) - log_beta(1 + i, b1) - log_beta(a0, b0) for i in range(a1)]
    assert found.chance == pytest.approx(math.fsum(map(math.exp, terms)), rel=1e-9)


def test_beta_lift_is_that_of_draws() -> None:
    """Mean, deviation, interval, chance and losses of the lift are those of 2 million draws (seeded)."""
    rng = np.random.default_rng(30)
    found = beta_posterior((130, 1_000), (95, 900), Beta(2.0, 5.0), relative=True)
    lift = rng.beta(132, 875, 2_000_000) / rng.beta(97, 810, 2_000_000) - 1
    assert found.value == pytest.approx(lift.mean(), abs=4 * lift.std() / 1_400)
    assert found.error == pytest.approx(lift.std(), rel=0.005)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(lift, [0.025, 0.975])), abs=0.002)
    assert found.chance == pytest.approx((lift > 0).mean(), abs=0.001)
    assert found.loss == pytest.approx(np.maximum(0, -lift).mean(), rel=0.02)
    assert found.loss_of_control == pytest.approx(np.maximum(0, lift).mean(), rel=0.02)


def test_many_units_are_normal() -> None:
    """With ten million units an arm the beta belief is the normal one, and is computed as quickly."""
    n, hits = 10_000_000, (1_002_000, 1_000_000)
    found = beta_posterior((hits[0], n), (hits[1], n))
    p1, p0 = hits[0] / n, hits[1] / n
    wanted = posterior(Contrast(2 * n, p1 - p0, p0, p1 * (1 - p1) / n + p0 * (1 - p0) / n, 0.0, 0.0, 1e7))
    assert (found.value, found.error) == pytest.approx((wanted.value, wanted.error), rel=1e-5)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-3 * wanted.error)
    assert found.chance == pytest.approx(wanted.chance, abs=1e-4)


def test_best_arms_are_those_of_draws() -> None:
    """Chances to be first, and top-two shares, are those of 500,000 draws; three alike arms share alike."""
    means, variances = [0.0, 0.5, 0.6, -2.0], [0.2, 0.3, 0.05, 1.0]
    draws = np.random.default_rng(31).normal(means, np.sqrt(variances), (500_000, 4))
    order = np.argsort(draws, axis=1)
    first = np.bincount(order[:, -1], minlength=4) / len(draws)
    second = np.bincount(order[:, -2], minlength=4) / len(draws)
    assert best_chances(means, variances) == pytest.approx(tuple(first), abs=0.003)
    assert thompson_shares(means, variances) == pytest.approx(tuple((first + second) / 2), abs=0.003)
    assert thompson_shares([1.0] * 3, [0.1] * 3) == pytest.approx((1 / 3,) * 3, rel=1e-9)
    assert best_chances([0.0, 1e-6], [1e-18, 1.0])[0] == pytest.approx(0.5, abs=1e-3)


def test_a_least_share_is_kept() -> None:
    """Every arm keeps the least share, and shares sum to one; too great a one makes them even."""
    shares = thompson_shares([0.0, 5.0, 9.0], [0.1] * 3, least=0.1)
    assert min(shares) == pytest.approx(0.1, rel=1e-6)
    assert sum(shares) == pytest.approx(1.0)
    assert thompson_shares([0.0, 5.0, 9.0], [0.1] * 3, least=0.5) == pytest.approx((1 / 3,) * 3)


def test_bad_input_is_named() -> None:
    """An empty arm, or a lift over no successes, is a reason; counts and priors that are none are errors."""
    assert beta_posterior((0, 0), (1, 2)).detail == "treatment: 0 units"
    assert beta_posterior((1, 2), (0, 2), relative=True).reason == "unbounded"
    assert beta_posterior((1, 2), (0, 2)).reason == ""
    with pytest.raises(DataError, match="treatment successes is 3"):
        beta_posterior((3, 2), (1, 2))
    with pytest.raises(DataError, match=r"prior\.a is 0"):
        beta_posterior((1, 2), (1, 2), Beta(0.0, 1.0))
    with pytest.raises(DataError, match=r"prior\.variance is -1"):
        posterior(JOINT, Normal(0.0, -1.0))
    with pytest.raises(DataError, match="two arms or more"):
        best_chances([1.0], [1.0])
    with pytest.raises(DataError, match=r"variances\[1\] is 0"):
        best_chances([1.0, 2.0], [1.0, 0.0])
