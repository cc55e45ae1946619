"""The promises of the statistics, held against simulations whose truth is known.

Limits leave four Monte-Carlo standard errors, so that a sound test fails by chance once in 15,000 runs or less; seeds
are fixed. `ABLOOP_LONG=1` runs the doses of the report.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from abloop.stats.contrast import contrast
from abloop.stats.estimand import Estimand
from tests.truth import coverage, draws, peeking, shares, streams
from tests.truth.__main__ import EFFECT

LONG = bool(os.environ.get("ABLOOP_LONG"))
RUNS = 20_000 if LONG else 1_200


def noise(share: float, runs: int = RUNS) -> float:
    """Return four Monte-Carlo standard errors of a rate."""
    return 4 * math.sqrt(share * (1 - share) / runs)


@pytest.fixture(scope="module", params=list(draws.KINDS) if LONG else ["normal", "proportion .02", "CUPED, log-normal"])
def null_rates(request: pytest.FixtureRequest) -> dict[str, float]:
    """Return what each reading calls different in A/A experiments of one kind."""
    return peeking.rates(request.param, RUNS)


def test_a_fixed_test_read_once_is_right(null_rates: dict[str, float]) -> None:
    """Read once, .05 of A/A experiments are called different, within four standard errors and a tenth of it."""
    assert abs(null_rates["fixed, 1 looks"] - 0.05) < 0.005 + (0 if LONG else noise(0.05))


def test_a_fixed_test_that_is_peeked_at_is_wrong(null_rates: dict[str, float]) -> None:
    """Read early, it calls 24.7, 30.1, 40.4 and 48 % different at 14, 30, 200 and 2,000 looks, within four points."""
    for looks, share in ((14, 0.247), (30, 0.301), (200, 0.404), (2_000, 0.48)):
        assert null_rates[f"fixed, {looks:,} looks"] == pytest.approx(share, abs=0.02 + noise(share))


@pytest.mark.parametrize("looks", [14, 30, 100, 2_000])
def test_an_always_valid_test_may_be_peeked_at(null_rates: dict[str, float], looks: int) -> None:
    """At any number of looks at most .05 of A/A experiments are ever called different."""
    for tuned in ("", "tuned to the end, "):
        assert null_rates[f"always valid, {tuned}{looks:,} looks"] <= 0.05 + noise(0.05) * 3 / 4


@pytest.mark.parametrize("looks", [14, 30])
def test_a_group_sequential_test_spends_what_it_may(null_rates: dict[str, float], looks: int) -> None:
    """At 14 and 30 looks .04 to .05 of A/A experiments are called different."""
    found = null_rates[f"group sequential, obrien_fleming, {looks} looks"]
    assert 0.04 - noise(0.045) <= found <= 0.05 + noise(0.05)
    assert null_rates[f"group sequential, pocock, {looks} looks"] <= 0.055 + noise(0.05)


def test_power_is_growthbooks_or_better() -> None:
    """At equal units and looks as much is found as with GrowthBook's formula, tuned to the end more; group most."""
    found = peeking.rates("normal", RUNS, seed=2, effect=EFFECT)
    for looks in (14, 30, 100, 2_000):
        assert found[f"always valid, {looks:,} looks"] >= found[f"GrowthBook's formula, {looks:,} looks"]
        assert found[f"always valid, tuned to the end, {looks:,} looks"] >= found[f"always valid, {looks:,} looks"]
    for looks in (14, 30):
        group = found[f"group sequential, obrien_fleming, {looks} looks"]
        assert group > found[f"always valid, tuned to the end, {looks} looks"] + 0.1
        assert group == pytest.approx(0.78, abs=0.02 + noise(0.78))


@pytest.mark.parametrize("kind", list(draws.KINDS))
def test_the_simulation_computes_what_the_library_does(kind: str) -> None:
    """At a look in the middle, difference and error of the simulation are those of `contrast`, to 1e-9."""
    estimand, draw = draws.KINDS[kind]
    columns = draw(np.random.default_rng(5), (2, 2, int(peeking.UNITS[-1])))
    gap, error = peeking.statistic(estimand, columns)
    names = ("y",) if estimand == "mean" else ("y", "x")
    asked = {
        "mean": Estimand("y"),
        "ratio": Estimand("y", over="x"),
        "cuped": Estimand("y", covariates=(Estimand("x"),)),
    }[estimand]
    for look in (0, 700, 1_999):
        n = int(peeking.UNITS[look])
        arms = [coverage.columns(**dict(zip(names, (c[1, arm, :n] for c in columns), strict=True))) for arm in (1, 0)]
        found = contrast(*arms, asked)
        assert gap[1, look] == pytest.approx(found.difference, rel=1e-9)
        assert error[1, look] == pytest.approx(math.sqrt(found.variance), rel=1e-9)


def test_shares_are_watched_at_every_look() -> None:
    """Sound shares alarm in at most .001 of streams at 2,000 looks; 51/49 is found in .95 by 100,000 units.

    Chi-square at 30 looks alarms ten times too often. With differing propensities the same alarm rate holds.
    """
    runs = 20_000 if LONG else 4_000
    found = shares.rates(runs)
    for name, share in found.items():
        if name.startswith("sound") and "sequential" in name:
            assert share <= 0.001 + noise(0.001, runs), name
    assert found["sound, chi-square at 30 looks to 60,000"] > 0.005
    assert found["51/49, sequential by 100,000"] >= 0.95
    assert found["52/48, sequential by 20,000"] >= 0.947 - noise(0.947, runs)
    assert found["51/49 in odds, propensities, sequential by 200,000"] >= 0.95
    assert found["52/48 in odds, propensities, sequential by 50,000"] >= 0.95


FAILS = {  # where a 95 % interval is known to be wrong at 2,000 units an arm, and by how much it may be
    "99th percentile, log-normal": (0.96, 0.985),
    "one arm: mean, spend": (0.92, 0.945),
    "1 to 9: mean, spend": (0.87, 0.93),
}


@pytest.mark.parametrize("name", list(coverage.CASES))
def test_intervals_cover(name: str) -> None:
    """95 % intervals hold the truth in 94 to 96 % of experiments, or miss it as much as is known."""
    runs = 20_000 if LONG else 600
    low, high = FAILS.get(name, (0.94, 0.96))
    slack = noise(0.05, runs)
    held = 1 - sum(coverage.coverage(name, runs))
    assert low - slack <= held <= high + slack


@pytest.mark.trial
def test_always_valid_flags_far_fewer_real_streams(shared_data: Path) -> None:
    """Of the even ASOS streams peeking flags .54 (.59 of all), the last look .22, an always-valid test fewer still."""
    found = streams.flagged(shared_data)
    assert found["streams"] == 216
    assert found["fixed test at any look"] == pytest.approx(117 / 216)
    assert found["fixed test at the last look"] == pytest.approx(48 / 216)
    assert found["always valid at any look"] < 0.2
