"""Tuning by rounds of A/B tests: weights are proposed, served beside those that serve, read, and learned from."""

from abloop.tuning.frontier import best, choose, drift, expect, pareto, trusted, volumes
from abloop.tuning.plan import objectives, search_of, tunable
from abloop.tuning.reading import read, watch
from abloop.tuning.rounds import pick, propose, status

__all__ = [
    "best",
    "choose",
    "drift",
    "expect",
    "objectives",
    "pareto",
    "pick",
    "propose",
    "read",
    "search_of",
    "status",
    "trusted",
    "tunable",
    "volumes",
    "watch",
]
