"""The gate with real fits, in worlds whose truth is known; `ABLOOP_LONG=1` runs the dose of tests/REPORT.md."""

from __future__ import annotations

import math
import os

import pytest

from tests.truth.gate import NOISE, World, rates

TRIALS = 700 if os.environ.get("ABLOOP_LONG") else 40


@pytest.mark.parametrize("effect", ["nothing", "same for all"])
@pytest.mark.parametrize("kind", NOISE)
def test_nobody_is_personalised_where_nobody_differs(kind: str, effect: str) -> None:
    """Without heterogeneity at most 5 % of trials personalise, within three Monte-Carlo standard errors."""
    found = rates(World(kind, effect), TRIALS)
    noise = 3 * math.sqrt(0.05 * 0.95 / TRIALS)
    assert found.fixed <= 0.05 + noise
    assert found.always <= found.fixed


@pytest.mark.parametrize("kind", NOISE)
def test_a_gain_of_three_errors_is_found(kind: str) -> None:
    """Where the best policy gains three standard errors, at least 80 % personalise, within three Monte-Carlo errors."""
    found = rates(World(kind, "differs"), TRIALS)
    assert found.strength == pytest.approx(3.0, abs=0.15)
    assert found.fixed >= 0.80 - 3 * math.sqrt(0.8 * 0.2 / TRIALS)
