"""The trade-offs: what was measured, what a model expects, and which is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from abloop.blueprint import Blueprint
from abloop.blueprint.tuning import Limit, Objective
from abloop.optimize.drift import Drift, widened
from abloop.optimize.drift import drift as drift_of
from abloop.optimize.learn import Learned, learn
from abloop.optimize.pareto import closest
from abloop.optimize.pareto import pareto as expected
from abloop.optimize.trials import Lift, Point, State, Trial
from abloop.optimize.trials import frontier as measured
from abloop.optimize.volume import volume
from abloop.store.workspace import Workspace
from abloop.tuning.known import known
from abloop.tuning.known import left_out as left_out_of
from abloop.tuning.plan import objectives, search_of
from abloop.tuning.rounds import check_weights
from abloop.tuning.steps import status

NOTHING = 0.05  # share of a log that is as good as none


class Outlook(NamedTuple):
    """What a model of all trials expects.

    Attributes:
        points: The weights that it expects nothing to beat, best at the first objective first.
        trusted: How much of what the journal said of each metric the tests left; see `trusted`. Empty without a log.
    """

    points: tuple[Point, ...]
    trusted: dict[str, float]


def best(workspace: Workspace, strategy: str) -> list[Trial]:
    """Return the trials that none beats: the measured trade-offs, best at the first objective first.

    Raises:
        UnknownNameError: There is no such strategy.
    """
    state, blueprint = _today(workspace, strategy)
    return measured(state.trials, objectives(blueprint), blueprint.tuning.limits)


def pareto(workspace: Workspace, strategy: str) -> tuple[Point, ...]:
    """Return the weights that a model of all trials expects nothing to beat, each metric with its uncertainty.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: Too few trials were read, or no model could be fitted.
        MissingExtraError: botorch is not installed.
    """
    return outlook(workspace, strategy).points


def outlook(workspace: Workspace, strategy: str) -> Outlook:
    """Return what a model of all trials expects nothing to beat, and how far it believes the journal.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: Too few trials were read, or no model could be fitted.
        MissingExtraError: botorch is not installed.
    """
    state, blueprint = _today(workspace, strategy, guess=True)
    learned = _learned(state, blueprint)
    return Outlook(expected(learned, state.trials), learned.trusted if learned.told else {})


def expect(workspace: Workspace, strategy: str, weights: list[dict[str, float]]) -> list[dict[str, Lift]]:
    """Return what weights that were never tried are expected to change, by a model of all that were.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        weights: Weight to value, all that have a range, one mapping for each question.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: A weight is missing or outside its range, or too few trials were read.
        MissingExtraError: botorch is not installed.
    """
    state, blueprint = _today(workspace, strategy, guess=True)
    for point in weights:
        check_weights(blueprint, point)
    return _learned(state, blueprint).expect(weights)


def choose(workspace: Workspace, strategy: str, keep: Sequence[Limit], wanted: Objective) -> Point:
    """Return the point of the expected frontier that keeps something and is best at a metric.

    At most -1 % engagement, least cost: `[Limit(metric="engagement", least=-0.01)]` and
    `Objective(metric="cost", better="lower")`. What is to be kept, or wanted, may be a limit of the blueprint: the
    frontier is drawn with these.

    Raises:
        UnknownNameError: There is no such strategy or metric.
        DataError: No point keeps it, too few trials were read, or no model could be fitted.
        MissingExtraError: botorch is not installed.
    """
    state, blueprint = _today(workspace, strategy, guess=True)
    learned = _learned(state, blueprint)
    search = learned.search
    if {wanted.metric, *(limit.metric for limit in keep)} <= set(search.metrics):
        goals = {each.metric: each for each in search.objectives} | {wanted.metric: wanted}
        asked = msgspec.structs.replace(search, objectives=tuple(goals.values()), limits=(*search.limits, *keep))
        points = expected(Learned(asked, learned.x, learned.surrogates), state.trials)
        if points:
            return closest(points, keep, wanted)
    return closest(expected(learned, state.trials), keep, wanted)


def trusted(workspace: Workspace, strategy: str) -> dict[str, float]:
    """Return how much of what the journal said of each metric the tests left: 1 all, 0 nothing, or without a log.

    Below 0 it goes against the truth, and is turned round.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: Too few trials were read, or no model could be fitted.
        MissingExtraError: botorch is not installed.
    """
    state, blueprint = _today(workspace, strategy, guess=True)
    return _learned(state, blueprint).trusted


def believed(trusted: Mapping[str, float]) -> str:
    """Return how far the journal is believed, in words; an empty text without a log.

    Example:
        >>> believed({"engagement": 0.97, "compute": 0.01, "joy": -0.6})
        'Of what the journal said before the tests, believed: engagement 97%, compute nothing, joy 60% of the opposite'
    """
    said = [
        f"{metric} " + (f"{abs(left):.0%}" + " of the opposite" * (left < 0) if abs(left) >= NOTHING else "nothing")
        for metric, left in trusted.items()
    ]
    return f"Of what the journal said before the tests, believed: {', '.join(said)}" if said else ""


def drift(workspace: Workspace, strategy: str) -> tuple[Drift, ...]:
    """Return whether arms that were tried in several rounds changed the same in all of them, metric by metric.

    Raises:
        UnknownNameError: There is no such strategy.
    """
    return drift_of(_today(workspace, strategy)[0].trials)


def volumes(workspace: Workspace, strategy: str) -> list[float]:
    """Return, round by round, how much of the space of trade-offs all trials so far reach; see `optimize.volume`.

    Raises:
        UnknownNameError: There is no such strategy.
    """
    state, blueprint = _today(workspace, strategy)
    goals, limits = objectives(blueprint), blueprint.tuning.limits
    done = range(len(state.rounds))
    return [volume([trial for trial in state.trials if trial.round <= at], goals, limits) for at in done]


def today(workspace: Workspace, strategy: str) -> State:
    """Return all that is known, each trial by its change against what serves now; see `tuning.known`.

    Raises:
        UnknownNameError: There is no such strategy.
    """
    return _today(workspace, strategy)[0]


def left_out(workspace: Workspace, strategy: str) -> dict[str, int]:
    """Return why trials that were read say nothing of what serves now, and how many of them.

    Raises:
        UnknownNameError: There is no such strategy.
    """
    return left_out_of(status(workspace, strategy), today(workspace, strategy))


def _today(workspace: Workspace, strategy: str, *, guess: bool = False) -> tuple[State, Blueprint]:
    """Return the state against what serves now, and the blueprint that serves."""
    state = status(workspace, strategy)
    _, blueprint = workspace.catalogue.blueprint(strategy, workspace.catalogue.serving(strategy).version)
    return known(workspace, state, blueprint, guess=guess), blueprint


def _learned(state: State, blueprint: Blueprint) -> Learned:
    """Return a model of all trials."""
    search = search_of(blueprint)
    return learn(search, widened(state.trials), state.scored)
