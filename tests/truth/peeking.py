"""A/A and A/B experiments looked at again and again: how often does each bound call them different?

Every experiment is looked at 2,000 times, from 200 to 20,190 units an arm, ten at a time; fewer looks are an even
choice of those, the first and the last among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist

import numpy as np

from abloop.stats.contrast import Contrast
from abloop.stats.group_sequential import Spending, looks
from abloop.stats.sequential import TUNING, always_valid
from tests.truth.draws import KINDS, Array, Columns

FIRST, STEP, LOOKS = 200, 10, 2_000
UNITS = FIRST + STEP * np.arange(LOOKS)
ALPHA = 0.05
CHUNK = 40


def chosen(count: int) -> Array:
    """Return the places of an even choice of looks."""
    return np.round(np.linspace(0, LOOKS - 1, count)).astype(int)


def running(values: Array) -> Array:
    """Return sums of units up to each look, shape (runs, 2, looks)."""
    first = values[..., :FIRST].sum(axis=-1, keepdims=True)
    rest = values[..., FIRST:].reshape(*values.shape[:-1], LOOKS - 1, STEP).sum(axis=-1)
    return np.cumsum(np.concatenate([first, rest], axis=-1), axis=-1)


def statistic(estimand: str, columns: Columns, units: Array = UNITS) -> tuple[Array, Array]:
    """Return the difference of two arms and its standard error at every look, as `abloop.stats` computes them.

    Args:
        estimand: `mean`, `ratio` or `cuped`.
        columns: Values of units, each of shape (runs, 2, units); control first.
        units: Units of an arm at each look.
    """
    y = running(columns[0])
    yy = running(columns[0] ** 2)
    if estimand == "mean":
        value, spread = y / units, yy - y * y / units
    else:
        x, xx, xy = running(columns[1]), running(columns[1] ** 2), running(columns[0] * columns[1])
        if estimand == "ratio":
            value = y / x
            spread = (yy - 2 * value * xy + value**2 * xx) * (units / x) ** 2
        else:
            total_x, total_y = x.sum(axis=1), y.sum(axis=1)
            theta = (xy.sum(axis=1) - total_x * total_y / (2 * units)) / (xx.sum(axis=1) - total_x**2 / (2 * units))
            t = theta[:, None]
            value = (y - t * x) / units
            spread = yy - 2 * t * xy + t * t * xx - (y - t * x) ** 2 / units
    variance = spread / (units - 1) / units
    return value[:, 1] - value[:, 0], np.sqrt(variance.sum(axis=1))


def paths(kind: str, runs: int, seed: int, effect: float = 0.0) -> Iterator[Array]:
    """Yield z at every look, in chunks of shape (some runs, looks).

    Args:
        kind: Of metric.
        runs: Experiments.
        seed: Of the draws.
        effect: Added to the treatment, in standard errors at the last look.
    """
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    estimand, draw = KINDS[kind]
    for start in range(0, runs, CHUNK):
        columns = draw(rng, (min(CHUNK, runs - start), 2, int(UNITS[-1])))
        gap, error = statistic(estimand, columns)
        shifted = gap + effect * error[:, -1:]
        yield np.divide(shifted, error, out=np.zeros_like(gap), where=error > 0)  # nothing varied yet: no test


def bound_at(units: int, tuning: float = TUNING) -> float:
    """Return the multiple of the standard error at which an always-valid interval leaves 0 out."""
    return always_valid(Contrast(units, 0.0, 1.0, 1.0, 0.0, 0.0, np.inf), 1 - ALPHA, tuning=tuning).high


def bounds() -> dict[str, tuple[int, Array]]:
    """Return, by name, at how many looks a bound is used and what it is there."""
    found: dict[str, tuple[int, Array]] = {}
    for count in (1, 14, 30, 200, 2_000):
        found[f"fixed, {count:,} looks"] = count, np.full(count, NormalDist().inv_cdf(1 - ALPHA / 2))
    for count in (14, 30, 100, 2_000):
        units = (2 * UNITS[chosen(count)]).tolist()
        found[f"always valid, {count:,} looks"] = count, np.array([bound_at(n) for n in units])
        late = np.array([bound_at(n, tuning=float(2 * UNITS[-1])) for n in units])
        found[f"always valid, tuned to the end, {count:,} looks"] = count, late
        found[f"GrowthBook's formula, {count:,} looks"] = count, growthbook(np.array(units))
    for count in (14, 30):
        kinds: tuple[Spending, ...] = ("obrien_fleming", "pocock")
        for kind in kinds:
            steps = UNITS[chosen(count)].astype(float).tolist()
            z = [look.z for look in looks(steps, steps[-1], ALPHA, kind=kind)]
            found[f"group sequential, {kind}, {count:,} looks"] = count, np.array(z)
    return found


def growthbook(units: Array, planned: float = 5_000.0) -> Array:
    """Return GrowthBook's sequential bound, from its documentation, for units of both arms."""
    rate = (-2 * np.log(ALPHA) + np.log(1 - 2 * np.log(ALPHA))) / planned
    scale = units * rate
    return np.sqrt(2 * (scale + 1) / scale * np.log(np.sqrt(scale + 1) / ALPHA))


def rates(kind: str, runs: int, seed: int = 1, effect: float = 0.0) -> dict[str, float]:
    """Return the share of experiments that each bound calls different at any of its looks."""
    found = bounds()
    crossed = dict.fromkeys(found, 0)
    for z in paths(kind, runs, seed, effect):
        size = np.abs(z)
        for name, (count, bound) in found.items():
            at = chosen(count) if count > 1 else np.array([LOOKS - 1])
            crossed[name] += int((size[:, at] >= bound).any(axis=1).sum())
    return {name: count / runs for name, count in crossed.items()}
