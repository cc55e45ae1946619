"""A Gaussian process of each metric over the weights, begun from what logs say where there are any.

    change(x) = log(x) + offset + (scale - 1) log(x) + rest(x)

Scale and rest are learned: a log that misleads loses its say with the first round that contradicts it. Without a log,
only offset and rest are left. Points are in the unit cube.
"""

from __future__ import annotations

from typing import Any

import torch
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.mlls import ExactMarginalLogLikelihood

from abloop.optimize.kernels import DOUBT, Told, ToldMean, surface

Tensor = Any
LEFT = 0.03  # variance that a log is expected to leave, of its own
FEWEST = 3  # points before anything is fitted
STEPS = 60  # of a fit
SURE = 1e-6  # least variance of a measurement, of a metric of variance one
BLURRED = 1e-4  # the same, of what a log says


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
        model = _fitted(x, values, noise, None, surface(x.shape[1]))
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        self._kernel, self._x = model.covar_module, x
        covariance = model.covar_module(x).to_dense() + torch.diag(noise)
        rest = (values - model.mean_module.constant)[:, None]
        self._weights = torch.cholesky_solve(rest, torch.linalg.cholesky(covariance))
        self._origin = self._raw(served[None])

    def _raw(self, x: Tensor) -> Tensor:
        return self.spread * (self._kernel(x, self._x).to_dense() @ self._weights)[..., 0]

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

    Attributes:
        model: A BoTorch model; its outcomes are in units of `spread` about `centre`.
        trusted: How much of the log is left in it: 1 as it is, 0 nothing, or without a log.
    """

    def __init__(self, x: Tensor, y: Tensor, variance: Tensor, says: LogSays | None = None) -> None:
        """Fit with the log and without, and keep what explains the tests better."""
        few = len(y) < FEWEST
        zero = torch.zeros((), dtype=y.dtype)
        self.centre = zero if says is not None else y.mean()
        seen = zero if few else y.std()
        self.spread = torch.maximum(seen, zero if says is None else says.spread).clamp_min(1e-12)
        self._x, self._y = x, (y - self.centre) / self.spread
        self._noise = (variance / self.spread**2).clamp_min(SURE)
        self.trusted = 0.0
        self.model = _fitted(x, self._y, self._noise, None, surface(x.shape[1]))
        if says is not None:
            told = self._told(says)
            if few or self._evidence(told) >= self._evidence(self.model):
                self.model, self.trusted = told, self._scale(told)

    def _told(self, says: LogSays) -> Any:
        """Return a model that begins from the log."""

        def scaled(x: Tensor) -> Tensor:
            return says(x) / self.spread

        return _fitted(self._x, self._y, self._noise, ToldMean(scaled), surface(self._x.shape[1], LEFT) + Told(scaled))

    def _evidence(self, model: Any) -> float:
        """Return the logarithm of the density of the measurements under a model."""
        with torch.no_grad():
            model.train()
            found = float(model.likelihood(model(self._x)).log_prob(self._y))
        model.eval()
        return found

    def _scale(self, model: Any) -> float:
        """Return the posterior mean of the log's scale."""
        with torch.no_grad():
            told = model.mean_module.says(self._x)
            covariance = model.covar_module(self._x).to_dense() + torch.diag(self._noise)
            away = self._y - model.mean_module(self._x)
            return float(1.0 + DOUBT**2 * told @ torch.linalg.solve(covariance, away))


def _fitted(x: Tensor, y: Tensor, noise: Tensor, mean: Any, kernel: Any) -> Any:
    """Return a process whose parameters explain values of about variance one."""
    model = SingleTaskGP(x, y[:, None], noise[:, None], outcome_transform=None, mean_module=mean, covar_module=kernel)
    if len(y) >= FEWEST:
        mll = ExactMarginalLogLikelihood(model.likelihood, model)
        fit_gpytorch_mll(mll, optimizer_kwargs={"options": {"maxiter": STEPS}})
    model.eval()
    return model
