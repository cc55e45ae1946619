"""How a metric may move with the weights: a curved surface and a smooth rest, and what logs say of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from botorch.models.transforms.input import InputTransform
from gpytorch.kernels import Kernel, MaternKernel, ScaleKernel
from gpytorch.means import Mean
from gpytorch.priors import LogNormalPrior, NormalPrior

Tensor = Any
CURVED = (-1.0, -1.0, -2.0)  # logarithm of the variance of slopes, squares and products, of a metric of variance one
ROUGH = 1.0  # variance of the rest,
BIAS = 0.5  # or of what a log leaves of it
LENGTH = -0.6  # logarithm of the length over which the rest changes, of one weight; it grows with their number,
UNSURE = 0.8  # and how unsure it is, of two weights; of more, few trials would make too much of each.
SMOOTH = 0.4  # The same of what a log leaves
OFFSET = 0.3  # standard deviation of a log's offset


class Curved(Kernel):
    """Covariance of a polynomial of degree two over the unit cube, its coefficients integrated out.

    Product metrics mostly have one best place inside and little else: a response surface (Box, Wilson, JRSS B 1951).

    Args:
        share: Variance that is expected, of the metric's.
        own: Columns that are weights.
    """

    def __init__(self, share: float, own: tuple[int, ...]) -> None:
        """Begin where variances are expected."""
        super().__init__(active_dims=own)
        expected = torch.tensor(CURVED, dtype=torch.double) + math.log(share)
        self.register_parameter("log_variances", torch.nn.Parameter(expected.clone()))
        self.register_prior("variances", NormalPrior(expected, torch.ones(3, dtype=torch.double)), "log_variances")

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **_: Any) -> Tensor:
        """Return the covariance of points."""
        first, second = 2 * x1 - 1, 2 * x2 - 1
        square, other = first**2 - 1 / 3, second**2 - 1 / 3

        def product(a: Tensor, b: Tensor) -> Tensor:
            return (a * b).sum(-1) if diag else a @ b.transpose(-1, -2)

        slope, squared = self.log_variances.exp(), product(first**2, second**2)
        line = product(first, second)
        return slope[0] * line + slope[1] * product(square, other) + slope[2] * (line**2 - squared) / 2


class Told(Kernel):
    """Covariance of scale log(x), its scale integrated out; what the log says is the last column of points.

    Args:
        doubt: Standard deviation of the scale, before any test.
    """

    def __init__(self, doubt: float) -> None:
        """Keep it."""
        super().__init__()
        self.doubt = doubt

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **_: Any) -> Tensor:
        """Return the covariance of points."""
        first, second = self.doubt * x1[..., -1], self.doubt * x2[..., -1]
        return first * second if diag else first[..., :, None] * second[..., None, :]


class ToldMean(Mean):
    """What is expected of scale log(x), which is the last column of points, and an offset.

    Args:
        scale: What is expected of the scale, before any test.
    """

    def __init__(self, scale: float) -> None:
        """Begin without an offset."""
        super().__init__()
        self.scale = scale
        self.register_parameter("offset", torch.nn.Parameter(torch.zeros(1, dtype=torch.double)))
        self.register_prior("offset_prior", NormalPrior(0.0, OFFSET), "offset")

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of points."""
        return self.scale * x[..., -1] + self.offset


class Asked(InputTransform, torch.nn.Module):
    """Puts what the log says of points beside them, as a last column: asked once for mean and covariance.

    Args:
        says: Points to what the log says of them.
    """

    def __init__(self, says: Callable[[Tensor], Tensor]) -> None:
        """Keep the log."""
        super().__init__()
        self.transform_on_train = self.transform_on_eval = self.transform_on_fantasize = True
        self.says = says

    def transform(self, X: Tensor) -> Tensor:
        """Return points of shape (..., n, d) with their last column, shape (..., n, d + 1)."""
        return torch.cat([X, self.says(X)[..., None]], dim=-1)


def surface(weights: int) -> Any:
    """Return the covariance of a metric.

    Args:
        weights: How many there are.
    """
    return _surface(weights, 1.0, ROUGH, UNSURE * math.sqrt(2 / weights))


def bias(weights: int, share: float = 1.0) -> Any:
    """Return the covariance of what logs leave of a metric, or of what they say: they hold more points than tests do.

    Args:
        weights: How many there are.
        share: Variance that is expected, of the metric's.
    """
    return _surface(weights, share, BIAS, SMOOTH)


def _surface(weights: int, share: float, rough: float, unsure: float) -> Any:
    middle, own = LENGTH + math.log(weights) / 2, tuple(range(weights))
    rest = MaternKernel(2.5, ard_num_dims=weights, lengthscale_prior=LogNormalPrior(middle, unsure), active_dims=own)
    rest.lengthscale = math.exp(middle)
    scaled = ScaleKernel(rest, outputscale_prior=LogNormalPrior(math.log(rough * share), 1.0))
    scaled.outputscale = rough * share
    return Curved(share, own) + scaled
