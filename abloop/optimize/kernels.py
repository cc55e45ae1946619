"""How a metric may move with the weights: a curved surface, a smooth rest, and what logs say of it.

All that is unknown of it is one vector of parameters: the logarithms of the variance of slopes, squares, products and
of the rest, those of the length over which the rest changes in each weight, the level, and scale and doubt of the log.
Points are in the unit cube; their last column is what the log says of them, 0 without one.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

Tensor = Any
CURVED = (-1.0, -1.0, -2.0)  # logarithm of the variance of slopes, squares and products, of a metric of variance one
ROUGH = 1.0  # variance of the rest,
BIAS = 0.5  # or of what a log leaves of it
LENGTH = -0.6  # logarithm of the length over which the rest changes, of one weight; it grows with their number,
UNSURE = 0.8  # and how unsure it is, of two weights; of more, few trials would make too much of each.
SMOOTH = 0.4  # The same of what a log leaves
ALIKE = 0.5  # length over which a log is wrong in the same way
LEVEL, SCALE, DOUBT = -3, -2, -1  # places of the last parameters


class Prior(NamedTuple):
    """What is expected of parameters: independent normal distributions.

    Attributes:
        mean: Shape (p,).
        error: Standard deviations, 0 of what is known, shape (p,).
    """

    mean: Tensor
    error: Tensor

    def draw(self, count: int, rng: Any) -> Tensor:
        """Return parameters at random, shape (count, p)."""
        return self.mean + self.error * torch.randn(count, len(self.mean), dtype=torch.double, generator=rng)

    def density(self, parameters: Tensor) -> Tensor:
        """Return the logarithm of the density of parameters of shape (..., p) less a constant, shape (...)."""
        free = self.error > 0
        return -((((parameters - self.mean)[..., free] / self.error[free]) ** 2).sum(-1)) / 2


def surface(weights: int, level: float, scale: float = 0.0, doubt: float = 0.0) -> Prior:
    """Return what is expected of a metric of variance one.

    Args:
        weights: How many there are; of more than two, each has a smaller part in it, or corners, of which there are
            many, would be thought to hold the best and the worst of everything.
        level: Standard deviation of the level.
        scale: What is expected of the log's scale.
        doubt: Standard deviation of that.
    """
    return _prior(weights, 1.0, ROUGH, UNSURE * math.sqrt(2 / weights), level, scale, doubt)


def bias(weights: int, share: float, level: float, scale: float = 0.0, doubt: float = 0.0) -> Prior:
    """Return what is expected of what logs leave of a metric, or of what they say: they hold more points than tests do.

    Args:
        weights: How many there are.
        share: Variance that is expected, of the metric's.
        level: Standard deviation of the level.
        scale: What is expected of the log's scale.
        doubt: Standard deviation of that.
    """
    return _prior(weights, share, BIAS * share, SMOOTH, level, scale, doubt)


def _prior(weights: int, share: float, rough: float, unsure: float, level: float, scale: float, doubt: float) -> Prior:
    parts = weights / 2, weights / 2, max(1, weights * (weights - 1) / 2)
    curved = [expected + math.log(share / part) for expected, part in zip(CURVED, parts, strict=True)]
    lengths = [LENGTH + math.log(weights) / 2] * weights
    mean = [*curved, math.log(rough), *lengths, 0.0, scale, doubt]
    error = [1.0] * 4 + [unsure] * weights + [level, 0.0, 0.0]
    return Prior(torch.tensor(mean, dtype=torch.double), torch.tensor(error, dtype=torch.double))


def covariance(parameters: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
    """Return the covariance of points under each of several parameters.

    A polynomial of degree two, its coefficients integrated out, for product metrics mostly have one best place inside
    and little else (Box, Wilson, JRSS B 1951); a Matern 5/2 (Rasmussen, Williams, 2006, eq. 4.17); and a multiple of
    what the log says, integrated out too.

    Args:
        parameters: Shape (k, p).
        x1: Points of shape (..., n, d + 1); ... ends in 1 or k.
        x2: Points of shape (..., m, d + 1), the same.

    Returns:
        Shape (..., k, n, m).
    """
    count = x1.shape[-1] - 1
    own, other = x1[..., :count], x2[..., :count]
    slope, squares, products = (parameters[:, at, None, None].exp() for at in range(3))
    first, second = 2 * own - 1, 2 * other - 1
    line = first @ second.mT
    square = (first**2 - 1 / 3) @ (second**2 - 1 / 3).mT
    product = (line**2 - first**2 @ (second**2).mT) / 2
    length = parameters[:, None, 4 : 4 + count].exp()
    near, far = own / length, other / length
    away = (near**2).sum(-1)[..., :, None] + (far**2).sum(-1)[..., None, :] - 2 * near @ far.mT
    away = (5 * away.clamp_min(1e-20)).sqrt()
    rest = parameters[:, 3, None, None].exp() * (1 + away + away**2 / 3) * (-away).exp()
    told = parameters[:, DOUBT, None, None] ** 2 * x1[..., :, -1, None] * x2[..., None, :, -1]
    return slope * line + squares * square + products * product + rest + told


def smooth(x1: Tensor, x2: Tensor) -> Tensor:
    """Return the covariance of what a log may be wrong by, of variance one: it is alike over half the range of weights.

    A squared exponential (Rasmussen, Williams, 2006, eq. 4.9).

    Args:
        x1: Points, shape (n, d).
        x2: Points, shape (m, d).

    Returns:
        Shape (n, m).
    """
    found: Tensor = (-(torch.cdist(x1, x2) ** 2) / (2 * ALIKE**2)).exp()
    return found


def mean(parameters: Tensor, x: Tensor) -> Tensor:
    """Return what is expected of points of shape (..., n, d + 1), shape (..., k, n)."""
    return parameters[:, LEVEL, None] + parameters[:, SCALE, None] * x[..., -1]


def scale_squared(parameters: Tensor) -> Tensor:
    """Return what is expected of the square of the log's scale, shape (k, 1, 1)."""
    return (parameters[:, SCALE] ** 2 + parameters[:, DOUBT] ** 2)[:, None, None]
