"""A Gaussian process with what was measured: how likely parameters are, the likeliest, and draws of them.

With few tests many parameters explain them. The likeliest alone is too sure of itself, and sends a whole round to one
place; draws of all that are likely are not.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from abloop.optimize.kernels import Prior, covariance, mean, scale_squared

Tensor = Any
JITTER = 1e-8  # added to variances of about one, for the sake of rounding
FIRST, WALKERS, MOVES = 2_048, 64, 25  # draws of the prior, those that are moved, and how often
STRETCH, STEP = 2.0, 0.3  # widest stretch, and a step as a share of the prior
STEPS = 60  # to the likeliest


class Process:
    """A metric of variance about one, as it was measured.

    Args:
        x: Points, shape (n, d + 1).
        y: What was measured of them, shape (n,).
        noise: Covariance of what was wrong with that, shape (n, n).
        prior: What is expected of the parameters.
        doubt: Covariance of what the log may be wrong by at the points, shape (n, n); None without a log.
    """

    def __init__(self, x: Tensor, y: Tensor, noise: Tensor, prior: Prior, doubt: Tensor | None = None) -> None:
        """Keep them."""
        self.x, self.y, self.prior = x, y, prior
        self._noise, self._doubt = noise + JITTER * torch.eye(len(y), dtype=y.dtype), doubt

    def _measured(self, parameters: Tensor) -> Tensor:
        """Return the covariance of what was measured, shape (k, n, n)."""
        found = covariance(parameters, self.x, self.x) + self._noise
        return found if self._doubt is None else found + scale_squared(parameters) * self._doubt

    def condition(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Return the root of the covariance of what was measured, and the weight of each measurement.

        Args:
            parameters: Shape (k, p).

        Returns:
            Shapes (k, n, n) and (k, n).
        """
        root = torch.linalg.cholesky(self._measured(parameters))
        rest = (self.y - mean(parameters, self.x))[..., None]
        return root, torch.cholesky_solve(rest, root)[..., 0]

    def likelihood(self, parameters: Tensor) -> Tensor:
        """Return the logarithm of the density of what was measured (Rasmussen, Williams, 2006, eq. 2.30), shape (k,).

        Args:
            parameters: Shape (k, p).
        """
        root, failed = torch.linalg.cholesky_ex(self._measured(parameters))
        rest = (self.y - mean(parameters, self.x))[..., None]
        white = torch.linalg.solve_triangular(root, rest, upper=False)[..., 0]
        found = -(white**2).sum(-1) / 2 - root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        found = found - len(self.y) / 2 * math.log(2 * math.pi)
        return torch.where((failed == 0) & found.isfinite(), found, -torch.inf)

    def peak(self) -> Tensor:
        """Return the likeliest parameters, shape (1, p)."""
        found = self.prior.mean.clone()[None].requires_grad_()
        optimiser: Any = torch.optim.LBFGS([found], max_iter=STEPS, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimiser.zero_grad()
            value = -(self.likelihood(found) + self.prior.density(found)).sum()
            value.backward()
            return value

        with torch.enable_grad():
            optimiser.step(loss)
        return found.detach()

    def draw(self, rng: Any) -> tuple[Tensor, float]:
        """Return parameters as likely as the measurements make them, and the logarithm of the evidence for all.

        Draws of the prior are weighed by the likelihood, chosen again, and moved: each is stretched towards another of
        the other half (Goodman, Weare, CAMCoS 5, 2010), or takes a step that the prior allows (Cotter et al.,
        Statistical Science 28, 2013).

        Args:
            rng: A generator of torch.

        Returns:
            Shape (WALKERS, p), in no order; and one number.
        """
        drawn = self.prior.draw(FIRST, rng)
        likely = self.likelihood(drawn)
        evidence = float(likely.logsumexp(0)) - math.log(FIRST)
        if not math.isfinite(evidence):
            raise ValueError("no parameters explain what was measured; all changes and errors have to be finite")
        places = torch.multinomial(likely.softmax(0), WALKERS, replacement=True, generator=rng)
        walkers, likely = drawn[places], likely[places]
        for move in range(MOVES):
            halves = walkers.chunk(2), likely.chunk(2)
            moved = self._move(halves[0][0], halves[1][0], halves[0][1], move, rng)
            other = self._move(halves[0][1], halves[1][1], moved[0], move, rng)
            walkers, likely = torch.cat([moved[0], other[0]]), torch.cat([moved[1], other[1]])
        return walkers[torch.randperm(WALKERS, generator=rng)], evidence

    def _move(self, walkers: Tensor, likely: Tensor, others: Tensor, move: int, rng: Any) -> tuple[Tensor, Tensor]:
        """Return walkers after a move that keeps their distribution, and how likely they are."""
        count = len(walkers)
        chance = torch.rand(count, dtype=torch.double, generator=rng)
        if move % 2:
            away = self.prior.draw(count, rng) - self.prior.mean
            new = self.prior.mean + math.sqrt(1 - STEP**2) * (walkers - self.prior.mean) + STEP * away
            gain = torch.zeros(())
        else:
            to = others[torch.randint(len(others), (count,), generator=rng)]
            stretch = ((STRETCH - 1) * torch.rand(count, dtype=torch.double, generator=rng) + 1) ** 2 / STRETCH
            new = to + stretch[:, None] * (walkers - to)
            free = int((self.prior.error > 0).sum())
            gain = (free - 1) * stretch.log() + self.prior.density(new) - self.prior.density(walkers)
        found = self.likelihood(new)
        taken = chance.log() < gain + found - likely
        return torch.where(taken[:, None], new, walkers), torch.where(taken, found, likely)
