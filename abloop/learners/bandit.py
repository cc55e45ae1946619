"""Bandits: what each arm brings a unit, and how sure that is, from rows whose arms were drawn by known shares."""

from __future__ import annotations

from typing import Any

import numpy as np

from abloop.learners.base import Frame, Sample
from abloop.learners.regress import Design
from abloop.models.gbdt import bin_rows, fit_binned, flatten
from abloop.models.posterior import BanditSpec, LinearPosterior, TreePosterior
from abloop.models.tensors import write_tensors
from abloop.models.trees import Tree

PRIOR = 1.0  # rows that the prior of each coefficient counts for
RESAMPLES = 10
SAMPLE_TREES = 40
FEWEST = 10  # rows of an arm below which its ensembles are draws from the prior


def fit_bandit_linear(sample: Sample, seed: int = 0) -> BanditSpec:
    """Fit a normal posterior of each arm's linear coefficients, all of one noise.

    With inputs Z of an arm, scaled to deviation 1, and noise variance v: covariance v (Z'Z + I)^-1, mean (Z'Z + I)^-1
    Z'y. Source: Agrawal, Goyal, ICML 2013; Li, Chu, Langford, Schapire, WWW 2010.

    Args:
        sample: Training rows; an arm may have none, which leaves it at the mean of all rows, unsure.
        seed: Not used: nothing is drawn.
    """
    del seed
    design = Design.of(sample)
    inputs = design.inputs(sample.features)
    centre, scale = inputs.mean(axis=0), inputs.std(axis=0)
    scale = np.where(scale > 1e-9 * np.maximum(1.0, np.abs(centre)), 1.0 / np.maximum(scale, 1e-300), 0.0)
    z = np.column_stack([np.ones(len(inputs)), (inputs - centre) * scale])
    overall, width = float(sample.outcome.mean()), z.shape[1]
    means, inverses, residual = np.zeros((sample.arms, width)), [], 0.0
    for arm in range(sample.arms):
        here = sample.arm == arm
        gram = z[here].T @ z[here] + PRIOR * np.eye(width)
        means[arm] = np.linalg.solve(gram, z[here].T @ (sample.outcome[here] - overall))
        inverses.append(np.linalg.inv(gram))
        residual += float(((sample.outcome[here] - overall - z[here] @ means[arm]) ** 2).sum())
    spread = float(sample.outcome.var())
    # One row of prior noise, so that a perfect fit of few rows is not taken for certainty.
    noise = (residual + spread) / (len(z) + 1.0)
    roots = np.stack([np.linalg.cholesky(noise * (each + each.T) / 2 + 1e-12 * np.eye(width)) for each in inverses])
    means[:, 0] += overall
    tensors = write_tensors({"centre": centre, "scale": scale, "mean": means, "root": roots})
    return BanditSpec(linear=LinearPosterior(tuple(design.means.tolist()), design.gaps, design.levels, tensors))


def fit_bandit_trees(sample: Sample, seed: int = 0) -> BanditSpec:
    """Fit boosted trees of each arm's value to resampled rows, several times.

    Source: Eckles, Kaptein, "Thompson sampling with the online bootstrap", 2014: each row counts a Poisson(1) number
    of times.

    Args:
        sample: Training rows; an arm may have none.
        seed: Makes the fit repeatable.
    """
    rng = np.random.default_rng([seed, len(sample.arm)])
    spread = float(sample.outcome.std())
    overall = float(sample.outcome.mean())
    samples, least = [], []
    for arm in range(sample.arms):
        here = np.flatnonzero(sample.arm == arm)
        samples.append(tuple(_resampled(sample, here, rng, seed, overall, spread) for _ in range(RESAMPLES)))
        least.append(spread / np.sqrt(len(here) + 1.0) / 2.0)
    return BanditSpec(trees=TreePosterior(tuple(samples), tuple(map(float, least)), sample.features.shape[1]))


def _resampled(
    sample: Sample, here: Any, rng: np.random.Generator, seed: int, overall: float, spread: float
) -> tuple[Tree, ...]:
    """Return an arm's trees on one resample; of an arm with few rows its mean, drawn from what is known of it."""
    values: Frame = sample.outcome[here]
    if len(here) < FEWEST or float(np.ptp(values)) == 0.0:
        middle = (overall + float(values.sum())) / (len(here) + 1.0)
        drawn = rng.normal(middle, spread / np.sqrt(len(here) + 1.0))
        return (Tree((), (), (), (), (), (float(drawn),)),)
    counts = rng.poisson(1.0, len(here))
    counts[rng.integers(len(here))] += not counts.any()
    picked = here[counts > 0]
    data = bin_rows(sample.features[picked], counts[counts > 0].astype(float))
    options = {"min_data_in_leaf": max(2, min(20, len(picked) // 20)), "learning_rate": 0.1}
    return flatten(fit_binned(data, sample.outcome[picked], seed, options=options, rounds=SAMPLE_TREES))
