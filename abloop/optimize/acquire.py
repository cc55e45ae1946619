"""Which weights to try next: those whose test is expected to widen the frontier most, by BoTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective import logei
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import WeightedMCMultiOutputObjective
from botorch.acquisition.objective import GenericMCObjective
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from botorch.utils.multi_objective.pareto import is_non_dominated
from botorch.utils.sampling import manual_seed

from abloop.optimize.learn import Learned, quiet
from abloop.optimize.search import Points, silent
from abloop.optimize.together import Together
from abloop.threads import torch_alone

Tensor = Any
# BoTorch would compile a kernel when it is first asked, most of a minute, behind a lock that a killed process leaves:
# everybody after it would wait for good. It does without as well.
logei._load_attempted = True  # noqa: SLF001
STARTS, STEPS = 8, 200
FEW = 128, 512  # samples, and points to begin from: narrow limits are seldom kept by any of fewer points.
MANY = 64, 256  # The same of three objectives or more, whose frontier takes long to measure.
FINER = 2  # times the samples where logs tell of the metrics: the better a model knows them, the less arms differ


def acquire(learned: Learned, count: int, apart: float = 0.0, progress: Callable[[int, int], None] = silent) -> Points:
    """Return the points of the unit cube to try next, one after the other given those before, shape (count, d).

    By noisy expected hypervolume improvement of the objectives within the limits, or of one objective by noisy
    expected improvement, in logarithms. Sources: Daulton, Balandat, Bakshy, NeurIPS 2021; Ament et al., NeurIPS 2023.

    Args:
        learned: The model of all trials.
        count: How many, from 1.
        apart: How far they keep away from each other, for each root of the number of weights.
        progress: Called with points found and points in all.
    """
    d = learned.x.shape[1]
    box = torch.stack([torch.zeros(d, dtype=torch.double), torch.ones(d, dtype=torch.double)])
    rows = [
        (torch.arange(d), torch.as_tensor(-c, dtype=torch.double), -b) for c, b in learned.search.rows()
    ]  # BoTorch wants c . x >= b
    samples, raw = FEW if len(learned.search.objectives) < 3 else MANY
    with quiet(), manual_seed(learned.search.seed), torch_alone(*learned.x.shape):
        wanted = _acquisition(learned, FINER * samples if learned.told else samples)
        wanted = Apart(wanted, apart * d**0.5) if apart else wanted
        chosen = torch.empty((0, d), dtype=torch.double)
        for at in range(count):
            wanted.set_X_pending(chosen if at else None)
            found, _ = optimize_acqf(
                wanted,
                box,
                q=1,
                num_restarts=STARTS,
                raw_samples=raw,
                inequality_constraints=rows or None,
                options={"maxiter": STEPS, "batch_limit": STARTS, "init_batch_limit": raw},
            )
            chosen = torch.cat([chosen, found.detach()])
            progress(at + 1, count)
    points: Points = chosen.numpy()
    return points


class Widened(qLogNoisyExpectedHypervolumeImprovement):  # type: ignore[misc]  # BoTorch's nn.Module is untyped
    """By how much a point is expected to widen the frontier; what was tried is sampled once, not with each point."""

    def _set_cell_bounds(self, num_new_points: int) -> None:
        super()._set_cell_bounds(num_new_points)  # arms that were chosen count as tried: all samples are drawn anew
        self._beside: Callable[[Tensor], Tensor] | None = None

    def _compute_posterior_samples_and_concat_pending(self, X: Tensor) -> tuple[Tensor, Tensor]:
        if self._beside is None:
            with torch.no_grad():
                posterior = self.model.posterior(torch.cat([self.X_baseline, X[0]]))
                self._set_sampler(1, posterior)
                self.get_posterior_samples(posterior)  # draws normal numbers where there are none yet
                self._beside = self.model.beside(self.X_baseline, self.sampler.base_samples)
        return self._beside(X), X


class Apart(AcquisitionFunction):  # type: ignore[misc]  # BoTorch's nn.Module is untyped
    """What points are expected to bring, in logarithms, less the nearer they are to another arm of their round.

    The probability that a point is no double is that of a normal distribution about the other (local penalisation:
    Gonzalez et al., AISTATS 2016).

    Args:
        wanted: What they are expected to bring.
        length: Standard deviation of that distribution.
    """

    def __init__(self, wanted: Any, length: float) -> None:
        """Keep both."""
        super().__init__(wanted.model)
        self._wanted, self._length = wanted, length
        self.X_pending: Tensor = None

    def set_X_pending(self, X_pending: Tensor | None = None) -> None:  # noqa: N802 - BoTorch's name for it
        """Take the other arms of the round, shape (m, d)."""
        self._wanted.set_X_pending(X_pending)
        self.X_pending = X_pending

    def forward(self, X: Tensor) -> Tensor:
        """Return what points of shape (b, 1, d) bring, shape (b,)."""
        found = self._wanted(X)
        if self.X_pending is None or not len(self.X_pending):
            return found
        away = ((X - self.X_pending) ** 2).sum(-1) / self._length**2
        return found + (1e-9 - torch.expm1(-away / 2)).log().sum(-1)


def _acquisition(learned: Learned, samples: int) -> Any:
    """Return what each set of points is expected to bring."""
    search = learned.search
    order = {metric: place for place, metric in enumerate(learned.surrogates)}
    model = Together(list(learned.surrogates.values()))
    signs = torch.tensor([1.0 if each.better == "higher" else -1.0 for each in search.objectives], dtype=torch.double)
    places = [order[each.metric] for each in search.objectives]
    sampler = SobolQMCNormalSampler(torch.Size([samples]), seed=search.seed)
    kept = _constraints(learned, order) or None
    if len(places) == 1:
        return qLogNoisyExpectedImprovement(
            model,
            learned.x,
            sampler=sampler,
            objective=GenericMCObjective(partial(_signed, signs[0], places[0])),
            constraints=kept,
            prune_baseline=True,
            cache_root=False,
        )
    return Widened(
        model,
        _worst(learned, model, signs, places),
        learned.x,
        sampler=sampler,
        objective=WeightedMCMultiOutputObjective(signs, outcomes=places, num_outcomes=len(order)),
        constraints=kept,
        prune_baseline=True,
        cache_root=False,
    )


def _constraints(learned: Learned, order: dict[str, int]) -> list[Callable[[Tensor], Tensor]]:
    """Return the limits of what is no objective, each as a function that is at most 0 where it is kept."""
    found: list[Callable[[Tensor], Tensor]] = []
    goals = {each.metric for each in learned.search.objectives}
    for limit in learned.search.limits:
        each = learned.surrogates[limit.metric]
        for bound, sign in ((limit.most, 1.0), (limit.least, -1.0)):
            if bound is not None and limit.metric not in goals:
                edge = float((bound - each.centre) / each.spread)
                found.append(partial(_beyond, order[limit.metric], edge, sign))
    return found


def _signed(sign: Tensor, at: int, samples: Tensor, X: Tensor = None) -> Tensor:
    """Return one metric, higher better."""
    return sign * samples[..., at]


def _beyond(at: int, edge: float, sign: float, samples: Tensor) -> Tensor:
    """Return by how much a metric is beyond an edge."""
    return sign * (samples[..., at] - edge)


def _worst(learned: Learned, model: Any, signs: Tensor, places: list[int]) -> Tensor:
    """Return the worst of each objective that still counts: its limit, or a little below the frontier so far."""
    with torch.no_grad():
        means = model.posterior(learned.x).mean[:, places] * signs
    worst = infer_reference_point(means[is_non_dominated(means)])
    for at, objective in enumerate(learned.search.objectives):
        each = learned.surrogates[objective.metric]
        for limit in learned.search.limits:
            bound = limit.least if objective.better == "higher" else limit.most
            if limit.metric == objective.metric and bound is not None:
                worst[at] = signs[at] * (bound - each.centre) / each.spread
    return worst
