"""Samples of all metrics have the distribution that the draws of each give them."""

from __future__ import annotations

import torch
from botorch.sampling.normal import SobolQMCNormalSampler

from abloop.optimize.acquire import Apart
from abloop.optimize.surrogate import DRAWS, Surrogate
from abloop.optimize.together import Together


def surrogates() -> list[Surrogate]:
    """Return models of two metrics of two weights."""
    x = torch.rand(9, 2, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    noise = torch.full((9,), 1e-4).double()
    return [Surrogate(x, x.prod(1), noise, seed=1), Surrogate(x, torch.sin(6 * x[:, 0]), noise, seed=2)]


def test_samples_are_spread_over_all_draws() -> None:
    """Mean and covariance of samples, draw by draw, are those of each metric's draws, in each set of points."""
    both = surrogates()
    x = torch.rand(3, 2, 2, dtype=torch.double, generator=torch.Generator().manual_seed(3))
    posterior = Together(both).posterior(x)
    sampler = SobolQMCNormalSampler(torch.Size([512 * DRAWS]), seed=4)
    found = sampler(posterior)
    assert found.shape == (512 * DRAWS, 3, 2, 2)
    found = found.reshape(DRAWS, 512, 3, 2, 2)
    for metric, each in enumerate(both):
        means, covariances = each.joint(x)
        for draw in range(DRAWS):
            mine = found[draw, ..., metric]
            sigma = covariances[:, draw].diagonal(dim1=-2, dim2=-1).sqrt()
            assert ((mine.mean(0) - means[:, draw]).abs() < 0.15 * sigma + 1e-3).all()
            for place in range(3):
                seen = torch.cov(mine[:, place].T)
                assert (seen - covariances[place, draw]).abs().max() < 0.25 * sigma[place].max() ** 2 + 1e-4
    assert posterior.rsample().shape == (DRAWS, 3, 2, 2)
    assert torch.allclose(posterior.mean[..., 0], both[0].joint(x)[0].mean(1))


def test_arms_keep_away_from_each_other() -> None:
    """A point is worth nothing on another arm, a little near it, and what it is worth far away or without others."""

    class Wanted(torch.nn.Module):
        """Wants every point alike."""

        model = Together(surrogates())

        def set_X_pending(self, _: torch.Tensor) -> None:  # noqa: N802 - BoTorch's name for it
            """Take no notice."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ones(len(x), dtype=torch.double)

    apart = Apart(Wanted(), 0.2)
    points = torch.tensor([[[0.0, 0.0]], [[0.1, 0.0]], [[1.0, 1.0]]], dtype=torch.double)
    assert torch.equal(apart(points), torch.ones(3, dtype=torch.double))
    apart.set_X_pending(points[0])
    on, near, far = apart(points).tolist()
    assert on < -15 < near < 0 < 0.99 < far < 1.01


def test_samples_beside_others_are_those_of_both() -> None:
    """From the same normal numbers, a point's samples are the last of a joint sample, to rounding; alone as well."""
    both = Together(surrogates())
    generator = torch.Generator().manual_seed(5)
    x, others = torch.rand(3, 1, 2, dtype=torch.double, generator=generator), torch.rand(4, 2).double()
    for count in (4, 0):
        normal = torch.randn(2 * DRAWS, count + 1, 2, dtype=torch.double, generator=generator)
        every = torch.cat([others[:count].expand(3, count, 2), x], 1)
        joint = both.posterior(every).rsample_from_base_samples(torch.Size([2 * DRAWS]), normal[:, None])
        found = both.beside(others[:count], normal)(x)
        assert found.shape == (2 * DRAWS, 3, 1, 2)
        assert torch.allclose(found, joint[..., -1:, :], atol=1e-4)
