"""Experiments of 2,000 units an arm with a known effect: how often does a 95 % interval hold the truth?

Intervals are those of `abloop.stats`, computed one experiment at a time from its moments.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from abloop.stats.cluster import cluster_sums, clustered_difference
from abloop.stats.compare import Effect, Estimate, Interval, difference, effect, estimate
from abloop.stats.contrast import contrast
from abloop.stats.estimand import Estimand
from abloop.stats.moments import Moments, Products
from abloop.stats.quantile import quantile, quantile_difference, summarise_rows
from tests.truth import draws
from tests.truth.draws import Array

N = 2_000
LIFT = 1.1  # what the treatment multiplies values by
Ends = tuple[float, float]
Case = Callable[[np.random.Generator], tuple[Ends, float]]  # one experiment: its interval, and the truth


def sums(s: Array, m: Array | None = None) -> Moments:
    """Return the moments of units of one arm."""
    m = np.ones(len(s)) if m is None else m
    a, b = s - s.mean(), m - m.mean()
    return Moments(len(s), float(s.sum()), float(m.sum()), float(a @ a), float(a @ b), float(b @ b))


def columns(**values: Array) -> Products:
    """Return the products of named columns of one arm."""
    table = np.stack(list(values.values()))
    gaps = table - table.mean(axis=1, keepdims=True)
    products = tuple(tuple(row) for row in (gaps @ gaps.T).tolist())
    return Products(tuple(values), table.shape[1], tuple(table.mean(axis=1).tolist()), products)


def ends(found: Estimate | Effect) -> Ends:
    """Return both ends of an interval."""
    return found.low, found.high


def mean_of(draw: Callable[..., draws.Columns], truth: float, treated: int = N) -> Case:
    """Return the difference of means where the treatment multiplies values."""

    def case(rng: np.random.Generator) -> tuple[Ends, float]:
        new, old = draw(rng, (treated,))[0] * LIFT, draw(rng, (N,))[0]
        return ends(difference(sums(new), sums(old))), truth * (LIFT - 1)

    return case


def one_arm(draw: Callable[..., draws.Columns], truth: float) -> Case:
    """Return the mean of one arm."""
    return lambda rng: (ends(estimate(sums(draw(rng, (N,))[0]))), truth)


def lift_of(draw: Callable[..., draws.Columns], interval: Interval = "delta") -> Case:
    """Return the relative difference of means."""

    def case(rng: np.random.Generator) -> tuple[Ends, float]:
        new, old = columns(y=draw(rng, (N,))[0] * LIFT), columns(y=draw(rng, (N,))[0])
        return ends(effect(contrast(new, old, Estimand("y")), relative=True, interval=interval)), LIFT - 1

    return case


def adjusted_by(draw: Callable[..., draws.Columns]) -> Case:
    """Return the difference of means, adjusted for a covariate; the treatment adds a tenth."""

    def case(rng: np.random.Generator) -> tuple[Ends, float]:
        (y1, x1), (y0, x0) = draw(rng, (N,)), draw(rng, (N,))
        both = contrast(columns(y=y1 + 0.1, x=x1), columns(y=y0, x=x0), Estimand("y", covariates=(Estimand("x"),)))
        return ends(effect(both)), 0.1

    return case


def proportion(p: float, q: float) -> Case:
    """Return the difference of two proportions."""

    def case(rng: np.random.Generator) -> tuple[Ends, float]:
        arms = [(rng.random(N) < chance).astype(float) for chance in (q, p)]
        return ends(difference(sums(arms[0]), sums(arms[1]))), q - p

    return case


def ratio(rng: np.random.Generator) -> tuple[Ends, float]:
    """Return the difference of two ratios of sums over users."""
    return ends(difference(sums(*draws.ratio(rng, (N,))), sums(*draws.ratio(rng, (N,))))), 0.0


def quantile_of(draw: Callable[..., draws.Columns], level: float, truth: float) -> Case:
    """Return the difference of two quantiles where the treatment multiplies values."""

    def case(rng: np.random.Generator) -> tuple[Ends, float]:
        new, old = draw(rng, (N,))[0] * LIFT, draw(rng, (N,))[0]
        found = quantile_difference(summarise_rows(new, level), summarise_rows(old, level))
        return ends(found.estimate), truth * (LIFT - 1)

    return case


def events(rng: np.random.Generator, users: int) -> tuple[Array, Array]:
    """Return log-normal values of events, and their user; users differ, and heavy ones have larger values."""
    taste = rng.standard_normal(users)
    of = np.repeat(np.arange(users), rng.poisson(np.exp(0.3 * taste) * 3) + 1)
    return np.exp(0.5 * taste[of] + 0.5 * rng.standard_normal(len(of))), of


def clustered_quantile(rng: np.random.Generator) -> tuple[Ends, float]:
    """Return the difference of two medians over events of users; the arms are alike."""
    arms = [summarise_rows(values, 0.5, of) for values, of in (events(rng, N), events(rng, N))]
    return ends(quantile_difference(*arms).estimate), 0.0


def clustered_mean(rng: np.random.Generator) -> tuple[Ends, float]:
    """Return the difference of means over events that are randomised within users; the arms are alike."""
    values, of = events(rng, N)
    return ends(clustered_difference(cluster_sums(values, rng.random(len(of)) < 0.5, of)).estimate), 0.0


def one_quantile(level: float, truth: float) -> Case:
    """Return a quantile of one arm of log-normal values."""
    return lambda rng: (ends(quantile(summarise_rows(draws.log_normal(rng, (N,))[0], level)).estimate), truth)


E1 = float(np.exp(0.5))  # mean of a log-normal with sigma 1
CASES: dict[str, Case] = {
    "mean, normal": mean_of(draws.normal, 10.0),
    "mean, log-normal": mean_of(draws.log_normal, E1),
    "mean, spend (nine of ten zero)": mean_of(draws.spend, 0.1 * E1),
    "lift, normal": lift_of(draws.normal),
    "lift, log-normal": lift_of(draws.log_normal),
    "lift, spend": lift_of(draws.spend),
    "lift, spend, Fieller": lift_of(draws.spend, "fieller"),
    "CUPED, normal": adjusted_by(draws.adjusted),
    "CUPED, log-normal": adjusted_by(draws.adjusted_spend),
    "proportion, .5 against .55": proportion(0.5, 0.55),
    "proportion, .02 against .025": proportion(0.02, 0.025),
    "ratio of sums over users": ratio,
    "median, log-normal": quantile_of(draws.log_normal, 0.5, 1.0),
    "90th percentile, log-normal": quantile_of(draws.log_normal, 0.9, float(np.exp(1.2815515655))),
    "99th percentile, log-normal": quantile_of(draws.log_normal, 0.99, float(np.exp(2.3263478740))),
    "median of events in users": clustered_quantile,
    "mean of events, clusters span arms": clustered_mean,
    "one arm: mean, log-normal": one_arm(draws.log_normal, E1),
    "one arm: mean, spend": one_arm(draws.spend, 0.1 * E1),
    "one arm: median, log-normal": one_quantile(0.5, 1.0),
    "1 to 9: mean, spend": mean_of(draws.spend, 0.1 * E1, N // 9),
}


def coverage(name: str, runs: int, seed: int = 1) -> tuple[float, float]:
    """Return how often an interval lies below the truth, and how often above it."""
    rng = np.random.default_rng([seed, list(CASES).index(name)])
    found = [CASES[name](rng) for _ in range(runs)]
    below = sum(high < truth for (_, high), truth in found)
    above = sum(low > truth for (low, _), truth in found)
    return below / runs, above / runs
