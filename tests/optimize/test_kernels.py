"""Covariances are what they say, by other code."""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.gaussian_process.kernels import RBF, Matern

from abloop.optimize.kernels import ALIKE, DOUBT, bias, covariance, mean, smooth, surface

RNG = np.random.default_rng(0)


def test_a_covariance_is_the_sum_of_its_parts() -> None:
    """Slopes, squares, products, a Matern 5/2 and the log, each by hand or by scikit-learn, for several parameters."""
    one, two = RNG.random((5, 3)), RNG.random((4, 3))
    said = RNG.normal(size=5), RNG.normal(size=4)
    parameters = bias(3, 0.5, 1.0, 1.0, 0.7).draw(6, torch.Generator().manual_seed(1))
    found = covariance(
        parameters, torch.tensor(np.column_stack([one, said[0]])), torch.tensor(np.column_stack([two, said[1]]))
    )
    assert found.shape == (6, 5, 4)
    for each, row in zip(found.numpy(), parameters.numpy(), strict=True):
        a, b = 2 * one - 1, 2 * two - 1
        pairs = [(i, j) for i in range(3) for j in range(i)]
        product = sum(np.outer(a[:, i] * a[:, j], b[:, i] * b[:, j]) for i, j in pairs)
        square = (a**2 - 1 / 3) @ (b**2 - 1 / 3).T
        rest = Matern(length_scale=np.exp(row[4:7]), nu=2.5)(one, two)
        slope, squared, products, rough = np.exp(row[:4])
        whole = slope * a @ b.T + squared * square + products * product + rough * rest
        assert np.allclose(each, whole + 0.49 * np.outer(*said), atol=1e-7)


def test_what_a_log_is_wrong_by_is_smooth() -> None:
    """Its covariance is the squared exponential of scikit-learn."""
    one, two = RNG.random((5, 3)), RNG.random((4, 3))
    assert np.allclose(smooth(torch.tensor(one), torch.tensor(two)), RBF(ALIKE)(one, two))


def test_a_prior_is_drawn_as_it_is_dense() -> None:
    """Its draws have its mean and its error, and what is known is never drawn otherwise."""
    prior = surface(2, 0.3)
    drawn = prior.draw(20_000, torch.Generator().manual_seed(2))
    assert np.allclose(drawn.mean(0), prior.mean, atol=0.03)
    assert np.allclose(drawn.std(0), prior.error, atol=0.03)
    assert (drawn[:, DOUBT] == 0).all()
    other = prior.mean + prior.error
    free = int((prior.error > 0).sum())
    assert math.isclose(float(prior.density(prior.mean) - prior.density(other)), free / 2)


def test_what_is_expected_is_the_level_and_the_log() -> None:
    """The mean is level + scale * log, each parameter its own."""
    parameters = bias(1, 1.0, 0.5, scale=2.0).draw(3, torch.Generator().manual_seed(3))
    x = torch.tensor([[0.1, 1.0], [0.9, -1.0]], dtype=torch.double)
    assert torch.allclose(mean(parameters, x), parameters[:, -3, None] + 2 * torch.tensor([1.0, -1.0]).double())


def test_many_weights_move_a_metric_no_more_than_two() -> None:
    """The variance that is expected, on average over the cube, is that of two weights, whatever their number."""

    def variance(count: int) -> float:
        points = torch.tensor(np.column_stack([np.random.default_rng(count).random((2_000, count)), np.zeros(2_000)]))
        return float(covariance(surface(count, 1.0).mean[None], points, points).diagonal(dim1=-2, dim2=-1).mean())

    two = variance(2)
    for count in (3, 6, 12):
        assert math.isclose(variance(count), two, rel_tol=0.05)
