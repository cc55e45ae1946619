"""Streams of units with sound and with broken arm shares: how often does each test of shares alarm, and how soon?

Whether a look alarms is asked of `abloop.stats.srm` itself: for each look, the smallest surplus that it calls a
mismatch is found by bisection, and simulated surpluses are held against it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from abloop.stats.srm import srm_always_valid, srm_always_valid_weighted, srm_p_value
from tests.truth.draws import Array

ALPHA = 0.001
PROPENSITIES = (0.05, 0.3, 0.5, 0.95)  # of the treatment, for units in turn
CHUNK = 1_000


def least(alarms: Callable[[float], bool], high: float) -> float:
    """Return the smallest surplus above 0 that alarms, to half a unit; `high` if none does."""
    low = 0.0
    while high - low > 0.5:
        middle = (low + high) / 2
        low, high = (low, middle) if alarms(middle) else (middle, high)
    return high


def plain_limits(units: Array, *, fixed: bool = False) -> Array:
    """Return the surplus of an even split that alarms at each look."""
    found = []
    for n in units.tolist():

        def alarms(gap: float, n: int = n) -> bool:
            first = round(n / 2 + gap)
            counts = [min(n, first), max(0, n - first)]
            return (srm_p_value if fixed else srm_always_valid)(counts, [0.5, 0.5]) <= ALPHA

        found.append(least(alarms, n / 2 + 1))
    return np.array(found)


def weighted_limits(units: Array) -> Array:
    """Return the surplus that alarms at each look where units take the propensities in turn."""
    variances = units * np.mean([p * (1 - p) for p in PROPENSITIES])
    return np.array(
        [
            least(lambda gap, v=v: srm_always_valid_weighted([gap, -gap], [v, v]) <= ALPHA, 0.5 * n)
            for n, v in zip(units.tolist(), variances.tolist(), strict=True)
        ]
    )


def alarmed(limits: Array, units: Array, runs: int, share: float, seed: int) -> float:
    """Return the share of streams that ever alarm where the treatment really gets `share` of the units."""
    rng, steps = np.random.default_rng([seed, round(share * 1e4)]), np.diff(units, prepend=0)
    count = 0
    for start in range(0, runs, CHUNK):
        gaps = np.cumsum(rng.binomial(steps, share, (min(CHUNK, runs - start), len(units))), axis=1) - units / 2
        count += int((np.abs(gaps) >= limits).any(axis=1).sum())
    return count / runs


def alarmed_weighted(limits: Array, units: Array, runs: int, odds: float, seed: int) -> float:
    """Return the same where propensities differ and the treatment's odds are off by a factor (51/49: .51 / .49)."""
    rng, steps = np.random.default_rng([seed, round(odds * 1e4), 7]), np.diff(units, prepend=0) // len(PROPENSITIES)
    count = 0
    for start in range(0, runs, CHUNK):
        gaps = np.zeros((min(CHUNK, runs - start), len(units)))
        for p in PROPENSITIES:
            true = p * odds / (p * odds + 1 - p)
            gaps += rng.binomial(steps, true, gaps.shape) - steps * p
        count += int((np.abs(np.cumsum(gaps, axis=1)) >= limits).any(axis=1).sum())
    return count / runs


def every(step: int, end: int) -> Array:
    """Return units at looks `step` apart."""
    return np.arange(step, end + 1, step)


def rates(runs: int, seed: int = 1) -> dict[str, float]:
    """Return the share of streams that alarm, by test and truth."""
    daily, often = every(2_000, 60_000), every(100, 200_000)
    fixed, plain, weighted = plain_limits(daily, fixed=True), plain_limits(often), weighted_limits(often)
    to_20k, to_100k = often <= 20_000, often <= 100_000
    found = {
        "sound, chi-square at 30 looks to 60,000": alarmed(fixed, daily, runs, 0.5, seed),
        "sound, sequential at 2,000 looks to 200,000": alarmed(plain, often, runs, 0.5, seed),
        "51/49, sequential by 100,000": alarmed(plain[to_100k], often[to_100k], runs, 0.51, seed),
        "52/48, sequential by 20,000": alarmed(plain[to_20k], often[to_20k], runs, 0.52, seed),
        "sound, propensities, sequential at 2,000 looks to 200,000": alarmed_weighted(weighted, often, runs, 1.0, seed),
    }
    for odds, end, name in ((51 / 49, 100_000, "51/49"), (51 / 49, 200_000, "51/49"), (52 / 48, 50_000, "52/48")):
        part = often <= end
        found[f"{name} in odds, propensities, sequential by {end:,}"] = alarmed_weighted(
            weighted[part], often[part], runs, odds, seed
        )
    return found
