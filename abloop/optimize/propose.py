"""Weights to try next, from the weights tried so far: multi-objective Bayesian optimisation by Ax.

What cannot be fitted is no reason to stop: the proposal is then spread over the space instead, and says so.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats import qmc

from abloop.blueprint.tuning import Limit, Objective
from abloop.errors import DataError, MissingExtraError
from abloop.optimize.ax import new_client
from abloop.optimize.trials import Lift, Trial

Bounds = Mapping[str, tuple[float, float]]
FEWEST = 4  # trials with results before a model is asked
SURE = 1e-6  # standard error of the baseline, which changes nothing against itself


def propose(
    bounds: Bounds,
    served: Mapping[str, float],
    trials: Sequence[Trial],
    objectives: Sequence[Objective],
    limits: Sequence[Limit],
    count: int,
    seed: int = 0,
) -> list[tuple[dict[str, float], str]]:
    """Return weights to try, each with how they were found: by the `model`, or `spread`.

    Args:
        bounds: Weight to its range.
        served: Weight to its value now.
        trials: All so far; those that were read are learned from.
        objectives: What is made better, as changes against what serves.
        limits: What must be kept.
        count: How many.
        seed: Makes it repeatable.

    Raises:
        MissingExtraError: ax-platform is not installed.
    """
    read = [trial for trial in trials if trial.status == "read"]
    if len(read) >= FEWEST:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the libraries' own
            found = _by_model(bounds, served, read, objectives, limits, count, seed)
        if found:
            return [(weights, "model") for weights in found]
    return [(weights, "spread") for weights in spread(bounds, count, len(trials), seed)]


def spread(bounds: Bounds, count: int, done: int = 0, seed: int = 0) -> list[dict[str, float]]:
    """Return weights that fill the space evenly, going on after so many.

    Example:
        >>> spread({"a": (0.0, 1.0)}, 2) == spread({"a": (0.0, 1.0)}, 3)[:2]
        True
    """
    sampler = qmc.Sobol(len(bounds), seed=seed)
    if done:
        sampler.fast_forward(done)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a number is no power of two
        points = sampler.random(count)
    return [
        {name: float(low + (high - low) * x) for (name, (low, high)), x in zip(bounds.items(), point, strict=True)}
        for point in points
    ]


def _by_model(
    bounds: Bounds,
    served: Mapping[str, float],
    read: Sequence[Trial],
    objectives: Sequence[Objective],
    limits: Sequence[Limit],
    count: int,
    seed: int,
) -> list[dict[str, float]]:
    """Return what a surrogate of all trials proposes; nothing where none could be fitted."""
    try:
        client, _ = _taught(bounds, served, read, objectives, limits, seed)
        asked = client.get_next_trials(max_trials=count)
    except MissingExtraError:
        raise
    except Exception as error:  # a fit that fails costs a model, never a round
        logging.getLogger(__name__).warning("no model could be fitted to %d trials: %s", len(read), error)
        return []
    return [{name: float(weights[name]) for name in bounds} for weights in asked.values()]


def _taught(
    bounds: Bounds,
    served: Mapping[str, float],
    read: Sequence[Trial],
    objectives: Sequence[Objective],
    limits: Sequence[Limit],
    seed: int,
) -> Any:
    """Return an Ax client that knows what serves and all trials, and metric to the name that Ax knows it by."""
    client, names = _client(bounds, objectives, limits, seed)
    zero = {names[metric]: (0.0, SURE) for metric in names}
    for weights, data in [(served, zero), *((trial.weights, _data(trial, names)) for trial in read)]:
        index = client.attach_trial({name: float(weights[name]) for name in bounds})
        client.complete_trial(index, raw_data=data)
    return client, names


def _client(bounds: Bounds, objectives: Sequence[Objective], limits: Sequence[Limit], seed: int) -> Any:
    """Return an Ax client, and metric to the name that Ax knows it by."""
    client = new_client(seed, "tuning")
    from ax.api.configs import RangeParameterConfig  # there, as the client is

    metrics = dict.fromkeys([*(each.metric for each in objectives), *(each.metric for each in limits)])
    names = {metric: f"m{number}" for number, metric in enumerate(metrics)}
    client.configure_experiment(
        parameters=[
            RangeParameterConfig(name=name, bounds=(low, high), parameter_type="float")
            for name, (low, high) in bounds.items()
        ]
    )
    goal = ", ".join(("" if each.better == "higher" else "-") + names[each.metric] for each in objectives)
    kept = [f"{names[limit.metric]} <= {limit.most:g}" for limit in limits if limit.most is not None]
    kept += [f"{names[limit.metric]} >= {limit.least:g}" for limit in limits if limit.least is not None]
    client.configure_optimization(objective=goal, outcome_constraints=kept or None)
    # What was tried already is the beginning: a model proposes from the first on.
    client.configure_generation_strategy(
        initialization_budget=1,
        initialization_random_seed=seed,
        initialize_with_center=False,
        min_observed_initialization_trials=1,
    )
    return client, names


def _data(trial: Trial, names: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """Return a trial's changes as Ax takes them."""
    return {names[metric]: (lift.mean, lift.error) for metric, lift in trial.lifts.items() if metric in names}


def foresee(
    bounds: Bounds,
    served: Mapping[str, float],
    trials: Sequence[Trial],
    objectives: Sequence[Objective],
    limits: Sequence[Limit],
    points: Sequence[Mapping[str, float]],
    seed: int = 0,
) -> list[dict[str, Lift]]:
    """Return what a surrogate of all trials expects weights to change, each metric with its uncertainty.

    Args:
        bounds: Weight to its range.
        served: Weight to its value now.
        trials: All so far; those that were read are learned from.
        objectives: What is made better.
        limits: What must be kept.
        points: Weights to look at, inside the bounds.
        seed: Makes it repeatable.

    Raises:
        DataError: Too few trials were read, or no model could be fitted.
        MissingExtraError: ax-platform is not installed.
    """
    read = [trial for trial in trials if trial.status == "read"]
    if len(read) < FEWEST:
        raise DataError(f"a model of weights needs {FEWEST} trials that were read; there are {len(read)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries' own
        try:
            client, names = _taught(bounds, served, read, objectives, limits, seed)
            client.get_next_trials(max_trials=1)  # which fits the model
            found = client.predict([{name: float(point[name]) for name in bounds} for point in points])
        except MissingExtraError:
            raise
        except Exception as error:
            raise DataError(f"no model could be fitted to {len(read)} trials: {error}") from error
    return [{metric: Lift(*map(float, each[name])) for metric, name in names.items()} for each in found]
