"""Tuning beside bare Ax on the synthetic problems of BoTorch, with the noise of A/B tests: the long run.

`python -m tests.truth.tradeoffs` goes on where it was ended: each (problem, way, seed) is a line of `tradeoffs.jsonl`,
which git ignores. `--table` prints the table of tests/REPORT.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

LINES: Final = Path(__file__).with_name("tradeoffs.jsonl")
PROBLEMS: Final = ("BraninCurrin", "DTLZ2", "VehicleSafety")
JUDGED: Final = range(48, 60)  # no constant was chosen on these seeds; tests/REPORT.md says what was seen of them
ARMS: Final = 5  # in a round
ERROR: Final = 0.02  # standard error of a change, as a share of an objective's range
SERVED: Final = 0.2  # where the weights that serve stand, in each direction of the unit cube
LOGGED, BIAS, KEPT = 256, 0.03, 0.9  # points a log was asked about, its smooth bias in ranges, and its share of truth
TRIALS: Final = {"ax": 30, "ours": 20, "informative": 15, "misleading": 20, "unrelated": 20}


class Problem:
    """A problem of BoTorch over the unit cube; each objective is to be high, in units of its range.

    Args:
        name: Its name.

    Attributes:
        served: Point that serves.
        worst: What each objective must reach for the hypervolume to count it, as a change against what serves.
    """

    def __init__(self, name: str) -> None:
        """Find the ranges on a grid that fills the space."""
        import torch
        from botorch.test_functions import multi_objective
        from scipy.stats import qmc

        options = {"dim": 6, "num_objectives": 2} if name == "DTLZ2" else {}
        self._torch = torch
        self._function = getattr(multi_objective, name)(negate=True, **options).to(torch.double)
        self.weights, self.objectives = self._function.dim, self._function.num_objectives
        raw = self._raw(qmc.Sobol(self.weights, seed=1).random(1_024))
        self._low, self._range = raw.min(axis=0), np.ptp(raw, axis=0)
        self.served = np.full(self.weights, SERVED)
        self._origin = self._raw(self.served[None])[0]
        self.worst = (self._function.ref_point.numpy() - self._origin) / self._range
        self._most = self._function.max_hv / float(self._range.prod())

    def _raw(self, points: np.ndarray) -> np.ndarray:
        bounds = self._function.bounds.numpy()
        found: np.ndarray = self._function(self._torch.tensor(bounds[0] + (bounds[1] - bounds[0]) * points)).numpy()
        return found

    def change(self, points: np.ndarray) -> np.ndarray:
        """Return what points truly change against what serves, shape (n, m)."""
        found: np.ndarray = (self._raw(points) - self._origin) / self._range
        return found

    def measured(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return what an A/B test says of points."""
        true = self.change(points)
        found: np.ndarray = true + rng.normal(scale=ERROR, size=true.shape)
        return found

    def volume(self, points: np.ndarray) -> float:
        """Return the true hypervolume of points, as a share of the most that there is."""
        from botorch.utils.multi_objective.hypervolume import Hypervolume
        from botorch.utils.multi_objective.pareto import is_non_dominated

        worst = self._torch.tensor(self.worst)
        true = self._torch.tensor(self.change(points))
        true = true[(true > worst).all(dim=1)]
        if not len(true):
            return 0.0
        return float(Hypervolume(worst).compute(true[is_non_dominated(true)])) / self._most


