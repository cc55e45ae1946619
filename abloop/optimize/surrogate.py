"""A Gaussian process of each metric over the weights, begun from what logs say where there are any.

    change(x) = scale log(x) + level + rest(x)

Its parameters are drawn as the tests make them likely, from three beliefs, metric by metric: that the log is nearly the
truth, that it goes with the truth or against it, and that it says nothing. Points are in the unit cube.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from abloop.optimize.kernels import DOUBT, SCALE, Prior, bias, covariance, mean, surface
from abloop.optimize.process import Process

Tensor = Any
FEWEST = 3  # points before a log is doubted
DRAWS = 8  # of parameters
SURE = 1e-6  # least variance of a measurement, of a metric of variance one
BLURRED = 1e-4  # the same, of what a log says
OFFSET, FREE = 0.3, 1.0  # standard deviation of the level, with a log and without


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


TRUE = Belief(0.0, 1.0, 0.5, 0.03)  # nearly the truth,
HINT = Belief(-2.0, 0.0, 1.0, 1.0)  # something that goes with it, or against it,
NONE = Belief(-1.0, 0.0, 0.0, 1.0)  # nothing


class LogSays:
    """What logs expect a metric to change, as a smooth function of the weights.

    Args:
        x: Weights that the log was asked about, shape (n, d).
        y: The change that it expects, shape (n,).
        variance: Of it, shape (n,).
        served: The weights that serve, which change nothing, shape (d,).

    Attributes:
        spread: Standard deviation of what it says.
    """

    def __init__(self, x: Tensor, y: Tensor, variance: Tensor, served: Tensor) -> None:
        """Fit a process, and keep its mean alone."""
        self.spread = y.std().clamp_min(1e-12)
        values = (y - y.mean()) / self.spread
        noise = (variance / self.spread**2).clamp_min(BLURRED)
        self._process = Process(_beside(x, None), values, noise, bias(x.shape[1], 1.0, FREE))
        self._parameters = self._process.peak()
        _, self._weights = self._process.condition(self._parameters)
        self._origin = self._raw(served[None])

    def _raw(self, x: Tensor) -> Tensor:
        near = covariance(self._parameters, _beside(x, None)[..., None, :, :], self._process.x)
        return self.spread * (near @ self._weights[..., None])[..., 0, :, 0]

    def __call__(self, x: Tensor) -> Tensor:
        """Return the change that the log expects of points of shape (..., n, d), shape (..., n)."""
        return self._raw(x) - self._origin


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
    """

    def __init__(self, x: Tensor, y: Tensor, variance: Tensor, says: LogSays | None = None, seed: int = 0) -> None:
        """Draw parameters from all beliefs, each as often as the tests bear it out."""
        few = len(y) < FEWEST
        zero = torch.zeros((), dtype=y.dtype)
        self.centre = zero if says is not None else y.mean()
        seen = zero if few else y.std()
        self.spread = torch.maximum(seen, zero if says is None else says.spread).clamp_min(1e-12)
        self._says, values = says, (y - self.centre) / self.spread
        noise = (variance / self.spread**2).clamp_min(SURE)
        beliefs = [NONE] if says is None else [TRUE] if few else [TRUE, HINT, NONE]
        asked, rng = self._asked(x), torch.Generator().manual_seed(seed)
        processes = [Process(asked, values, noise, self._prior(belief, x.shape[1])) for belief in beliefs]
        self._process = processes[0]  # what was measured is the same of all
        self._parameters = _mixed(processes, [belief.odds for belief in beliefs], rng)
        self._root, self._weights = self._process.condition(self._parameters)

    def _prior(self, belief: Belief, weights: int) -> Prior:
        """Return what a belief expects of the parameters."""
        level = OFFSET if belief.doubt else FREE
        if belief.left < 1:
            return bias(weights, belief.left, level, belief.scale, belief.doubt)
        return surface(weights, level, belief.scale, belief.doubt)

    def _asked(self, x: Tensor) -> Tensor:
        """Return points with what the log says of them."""
        return _beside(x, None if self._says is None else self._says(x) / self.spread)

    @property
    def trusted(self) -> float:
        """How much of the log is left: 1 as it is, 0 nothing, or without a log; below 0 it is turned round."""
        told = (self._process.x[:, -1] * self._weights).sum(-1)
        return float((self._parameters[:, SCALE] + self._parameters[:, DOUBT] ** 2 * told).mean())

    def joint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each draw of parameters expects, in units of `spread` about `centre`.

        Args:
            x: Points, shape (..., q, d).

        Returns:
            Means, shape (..., DRAWS, q), and covariances, shape (..., DRAWS, q, q).
        """
        asked = self._asked(x)[..., None, :, :]
        near = covariance(self._parameters, asked, self._process.x)
        means = mean(self._parameters, asked) + (near @ self._weights[..., None])[..., 0]
        known = torch.linalg.solve_triangular(self._root, near.mT, upper=False)
        return means, covariance(self._parameters, asked, asked) - known.mT @ known

    def expect(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard error, over all draws, of the change of points of shape (n, d); shape (n,) each."""
        means, variances = self.joint(x[:, None, :])
        variance = variances[..., 0, 0].clamp_min(0).mean(-1) + means[..., 0].var(-1, correction=0)
        return means[..., 0].mean(-1) * self.spread + self.centre, variance.sqrt() * self.spread


def _beside(x: Tensor, told: Tensor | None) -> Tensor:
    """Return points with what a log says of them as a last column."""
    return torch.cat([x, torch.zeros_like(x[..., :1]) if told is None else told[..., None]], dim=-1)


def _mixed(processes: list[Process], odds: list[float], rng: Any) -> Tensor:
    """Return draws of parameters from several processes, as many of each as its odds and evidence are worth."""
    drawn = [process.draw(rng) for process in processes]
    worth = torch.tensor([evidence + prior for (_, evidence), prior in zip(drawn, odds, strict=True)]).softmax(0)
    counts = (DRAWS * worth).round().int()
    counts[worth.argmax()] += DRAWS - counts.sum()
    mixed = torch.cat([each[:count] for (each, _), count in zip(drawn, counts.tolist(), strict=True)])
    return mixed[torch.randperm(DRAWS, generator=rng)]  # which belief a draw has is independent between metrics
