"""Models of a metric: logs help in part where they hold in part, and errors are those that are made."""

from __future__ import annotations

import torch

from abloop.optimize.surrogate import LogSays, Surrogate

SERVED = torch.full((1, 2), 0.2, dtype=torch.double)


def truth(x: torch.Tensor) -> torch.Tensor:
    """Return what points change: waves that few tests do not show."""
    found: torch.Tensor = torch.sin(7 * x[:, 0]) + torch.cos(5 * x[:, 1])
    return found - torch.sin(torch.tensor(1.4)) - torch.cos(torch.tensor(1.0))


def points(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 2, dtype=torch.double, generator=torch.Generator().manual_seed(seed))


def error(sign: float, told: bool) -> tuple[float, float]:
    """Return what is missed after eight tests, and how much of a log that says `sign` times the truth is left."""
    there, x = points(64, 1), torch.cat([SERVED, points(8, 2)])
    says = LogSays(there, sign * truth(there), torch.full((64,), 1e-4, dtype=torch.double), SERVED[0]) if told else None
    found = Surrogate(x, truth(x), torch.full((9,), 1e-4, dtype=torch.double), says)
    asked = points(400, 3)
    with torch.no_grad():
        mean, _ = found.expect(asked)
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


def test_what_is_expected_is_as_unsure_as_it_says() -> None:
    """Of 25 sets of eight tests, 95 % intervals hold the truth at 88 % of 400 points or more."""
    asked, held = points(400, 3), []
    for seed in range(25):
        x = torch.cat([SERVED, points(8, 100 + seed)])
        found = Surrogate(x, truth(x), torch.full((9,), 1e-4, dtype=torch.double), seed=seed)
        with torch.no_grad():
            mean, error_ = found.expect(asked)
        held.append(float(((mean - truth(asked)).abs() < 1.96 * error_).double().mean()))
    assert sum(held) / len(held) > 0.88


def test_draws_are_repeatable() -> None:
    """The same seed expects the same, to the last bit; another does not."""
    x = torch.cat([SERVED, points(8, 2)])
    noise = torch.full((9,), 1e-4, dtype=torch.double)
    one, same, other = (Surrogate(x, truth(x), noise, seed=seed).expect(x)[0] for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
