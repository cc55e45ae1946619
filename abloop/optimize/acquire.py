"""Which weights to try next: those whose test is expected to widen the frontier most, by BoTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective import logei
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import WeightedMCMultiOutputObjective
from botorch.acquisition.objective import GenericMCObjective
from botorch.models import ModelListGP
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from botorch.utils.multi_objective.pareto import is_non_dominated
from botorch.utils.sampling import manual_seed

from abloop.optimize.learn import Learned, quiet
from abloop.optimize.search import Points
from abloop.threads import torch_alone

Tensor = Any
# BoTorch would compile a kernel when it is first asked, most of a minute, behind a lock that a killed process leaves:
# everybody after it would wait for good. It does without as well.
logei._load_attempted = True  # noqa: SLF001
STARTS, STEPS = 8, 200
FEW = 128, 512  # samples, and points to begin from: narrow limits are seldom kept by any of fewer points.
MANY = 64, 256  # The same of three objectives or more, whose frontier takes long to measure.


def acquire(learned: Learned, count: int) -> Points:
    """Return the points of the unit cube to try next, one after the other given those before, shape (count, d).

    By noisy expected hypervolume improvement of the objectives within the limits, or of one objective by noisy
    expected improvement, in logarithms. Sources: Daulton, Balandat, Bakshy, NeurIPS 2021; Ament et al., NeurIPS 2023.

    Args:
        learned: The model of all trials.
        count: How many, from 1.
    """
    d = learned.x.shape[1]
    box = torch.stack([torch.zeros(d, dtype=torch.double), torch.ones(d, dtype=torch.double)])
    rows = [
        (torch.arange(d), torch.as_tensor(-c, dtype=torch.double), -b) for c, b in learned.search.rows()
    ]  # BoTorch wants c . x >= b
    samples, raw = FEW if len(learned.search.objectives) < 3 else MANY
    with quiet(), manual_seed(learned.search.seed), torch_alone(*learned.x.shape):
        found, _ = optimize_acqf(
            _acquisition(learned, samples),
            box,
            q=count,
            num_restarts=STARTS,
            raw_samples=raw,
            sequential=True,
            inequality_constraints=rows or None,
            options={"maxiter": STEPS, "batch_limit": STARTS, "init_batch_limit": raw},
        )
    points: Points = found.detach().numpy()
    return points


def _acquisition(learned: Learned, samples: int) -> Any:
    """Return what each set of points is expected to bring."""
    search = learned.search
    order = {metric: place for place, metric in enumerate(learned.surrogates)}
    model = ModelListGP(*[each.model for each in learned.surrogates.values()])
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
        )
    return qLogNoisyExpectedHypervolumeImprovement(
        model,
        _worst(learned, model, signs, places),
        learned.x,
        sampler=sampler,
        objective=WeightedMCMultiOutputObjective(signs, outcomes=places, num_outcomes=len(order)),
        constraints=kept,
        prune_baseline=True,
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
