"""Random experiments beside statsmodels, SciPy, tea-tasting and gbstats (200; 2,000 with ABLOOP_LONG=1)."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from abloop.stats.bayes import Normal, posterior
from abloop.stats.beta import Beta, beta_posterior
from abloop.stats.compare import effect
from abloop.stats.contrast import contrast
from abloop.stats.cuped import coefficients
from abloop.stats.estimand import Estimand
from abloop.stats.moments import Products
from abloop.stats.sequential import always_valid
from tests.peers import ask
from tests.stats.experiments import KINDS, MANY, X, reduced, trials

HERE = Path(__file__).parent
CLOSE = 1e-9
TUNINGS = (500.0, 5_000.0, 50_000.0)
LEVELS = (0.8, 0.95, 0.99)


def agree(found: tuple[float, ...], wanted: Any, places: float = CLOSE) -> None:
    """Check numbers relative to the largest of them that is finite: ends near zero have its digits, not their own."""
    finite = [abs(float(number)) for number in wanted if math.isfinite(number)]
    assert found == pytest.approx(list(wanted), rel=places, abs=places * 1e-3 * max(finite))


def raw(sample: Products) -> dict[str, Any]:
    """Return the raw sums of a sample."""
    n, means = sample.units, np.array(sample.means)
    squares = np.array(sample.products) + n * np.outer(means, means)
    return {"n": n, "sums": (n * means).tolist(), "squares": squares.tolist()}


def central(sample: Products) -> dict[str, Any]:
    """Return the means and covariances of a sample."""
    covariance = np.array(sample.products) / (sample.units - 1)
    return {"n": sample.units, "columns": sample.columns, "means": sample.means, "covariance": covariance.tolist()}


def integrals(new: Any, old: Any) -> tuple[float, float, float]:
    """Return E max(0, old - new), E max(0, new - old) and P(new > old) by Gauss and Legendre, piece by piece."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    marks = np.ravel([law.ppf([1e-12, 1e-3, 0.5, 1 - 1e-3, 1 - 1e-12]) for law in (new, old)])
    sums = np.zeros(3)
    for a, b in pairwise(sorted({0.0, 1.0, *marks})):
        x = a + (b - a) * (nodes + 1) / 2
        values = np.array([new.cdf(x) * old.sf(x), new.sf(x) * old.cdf(x), new.pdf(x) * old.cdf(x)])
        sums += (b - a) / 2 * values @ weights
    return float(sums[0]), float(sums[1]), float(sums[2])


def test_means_are_those_of_statsmodels_and_scipy() -> None:
    """Difference, interval and p-value of a mean are those of Welch's test, on every side, t and z."""
    for trial in trials(1):
        y1, y0 = trial.treatment["y"], trial.control["y"]
        joint = contrast(reduced(trial.treatment, KINDS["mean"]), reduced(trial.control, KINDS["mean"]), KINDS["mean"])
        level = LEVELS[trial.number % 3]
        compared = CompareMeans(DescrStatsW(y1), DescrStatsW(y0))
        for side, other in (("two", "two-sided"), ("greater", "larger"), ("less", "smaller")):
            found = effect(joint, level, side=side)
            wanted = stats.ttest_ind(y1, y0, equal_var=False, alternative=side if side != "two" else other)
            ends = wanted.confidence_interval(level)
            agree((found.low, found.high), (ends.low, ends.high))
            agree((found.p_value,), (wanted.pvalue,))
            agree((found.freedom,), (wanted.df,))
            found = effect(joint, level, side=side, law="z")
            ends = compared.zconfint_diff(1 - level, other, usevar="unequal")
            agree((found.low, found.high), ends)
            agree((found.p_value,), (compared.ztest_ind(other, usevar="unequal")[1],))


def test_proportions_are_those_of_statsmodels() -> None:
    """The z interval of two proportions is Wald's, with p (1 - p) / n; of their lift, its ratio by the delta method."""
    for trial in trials(2):
        samples = [reduced(arm, KINDS["proportion"]) for arm in (trial.treatment, trial.control)]
        joint = contrast(*samples, KINDS["proportion"])
        level = LEVELS[trial.number % 3]
        counts = [number for arm in (trial.treatment, trial.control) for number in (arm["hit"].sum(), len(arm["hit"]))]
        found = effect(joint, level, law="z")
        agree((found.low, found.high), confint_proportions_2indep(*counts, method="wald", alpha=1 - level))
        lift = effect(joint, level, relative=True, law="z")
        (k1, n1, k0, n0), ratio = counts, 1.0 + lift.value
        logs = math.sqrt((1 - k1 / n1) / k1 + (1 - k0 / n0) / k0)  # Katz's standard error of the log ratio
        agree((lift.error / ratio,), (logs,))