def by_ax(problem: Problem, seed: int, trials: int, told: Callable[[int], object]) -> np.ndarray:
    """Return the points that bare Ax tries, told of the same baseline and the same worst values."""
    from ax.api.client import Client
    from ax.api.configs import RangeParameterConfig

    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "ax"]:
        logging.getLogger(name).setLevel(logging.ERROR)
    rng, client = np.random.default_rng(seed), Client(random_seed=seed)
    names = [f"w{number}" for number in range(problem.weights)]
    metrics = [f"m{number}" for number in range(problem.objectives)]
    client.configure_experiment(
        parameters=[RangeParameterConfig(name=name, bounds=(0, 1), parameter_type="float") for name in names]
    )
    client.configure_optimization(
        objective=", ".join(metrics),
        outcome_constraints=[f"{name} >= {worst}" for name, worst in zip(metrics, problem.worst, strict=True)],
    )
    index = client.attach_baseline(dict(zip(names, map(float, problem.served), strict=True)))
    client.complete_trial(index, raw_data=dict.fromkeys(metrics, (0.0, 0.0001)))
    points = np.empty((0, problem.weights))
    while len(points) < trials:
        asked = client.get_next_trials(max_trials=ARMS)
        new = np.array([[found[name] for name in names] for found in asked.values()])
        for number, changes in zip(asked, problem.measured(new, rng), strict=True):
            data = {name: (float(value), ERROR) for name, value in zip(metrics, changes, strict=True)}
            client.complete_trial(number, raw_data=data)
        points = np.vstack([points, new])
        told(len(points))
    return points


def log_of(problem: Problem, seed: int, kind: str) -> np.ndarray:
    """Return what a log says of points, with the noise of an estimate.

    Args:
        problem: The problem.
        seed: Of bias and noise.
        kind: `informative` has nine tenths of the truth and a smooth bias; `misleading` says of each objective the
            opposite of what is true at the mirrored point; `unrelated` has waves of the same spread.

    Returns:
        Points and their changes, shape (n, d + m).
    """
    from scipy.stats import qmc

    rng = np.random.default_rng((seed, 7))
    points = qmc.Sobol(problem.weights, seed=100 + seed).random(LOGGED)
    true = -problem.change(1 - points) if kind == "misleading" else problem.change(points)
    waves = np.cos(points @ rng.normal(scale=1.5, size=(problem.weights, 16)) + rng.uniform(0, 2 * np.pi, 16))
    bias = waves @ rng.normal(size=(16, problem.objectives))
    bias = (bias - bias.mean(axis=0)) / bias.std(axis=0)
    bias, true = (bias * true.std(axis=0), 0 * true) if kind == "unrelated" else (BIAS * bias, true)
    return np.hstack([points, KEPT * true + bias + rng.normal(scale=ERROR, size=true.shape)])


def by_abloop(
    problem: Problem, seed: int, trials: int, told: Callable[[int], object], log: np.ndarray | None = None
) -> np.ndarray:
    """Return the points that abloop tries, with or without a log."""
    from abloop.blueprint.tuning import Limit, Objective
    from abloop.optimize.propose import propose
    from abloop.optimize.search import Search
    from abloop.optimize.trials import Lift, Point, Trial

    names = [f"w{number}" for number in range(problem.weights)]
    metrics = [f"m{number}" for number in range(problem.objectives)]

    def lifts(changes: np.ndarray) -> dict[str, Lift]:
        return {name: Lift(float(value), ERROR) for name, value in zip(metrics, changes, strict=True)}

    search = Search(
        bounds=dict.fromkeys(names, (0.0, 1.0)),
        served=dict(zip(names, map(float, problem.served), strict=True)),
        objectives=tuple(Objective(metric=name) for name in metrics),
        limits=tuple(
            Limit(metric=name, least=float(worst)) for name, worst in zip(metrics, problem.worst, strict=True)
        ),
        seed=seed,
    )
    scored = [
        Point(search.weights(row[None, : problem.weights])[0], lifts(row[problem.weights :]))
        for row in ([] if log is None else log)
    ]
    rng, done = np.random.default_rng(seed), []
    points = np.empty((0, problem.weights))
    while len(points) < trials:
        found = propose(search, done, min(ARMS, trials - len(points)), scored)
        new = search.place([weights for weights, _ in found])
        for (weights, source), changes in zip(found, problem.measured(new, rng), strict=True):
            done.append(Trial(len(done), 0, weights, "read", lifts=lifts(changes), source=source))
        points = np.vstack([points, new])
        told(len(points))
    return points


