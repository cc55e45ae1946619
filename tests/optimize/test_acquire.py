"""What arms are expected to bring is what BoTorch says, in less time."""

from __future__ import annotations

import pytest
import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.sampling.normal import SobolQMCNormalSampler

from abloop.optimize.acquire import Widened
from abloop.optimize.logged import LogSays
from abloop.optimize.surrogate import DRAWS, Surrogate
from abloop.optimize.together import Together


def model(told: bool) -> Together:
    """Return a model of two metrics that conflict, with or without a log."""
    x = torch.rand(8, 2, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    there = torch.rand(40, 2, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    found = []
    for seed, sign in enumerate((1.0, -1.0)):
        y, said = x.prod(1) * sign + x[:, seed], there.prod(1) * sign + there[:, seed]
        says = LogSays(there, said, torch.full((40,), 0.01).double(), x[0]) if told else None
        found.append(Surrogate(x, y, torch.full((8,), 1e-3).double(), says, seed))
    return Together(found)


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("worst", [-3.0, 1.9])
def test_a_point_brings_what_botorch_says(told: bool, worst: float) -> None:
    """Sampling once what was tried gives the same as sampling it anew, with arms chosen before and without.

    With a worst value that little reaches, no trial is left to be sampled.
    """
    x = torch.rand(6, 1, 2, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    tried = torch.rand(8, 2, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    both = []
    for kind in (Widened, qLogNoisyExpectedHypervolumeImprovement):
        torch.manual_seed(0)  # which trials are left is sampled too
        sampler = SobolQMCNormalSampler(torch.Size([16 * DRAWS]), seed=3)
        reference = torch.full((2,), worst, dtype=torch.double)
        wanted = kind(model(told), reference, tried, sampler=sampler, prune_baseline=True, cache_root=False)
        with torch.no_grad():
            first = wanted(x)
            wanted.set_X_pending(x[0])
            both.append(torch.cat([first, wanted(x[1:])]))
    assert both[0].isfinite().all()
    assert torch.allclose(both[0], both[1], rtol=1e-4, atol=1e-4)
