"""Power, sample size, smallest effect and days: statsmodels, GrowthBook's recorded case, simulation."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower, TTestIndPower

from abloop.errors import DataError
from abloop.stats.moments import Moments, moments
from abloop.stats.power import (
    KINDS,
    Design,
    Kind,
    measured_variance,
    outlook,
    planned_variance,
    power,
    required_units,
    smallest_effect,
)

PEERS = {"fixed": NormalIndPower, "student": TTestIndPower}


@pytest.mark.parametrize("kind", ["fixed", "student"])
@given(st.floats(0.02, 1.0), st.integers(5, 3_000), st.floats(0.2, 0.8), st.booleans(), st.sampled_from([0.01, 0.05]))
def test_equals_statsmodels(kind: Kind, effect: float, n: int, share: float, two_sided: bool, alpha: float) -> None:
    """Power of a fixed test is that of NormalIndPower and TTestIndPower for two arms, to 1e-9."""
    ratio = (1 - share) / share
    way = "two-sided" if two_sided else "larger"
    peer = PEERS[kind]().power(effect, n, alpha, ratio=ratio, alternative=way)
    if math.isnan(peer):  # it loses a tail that is below 1e-16: the one on the other side, or the one of a miss
        peer = PEERS[kind]().power(effect, n, alpha / 2 if two_sided else alpha, ratio=ratio, alternative="larger")
        peer = 1.0 if math.isnan(peer) else peer
    design = Design(kind, alpha, two_sided)
    assert power(effect, planned_variance(1.0, 1.0, share), n / share, design) == pytest.approx(peer, rel=1e-9)


@pytest.mark.parametrize("kind", ["fixed", "student"])
@pytest.mark.parametrize("effect", [0.02, 0.2, 1.0])
def test_sample_sizes_equal_statsmodels(kind: Kind, effect: float) -> None:
    """Required units are twice statsmodels' nobs1, and its smallest effect is ours."""
    nobs = PEERS[kind]().solve_power(effect, power=0.8, alpha=0.05)
    assert required_units(effect, 4.0, Design(kind)) == pytest.approx(2 * float(nobs), rel=1e-6)
    assert smallest_effect(4.0, 2 * float(nobs), Design(kind)) == pytest.approx(effect, rel=1e-6)


@given(st.sampled_from(KINDS), st.booleans(), st.floats(0.6, 0.95), st.floats(0.03, 0.3))
def test_the_three_questions_agree(kind: Kind, two_sided: bool, target: float, effect: float) -> None:
    """At the required units the power is the target, and the smallest effect is the effect."""
    design = Design(kind, two_sided=two_sided, target=target, looks=5)
    units = required_units(effect, 4.0, design)
    assert power(effect, 4.0, units, design) == pytest.approx(target, abs=1e-6)
    assert smallest_effect(4.0, units, design) == pytest.approx(effect, rel=1e-6)


def test_peeking_costs_units() -> None:
    """For one effect, a fixed test needs least, a group-sequential one a little more, an always-valid one most."""
    needed = [
        required_units(0.1, 4.0, Design(kind, looks=14)) for kind in ("fixed", "group_sequential", "always_valid")
    ]
    assert needed[0] < needed[1] < 1.06 * needed[0]
    assert needed[2] > 1.5 * needed[0]


RECORDED = Path(__file__).parents[3] / "shared" / "vectors" / "gbstats" / "cases_even.json"


@pytest.mark.skipif(not RECORDED.is_file(), reason=f"{RECORDED} is absent: the recorded cases are not there")
def test_growthbooks_recorded_case() -> None:
    """At GrowthBook's scaling factor our power is its target within its bisection's tolerance of 1e-5.

    Its factor counts units still to come over those there; ours, without tolerance, is within 2e-5 of it.
    """
    cases = [case for case in json.loads(RECORDED.read_text()) if case["kind"] == "MidExperimentPower"]
    assert len(cases) == 1
    asked, said = cases[0]["input"], cases[0]["output"]
    config, units = asked["config"], 1_000  # the test behind it has 500 units an arm
    design = Design(
        "always_valid",
        config["alpha"] / config["num_tests"],
        target=config["adjusted_power"],
        tuning=config["sequential_tuning_parameter"],
    )
    variance = asked["test_result"]["uplift"]["stddev"] ** 2 * units
    at_theirs = power(config["target_mde"], variance, units * (1 + said["scaling_factor"]), design)
    assert at_theirs == pytest.approx(config["adjusted_power"], abs=1e-5)
    ours = required_units(config["target_mde"], variance, design) / units - 1
    assert ours == pytest.approx(said["scaling_factor"], rel=2e-5)


