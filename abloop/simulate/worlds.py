"""Worlds whose truth is known, for tests, demos and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from abloop.blueprint import Arm, Blueprint, Metric
from abloop.features.spec import Feature


@dataclass(frozen=True)
class World:
    """A randomised trial with its truth.

    Attributes:
        frame: One row a unit, with columns `arm`, the features and the metrics.
        blueprint: The strategy it becomes.
        truth: True expected net value of each arm for each unit, shape (n, k), control first.
    """

    frame: pd.DataFrame
    blueprint: Blueprint
    truth: NDArray[np.float64]


def shop(rng: np.random.Generator, units: int, heterogeneity: float = 1.0) -> World:
    """Return a shop whose two discounts help different customers and hurt others.

    New visitors buy more with a discount; loyal ones, who would have bought anyway, answer to early access.
    On average the arms are close, so that only who gets which matters.

    Args:
        rng: Source of randomness.
        units: Number of customers, n.
        heterogeneity: Scale of the differences between customers; 0 makes every effect the same.

    Returns:
        The trial, metric `bought` worth 10, discount at a cost of 0.3 a customer.
    """
    loyalty = rng.beta(2, 2, units)
    basket = rng.gamma(2.0, 20.0, units)
    channel = rng.choice(["web", "app", "store"], units, p=[0.5, 0.35, 0.15])
    base = 0.06 + 0.08 * loyalty + 0.02 * (channel == "app")
    turn = heterogeneity * (loyalty - 0.5)
    discount = 0.035 - 0.10 * turn + 0.02 * heterogeneity * (channel == "web")
    early = 0.015 + 0.12 * turn
    chance = np.clip(np.column_stack([base, base + discount, base + early]), 0.001, 0.999)
    costs = np.asarray([0.0, 0.3, 0.0])
    arm = rng.integers(0, 3, units)
    bought = rng.random(units) < chance[np.arange(units), arm]
    names = np.asarray(["nothing", "discount", "early access"])
    frame = pd.DataFrame(
        {"loyalty": loyalty, "basket": basket, "channel": channel, "arm": names[arm], "bought": bought * 1.0}
    )
    frame.loc[rng.random(units) < 0.05, "basket"] = np.nan
    blueprint = Blueprint(
        strategy="shop",
        unit="customer",
        arms=(Arm(name="nothing"), Arm(name="discount", cost=0.3), Arm(name="early access")),
        metrics=(Metric(name="bought", value=10.0, default=None),),
        features=(Feature("loyalty"), Feature("basket"), Feature("channel", "categorical")),
    )
    return World(frame, blueprint, 10.0 * chance - costs)
