"""How often the gate personalises where nobody differs, and where choosing brings three standard errors.

`python -m tests.truth.gate` prints the table of tests/REPORT.md (minutes).
"""

from __future__ import annotations

import math
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from abloop.blueprint import from_mapping
from abloop.evaluate.gate import judge
from abloop.features.encode import Encoder
from abloop.learners.base import Sample
from abloop.records import Column
from abloop.train.fit import cross_fit
from abloop.train.table import TrainingTable

UNITS = 1_000
FEATURES = 4
GAIN = 3.0  # standard errors of the best policy there is against the best arm, where it gains
LEAD = 0.5  # of the effect's spread, by which the better arm is better on average
BLUEPRINT: dict[str, Any] = {
    "strategy": "gate",
    "arms": [{"name": "a"}, {"name": "b"}],
    "metrics": [{"name": "value"}],
    "features": [{"name": f"x{index}"} for index in range(FEATURES)],
    "model": {"repeats": 1, "folds": 3},
}


NOISE = {"normal": 1.05, "rate": 0.46, "money": 0.57}  # spread of what the models leave, measured by `strength`
WORLDS = ("nothing", "same for all", "differs")


class World(NamedTuple):
    """A kind of trial.

    Attributes:
        kind: Of the outcome.
        effect: One of `WORLDS`: the arms do the same, one is better for all alike, or effects differ.
    """

    kind: str
    effect: str


def spread(noise: float) -> float:
    """Return the effect's spread b at which the best policy gains `GAIN` standard errors over the best arm.

    With an effect (l + x) b, x normal and l the lead, the gain over the better arm is b E max(-l - x, 0), and its
    standard error that of the scores' difference, 4 noise**2, on the share Phi(-l) of rows where policy and arm differ.
    """
    below = 0.5 * math.erfc(LEAD / math.sqrt(2.0))
    density = math.exp(-0.5 * LEAD**2) / math.sqrt(2.0 * math.pi)
    return GAIN * math.sqrt(below * 4.0 * noise**2 / UNITS) / (density - LEAD * below)


def draw(world: World, seed: int) -> tuple[TrainingTable, np.ndarray]:
    """Return a trial of two arms at even odds, in which the first feature moves the effect, and the true effects."""
    rng = np.random.default_rng([seed, list(NOISE).index(world.kind), WORLDS.index(world.effect)])
    x, arm = rng.normal(size=(UNITS, FEATURES)), rng.integers(0, 2, UNITS)
    turn = x[:, 0] if world.effect == "differs" else 0.0
    effect = (LEAD + turn) * np.full(UNITS, spread(NOISE[world.kind])) * (world.effect != "nothing")
    if world.kind == "normal":
        outcome = x[:, 1] + 0.5 * np.abs(x[:, 2]) + arm * effect + rng.normal(size=UNITS)
    else:  # a rate, or money: most buy nothing
        chance = np.clip({"rate": 0.3, "money": 0.2}[world.kind] + 0.03 * x[:, 1] + (arm - 0.5) * effect, 0.0, 1.0)
        outcome = (rng.random(UNITS) < chance) * (1.0 if world.kind == "rate" else rng.gamma(1.0, 1.0, UNITS))
    return _table(x, arm.astype(np.intp), outcome.astype(float)), effect


def _table(x: np.ndarray, arm: np.ndarray, outcome: np.ndarray) -> TrainingTable:
    """Return arrays as the training table of a strategy."""
    groups = np.arange(len(arm))
    columns = tuple(Column(f"x{index}", "numeric") for index in range(FEATURES))
    return TrainingTable(
        version=1,
        blueprint=from_mapping(BLUEPRINT),
        encoder=Encoder(columns),
        sample=Sample(x, arm, outcome, np.full(2, 0.5), (0,) * FEATURES, groups=groups),
        propensity=np.full(len(arm), 0.5),
        groups=groups,
        costs=np.zeros(2),
        unobserved=(),
        dropped=0,
        features=[],
        metrics={},
        firsts=np.ones(len(arm), dtype=bool),
        time=np.arange(len(arm), dtype=float),
        lists=np.arange(len(arm)),
        positions=np.full(len(arm), np.nan),
    )


class Found(NamedTuple):
    """What the gate did, over trials.

    Attributes:
        fixed: Share in which it personalises, asked once.
        always: Share in which it does with the bound that holds at every look.
        strength: True gain of the best policy, in standard errors of its measured gain; the mean.
    """

    fixed: float
    always: float
    strength: float


def rates(world: World, trials: int) -> Found:
    """Return how often the gate personalises over seeded trials."""
    found = np.empty((trials, 3))
    for seed in range(trials):
        table, effect = draw(world, seed)
        evidence = cross_fit(table)
        for at, always in enumerate((False, True)):
            found[seed, at] = judge(evidence, always_valid=always).verdict == "personalise"
        differs = (effect < 0) * (evidence.arm_scores[:, 0] - evidence.arm_scores[:, 1])
        found[seed, 2] = np.maximum(-effect, 0.0).mean() / max(differs.std() / math.sqrt(UNITS), 1e-12)
    return Found(*found.mean(axis=0).tolist())


def main(trials: int = 700) -> None:
    """Print the table."""
    os.environ["OMP_NUM_THREADS"] = "1"
    worlds = [World(kind, effect) for effect in WORLDS for kind in NOISE]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for world, found in zip(worlds, pool.map(rates, worlds, [trials] * len(worlds)), strict=True):
            numbers = (f"{100 * found.fixed:.2f}", f"{100 * found.always:.2f}", f"{found.strength:.2f}")
            sys.stdout.write(f"| {' | '.join((world.effect, world.kind, f'{trials:,}', *numbers))} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
