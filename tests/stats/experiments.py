"""Random experiments that peers are asked about: sizes, spreads and skews from small to large."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from abloop.stats.estimand import Estimand
from abloop.stats.moments import Products, products

Array = np.ndarray[Any, np.dtype[np.float64]]
MANY = 2_000 if os.environ.get("ABLOOP_LONG") else 200
X, W = Estimand("x"), Estimand("x", over="w")
KINDS = {
    "mean": Estimand("y"),
    "proportion": Estimand("hit", proportion=True),
    "ratio": Estimand("y", over="d"),
    "adjusted": Estimand("y", covariates=(X,)),
    "adjusted_ratio": Estimand("y", over="d", covariates=(W,)),
}


@dataclass(frozen=True)
class Trial:
    """One experiment.

    Attributes:
        number: Its seed.
        control: Columns of one arm.
        treatment: Columns of the other.
    """

    number: int
    control: dict[str, Array]
    treatment: dict[str, Array]


def trials(seed: int, many: int = MANY) -> Iterator[Trial]:
    """Yield experiments: y is skewed and follows x, hit is 0 or 1, d and w are counts from 1 on."""
    for number in range(many):
        rng = np.random.default_rng([seed, number])
        scale, rate = float(10 ** rng.uniform(-3, 4)), float(rng.uniform(0.05, 0.95))
        lift, follow = float(rng.normal(0, 0.2)), float(rng.uniform(-1, 1))
        arms = []
        for effect in (0.0, lift):
            n = int(10 ** rng.uniform(1.3, 3.5))
            x = rng.gamma(2.0, scale, n)
            w = rng.poisson(3.0, n) + 1.0
            y = (1 + effect) * (rng.lognormal(0.0, 0.7, n) * scale + follow * x) + 3 * scale
            d = rng.poisson(2.0, n) + w
            hit = rng.random(n) < rate
            hit[:2] = (True, False)
            arms.append({"y": y, "hit": hit.astype(float), "d": d, "x": x, "w": w})
        yield Trial(number, *arms)


def reduced(arm: dict[str, Array], estimand: Estimand) -> Products:
    """Return the moments of what an estimand needs."""
    return products({name: arm[name].tolist() for name in estimand.names})
