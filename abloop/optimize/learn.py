"""A model of all that was tried: what any weights are expected to change, metric by metric."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from abloop.errors import DataError, MissingExtraError
from abloop.optimize.search import Search
from abloop.optimize.trials import Lift, Point, Trial
from abloop.threads import torch_alone

if TYPE_CHECKING:
    from abloop.optimize.surrogate import Surrogate

FEWEST = 4  # trials with results before a model is asked
METRICS = 1_009  # more than a search has: each draws its own
SURE = 1e-12  # variance of the baseline, which changes nothing against itself


class Learned:
    """What was learned of each metric.

    Attributes:
        search: What is searched.
        x: Points that were tried, what serves first, shape (n, d), of torch.
        surrogates: Metric to its model.
    """

    def __init__(self, search: Search, x: Any, surrogates: Mapping[str, Surrogate]) -> None:
        """Keep the models."""
        self.search, self.x, self.surrogates = search, x, surrogates

    @property
    def told(self) -> bool:
        """Whether logs tell of any metric."""
        return any(surrogate.told for surrogate in self.surrogates.values())

    @property
    def trusted(self) -> dict[str, float]:
        """How much of what the logs said is left, by metric."""
        return {metric: surrogate.trusted for metric, surrogate in self.surrogates.items()}

    def expect(self, weights: Sequence[Mapping[str, float]]) -> list[dict[str, Lift]]:
        """Return what weights are expected to change."""
        import torch

        x = torch.tensor(self.search.place(weights), dtype=torch.double)
        found: list[dict[str, Lift]] = [{} for _ in weights]
        with quiet(), torch.no_grad(), torch_alone(*x.shape):
            for metric, each in self.surrogates.items():
                means, errors = each.expect(x)
                for place, pair in enumerate(zip(means.tolist(), errors.tolist(), strict=True)):
                    found[place][metric] = Lift(*pair)
        return found


def learn(search: Search, trials: Sequence[Trial], scored: Sequence[Point] = ()) -> Learned:
    """Return a model of all trials that were read, begun from what logs say.

    Args:
        search: What is searched.
        trials: All so far; what an abandoned arm changed is learned from too.
        scored: Weights with the change that logs expect of them.

    Raises:
        DataError: Too few trials were read, or no model could be fitted.
        MissingExtraError: botorch is not installed.
    """
    read = [trial for trial in trials if trial.lifts]
    told = [point for point in scored if set(search.metrics) <= set(point.lifts)]
    for metric in search.metrics:
        seen = sum(metric in trial.lifts for trial in read)
        if seen < FEWEST and not told:
            raise DataError(f"a model of weights needs {FEWEST} trials that were read; {metric} has {seen}")
    try:
        with quiet(), torch_alone(len(read) + len(told), len(search.bounds)):
            return _learned(search, read, told)
    except ImportError as error:
        raise MissingExtraError("tuning needs botorch: pip install 'abloop[tune]'") from error
    except Exception as error:
        raise DataError(f"no model could be fitted to {len(read)} trials: {error}") from error


def _learned(search: Search, read: Sequence[Trial], told: Sequence[Point]) -> Learned:
    import torch

    from abloop.optimize.surrogate import LogSays, Surrogate

    def tensor(values: Any) -> Any:
        return torch.tensor(np.asarray(values), dtype=torch.double)

    served = tensor(search.place([search.served]))
    x = torch.cat([served, tensor(search.place([trial.weights for trial in read]))])
    there = tensor(search.place([point.weights for point in told]))
    said: dict[str, LogSays | None] = dict.fromkeys(search.metrics)
    for metric in search.metrics if told else ():
        means = tensor([point.lifts[metric].mean for point in told])
        errors = tensor([point.lifts[metric].error for point in told])
        said[metric] = LogSays(there, means, errors**2, served[0]) if float(means.std()) > 0 else None
    if len(read) < FEWEST and not any(said.values()):
        raise DataError("logs say the same of all weights")
    found = {}
    for place, metric in enumerate(search.metrics):
        seen = [at for at, trial in enumerate(read) if metric in trial.lifts]
        y = tensor([0.0, *(read[at].lifts[metric].mean for at in seen)])
        variance = tensor([SURE, *(read[at].lifts[metric].error ** 2 for at in seen)])
        mine = x[[0, *(at + 1 for at in seen)]]
        found[metric] = Surrogate(mine, y, variance, said[metric], METRICS * search.seed + place)
    return Learned(search, x, found)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' own words from a product's log."""
    levels = {name: logging.getLogger(name).level for name in ("botorch", "linear_operator", "gpytorch")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
