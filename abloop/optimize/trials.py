"""What tuning knows: trials and rounds, frozen, as they are kept. Knows no optimiser and no storage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import msgspec

from abloop.blueprint.tuning import Limit, Objective

TrialStatus = Literal["proposed", "read", "failed"]
RoundStatus = Literal["proposed", "running", "read", "marked"]
Z = 1.96  # standard errors of a 95 % interval


class Lift(msgspec.Struct, frozen=True):
    """What weights change in a metric, as a share of what the weights that serve bring.

    Attributes:
        mean: The change; 0.02 is +2 %.
        error: Its standard error.
    """

    mean: float
    error: float

    @property
    def half(self) -> float:
        """Half the width of its 95 % interval."""
        return Z * self.error

    @property
    def low(self) -> float:
        """Lower end of its 95 % interval."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper end of its 95 % interval."""
        return self.mean + self.half


class Point(msgspec.Struct, frozen=True):
    """Weights that a model of all trials expects nothing to beat.

    Attributes:
        weights: Weight to value.
        lifts: Metric to the change that is expected, with its standard error.
        kept: Probability that they keep all limits.
        trial: Number of the trial that has these weights; -1 where none has.
    """

    weights: dict[str, float]
    lifts: dict[str, Lift]
    kept: float = 1.0
    trial: int = -1


class Trial(msgspec.Struct, frozen=True):
    """Weights that were tried.

    Attributes:
        number: From 0, over all rounds.
        round: Number of its round, from 0.
        weights: Weight to value.
        status: `proposed`, then `read`, or `failed`.
        version: Blueprint version that has them; 0 before there is one.
        lifts: Metric to its change.
        units: Units behind them.
        reason: Why it failed.
        source: How it was proposed: by the `model`, from `logs` alone, `spread` over the space, `again` to see drift,
            `among` given weights, or picked by a person and `confirmed`.
    """

    number: int
    round: int
    weights: dict[str, float]
    status: TrialStatus = "proposed"
    version: int = 0
    lifts: dict[str, Lift] = {}
    units: int = 0
    reason: str = ""
    source: str = "model"


class Round(msgspec.Struct, frozen=True):
    """An experiment of several trials beside the weights that serve.

    Attributes:
        number: From 0.
        baseline: Blueprint version that serves.
        status: `proposed`, `running`, then `read`, or `marked` where what it says cannot be used.
        comparison: Id of its comparison; 0 before it runs.
        at: When it was proposed, in seconds since 1970.
        reason: Why it is marked.
    """

    number: int
    baseline: int
    status: RoundStatus = "proposed"
    comparison: int = 0
    at: float = 0.0
    reason: str = ""


class State(msgspec.Struct, frozen=True):
    """All that is known of a strategy's tuning.

    Attributes:
        strategy: Its name.
        rounds: Oldest first.
        trials: Oldest first.
        step: How often the state was changed; a change names the step it was made from.
        scored: Weights with what the journal says of them, before the first round.
        scored_by: Blueprint version that served then; 0 for the one of the first round.
    """

    strategy: str
    rounds: tuple[Round, ...] = ()
    trials: tuple[Trial, ...] = ()
    step: int = 0
    scored: tuple[Point, ...] = ()
    scored_by: int = 0

    @property
    def open(self) -> Round | None:
        """The round that is neither read nor marked."""
        last = self.rounds[-1] if self.rounds else None
        return last if last is not None and last.status in ("proposed", "running") else None

    def of(self, number: int) -> tuple[Trial, ...]:
        """Return the trials of a round."""
        return tuple(trial for trial in self.trials if trial.round == number)

    def read(self) -> tuple[Trial, ...]:
        """Return the trials that were read."""
        return tuple(trial for trial in self.trials if trial.status == "read")


def value_of(trial: Trial, objective: Objective) -> float:
    """Return how good a trial is at an objective, higher better; NaN where it was not measured."""
    lift = trial.lifts.get(objective.metric)
    return math.nan if lift is None else lift.mean * (1.0 if objective.better == "higher" else -1.0)


def keeps(lifts: Mapping[str, Lift], limits: tuple[Limit, ...]) -> bool:
    """Return whether the measured changes are within all limits; one that was not measured is not.

    Example:
        >>> keeps({"latency": Lift(0.01, 0.005)}, (Limit(metric="latency", most=0.02),))
        True
    """
    for limit in limits:
        lift = lifts.get(limit.metric)
        if lift is None or lift.mean > (math.inf if limit.most is None else limit.most):
            return False
        if lift.mean < (-math.inf if limit.least is None else limit.least):
            return False
    return True


def frontier(trials: tuple[Trial, ...], objectives: tuple[Objective, ...], limits: tuple[Limit, ...]) -> list[Trial]:
    """Return the trials within the limits that no other such trial beats at every objective, best at the first one."""
    allowed = [trial for trial in trials if trial.status == "read" and keeps(trial.lifts, limits)]
    points = {trial.number: [value_of(trial, each) for each in objectives] for trial in allowed}

    def beaten(trial: Trial) -> bool:
        mine = points[trial.number]
        return any(all(a >= b for a, b in zip(other, mine, strict=True)) and other != mine for other in points.values())

    kept = [trial for trial in allowed if not any(map(math.isnan, points[trial.number])) and not beaten(trial)]
    return sorted(kept, key=lambda trial: -points[trial.number][0])
