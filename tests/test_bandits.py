"""Bandits through the two calls: randomised until a first fit, then serving every fit, their shares logged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

import abloop
from abloop import offline
from abloop.errors import BlueprintError
from abloop.learners.bandit import fit_bandit_linear, fit_bandit_trees
from abloop.learners.base import Sample
from abloop.models.posterior import BanditModel
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop

ARMS = ("low", "mid", "high")
FILES = Path(__file__).with_name("blueprints")


def blueprint(learner: str, **policy: object) -> dict[str, object]:
    """Return a bandit of three arms."""
    raw: dict[str, object] = yaml.safe_load((FILES / "price_bandit.yaml").read_text())
    return raw | {"model": {"learners": [learner]}} | policy


def means(x: float) -> np.ndarray:
    """Return what each arm brings: a line each, which cross."""
    return np.array([0.5 - x, 0.5, 0.5 + x])


def play(loop: abloop.Loop, rng: np.random.Generator, prefix: str, units: int) -> tuple[float, list[str]]:
    """Send units through the two calls and return the mean regret and the decision ids."""
    handle, regret, ids = loop.strategy("price"), 0.0, []
    for index in range(units):
        x, name = float(rng.uniform(-1, 1)), f"{prefix}{index}"
        arm = handle.get_decision(name, {"user_id": name, "x": x, "y": float(rng.normal())})
        worth = means(x)
        regret += worth.max() - worth[ARMS.index(arm)]
        handle.log_observations(name, {"margin": float(worth[ARMS.index(arm)] + rng.normal(0, 0.3))})
        ids.append(name)
    assert handle.errors == 0
    return regret / units, ids


@pytest.mark.parametrize("learner", ["bandit_linear", "bandit_trees"])
def test_a_bandit_learns_while_it_plays(tmp_path: Path, learner: str) -> None:
    """Regret falls batch after batch without any gate; shares are logged and each decision can be computed again."""
    clock, rng = ManualClock(), np.random.default_rng(0)
    loop = open_loop(tmp_path, clock)
    loop.register(blueprint(learner))
    regrets, ids = [], []
    for batch in range(5):
        regret, ids = play(loop, rng, f"b{batch}-", 200)
        regrets.append(regret)
        clock.advance(TTL + 1)
        found = offline.cycle(loop, "price")
        loop.refresh()
        assert found.serving.phase == "personalise"
    assert found.verdict.reason.startswith("The bandit plays: ")
    assert found.verdict.learner == learner
    assert set(found.verdict.arms) == set(ARMS)
    assert regrets[-1] < 0.35 * regrets[0]
    explained = [abloop.explain(loop, name) for name in ids[:60]]
    assert all(each.repeated for each in explained)
    assert any(0.05 < each.decision.propensity < 0.95 for each in explained)
    loop.close()


def test_a_formula_of_the_user_explores(tmp_path: Path) -> None:
    """Any formula may play: an upper bound, or learners without uncertainty under a formula that explores."""
    for number, (learner, formula) in enumerate(
        [("bandit_linear", "argmax(effect + 2 * sd - cost)"), ("t", "epsilon(best_arm(effect, cost), 0.1)")]
    ):
        clock, rng = ManualClock(), np.random.default_rng(1)
        directory = tmp_path / str(number)
        directory.mkdir()
        loop = open_loop(directory, clock)
        loop.register(blueprint(learner, policy={"formula": formula}))
        first, _ = play(loop, rng, "a", 300)
        clock.advance(TTL + 1)
        offline.cycle(loop, "price")
        loop.refresh()
        last, ids = play(loop, rng, "b", 200)
        assert last < 0.7 * first
        assert all(abloop.explain(loop, name).repeated for name in ids[:20])
        loop.close()


def test_too_few_rows_keep_the_arms_random(tmp_path: Path) -> None:
    """Before twenty rows there is no fit, and the verdict says so."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(blueprint("bandit_linear"))
    play(loop, np.random.default_rng(0), "a", 12)
    clock.advance(TTL + 1)
    found = offline.cycle(loop, "price")
    assert found.serving.phase == "randomise"
    assert found.verdict.reason.startswith("A bandit begins with 20 complete rows; 'price' has 12.")
    loop.close()


WRONG = [
    ({"learners": ["bandit_linear", "t"]}, {}, "it learns alone"),
    ({"learners": ["t"]}, {}, "nothing explores"),
    ({"learners": ["bandit_linear"]}, {"switch": "auto"}, "switch: bandit"),
]


@pytest.mark.parametrize(("model", "lifecycle", "words"), WRONG)
def test_bandits_that_cannot_play_are_refused(model: dict, lifecycle: dict, words: str) -> None:
    """A bandit learns alone, has something that explores, and is switched by nothing else."""
    raw = blueprint("bandit_linear") | {"model": model}
    raw["lifecycle"] = {"ttl": TTL, "switch": "bandit"} | lifecycle
    with pytest.raises(BlueprintError, match=words):
        abloop.blueprint.from_mapping(raw)


@pytest.mark.parametrize("fit", [fit_bandit_linear, fit_bandit_trees])
def test_uncertainty_falls_with_rows_and_bits_agree(fit: object) -> None:
    """More rows make every arm surer, an arm without rows stays unsure, and one row equals the frame."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=2_000), rng.integers(0, 3, 2_000), rng.normal(size=2_000)])
    x[::7, 2] = np.nan
    arm = rng.integers(0, 2, 2_000)
    outcome = x[:, 0] * arm + rng.normal(size=2_000)
    found = []
    for rows in (100, 2_000):
        sample = Sample(x[:rows], arm[:rows], outcome[:rows], np.full(3, 1 / 3), (0, 3, 0))
        model = BanditModel(fit(sample, 0), 3, 3)  # type: ignore[operator]
        frame = model.frame(x[:50])
        assert [model.row(row) for row in x[:50].tolist()] == [tuple(row) for row in frame.tolist()]
        found.append(frame[:, 3:].mean(axis=0))
    assert (found[1][:2] < 0.5 * found[0][:2]).all()
    assert (found[1][2] > 3 * found[1][:2]).all()
