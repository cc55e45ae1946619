"""What a blueprint says of tuning: which trade-off its policy weights are turned for, and what must not get worse."""

from __future__ import annotations

from typing import Literal

import msgspec


class Objective(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A metric that tuning makes better.

    Attributes:
        metric: Its name.
        better: Whether higher or lower is better.
    """

    metric: str
    better: Literal["higher", "lower"] = "higher"


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a metric may go, relative to the weights that serve: 0.02 is +2 %.

    Attributes:
        metric: Its name.
        most: Greatest change; None for any.
        least: Least change; None for any.
    """

    metric: str
    most: float | None = None
    least: float | None = None


class Sum(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What weights must keep together: least <= sum of factor * weight <= most.

    Attributes:
        weights: Weight, or parameter that is no count, to its factor.
        most: Greatest sum; None for any.
        least: Least sum; None for any.
    """

    weights: dict[str, float]
    most: float | None = None
    least: float | None = None


class Parameter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number of the blueprint, besides the policy's weights, that tuning may turn.

    Attributes:
        name: Where it stands: `ranking.explore`, `ranking.most`, `ranking.within`, `experiment.explore`,
            `experiment.margin`, `experiment.calm`, `space.low` or `space.high`.
        low: Least value that tuning may try.
        high: Greatest value that tuning may try.
    """

    name: str
    low: float
    high: float


class Tuning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the weights of the policy, and parameters beside them, are tuned, as a sequence of A/B tests.

    Attributes:
        objectives: What is made better, one or more; the goals of the strategy where empty.
        limits: What an arm must keep; one of an objective is the worst that still counts.
        parameters: What is turned besides the weights, e.g. how many of a category a list shows; named as it stands.
        sums: What weights must keep together, e.g. that two of them are 1 at most; `space.low` stays below `space.high`
            by itself.
        among: Weights to choose among, by Thompson sampling, instead of all in the ranges.
        logs: Whether the first round begins from what the journal says of weights.
        repeat: Arms of a round that were tried before, to see whether effects drift.
        arms: Weights tried in a round, in [1, 100], beside those that serve.
        units: Of each arm, before a round is read, in [2, 1000000000].
        seed: Makes proposals repeatable.
    """

    objectives: tuple[Objective, ...] = ()
    limits: tuple[Limit, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    sums: tuple[Sum, ...] = ()
    among: tuple[dict[str, float], ...] = ()
    logs: bool = True
    repeat: int = 0
    arms: int = 4
    units: int = 1_000
    seed: int = 0
