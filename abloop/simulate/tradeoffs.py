"""A shop's list, ordered by four weights that trade orders against computing, with known truth for any weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FEATURES = ("fresh", "cheap", "match", "rich")
SERVED = {"w_fresh": 0.1, "w_cheap": 0.9, "w_match": 0.3, "w_rich": 0.8}
RANGES = {"w_fresh": (0.0, 1.0), "w_cheap": (0.0, 1.0), "w_match": (0.0, 1.0), "w_rich": (-1.0, 1.0)}
LIKED = np.array([0.4, 0.5, 1.2, 0.15])  # what buyers like of each feature
LOOKED = np.array([1.0, 0.6, 0.35, 0.15, 0.05, 0.02])  # share of looks at each position
NOISE = 0.3  # standard deviation of the orders of one candidate, where it is looked at
METRICS = ("orders", "compute", "latency")
SAMPLE = 20_000  # lists that truth is measured on


def candidates(rng: np.random.Generator, lists: int) -> Array:
    """Return the features of candidates, shape (lists, positions, 4), in [0, 1]."""
    return rng.random((lists, len(LOOKED), len(FEATURES)))


def brought(shown: Array) -> dict[str, Array]:
    """Return what candidates bring on average where they are shown: orders, computing, latency.

    Rich candidates are liked a little and cost much computing; fresh ones are not cached, and slow.

    Args:
        shown: Features of the candidates of lists, in the order shown, shape (..., positions, 4).
    """
    fresh, rich = shown[..., 0], shown[..., 3]
    return {
        "orders": LOOKED * (shown @ LIKED),
        "compute": LOOKED * (0.05 + 2.0 * rich**2),
        "latency": LOOKED * (1.0 + 0.3 * fresh),
    }


@lru_cache(maxsize=1)
def _sample() -> Array:
    return candidates(np.random.default_rng(12_345), SAMPLE)


def means(weights: Mapping[str, float]) -> dict[str, float]:
    """Return what a list ordered by weights truly brings on average, on a great sample of lists.

    Example:
        >>> means({**SERVED, "w_rich": 0.0})["compute"] < means(SERVED)["compute"]
        True
    """
    lists = _sample()
    scores = lists @ np.array([weights[f"w_{name}"] for name in FEATURES])
    order = np.argsort(-scores, axis=1, kind="stable")
    shown = np.take_along_axis(lists, order[..., None], axis=1)
    return {metric: float(values.sum(axis=1).mean()) for metric, values in brought(shown).items()}


def show(handle: Any, name: str, rng: np.random.Generator) -> None:
    """Order one list by what is served, and log what its candidates bring.

    Args:
        handle: What `loop.strategy` gave.
        name: Of the list, and of its user.
        rng: Draws the list, and what it brings.
    """
    features = candidates(rng, 1)[0]
    contexts = [{"user_id": name, **dict(zip(FEATURES, map(float, row), strict=True))} for row in features]
    order = handle.get_ranking(name, contexts)
    found = brought(features[order])
    found["orders"] = found["orders"] + LOOKED * rng.normal(scale=NOISE, size=len(LOOKED))
    for place, index in enumerate(order):
        handle.log_observations(f"{name}/{index}", {metric: float(found[metric][place]) for metric in METRICS})


def blueprint(strategy: str = "shop_list", **sections: Any) -> dict[str, Any]:
    """Return the strategy: a list ordered by four weights, for more orders and less computing at no more latency.

    Args:
        strategy: Its name.
        sections: Sections of the blueprint that replace those here.
    """
    return {
        "strategy": strategy,
        "space": {"type": "ordering"},
        "metrics": [
            {"name": "orders"},
            {"name": "compute", "role": "secondary"},
            {"name": "latency", "role": "guardrail"},
        ],
        "features": [{"name": name} for name in FEATURES],
        "policy": {
            "formula": " + ".join(f"w_{name} * {name}" for name in FEATURES),
            "weights": [
                {"name": name, "value": value, "low": RANGES[name][0], "high": RANGES[name][1]}
                for name, value in SERVED.items()
            ],
        },
        "tuning": {
            "objectives": [{"metric": "orders"}, {"metric": "compute", "better": "lower"}],
            "limits": [{"metric": "latency", "most": 0.02}, {"metric": "orders", "least": -0.05}],
            "units": 100,
        },
        "experiment": {"explore": 0.01},
        "lifecycle": {"ttl": 60},
        **sections,
    }
