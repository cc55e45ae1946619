"""Values of units of one arm, for every kind of metric: normal, rare, skewed, zero-heavy, ratio, adjusted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Columns = tuple[Array, ...]  # (value), (sum, count) of a ratio, or (value, covariate)


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Columns:
    """Return values of mean 10 and deviation 2."""
    return (rng.normal(10.0, 2.0, shape),)


def half(rng: np.random.Generator, shape: tuple[int, ...]) -> Columns:
    """Return successes at .5."""
    return ((rng.random(shape) < 0.5).astype(float),)


def rare(rng: np.random.Generator, shape: tuple[int, ...]) -> Columns:
    """Return successes at .02."""
    return ((rng.random(shape) < 0.02).astype(float),)


def log_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Columns:
    """Return log-normal values, sigma 1 (skewness 6)."""
    return (np.exp(rng.standard_normal(shape)),)


def spend(rng: np.random.Generator, shape: tuple[int, ...]) -> Columns:
    """Return money: nine units of ten spend nothing, the tenth a log-normal amount (skewness 23)."""
    return (np.exp(rng.standard_normal(shape)) * (rng.random(shape) < 0.1),)


def ratio(rng: np.random.Generator, shape: tuple[int, ...]) -> Columns:
    """Return clicks and views of users: 1 to 12 views, and a taste of their own."""
    views = np.floor(1.0 + 12.0 * rng.random(shape) ** 2)
    return rng.binomial(views.astype(np.int64), 0.1 + 0.2 * rng.random(shape)).astype(float), views


def adjusted(rng: np.random.Generator, shape: tuple[int, ...]) -> Columns:
    """Return values and a covariate with correlation .7."""
    before = rng.standard_normal(shape)
    return 0.7 * before + np.sqrt(1.0 - 0.49) * rng.standard_normal(shape), before


def adjusted_spend(rng: np.random.Generator, shape: tuple[int, ...]) -> Columns:
    """Return log-normal values and a log-normal covariate that share a factor."""
    shared = rng.standard_normal(shape)
    both = (np.exp(0.8 * shared + 0.6 * rng.standard_normal(shape)) for _ in range(2))
    return tuple(both)


KINDS: dict[str, tuple[str, Callable[[np.random.Generator, tuple[int, ...]], Columns]]] = {
    "normal": ("mean", normal),
    "proportion .5": ("mean", half),
    "proportion .02": ("mean", rare),
    "log-normal": ("mean", log_normal),
    "spend, nine of ten zero": ("mean", spend),
    "ratio of sums": ("ratio", ratio),
    "CUPED, normal": ("cuped", adjusted),
    "CUPED, log-normal": ("cuped", adjusted_spend),
}