def test_measured_variance_is_that_of_the_recorded_case() -> None:
    """The relative variance from sums is GrowthBook's: .0918 squared for its 500 units an arm."""
    control = Moments(500, 500.0, 500.0, 1_000.0, 0.0, 0.0)
    treatment = Moments(500, 525.0, 500.0, 1_551.25 - 525.0**2 / 500, 0.0, 0.0)
    found = math.sqrt(measured_variance(treatment, control, relative=True) / 1_000)
    assert found == pytest.approx(0.0917978959857732, rel=1e-9)


@pytest.mark.parametrize("metric", ["proportion", "ratio"])
def test_promised_power_is_met(metric: str) -> None:
    """4,000 simulated tests of the planned size find the planned effect in .8 of them, within .025."""
    rng = np.random.default_rng(4)
    if metric == "proportion":
        effect, variance = 0.03, planned_variance(0.23 * 0.77, 0.2 * 0.8)
        n = math.ceil(required_units(effect, variance) / 2)
        one, other = rng.binomial(n, 0.23, 4_000) / n, rng.binomial(n, 0.2, 4_000) / n
        z = (one - other) / np.sqrt(one * (1 - one) / n + other * (1 - other) / n)
    else:
        counts = rng.integers(1, 8, 4_000).astype(float)
        sums = rng.poisson(counts * rng.gamma(5, 0.2, 4_000)).astype(float)
        arm = moments(sums.tolist(), counts.tolist())
        effect = 0.06 * arm.mean
        n = math.ceil(required_units(effect, measured_variance(arm, arm)) / 2)
        rows = rng.integers(0, 4_000, (2, 1_000, n))
        s, m = sums[rows], counts[rows]
        ratio = s.sum(axis=2) / m.sum(axis=2)
        spread = ((s - ratio[..., None] * m) ** 2).sum(axis=2) / m.sum(axis=2) ** 2
        z = (ratio[0] - ratio[1] + effect) / np.sqrt(spread.sum(axis=0))
    assert abs((np.abs(z) > 1.96).mean() - 0.8) < (0.025 if metric == "proportion" else 0.04)


def test_days_left() -> None:
    """Days are the missing units over the daily ones, 0 when they are there, and a reason where none come."""
    needed = math.ceil(required_units(0.1, 4.0))
    assert outlook(0.1, 4.0, needed - 100, 50.0).days == 2
    done = outlook(0.1, 4.0, needed, 0.0)
    assert (done.days, done.needed) == (0, needed)
    assert done.power == pytest.approx(0.8, abs=1e-3)
    stuck = outlook(0.1, 4.0, 100, 0.0)
    assert stuck.days is None
    assert "no new units come" in stuck.reason
    assert stuck.smallest > 0.1 > 0


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"effect": 0.0}, "effect is 0.0"),
        ({"effect": -0.1, "design": Design(two_sided=False)}, "effect is -0.1"),
        ({"effect": math.nan}, "effect is nan"),
        ({"variance": 0.0}, "variance is 0.0"),
        ({"variance": math.inf}, "variance is inf"),
        ({"design": Design(alpha=0.0)}, "alpha is 0.0"),
        ({"design": Design(target=0.01)}, "target is 0.01"),
        ({"design": Design(kind="sometimes")}, "kind"),  # type: ignore[arg-type]
        ({"design": Design("group_sequential", looks=0)}, "looks is 0"),
        ({"effect": 1e-12}, "more than 1e+15 units"),
    ],
)
def test_bad_plans_are_named(arguments: dict[str, Any], place: str) -> None:
    """Effects that nothing finds and settings that are none are refused by name."""
    with pytest.raises(DataError, match=re.escape(place)):
        required_units(**({"effect": 0.1, "variance": 4.0} | arguments))


def test_bad_moments_are_named() -> None:
    """Arms without units, spread or a mean to compare with are refused by name."""
    good = Moments(10, 5.0, 10.0, 2.5, 0.0, 0.0)
    for treatment, control, relative, place in (
        (good, Moments(1, 1.0, 1.0, 0.0, 0.0, 0.0), False, "control has 1 units"),
        (Moments(5, 0.0, 0.0, 0.0, 0.0, 0.0), good, False, "treatment has 5 units, 0 values"),
        (good, Moments(10, 0.0, 10.0, 2.5, 0.0, 0.0), True, "control's mean is 0"),
        (Moments(10, 5.0, 10.0, 0.0, 0.0, 0.0),) * 2 + (False, "variance of the effect is 0.0"),
        (good, Moments(10, math.nan, 10.0, 2.5, 0.0, 0.0), False, "control: mean is nan"),
    ):
        with pytest.raises(DataError, match=re.escape(place)):
            measured_variance(treatment, control, relative=relative)
