"""What several test modules build: installations, blueprints and traffic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from abloop.loop import Loop
from abloop.testing import ManualClock

TTL = 3_600.0


def open_loop(directory: Path, clock: ManualClock | None = None) -> Loop:
    """Return an installation in a directory, without a background thread that would race the test."""
    return Loop(f"sqlite:///{directory}/abloop.db", clock=clock or ManualClock(), refresh_seconds=3_600.0)


def two_arms(name: str = "checkout", **sections: Any) -> dict[str, Any]:
    """Return a blueprint of two arms, one metric and one feature, with sections added or replaced."""
    return {
        "strategy": name,
        "arms": [{"name": "blue"}, {"name": "green"}],
        "metrics": [{"name": "bought"}],
        "features": [{"name": "x"}],
        "lifecycle": {"ttl": TTL},
        **sections,
    }


def send_traffic(
    loop: Loop, name: str, units: int, rng: np.random.Generator, effect: float = 0.0, prefix: str = "u"
) -> None:
    """Let units pass through the two calls; green gains `effect` where the feature is positive, loses it elsewhere."""
    strategy = loop.strategy(name)
    for index, x in enumerate(rng.normal(size=units)):
        unit = f"{prefix}{index}"
        arm = strategy.get_decision(unit, {"user_id": unit, "x": float(x)})
        chance = 0.3 + (effect if x > 0 else -effect) * (arm == "green")
        strategy.log_observations(unit, {"bought": bool(rng.random() < chance)})
