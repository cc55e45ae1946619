"""How a metric may move with the weights: a curved surface and a smooth rest, and what logs say of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from gpytorch.kernels import Kernel, MaternKernel, ScaleKernel
from gpytorch.means import Mean
from gpytorch.priors import LogNormalPrior, NormalPrior

Tensor = Any
CURVED = (-1.0, -1.0, -2.0)  # logarithm of the variance of slopes, squares and products, of a metric of variance one
ROUGH = 0.5  # variance of the rest
LENGTH = -0.6  # logarithm of the length over which the rest changes, of one weight; it grows with their number
DOUBT = 0.5  # standard deviation of a log's scale, about 1, before any test
OFFSET = 0.3  # standard deviation of a log's offset


class Curved(Kernel):
    """Covariance of a polynomial of degree two over the unit cube, its coefficients integrated out.

    Product metrics mostly have one best place inside and little else: a response surface (Box, Wilson, JRSS B 1951).

    Args:
        share: Variance that is expected, of the metric's.
    """

    def __init__(self, share: float) -> None:
        """Begin where variances are expected."""
        super().__init__()
        expected = torch.tensor(CURVED, dtype=torch.double) + math.log(share)
        self.register_parameter("log_variances", torch.nn.Parameter(expected.clone()))
        self.register_prior(
            "variances", NormalPrior(expected, torch.ones(3, dtype=torch.double)), lambda m: m.log_variances, None
        )

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
    """Covariance of (scale - 1) log(x), its scale integrated out.

    Args:
        says: Points to what the log says of them.
    """

    def __init__(self, says: Callable[[Tensor], Tensor]) -> None:
        """Keep the log."""
        super().__init__()
        self.says = says

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **_: Any) -> Tensor:
        """Return the covariance of points."""
        first = DOUBT * self.says(x1)
        second = first if x1 is x2 else DOUBT * self.says(x2)
        return first * second if diag else first[..., :, None] * second[..., None, :]


class ToldMean(Mean):
    """What the log says, and an offset.

    Args:
        says: Points to what the log says of them.
    """

    def __init__(self, says: Callable[[Tensor], Tensor]) -> None:
        """Begin without an offset."""
        super().__init__()
        self.says = says
        self.register_parameter("offset", torch.nn.Parameter(torch.zeros(1, dtype=torch.double)))
        self.register_prior("offset_prior", NormalPrior(0.0, OFFSET), lambda m: m.offset, None)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of points."""
        return self.says(x) + self.offset


def surface(weights: int, share: float = 1.0) -> Any:
    """Return the covariance of a metric, or of what logs leave of it.

    Args:
        weights: How many there are.
        share: Variance that is expected, of the metric's.
    """
    middle = LENGTH + math.log(weights) / 2
    rest = MaternKernel(2.5, ard_num_dims=weights, lengthscale_prior=LogNormalPrior(middle, 0.4))
    rest.lengthscale = math.exp(middle)
    scaled = ScaleKernel(rest, outputscale_prior=LogNormalPrior(math.log(ROUGH * share), 1.0))
    scaled.outputscale = ROUGH * share
    return Curved(share) + scaled
