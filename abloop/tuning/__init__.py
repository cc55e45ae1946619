"""Tuning by rounds of A/B tests: weights are proposed, served beside those that serve, read, and learned from."""

from abloop.blueprint.parameters import settings, tunable
from abloop.blueprint.tuning import Limit, Objective
from abloop.optimize.figures import frontier_figure, volume_figure
from abloop.optimize.learn import learn
from abloop.optimize.propose import propose as suggest
from abloop.optimize.trials import Lift, Point, keeps
from abloop.tuning.frontier import (
    believed,
    best,
    choose,
    drift,
    expect,
    left_out,
    outlook,
    pareto,
    today,
    trusted,
    volumes,
)
from abloop.tuning.plan import objectives, search_of
from abloop.tuning.reading import read, ready, watch
from abloop.tuning.rounds import pick, propose
from abloop.tuning.steps import status

__all__ = [
    "Lift",
    "Limit",
    "Objective",
    "Point",
    "believed",
    "best",
    "choose",
    "drift",
    "expect",
    "frontier_figure",
    "keeps",
    "learn",
    "left_out",
    "objectives",
    "outlook",
    "pareto",
    "pick",
    "propose",
    "read",
    "ready",
    "search_of",
    "settings",
    "status",
    "suggest",
    "today",
    "trusted",
    "tunable",
    "volume_figure",
    "volumes",
    "watch",
]
