"""Runs in the environment of Vowpal Wabbit: plays bandit problems with its explorations, and answers their regret."""

from __future__ import annotations

import json
import sys

import numpy as np

EXPLORATIONS = (
    "--epsilon 0.05",
    "--epsilon 0.02",
    "--first 200",
    "--bag 5",
    "--cover 5",
    "--squarecb",
    "--regcb",
    "--regcbopt",
    "--softmax --lambda 10",
)


def play(job):
    """Return the total regret of a problem under one exploration."""
    from vowpalwabbit import Workspace

    found = np.load(job["file"])
    inputs, means, rewards = found["inputs"], found["means"], found["rewards"]
    rng, arms, total = np.random.default_rng(job["seed"]), means.shape[1], 0.0
    learner = Workspace(f"--cb_explore {arms} {job['exploration']} --random_seed {job['seed'] + 1} --quiet")
    for row, mean, reward in zip(inputs, means, rewards, strict=True):
        text = "| " + " ".join(f"f{at}:{value:.6g}" for at, value in enumerate(row) if value)
        shares = np.asarray(learner.predict(text), dtype=float)
        shares /= shares.sum()
        arm = int(rng.choice(arms, p=shares))
        total += mean.max() - mean[arm]
        learner.learn(f"{arm + 1}:{-reward[arm]:.6g}:{max(shares[arm], 1e-6):.6g} {text}")
    learner.finish()
    return float(total)


if __name__ == "__main__":
    json.dump([play(job) for job in json.load(sys.stdin)], sys.stdout)