def informed(problem: Problem, seed: int, trials: int, told: Callable[[int], object]) -> np.ndarray:
    """Return the points that abloop tries with a log that informs."""
    return by_abloop(problem, seed, trials, told, log_of(problem, seed, "informative"))


def misled(problem: Problem, seed: int, trials: int, told: Callable[[int], object]) -> np.ndarray:
    """Return the points that abloop tries with a log that misleads."""
    return by_abloop(problem, seed, trials, told, log_of(problem, seed, "misleading"))


def told_nothing(problem: Problem, seed: int, trials: int, told: Callable[[int], object]) -> np.ndarray:
    """Return the points that abloop tries with a log that has nothing to do with the truth."""
    return by_abloop(problem, seed, trials, told, log_of(problem, seed, "unrelated"))


WAYS: dict[str, Callable[..., np.ndarray]] = {
    "ax": by_ax,
    "ours": by_abloop,
    "informative": informed,
    "misleading": misled,
    "unrelated": told_nothing,
}


def lines() -> list[dict[str, Any]]:
    """Return what was run so far."""
    return [json.loads(line) for line in LINES.read_text().splitlines()] if LINES.exists() else []


def run(ways: Sequence[str], problems: Sequence[str], seeds: Sequence[int], minutes: float) -> None:
    """Run what was not run yet, seed by seed, until the time is over."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    until = time.monotonic() + 60 * minutes
    for seed in seeds:
        for name in problems:
            for way in ways:
                done = {(line["problem"], line["way"], line["seed"]) for line in lines()}
                if (name, way, seed) in done or time.monotonic() > until:
                    continue
                problem, begun = Problem(name), time.process_time()

                def told(count: int, name: str = name, way: str = way, seed: int = seed, begun: float = begun) -> None:
                    print(f"{name} {way} {seed}: {count}, {time.process_time() - begun:.0f} s", flush=True)  # noqa: T201

                points = WAYS[way](problem, seed, TRIALS[way], told)
                volumes = [round(problem.volume(points[: count + 1]), 5) for count in range(len(points))]
                line = {"problem": name, "way": way, "seed": seed, "volumes": volumes}
                with LINES.open("a") as file:
                    file.write(json.dumps(line | {"seconds": round(time.process_time() - begun, 1)}) + "\n")


def reached(problem: str, way: str, trials: int, seeds: Sequence[int]) -> list[float]:
    """Return the hypervolume of a way after so many trials, seed by seed, as far as it was run."""
    mine = [line for line in lines() if (line["problem"], line["way"]) == (problem, way) and line["seed"] in seeds]
    return [line["volumes"][trials - 1] for line in sorted(mine, key=lambda line: line["seed"])]


def table(seeds: Sequence[int]) -> str:
    """Return the table of tests/REPORT.md: means over seeds, and each seed."""
    columns = (("ax", 20), ("ours", 20), ("misleading", 20), ("ax", 30), ("informative", 15))
    rows = ["| problem | " + " | ".join(f"{way} {trials}" for way, trials in columns) + " |", "| --- " * 6 + "|"]
    for problem in PROBLEMS:
        cells = []
        for way, trials in columns:
            found = reached(problem, way, trials, seeds)
            each = " ".join(f"{value:.3f}"[1:] if value < 1 else f"{value:.3f}" for value in found)
            cells.append(f"{np.mean(found):.3f} ({each})" if found else "not run")
        rows.append(f"| {problem} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> None:
    """Run, or print the table."""
    parser = argparse.ArgumentParser(description="tuning beside bare Ax")
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    parser.add_argument("--problems", nargs="*", default=list(PROBLEMS))
    parser.add_argument("--first", type=int, default=JUDGED.start, help="first seed")
    parser.add_argument("--seeds", type=int, default=len(JUDGED), help="how many, from the first")
    parser.add_argument("--table", action="store_true", help="print the table of what was run, and run nothing")
    parser.add_argument("--minutes", type=float, default=600.0)
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    if options.table:
        print(table(seeds))  # noqa: T201
    else:
        run(options.ways, options.problems, seeds, options.minutes)


if __name__ == "__main__":
    main()
