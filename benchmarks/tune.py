"""Seconds a proposal, and hypervolume reached, beside Ax, Optuna (NSGA-II and a Gaussian process) and Sobol.

All tune the same problem (BraninCurrin of BoTorch, noise of an A/B test) in rounds of five arms, interleaved, from the
same seeds. `ours_to_ax` is the time of a proposal of five arms; `volume` is each one's true hypervolume at the end, as
a share of the most that there is, mean over the seeds.
"""

from __future__ import annotations

import logging
import platform
import time
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

import abloop
from benchmarks.timing import Ratio
from tests.truth.tradeoffs import ARMS, Problem, by_abloop, by_ax

TARGET: Final = {"ours_to_ax": 1.0}
Told = Callable[[int], object]


def by_optuna(name: str) -> Callable[[Problem, int, int, Told], np.ndarray]:
    """Return what asks one sampler of Optuna; a round is asked at once, and told at once."""

    def run(problem: Problem, seed: int, trials: int, told: Told) -> np.ndarray:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler: Any = (
            optuna.samplers.NSGAIISampler(seed=seed, population_size=2 * ARMS)
            if name == "nsga"
            else optuna.samplers.GPSampler(seed=seed, n_startup_trials=ARMS)
        )
        study = optuna.create_study(directions=["maximize"] * problem.objectives, sampler=sampler)
        rng, points = np.random.default_rng(seed), np.empty((0, problem.weights))
        while len(points) < trials:
            asked = [study.ask() for _ in range(ARMS)]
            new = np.array([[trial.suggest_float(f"w{at}", 0, 1) for at in range(problem.weights)] for trial in asked])
            for trial, values in zip(asked, problem.measured(new, rng), strict=True):
                study.tell(trial, values.tolist())
            points = np.vstack([points, new])
            told(len(points))
        return points

    return run


def by_sobol(problem: Problem, seed: int, trials: int, told: Told) -> np.ndarray:
    """Return points that fill the space."""
    from scipy.stats import qmc

    sampler, points = qmc.Sobol(problem.weights, seed=seed), np.empty((0, problem.weights))
    while len(points) < trials:
        points = np.vstack([points, sampler.random(ARMS)])
        told(len(points))
    return points


WAYS: Final[dict[str, Callable[[Problem, int, int, Told], np.ndarray]]] = {
    "ours": by_abloop,
    "ax": by_ax,
    "optuna_nsga": by_optuna("nsga"),
    "optuna_gp": by_optuna("gp"),
    "sobol": by_sobol,
}


def measure(quick: bool = False) -> dict[str, Any]:
    """Return the ratios of this machine.

    Args:
        quick: One seed and few rounds: shows that it works, and no more.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logging.getLogger("ax").setLevel(logging.ERROR)
    seeds, trials = (1, 2 * ARMS) if quick else (3, 4 * ARMS)
    problem = Problem("BraninCurrin")
    volumes: dict[str, list[float]] = {way: [] for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(seeds):
            for way, run in WAYS.items():
                marks = [time.perf_counter()]
                points = run(problem, seed, trials, lambda _, marks=marks: marks.append(time.perf_counter()))
                seconds[way] += np.diff(marks)[1:].tolist()  # the first round is spread by all, and loads libraries
                volumes[way].append(problem.volume(points))
    torch.set_num_threads(threads)
    shares = [ours / ax for ours, ax in zip(seconds["ours"], seconds["ax"], strict=True)]
    return {
        "ratios": {"ours_to_ax": Ratio(float(np.median(shares)), min(shares), max(shares), len(shares)).plain()},
        "target": TARGET,
        "seconds": {way: round(float(np.median(each)), 4) for way, each in seconds.items()},
        "volume": {way: round(float(np.mean(each)), 4) for way, each in volumes.items()},
        "trials": trials,
        "seeds": seeds,
        "python": platform.python_version(),
        "versions": {"abloop": abloop.__version__, "torch": torch.__version__},
    }
