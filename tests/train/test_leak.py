"""A feature that the arm changed is named before anything is learned from it; sound ones are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind

from abloop import offline
from abloop.testing import ManualClock
from abloop.train.leak import arm_dependence
from tests.loops import TTL, open_loop, two_arms

FEATURES = [{"name": "x"}, {"name": "device", "type": "categorical"}]


def history(rng: np.random.Generator, rows: int = 2_000) -> pd.DataFrame:
    """Return a trial whose first feature is heavy-tailed and often missing."""
    x = np.exp(rng.normal(0, 3, rows))
    x[rng.random(rows) < 0.2] = np.nan
    device = rng.choice(["web", "app", "tv"], rows).astype(object)
    arm = rng.choice(["blue", "green"], rows)
    return pd.DataFrame({"arm": arm, "bought": rng.random(rows) < 0.3, "x": x, "device": device})


def judged(directory: Path, frame: pd.DataFrame) -> str:
    """Return what the gate says of a trial."""
    directory.mkdir(exist_ok=True)
    loop = open_loop(directory, ManualClock())
    loop.register(two_arms(features=FEATURES, model={"repeats": 1, "folds": 2}))
    offline.import_trial(loop, "checkout", frame, arm="arm", outcomes=["bought"], features=["x", "device"])
    reason = offline.cycle(loop, "checkout", always_valid=False).verdict.reason
    loop.close()
    return reason


def test_what_the_arm_changed_is_named(tmp_path: Path) -> None:
    """A number, a category, or a gap that came after the arm: the gate refuses, names it, and says what to do."""
    green = (frame := history(np.random.default_rng(0)))["arm"] == "green"
    assert "depends on the arm" not in judged(tmp_path / "sound", frame)
    changes = {
        "number": frame.assign(x=frame["x"].where(~green, frame["x"] * 3)),
        "gap": frame.assign(x=frame["x"].where(~green | (frame.index % 2 == 0))),
        "category": frame.assign(device=frame["device"].where(~green | (frame.index % 2 == 0), "app")),
    }
    for name, changed in changes.items():
        reason = judged(tmp_path / name, changed)
        feature = "device" if name == "category" else "x"
        assert reason.startswith(f"Feature {feature!r} depends on the arm"), reason
        assert "remove it from the blueprint" in reason


def test_what_the_arm_did_before_is_no_leak(tmp_path: Path) -> None:
    """A feature that tells what the unit's arm did at earlier decisions is known before the decision: not refused."""
    clock, rng = ManualClock(), np.random.default_rng(3)
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(features=[{"name": "x"}], model={"repeats": 1, "folds": 2}))
    strategy, seen = loop.strategy("checkout"), dict.fromkeys(range(600), 0.0)
    for turn in range(3):
        for unit in seen:
            name = f"{unit}-{turn}"
            arm = strategy.get_decision(name, {"user_id": f"u{unit}", "x": seen[unit] + rng.random()})
            strategy.log_observations(name, {"bought": rng.random() < 0.3})
            seen[unit] += arm == "green"
        clock.advance(10)
    clock.advance(TTL + 1)
    assert "depends on the arm" not in offline.cycle(loop, "checkout").verdict.reason
    loop.close()


def test_a_policy_that_looks_at_features_is_no_leak() -> None:
    """Where arms were drawn by a feature, with logged propensities, the weighted means agree: p is uniform."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(1_000):
        x = rng.random(1_000)
        chance = np.where(x > 0.5, 0.9, 0.1)
        arm = (rng.random(1_000) < chance).astype(np.intp)
        logged = np.where(arm == 1, chance, 1 - chance)
        found.append(arm_dependence(x, arm, logged, np.arange(1_000), 1))
    assert 0.03 < np.mean(np.asarray(found) < 0.05) < 0.07
    assert arm_dependence(x, arm, np.full(1_000, 0.5), np.arange(1_000), 1) < 1e-20


def test_equal_shares_are_a_test_of_two_means() -> None:
    """With one row a unit and equal shares it is Welch's test, but for its degrees of freedom; by unit it is wider."""
    rng = np.random.default_rng(2)
    x, arm = rng.random(4_000), rng.integers(0, 2, 4_000)
    mine = arm_dependence(x, arm, np.full(4_000, 0.5), np.arange(4_000), 1)
    assert mine == pytest.approx(ttest_ind(x[arm == 1], x[arm == 0], equal_var=False).pvalue, rel=5e-3)
    units = np.repeat(np.arange(1_000), 4)
    same = rng.random(1_000)[units]
    drawn = rng.integers(0, 2, 1_000)[units]
    assert arm_dependence(same, drawn, np.full(4_000, 0.5), units, 1) > arm_dependence(
        same, drawn, np.full(4_000, 0.5), np.arange(4_000), 1
    )


@pytest.mark.parametrize("value", [0.1, 2 / 3, 0.5])
def test_what_never_varies_depends_on_nothing(value: float) -> None:
    """A feature that is the same on every row has p = 1, whatever rounding makes of its means; the arm itself has 0."""
    rng = np.random.default_rng(0)
    for rows in (997, 1_000, 3_001):
        arm, propensity = rng.integers(0, 2, rows), rng.choice([0.1, 0.3, 0.7], rows)
        units = np.arange(rows)
        assert arm_dependence(np.full(rows, value), arm, propensity, units, 1) == 1.0
        assert arm_dependence(arm * value, arm, propensity, units, 1) == 0.0
