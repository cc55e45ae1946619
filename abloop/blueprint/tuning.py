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


class Tuning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the weights of the policy are tuned, as a sequence of A/B tests.

    Attributes:
        objectives: What is made better, one or more; the goals of the strategy where empty.
        limits: What an arm must keep.
        arms: Weights tried in a round, in [1, 100], beside those that serve.
        units: Of each arm, before a round is read, in [2, 1000000000].
        seed: Makes proposals repeatable.
    """

    objectives: tuple[Objective, ...] = ()
    limits: tuple[Limit, ...] = ()
    arms: int = 4
    units: int = 1_000
    seed: int = 0
