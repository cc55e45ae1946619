"""States of tuning, put where they are kept, so that a test needs no traffic."""

from __future__ import annotations

from collections.abc import Sequence

from abloop.loop import Loop
from abloop.optimize.trials import Lift, Round, State, Trial
from tests.shop import means

SPREAD = [
    {"fresh": 0.6, "price": 0.4, "taste": 0.7, "depth": 0.5},
    {"fresh": 0.3, "price": 0.9, "taste": 0.2, "depth": 0.1},
    {"fresh": 0.9, "price": 0.2, "taste": 0.5, "depth": 0.7},
    {"fresh": 0.1, "price": 0.5, "taste": 0.9, "depth": 0.3},
    {"fresh": 0.5, "price": 0.7, "taste": 0.4, "depth": 0.9},
    {"fresh": 0.7, "price": 0.1, "taste": 0.1, "depth": 0.2},
    {"fresh": 0.2, "price": 0.3, "taste": 0.8, "depth": 0.6},
    {"fresh": 0.8, "price": 0.6, "taste": 0.6, "depth": 0.4},
]


def lifts(weights: dict[str, float], zero: dict[str, float], error: float = 0.001) -> dict[str, Lift]:
    """Return what weights truly change in the shop against others."""
    before, after = means(zero), means(weights)
    return {metric: Lift(after[metric] / before[metric] - 1.0, error) for metric in before}


def keep(loop: Loop, trials: Sequence[Trial], baseline: int = 1) -> State:
    """Keep one round of trials as read beside a version."""
    known = loop.tunings.state("shop_list")
    number = len(known.rounds)
    mine = [
        Trial(
            len(known.trials) + at, number, each.weights, each.status, lifts=each.lifts, reason=each.reason, units=900
        )
        for at, each in enumerate(trials)
    ]
    state = State(
        "shop_list",
        (*known.rounds, Round(number, baseline, "read", 1_000 + number)),
        (*known.trials, *mine),
        known.step,
    )
    return loop.tunings.advance(state, at=0.0, who="test", why="test")


def read(weights: dict[str, float], zero: dict[str, float]) -> Trial:
    """Return a trial that was read, and measured the truth."""
    return Trial(0, 0, weights, "read", lifts=lifts(weights, zero))
