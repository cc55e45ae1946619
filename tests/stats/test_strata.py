"""Post-stratification: less variance where strata differ, the truth covered, odd strata put somewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm

from abloop.errors import DataError
from abloop.stats.compare import effect
from abloop.stats.contrast import contrast
from abloop.stats.estimand import Estimand
from abloop.stats.moments import Products, products
from abloop.stats.strata import Stratum, stratified
from tests.stats.experiments import KINDS, X, reduced, trials

Y = Estimand("y")
ADJUSTED = Estimand("y", covariates=(X,))
LEVELS = np.array([0.0, 2.0, 5.0])


def arm(rng: np.random.Generator, n: int, lift: float, noise: float) -> list[Products]:
    """Return one arm's strata: three levels with shares .5, .3, .2, values that follow x, and noise."""
    stratum = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    x = rng.normal(size=n)
    y = LEVELS[stratum] * (1 + lift) + 1 + x + noise * rng.normal(size=n)
    return [products({"y": y[stratum == s].tolist(), "x": x[stratum == s].tolist()}) for s in range(3)]


def strata(rng: np.random.Generator, n: tuple[int, int], lift: float, noise: tuple[float, float]) -> list[Stratum]:
    """Return an experiment's strata, sizes and noise for treatment and control."""
    both = [arm(rng, size, effect, each) for size, effect, each in zip(n, (lift, 0.0), noise, strict=True)]
    return [Stratum(one, two) for one, two in zip(*both, strict=True)]


@pytest.mark.parametrize("estimand", [Y, ADJUSTED], ids=["mean", "adjusted"])
@pytest.mark.parametrize("relative", [False, True])
def test_intervals_cover(estimand: Estimand, relative: bool) -> None:
    """Of 1,000 nominal 95 % intervals, 93 to 97 % cover, also where the smaller arm is four times as noisy (seeded)."""
    truth = 0.1 * float(LEVELS @ [0.5, 0.3, 0.2])
    truth = truth / (1 + truth / 0.1) if relative else truth
    covered = 0
    for run in range(1_000):
        rng = np.random.default_rng([20, run])
        found = effect(stratified(strata(rng, (250, 1_000), 0.1, (4.0, 1.0)), estimand), relative=relative)
        covered += found.low <= truth <= found.high
    assert 930 <= covered <= 970


def test_one_variance_for_both_arms_fails_where_they_differ() -> None:
    """The ordinary regression of GrowthBook covers far too seldom when the smaller arm is the noisier one."""
    covered = 0
    for run in range(400):
        rng = np.random.default_rng([21, run])
        joint = stratified(strata(rng, (250, 1_000), 0.0, (4.0, 1.0)), ADJUSTED, equal_variance=True)
        found = effect(joint)
        covered += found.low <= 0 <= found.high
    assert covered < 0.85 * 400


def test_strata_take_the_variance_between_them() -> None:
    """Where strata explain most of the spread, the error is close to that of the spread within them."""
    cells = strata(np.random.default_rng(22), (5_000, 5_000), 0.0, (1.0, 1.0))
    whole = Stratum(
        *(
            getattr(cells[0], side).merge(getattr(cells[1], side)).merge(getattr(cells[2], side))
            for side in ("treatment", "control")
        )
    )
    plain = contrast(whole.treatment, whole.control, Y)
    found = stratified(cells, Y)
    assert found.variance == pytest.approx(2.0 * 2 / 5_000, rel=0.05)
    assert found.variance < 0.45 * plain.variance
    assert stratified(cells, ADJUSTED).variance == pytest.approx(found.variance / 2, rel=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_alike_strata_change_nothing(kind: str) -> None:
    """Strata that are the same experiment twice have its effect, and half its variance."""
    estimand = KINDS[kind]
    for trial in trials(23, 10):
        cell = Stratum(reduced(trial.treatment, estimand), reduced(trial.control, estimand))
        if estimand.covariates:  # strata adjust by regression within: compare one with three
            once, again = stratified([cell] * 2, estimand), stratified([cell] * 3, estimand)
            share = 2 / 3
        else:
            once, again, share = contrast(cell.treatment, cell.control, estimand), stratified([cell] * 2, estimand), 0.5
        assert again.difference == pytest.approx(once.difference, rel=1e-9)
        assert again.variance == pytest.approx(share * once.variance, rel=1e-9 if not estimand.covariates else 0.02)


def test_one_cell_is_a_regression() -> None:
    """Effect and error within a stratum are those of least squares on arm and covariate (statsmodels)."""
    rng = np.random.default_rng(24)
    treated = np.repeat([1.0, 0.0], [80, 120])
    x = rng.normal(size=200)
    y = 1 + 0.3 * treated + 2 * x + rng.normal(size=200)
    fit = sm.OLS(y, sm.add_constant(np.column_stack([treated, x]))).fit()
    arms = [products({"y": y[treated == side].tolist(), "x": x[treated == side].tolist()}) for side in (1, 0)]
    twice = stratified([Stratum(*arms)] * 2, ADJUSTED, equal_variance=True)
    assert twice.difference == pytest.approx(fit.params[1], rel=1e-9)
    assert twice.variance == pytest.approx(fit.bse[1] ** 2 / 2, rel=1e-9)
    robust = stratified([Stratum(*arms)] * 2, ADJUSTED)
    assert math.sqrt(2 * robust.variance) == pytest.approx(fit.get_robustcov_results("HC1").bse[1], rel=0.03)


def test_a_stratum_that_cannot_stand_alone_joins_the_largest() -> None:
    """A stratum with an empty arm, or without variance, loses no unit."""
    cells = strata(np.random.default_rng(25), (200, 200), 0.1, (1.0, 1.0))
    none = products({"y": [], "x": []})
    odd = Stratum(products({"y": [4.0], "x": [1.0]}), none)
    still = Stratum(products({"y": [1.0, 1.0], "x": [0.0, 1.0]}), products({"y": [1.0, 2.0], "x": [0.0, 1.0]}))
    biggest = max(cells, key=lambda cell: cell.units)
    joined = [biggest.merge(odd).merge(still), *(cell for cell in cells if cell is not biggest)]
    found = stratified([odd, *cells, still], ADJUSTED)
    wanted = stratified(joined, ADJUSTED)
    assert found.n == sum(cell.units for cell in cells) + 5
    assert (found.difference, found.variance) == pytest.approx((wanted.difference, wanted.variance))


def test_bad_data_have_a_reason() -> None:
    """No strata are refused; an arm that is empty everywhere is named."""
    with pytest.raises(DataError, match="no strata"):
        stratified([], Y)
    cell = Stratum(products({"y": [1.0, 2.0]}), products({"y": []}))
    assert stratified([cell, cell], Y).reason == "empty_arm"
    assert effect(stratified([cell, cell], Y)).detail == "control: 0 units"
