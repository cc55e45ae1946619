"""Models of a metric: a fit that fails begins again elsewhere, and logs help in part where they hold in part."""

from __future__ import annotations

import torch
from botorch.models import SingleTaskGP
from botorch.optim.utils import sample_all_priors

from abloop.optimize.kernels import Asked, Told, ToldMean, bias
from abloop.optimize.surrogate import LogSays, Surrogate

SERVED = torch.full((1, 2), 0.2, dtype=torch.double)


def truth(x: torch.Tensor) -> torch.Tensor:
    """Return what points change: waves that few tests do not show."""
    found: torch.Tensor = torch.sin(7 * x[:, 0]) + torch.cos(5 * x[:, 1])
    return found - torch.sin(torch.tensor(1.4)) - torch.cos(torch.tensor(1.0))


def points(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 2, dtype=torch.double, generator=torch.Generator().manual_seed(seed))


def test_a_fit_may_begin_again() -> None:
    """Where a first fit fails, BoTorch draws where to begin from the priors: all of them can be drawn from."""
    x = points(6, 0)
    kernel, asked = bias(2) + Told(0.5), Asked(lambda x: x.sum(-1))
    model = SingleTaskGP(
        x,
        x[:, :1],
        x[:, :1] * 0 + 0.01,
        outcome_transform=None,
        mean_module=ToldMean(1.0),
        covar_module=kernel,
        input_transform=asked,
    )
    before = {name: value.clone() for name, value in model.named_parameters()}
    sample_all_priors(model)
    assert all((value != before[name]).all() for name, value in model.named_parameters())


def error(sign: float, told: bool) -> tuple[float, float]:
    """Return what is missed after eight tests, and how much of a log that says `sign` times the truth is left."""
    there, x = points(64, 1), torch.cat([SERVED, points(8, 2)])
    says = LogSays(there, sign * truth(there), torch.full((64,), 1e-4, dtype=torch.double), SERVED[0]) if told else None
    found = Surrogate(x, truth(x), torch.full((9,), 1e-4, dtype=torch.double), says)
    asked = points(400, 3)
    with torch.no_grad():
        mean = found.model.posterior(asked).mean[:, 0] * found.spread + found.centre
    return float((mean - truth(asked)).square().mean().sqrt()), found.trusted


def test_logs_help_where_they_go_with_the_truth_or_against_it() -> None:
    """One that is right is kept as it is; one that says the opposite is turned round; both beat none."""
    none, _ = error(1.0, told=False)
    right, kept = error(1.0, told=True)
    opposite, turned = error(-1.0, told=True)
    assert right < 0.2 * none
    assert kept > 0.8
    assert opposite < 0.5 * none
    assert turned < -0.5
