"""What logs say is as sure as it says, and nothing of what serves."""

from __future__ import annotations

import torch

from abloop.optimize.kernels import covariance, smooth
from abloop.optimize.logged import WRONG, LogSays

ERROR = 0.3


def points(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 2, dtype=torch.double, generator=torch.Generator().manual_seed(seed))


def truth(x: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = torch.sin(5 * x[..., 0]) + x[..., 1] ** 2
    return found


def logged(seed: int, count: int = 60) -> LogSays:
    """Return what a noisy log says."""
    x = points(count, seed)
    noise = ERROR * torch.randn(count, dtype=torch.double, generator=torch.Generator().manual_seed(seed))
    return LogSays(x, truth(x) + noise, torch.full((count,), ERROR**2, dtype=torch.double), points(1, 99)[0])


def test_the_doubt_of_changes_is_that_of_the_process() -> None:
    """It is the posterior covariance of a difference to what serves, computed densely from all points at once."""
    says, one, two = logged(0), points(5, 1), points(4, 2)
    every = torch.cat([one, two, points(1, 99), points(60, 0)])
    every = torch.cat([every, torch.zeros(70, 1, dtype=torch.double)], 1)
    prior = covariance(says._parameters, every, every)[0]
    wrong = WRONG * smooth(points(60, 0), points(60, 0)) + (ERROR / says.spread) ** 2 * torch.eye(60)
    seen = prior[10:, 10:] + wrong
    left = prior[:10, :10] - prior[:10, 10:] @ torch.linalg.solve(seen, prior[10:, :10])
    against = torch.cat([torch.eye(9, dtype=torch.double), -torch.ones(9, 1, dtype=torch.double)], 1)
    want = says.spread**2 * (against @ left @ against.T)
    assert torch.allclose(says.doubt(says(one), says(two))[0], want[:5, 5:], atol=1e-6)
    assert says.doubt(says(one), says(two)).shape == (1, 5, 4)


def test_what_serves_changes_nothing_for_sure() -> None:
    """The change of what serves is 0, without doubt."""
    says = logged(0)
    served = says(points(1, 99))
    assert abs(float(served.change)) < 1e-12
    assert abs(float(says.doubt(served, served))) < 1e-9


def test_a_log_is_as_unsure_as_it_says() -> None:
    """Of 20 noisy logs, intervals of 95 % hold the truth at 88 % of 300 points or more, and are no wider for it."""
    x, held, ratio = points(300, 5), [], []
    true = truth(x) - truth(points(1, 99))
    for seed in range(20):
        says = logged(seed)
        error = says(x).change - true
        sigma = says.doubt(says(x), says(x))[0].diagonal().sqrt()
        held.append(float((error.abs() < 1.96 * sigma).double().mean()))
        ratio.append(float((error**2).mean() / (sigma**2).mean()))
    assert sum(held) / 20 > 0.88
    assert 0.5 < sum(ratio) / 20 < 1.5


def test_what_a_log_is_wrong_by_is_told_from_the_truth() -> None:
    """Of a plane and waves over it, a part of the waves is not believed, and the rest is doubted.

    Over 12 logs of 128 points in four weights: changes miss 0.7 of the variance of the waves at most, nearly all of it
    where logs have no bias; and the error is within a third of what the log doubts.
    """
    missed, waved, doubted = [], [], []
    for seed in range(12):
        rng = torch.Generator().manual_seed(seed)
        x = torch.rand(1 + 128 + 200, 4, dtype=torch.double, generator=rng)
        slopes = torch.randn(4, 1, dtype=torch.double, generator=rng)
        true, noise = (x @ slopes)[:, 0], torch.randn(len(x), dtype=torch.double, generator=rng)
        root = torch.linalg.cholesky(smooth(x, x) + 1e-8 * torch.eye(len(x)))
        waves = (WRONG**0.5 * true.std() * root @ torch.randn(len(x), 1, dtype=torch.double, generator=rng))[:, 0]
        says = LogSays(
            x[1:129], (true + waves + 0.02 * noise)[1:129], torch.full((128,), 4e-4, dtype=torch.double), x[0]
        )
        said = says(x[129:])
        missed.append(float((said.change - (true[129:] - true[0])).square().mean()))
        waved.append(float((waves[129:] - waves[0]).square().mean()))
        doubted.append(float(says.doubt(said, said)[0].diagonal().mean()))
    assert sum(missed) < 0.7 * sum(waved)
    assert 0.67 < (sum(missed) / sum(doubted)) ** 0.5 < 1.33
