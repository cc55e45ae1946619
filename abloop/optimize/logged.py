"""What logs say of a metric, as a smooth function of the weights, and how unsure that is.

    log(x) = truth(x) + bias(x) + noise

A log holds noise as tests do, and is a little wrong in the same way for weights that are alike (Kennedy, O'Hagan,
Biometrika 87, 2000): where it was asked little, at the edges above all, or waves where the truth hardly would, it tells
little of the truth, and tests have to be able to correct it there. Points are in the unit cube.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from abloop.optimize.kernels import bias, covariance, smooth
from abloop.optimize.process import Process

Tensor = Any
WRONG = 0.03  # variance of its bias, of a metric of variance one
BLURRED = 1e-4  # least variance of what a log says, of a metric of variance one
FREE = 1.0  # standard deviation of its level


class Said(NamedTuple):
    """What a log says of points.

    Attributes:
        x: The points, shape (..., n, d).
        change: What it expects of them, shape (..., n).
        near: How near they are to what it was asked, whitened, less the same of what serves, shape (..., 1, n, l).
    """

    x: Tensor
    change: Tensor
    near: Tensor


class LogSays:
    """What logs expect a metric to change.

    Args:
        x: Weights that the log was asked about, shape (l, d).
        y: The change that it expects, shape (l,).
        variance: Of it, shape (l,).
        served: The weights that serve, which change nothing, shape (d,).

    Attributes:
        spread: Standard deviation of what it says.
    """

    def __init__(self, x: Tensor, y: Tensor, variance: Tensor, served: Tensor) -> None:
        """Fit a process."""
        self.spread = y.std().clamp_min(1e-12)
        values = (y - y.mean()) / self.spread
        noise = torch.diag((variance / self.spread**2).clamp_min(BLURRED)) + WRONG * smooth(x, x)
        self._process = Process(_bare(x), values, noise, bias(x.shape[1], 1.0, FREE))
        self._parameters = self._process.peak()
        root, self._weights = self._process.condition(self._parameters)
        self._whiten = torch.linalg.solve_triangular(root, torch.eye(len(y), dtype=y.dtype), upper=False).mT
        self._served = served[None]
        self._origin = self._between(self._served, x)

    def _between(self, x1: Tensor, x2: Tensor) -> Tensor:
        return covariance(self._parameters, _bare(x1)[..., None, :, :], _bare(x2)[..., None, :, :])

    def __call__(self, x: Tensor) -> Said:
        """Return what the log says of points of shape (..., n, d)."""
        near = self._between(x, self._process.x[:, :-1]) - self._origin
        return Said(x, self.spread * (near @ self._weights[..., None])[..., 0, :, 0], near @ self._whiten)

    def doubt(self, one: Said, other: Said) -> Tensor:
        """Return the covariance of what the log may be wrong by, shape (..., 1, n, m), of points (..., n) and (..., m).

        That of the process given what was logged (Rasmussen, Williams, 2006, eq. 2.24), for changes against what
        serves.
        """
        served = self._served
        free = self._between(one.x, other.x) + self._between(served, served)
        free = free - self._between(one.x, served) - self._between(served, other.x)
        return self.spread**2 * (free - one.near @ other.near.mT)


def _bare(x: Tensor) -> Tensor:
    """Return points with a last column of which nothing is said."""
    return torch.cat([x, torch.zeros_like(x[..., :1])], dim=-1)
