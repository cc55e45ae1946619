"""A Gaussian process of each metric over the weights, begun from what logs say where there are any.

    change(x) = scale log(x) + offset + rest(x)

Scale and rest are learned, from three beliefs of which the tests choose, metric by metric: that the log is nearly the
truth, that it goes with the truth or against it, and that it says nothing. Points are in the unit cube.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.mlls import ExactMarginalLogLikelihood

from abloop.optimize.kernels import Asked, Told, ToldMean, bias, surface

Tensor = Any
FEWEST = 3  # points before anything is fitted
STEPS = 60  # of a fit
SURE = 1e-6  # least variance of a measurement, of a metric of variance one
BLURRED = 1e-4  # the same, of what a log says


class Belief(NamedTuple):
    """What is thought of a log before any test.

    Attributes:
        scale: What is expected of its scale.
        doubt: Standard deviation of the scale; 0 where the log is left out.
        left: Variance that it leaves to be learned, of a metric of variance one.
    """

    scale: float
    doubt: float
    left: float


TRUE = Belief(1.0, 0.5, 0.03)  # nearly the truth,
HINT = Belief(0.0, 1.0, 1.0)  # something that goes with it, or against it,
NONE = Belief(0.0, 0.0, 1.0)  # nothing


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
        model = _fitted(x, values, noise, None, bias(x.shape[1]))
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
        trusted: How much of the log is left in it: 1 as it is, 0 nothing, or without a log; below 0 it is turned round.
    """

    def __init__(self, x: Tensor, y: Tensor, variance: Tensor, says: LogSays | None = None) -> None:
        """Fit with the log and without, and keep what explains the tests best."""
        few = len(y) < FEWEST
        zero = torch.zeros((), dtype=y.dtype)
        self.centre = zero if says is not None else y.mean()
        seen = zero if few else y.std()
        self.spread = torch.maximum(seen, zero if says is None else says.spread).clamp_min(1e-12)
        self._x, self._y = x, (y - self.centre) / self.spread
        self._noise = (variance / self.spread**2).clamp_min(SURE)
        beliefs = [NONE] if says is None else [TRUE] if few else [TRUE, HINT, NONE]
        models = [self._fitted(belief, says) for belief in beliefs]
        self.model = max(models, key=self._evidence) if len(models) > 1 else models[0]
        belief = beliefs[models.index(self.model)]
        self.trusted = self._scale(belief) if belief.doubt else 0.0

    def _fitted(self, belief: Belief, says: LogSays | None) -> Any:
        """Return a model that begins from a belief."""
        weights, mean, asked = self._x.shape[1], None, None
        kernel = bias(weights, belief.left) if belief.left < 1 else surface(weights)
        if says is not None and belief.doubt:
            kernel, mean = kernel + Told(belief.doubt), ToldMean(belief.scale)
            asked = Asked(lambda x: says(x) / self.spread)
        return _fitted(self._x, self._y, self._noise, mean, kernel, asked)

    def _evidence(self, model: Any) -> float:
        """Return the logarithm of the density of the measurements under a model."""
        with torch.no_grad():
            model.train()
            found = float(model.likelihood(model(self._x)).log_prob(self._y))
        model.eval()
        return found

    def _scale(self, belief: Belief) -> float:
        """Return the posterior mean of the log's scale."""
        with torch.no_grad():
            x = self.model.transform_inputs(self._x)
            told, covariance = x[:, -1], self.model.covar_module(x).to_dense() + torch.diag(self._noise)
            away = self._y - self.model.mean_module(x)
            return float(belief.scale + belief.doubt**2 * told @ torch.linalg.solve(covariance, away))


def _fitted(x: Tensor, y: Tensor, noise: Tensor, mean: Any, kernel: Any, asked: Any = None) -> Any:
    """Return a process whose parameters explain values of about variance one."""
    model = SingleTaskGP(
        x,
        y[:, None],
        noise[:, None],
        outcome_transform=None,
        mean_module=mean,
        covar_module=kernel,
        input_transform=asked,
    )
    if len(y) >= FEWEST:
        mll = ExactMarginalLogLikelihood(model.likelihood, model)
        fit_gpytorch_mll(mll, optimizer_kwargs={"options": {"maxiter": STEPS}})
    model.eval()
    return model
