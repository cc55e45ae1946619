"""Draws of parameters have the distribution that prior and measurements give them, by other code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm

from abloop.optimize.kernels import Prior, covariance, mean, surface
from abloop.optimize.process import JITTER, Process


def process(count: int = 6, level: float = 1.0) -> Process:
    """Return one with measurements of a wave."""
    rng = np.random.default_rng(4)
    x = np.column_stack([rng.random((count, 2)), np.zeros(count)])
    y = np.sin(5 * x[:, 0]) + x[:, 1] + rng.normal(scale=0.1, size=count)
    return Process(torch.tensor(x), torch.tensor(y), 0.01 * torch.eye(count).double(), surface(2, level))


def test_a_likelihood_is_that_of_a_normal_distribution() -> None:
    """It is SciPy's, and minus infinity where numbers are too large to be worked with."""
    made = process()
    parameters = made.prior.draw(4, torch.Generator().manual_seed(0))
    for row, found in zip(parameters, made.likelihood(parameters), strict=True):
        spread = covariance(row[None], made.x, made.x)[0] + (0.01 + JITTER) * torch.eye(6)
        expected = multivariate_normal.logpdf(made.y.numpy(), mean(row[None], made.x)[0].numpy(), spread.numpy())
        assert float(found) == pytest.approx(expected, abs=1e-6)
    assert made.likelihood(torch.full((1, 9), 1e3).double())[0] == -torch.inf


def test_draws_are_as_likely_as_prior_and_measurements_make_them() -> None:
    """Of one unknown, the level, draws have mean, spread and evidence of the exact posterior (z below 4)."""
    made = process(level=1.0)
    known = made.prior.error.clone()
    known[:6] = 0.0
    made.prior = Prior(made.prior.mean, known)
    base = covariance(made.prior.mean[None], made.x, made.x)[0].numpy() + (0.01 + JITTER) * np.eye(6)
    ones, y = np.ones(6), made.y.numpy()
    precision = 1.0 + ones @ np.linalg.solve(base, ones)
    centre = ones @ np.linalg.solve(base, y) / precision
    drawn, evidences = [], []
    for seed in range(40):
        found, evidence = made.draw(torch.Generator().manual_seed(seed))
        drawn.append(found[:, 6].numpy())
        evidences.append(evidence)
    whole = np.concatenate(drawn)
    means = np.array([each.mean() for each in drawn])
    assert abs(means.mean() - centre) < 4 * means.std() / np.sqrt(len(means))
    assert whole.std() == pytest.approx(precision**-0.5, rel=0.1)
    assert np.mean(evidences) == pytest.approx(multivariate_normal.logpdf(y, np.zeros(6), base + 1.0), abs=0.05)
    assert norm.cdf(whole, centre, precision**-0.5).mean() == pytest.approx(0.5, abs=0.05)


def test_the_likeliest_parameters_are_on_a_peak() -> None:
    """None of many steps away from them is likelier."""
    made = process(12)
    peak = made.peak()
    top = made.likelihood(peak) + made.prior.density(peak)
    steps = peak + 0.05 * torch.randn(200, 9, dtype=torch.double, generator=torch.Generator().manual_seed(5)) * (
        made.prior.error > 0
    )
    assert (made.likelihood(steps) + made.prior.density(steps) <= top + 1e-3).all()


def test_what_nothing_explains_is_refused() -> None:
    """Measurements that are no numbers end in an error, not in draws."""
    made = process()
    made.y = made.y * torch.nan
    with pytest.raises(ValueError, match="no parameters explain"):
        made.draw(torch.Generator().manual_seed(0))
