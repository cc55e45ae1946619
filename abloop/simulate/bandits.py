"""Bandit problems whose every reward is known, and the regret of playing them with batch updates.

A round shows inputs, an arm is drawn from the policy's shares, and only its reward is seen. Regret is what the best arm
would have brought in expectation, less what the drawn arm does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from abloop.learners.bandit import fit_bandit_linear, fit_bandit_trees
from abloop.learners.base import Frame, Sample
from abloop.models.posterior import BanditModel, BanditSpec
from abloop.policy.draws import argmax_all, epsilon_all, thompson_all
from abloop.policy.gaps import inverse_gap_all

Shares = Callable[[Frame, Frame, int], Frame]
Fit = Callable[[Sample, int], BanditSpec]
GROWTH = 0.1  # share of fresh rounds from which the model is fitted again
FIRST = 20  # rounds at random, and fresh rounds at least, before a fit


@dataclass(frozen=True)
class Problem:
    """Rounds of a bandit.

    Attributes:
        inputs: What is shown, shape (n, d).
        means: Expected reward of each arm in each round, shape (n, k).
        rewards: What each arm would bring, shape (n, k).
    """

    inputs: Frame
    means: Frame
    rewards: Frame


def digits(rng: np.random.Generator) -> Problem:
    """Return scikit-learn's handwritten digits in a random order: the arm that names the digit brings 1, others 0."""
    from sklearn.datasets import load_digits

    images, truth = load_digits(return_X_y=True)
    order = rng.permutation(len(truth))
    rewards = np.eye(10)[truth[order]]
    return Problem(np.asarray(images[order], dtype=np.float64), rewards, rewards)


def lines(rng: np.random.Generator, rounds: int = 3_000) -> Problem:
    """Return five arms whose expected reward is linear in ten inputs, with noise."""
    inputs = rng.normal(size=(rounds, 10))
    means = inputs @ rng.normal(0, 0.3, (10, 5)) + rng.normal(0, 0.3, 5)
    return Problem(inputs, means, means + rng.normal(0, 1.0, means.shape))


def steps(rng: np.random.Generator, rounds: int = 3_000) -> Problem:
    """Return four arms of which one is good in each quarter of a plane, clicks as rewards, among six inputs."""
    inputs = rng.uniform(-1, 1, (rounds, 6))
    quarter = 2 * (inputs[:, 0] > 0) + (inputs[:, 1] > 0)
    means = np.where(np.arange(4) == quarter[:, None], 0.7, 0.2)
    return Problem(inputs, means, (rng.random(means.shape) < means).astype(np.float64))


PROBLEMS: dict[str, Callable[[np.random.Generator], Problem]] = {"digits": digits, "lines": lines, "steps": steps}
FITS: dict[str, Fit] = {"bandit_linear": fit_bandit_linear, "bandit_trees": fit_bandit_trees}
POLICIES: dict[str, Shares] = {
    "thompson(effect, sd)": lambda effect, sd, _: thompson_all(effect, sd),
    "argmax(effect + sd)": lambda effect, sd, _: np.eye(effect.shape[1])[argmax_all(effect + sd)],
    "inverse_gap(effect, 10 * sqrt(n))": lambda effect, _, n: inverse_gap_all(effect, 10.0 * np.sqrt(n)),
    "epsilon(argmax(effect), 0.05)": lambda effect, _, __: epsilon_all(argmax_all(effect), 0.05, effect.shape[1]),
}


def play(problem: Problem, fit: Fit, shares: Shares, seed: int) -> Frame:
    """Return the regret of each round of a problem, shape (n,).

    Args:
        problem: The rounds.
        fit: Fits the model again whenever a tenth of the rounds is fresh.
        shares: Policy: effects and uncertainties, both (m, k), and rounds so far, to shares, (m, k).
        seed: Of the draws.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> regret = play(lines(rng, 200), fit_bandit_linear, POLICIES["thompson(effect, sd)"], 0)
        >>> regret.shape, bool((regret >= 0).all())
        ((200,), True)
    """
    rng = np.random.default_rng(seed)
    rounds, arms = problem.means.shape
    drawn = np.empty(rounds, dtype=np.intp)
    done, uniform = 0, np.full(arms, 1.0 / arms)
    while done < rounds:
        ends = min(rounds, done + max(FIRST, int(GROWTH * done)))
        inputs = problem.inputs[done:ends]
        mixed = np.tile(uniform, (ends - done, 1))
        if done:
            seen = np.arange(done)
            outcome = problem.rewards[seen, drawn[:done]]
            sample = Sample(problem.inputs[:done], drawn[:done], outcome, uniform)
            model = BanditModel(fit(sample, seed), arms, problem.inputs.shape[1])
            predicted = model.frame(inputs)
            mixed = shares(predicted[:, :arms], predicted[:, arms:], done)
        bounds = np.cumsum(mixed, axis=1)
        draws = rng.random(ends - done)[:, None] * bounds[:, -1:]
        drawn[done:ends] = np.minimum((draws >= bounds).sum(axis=1), arms - 1)
        done = ends
    regret: Frame = problem.means.max(axis=1) - problem.means[np.arange(rounds), drawn]
    return regret
