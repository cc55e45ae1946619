"""A Gaussian process of each metric over the weights, begun from what logs say where there are any.

    change(x) = scale (log(x) + error(x)) + level + rest(x)

Its parameters are drawn as the tests make them likely, from three beliefs, metric by metric: that the log is nearly the
truth, that it goes with the truth or against it, and that it says nothing. Points are in the unit cube.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from abloop.optimize.kernels import DOUBT, SCALE, Prior, bias, covariance, mean, scale_squared, surface
from abloop.optimize.logged import FREE, LogSays, Said
from abloop.optimize.process import Process

Tensor = Any
FEWEST = 3  # points before a log is doubted
DRAWS = 8  # of parameters
SURE = 1e-6  # least variance of a measurement, of a metric of variance one
OFFSET = 0.3  # standard deviation of the level where there is a log
JITTER = 1e-6  # of the variance of points


class Belief(NamedTuple):
    """What is thought of a log before any test.

    Attributes:
        odds: Logarithm of how likely it is, against the first.
        scale: What is expected of its scale.
        doubt: Standard deviation of the scale; 0 where the log is left out.
        left: Variance that it leaves to be learned, of a metric of variance one.
    """

    odds: float
    scale: float
    doubt: float
    left: float


TRUE = Belief(0.0, 1.0, 0.5, 0.01)  # nearly the truth,
HINT = Belief(-2.0, 0.0, 1.0, 1.0)  # something that goes with it, or against it,
NONE = Belief(-1.0, 0.0, 0.0, 1.0)  # nothing


class Asked(NamedTuple):
    """Points that something is expected of.

    Attributes:
        x: With what the log says of them, or 0, as last column, shape (..., n, d + 1).
        said: The same, and how sure it is; None without a log.
    """

    x: Tensor
    said: Said | None


class Surrogate:
    """What is expected of one metric.

    Args:
        x: Weights that were tried, shape (n, d), what serves first.
        y: What they changed, shape (n,).
        variance: Of it, shape (n,).
        says: What logs expect; None without any.
        seed: Makes the draws repeatable.

    Attributes:
        centre: What is 0 in `joint`.
        spread: What is 1 in it.
        told: Whether logs tell of it.
    """

    def __init__(self, x: Tensor, y: Tensor, variance: Tensor, says: LogSays | None = None, seed: int = 0) -> None:
        """Draw parameters from all beliefs, each as often as the tests bear it out."""
        few = len(y) < FEWEST
        zero = torch.zeros((), dtype=y.dtype)
        self.centre = zero if says is not None else y.mean()
        seen = zero if few else y.std()
        self.spread = torch.maximum(seen, zero if says is None else says.spread).clamp_min(1e-12)
        self.told = says is not None
        self._says, values = says, (y - self.centre) / self.spread
        self._tried = self._asked(x)
        noise, doubt = torch.diag((variance / self.spread**2).clamp_min(SURE)), self._doubt(self._tried, self._tried)
        beliefs = [NONE] if says is None else [TRUE] if few else [TRUE, HINT, NONE]
        rng = torch.Generator().manual_seed(seed)
        processes = [
            Process(self._tried.x, values, noise, self._prior(belief, x.shape[1]), None if doubt is None else doubt[0])
            for belief in beliefs
        ]
        self._parameters = _mixed(processes, [belief.odds for belief in beliefs], rng)
        self._root, self._weights = processes[0].condition(self._parameters)  # what was measured is the same of all

    def _prior(self, belief: Belief, weights: int) -> Prior:
        """Return what a belief expects of the parameters."""
        level = OFFSET if belief.doubt else FREE
        if belief.left < 1:
            return bias(weights, belief.left, level, belief.scale, belief.doubt)
        return surface(weights, level, belief.scale, belief.doubt)

    def _asked(self, x: Tensor) -> Asked:
        """Return points with what the log says of them."""
        if self._says is None:
            return Asked(torch.cat([x, torch.zeros_like(x[..., :1])], dim=-1), None)
        said = self._says(x)
        return Asked(torch.cat([x, said.change[..., None] / self.spread], dim=-1), said)

    def _doubt(self, one: Asked, other: Asked) -> Tensor | None:
        """Return the covariance of what the log may be wrong by, shape (..., 1, n, m); None without one."""
        if self._says is None or one.said is None or other.said is None:
            return None
        return self._says.doubt(one.said, other.said) / self.spread**2

    def _between(self, one: Asked, other: Asked) -> Tensor:
        """Return the covariance of points before any test, shape (..., DRAWS, n, m)."""
        found = covariance(self._parameters, one.x[..., None, :, :], other.x[..., None, :, :])
        doubt = self._doubt(one, other)
        return found if doubt is None else found + scale_squared(self._parameters) * doubt

    def _learned(self, asked: Asked) -> tuple[Tensor, Tensor]:
        """Return means of points, (..., DRAWS, q), and how near they are to what was tried, (..., DRAWS, n, q)."""
        near = self._between(asked, self._tried)
        means = mean(self._parameters, asked.x[..., None, :, :]) + (near @ self._weights[..., None])[..., 0]
        return means, torch.linalg.solve_triangular(self._root, near.mT, upper=False)

    @property
    def trusted(self) -> float:
        """How much of the log is left: 1 as it is, 0 nothing, or without a log; below 0 it is turned round."""
        told = (self._tried.x[:, -1] * self._weights).sum(-1)
        return float((self._parameters[:, SCALE] + self._parameters[:, DOUBT] ** 2 * told).mean())

    def joint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each draw of parameters expects, in units of `spread` about `centre`.

        Args:
            x: Points, shape (..., q, d).

        Returns:
            Means, shape (..., DRAWS, q), and covariances, shape (..., DRAWS, q, q).
        """
        asked = self._asked(x)
        means, near = self._learned(asked)
        return means, self._between(asked, asked) - near.mT @ near

    def beside(self, others: Tensor, normal: Tensor) -> Callable[[Tensor], Tensor]:
        """Return what gives samples of single points that go with samples of other points.

        Sampling all points anew for each that is thought of would take most of the time of a proposal.

        Args:
            others: Points, shape (n, d).
            normal: Normal numbers of theirs and of one point more, shape (s, n + 1), s a multiple of DRAWS.

        Returns:
            A function from points of shape (b, 1, d) to samples of shape (s, b, 1).
        """
        there = self._asked(others)
        _, far = self._learned(there)
        root = root_of(self._between(there, there) - far.mT @ far)
        normal = normal.reshape(DRAWS, -1, normal.shape[-1])

        def sample(x: Tensor) -> Tensor:
            asked = self._asked(x)
            means, near = self._learned(asked)
            along = torch.linalg.solve_triangular(root, self._between(there, asked) - far.mT @ near, upper=False)
            rest = self._between(asked, asked) - near.mT @ near - along.mT @ along
            drawn = (normal[..., :-1] @ along)[..., 0] + means
            drawn = drawn + rest[..., 0].clamp_min(SURE * JITTER).sqrt() * normal[..., -1]
            return drawn.flatten(-2).mT[..., None]

        return sample

    def expect(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard error, over all draws, of the change of points of shape (n, d); shape (n,) each."""
        means, variances = self.joint(x[:, None, :])
        variance = variances[..., 0, 0].clamp_min(0).mean(-1) + means[..., 0].var(-1, correction=0)
        return means[..., 0].mean(-1) * self.spread + self.centre, variance.sqrt() * self.spread


def root_of(covariances: Tensor) -> Tensor:
    """Return the lower root of covariances of shape (..., n, n), with a little added where they have none."""
    variance = covariances.diagonal(dim1=-2, dim2=-1).mean(-1).detach().clamp_min(JITTER)
    jitter = JITTER * variance[..., None, None] * torch.eye(covariances.shape[-1], dtype=covariances.dtype)
    return torch.linalg.cholesky(covariances + jitter)


def _mixed(processes: list[Process], odds: list[float], rng: Any) -> Tensor:
    """Return draws of parameters from several processes, as many of each as its odds and evidence are worth."""
    drawn = [process.draw(rng) for process in processes]
    worth = torch.tensor([evidence + prior for (_, evidence), prior in zip(drawn, odds, strict=True)]).softmax(0)
    counts = (DRAWS * worth).round().int()
    counts[worth.argmax()] += DRAWS - counts.sum()
    mixed = torch.cat([each[:count] for (each, _), count in zip(drawn, counts.tolist(), strict=True)])
    return mixed[torch.randperm(DRAWS, generator=rng)]  # which belief a draw has is independent between metrics