def test_beta_beliefs_are_those_of_scipy() -> None:
    """Chance to beat and expected loss are SciPy's integrals of beta densities; the interval holds its share."""
    for trial in trials(3, MANY // 5):
        rng = np.random.default_rng([3, trial.number, 1])
        n1, n0 = (int(10 ** rng.uniform(0.5, 4)) for _ in range(2))
        rate = rng.uniform(0, 1)
        k1, k0 = int(rng.binomial(n1, rate)), int(rng.binomial(n0, rate))
        prior = Beta(*rng.choice([0.5, 1.0, 3.0], 2))
        new = stats.beta(prior.a + k1, prior.b + n1 - k1)
        old = stats.beta(prior.a + k0, prior.b + n0 - k0)
        found = beta_posterior((k1, n1), (k0, n0), prior)
        loss, gain, chance = integrals(new, old)
        assert (found.loss, found.loss_of_control) == pytest.approx((loss, gain), rel=1e-6, abs=1e-12)
        assert found.value == pytest.approx(gain - loss, rel=1e-6, abs=1e-9)
        if min(prior.a + k1, prior.b + n1 - k1) >= 1:  # else the density is infinite at an end, and the rule fails
            assert found.chance == pytest.approx(chance, rel=1e-6, abs=1e-9)
        draws = new.rvs(20_000, random_state=rng) - old.rvs(20_000, random_state=rng)
        inside = np.mean((draws >= found.low) & (draws <= found.high))
        assert inside == pytest.approx(0.95, abs=5 * math.sqrt(0.05 * 0.95 / 20_000))


def test_tea_tasting_says_the_same() -> None:
    """Means, ratios and their adjusted kin agree with tea-tasting, on every side, t and z."""
    cases, jobs = [], []
    for trial in trials(4):
        for i, (kind, estimand) in enumerate(KINDS.items()):
            if kind == "proportion":  # tea-tasting's pools
                continue
            control, treatment = reduced(trial.control, estimand), reduced(trial.treatment, estimand)
            side = ("two", "greater", "less")[(trial.number + i) % 3]
            law, level = ("t", "z")[trial.number // 3 % 2], LEVELS[trial.number % 3]
            parts = [part for one in (estimand, *estimand.covariates) for part in (one.value, one.over or None)]
            job = {"side": "two-sided" if side == "two" else side, "law": law, "confidence": level, "columns": parts}
            jobs.append({**job, "control": central(control), "treatment": central(treatment)})
            theta = coefficients(estimand, treatment.merge(control))
            joint = contrast(treatment, control, estimand, theta)
            cases.append((effect(joint, level, side=side, law=law), joint))
    for (found, joint), answer in zip(cases, ask("tea-tasting", HERE / "ask_tea_tasting.py", jobs), strict=True):
        value, low, high, p_value, lift = answer
        agree((found.value, found.low, found.high), (value, low, high))
        agree((found.p_value,), (p_value,))
        if joint.variance and joint.covariance == -joint.baseline_variance:  # without covariates
            agree((joint.scaled(relative=True)[0],), (lift,))


def test_gbstats_says_the_same() -> None:
    """Means, proportions, ratios and adjusted means agree with gbstats: fixed, always valid and Bayesian."""
    cases, jobs = [], []
    for trial in trials(5):
        for kind, estimand in KINDS.items():
            if kind == "adjusted_ratio":  # gbstats 0.8 has none; the recorded cases are of a later one
                continue
            samples = [reduced(arm, estimand) for arm in (trial.treatment, trial.control)]
            relative = trial.number % 2 == 0 and kind != "adjusted"  # later ones take the baseline's covariance too
            level, tuning = LEVELS[trial.number % 3], TUNINGS[trial.number % 3]
            job = {"difference": "relative" if relative else "absolute", "alpha": 1 - level, "tuning": tuning}
            arms = ({**raw(sample), "kind": kind} for sample in samples)
            prior = Normal(0.01, 0.04)
            jobs.append({**job, **dict(zip(("treatment", "control"), arms, strict=True)), "prior": [0.01, 0.04]})
            joint = contrast(*samples, estimand)
            found = {
                "two": effect(joint, level, relative=relative),
                "greater": effect(joint, level, relative=relative, side="greater"),
                "always_valid": always_valid(joint, level, relative=relative, tuning=tuning),
            }
            cases.append((found, posterior(joint, prior, level, relative=relative)))
    for (found, belief), answer in zip(cases, ask("gbstats", HERE / "ask_gbstats.py", jobs), strict=True):
        for name, one in found.items():
            agree((one.value, one.error, one.low, one.high), answer[name][:4])
            assert one.p_value == pytest.approx(answer[name][4], rel=CLOSE, abs=1e-13)  # gbstats: 1 - cdf
        value, error, low, high, chance, loss, kept = answer["bayes"]
        agree((belief.value, belief.error, belief.low, belief.high), (value, error, low, high))
        assert belief.chance == pytest.approx(chance, rel=CLOSE, abs=1e-13)
        assert (belief.loss, belief.loss_of_control) == pytest.approx((loss, kept), rel=1e-6, abs=1e-9 * error)


def test_several_covariates_are_a_regression() -> None:
    """With several covariates the coefficients are those of least squares on all units, also if two say the same."""
    many = Estimand("y", covariates=(X, Estimand("w"), Estimand("d")))
    for trial in trials(6, MANY // 5):
        merged = reduced(trial.treatment, many).merge(reduced(trial.control, many))
        both = {name: np.concatenate([trial.treatment[name], trial.control[name]]) for name in ("y", "x", "w", "d")}
        design = np.column_stack([np.ones(len(both["y"])), both["x"], both["w"], both["d"]])
        slopes = np.linalg.lstsq(design, both["y"], rcond=None)[0][1:]
        assert coefficients(many, merged) == pytest.approx(slopes, rel=1e-6, abs=1e-9 * np.abs(slopes).max())
        twice = Estimand("y", covariates=(X, X))
        once = coefficients(Estimand("y", covariates=(X,)), merged)[0]
        assert coefficients(twice, merged) == pytest.approx((once / 2, once / 2), rel=1e-9)
