"""A shop's list whose decision are its four weights, so that a test can say what any weights bring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

SERVED = {"fresh": 0.2, "price": 0.8, "taste": 0.3, "depth": 0.9}
NOISE = 0.8  # standard deviation of each metric, of one decision


def means(weights: Mapping[str, float]) -> dict[str, float]:
    """Return what a decision brings on average: orders, compute and latency.

    Freshness, price and taste are best at .6, .4 and .7; depth of the search helps a little, and costs.

    Example:
        >>> round(means(SERVED)["orders"], 3)
        10.452
    """
    fresh, price, taste, depth = (weights[name] for name in SERVED)
    away = 5 * (fresh - 0.6) ** 2 + 4 * (price - 0.4) ** 2 + 3 * (taste - 0.7) ** 2
    return {
        "orders": 10.0 - away + 2.5 * depth**0.5,
        "compute": 1.0 + 4.0 * depth + 0.5 * taste,
        "latency": 5.0 + 1.5 * depth * fresh,
    }


def draw(rng: np.random.Generator, weights: Mapping[str, float]) -> dict[str, float]:
    """Return what one decision brings."""
    return {metric: float(rng.normal(mean, NOISE)) for metric, mean in means(weights).items()}


def blueprint(strategy: str = "shop_list", **sections: Any) -> dict[str, Any]:
    """Return the strategy: what it decides are its weights, so that a world can say what they bring.

    Args:
        strategy: Its name.
        sections: Sections of the blueprint that replace those here.
    """
    return {
        "strategy": strategy,
        "space": {"type": "structured", "fields": [{"name": name} for name in SERVED]},
        "metrics": [
            {"name": "orders"},
            {"name": "compute", "role": "secondary"},
            {"name": "latency", "role": "guardrail"},
        ],
        "policy": {
            "formula": "{" + ", ".join(f"'{name}': {name}" for name in SERVED) + "}",
            "weights": [{"name": name, "value": value, "low": 0, "high": 1} for name, value in SERVED.items()],
        },
        "tuning": {
            "objectives": [{"metric": "orders"}, {"metric": "compute", "better": "lower"}],
            "limits": [{"metric": "latency", "most": 0.02}],
            "units": 300,
        },
        "experiment": {"explore": 0.01},
        "lifecycle": {"ttl": 60},
        **sections,
    }
