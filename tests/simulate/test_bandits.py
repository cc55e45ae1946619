"""Bandits beside Vowpal Wabbit: less regret than the best of its explorations on the same rounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from abloop.simulate.bandits import FITS, POLICIES, PROBLEMS, play
from tests.learners.ask_vw import EXPLORATIONS
from tests.peers import ask

SEEDS = range(3)


@pytest.mark.parametrize("name", PROBLEMS)
def test_regret_beside_vowpal_wabbit(name: str, tmp_path: Path) -> None:
    """One policy of ours, the same on every problem, has at most the regret of the best of nine of theirs."""
    ours, jobs = [], []
    for seed in SEEDS:
        problem = PROBLEMS[name](np.random.default_rng(seed))
        ours.append(float(play(problem, FITS["bandit_linear"], POLICIES["argmax(effect + sd)"], seed).sum()))
        file = tmp_path / f"{seed}.npz"
        np.savez(file, inputs=problem.inputs, means=problem.means, rewards=problem.rewards)
        jobs += [{"file": str(file), "seed": seed, "exploration": each} for each in EXPLORATIONS]
    theirs = np.reshape(ask("vw", Path(__file__).parents[1] / "learners/ask_vw.py", jobs), (len(SEEDS), -1)).mean(
        axis=0
    )
    assert np.mean(ours) <= theirs.min(), dict(zip(EXPLORATIONS, theirs.tolist(), strict=True))


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_learns(policy: str) -> None:
    """On linear arms the last quarter has less than half the regret of the first hundred rounds, under every policy."""
    regret = play(PROBLEMS["lines"](np.random.default_rng(5)), FITS["bandit_linear"], POLICIES[policy], 5)
    assert regret[-750:].mean() < 0.5 * regret[:100].mean()
