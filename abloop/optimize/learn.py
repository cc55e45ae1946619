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
                posterior = each.model.posterior(x)
                means = (posterior.mean[:, 0] * each.spread + each.centre).tolist()
                errors = (posterior.variance[:, 0].sqrt() * each.spread).tolist()
                for place, pair in enumerate(zip(means, errors, strict=True)):
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
    read = [trial for trial in trials if trial.lifts and set(search.metrics) <= set(trial.lifts)]
    told = [point for point in scored if set(search.metrics) <= set(point.lifts)]
    if len(read) < FEWEST and not told:
        raise DataError(f"a model of weights needs {FEWEST} trials that were read; there are {len(read)}")
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
    found = {}
    for metric in search.metrics:
        y = tensor([0.0, *(trial.lifts[metric].mean for trial in read)])
        variance = tensor([SURE, *(trial.lifts[metric].error ** 2 for trial in read)])
        says = None
        if told:
            means = tensor([point.lifts[metric].mean for point in told])
            errors = tensor([point.lifts[metric].error for point in told])
            says = LogSays(there, means, errors**2, served[0]) if float(means.std()) > 0 else None
        found[metric] = Surrogate(x, y, variance, says)
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
