"""The sections of a blueprint: immutable, closed, with a default for everything but what only a person knows."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from abloop.features.spec import Feature

Role = Literal["goal", "secondary", "guardrail"]
Combine = Literal["last", "sum", "max"]
LearnerName = Literal["s", "t", "x"]


class _Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section: keyword-only, immutable, closed."""


class Arm(_Spec, frozen=True):
    """One arm of the experiment.

    Attributes:
        name: Its name.
        weight: Probability while randomised; equal shares where no arm names one.
        value: What `get_decision` returns for it (any JSON value); its name where not given.
        cost: Cost of one decision for it, in the unit of value.
    """

    name: str
    weight: float | None = None
    value: Any = None
    cost: float = 0.0


class Metric(_Spec, frozen=True):
    """One outcome, logged by `log_observations` under this name.

    Attributes:
        name: Its name.
        role: `goal` metrics add up to the value that personalising must raise.
        value: Worth of one unit of the metric, in the unit of value.
        default: Value of a decision for which nothing was logged by the end of the TTL; None keeps it missing.
        combine: How several observations of one decision become one: `last`, `sum` or `max`.
    """

    name: str
    role: Role = "goal"
    value: float = 1.0
    default: float | None = 0.0
    combine: Combine = "last"


class Experiment(_Spec, frozen=True):
    """How units are randomised.

    Attributes:
        salt: Names the randomisation; the strategy's name where empty.
        holdout: Share of units that always get control and never anything new, in [0, 0.5].
        explore: Share of units that stay randomised once the strategy personalises, in [0.01, 1].
    """

    salt: str = ""
    holdout: float = 0.0
    explore: float = 0.1


class Model(_Spec, frozen=True):
    """What learns the effects.

    Attributes:
        learners: Meta-learners that compete: `s`, `t`, `x`.
        folds: Folds of cross-fitting, 2 to 20.
        repeats: Times that cross-fitting is repeated with other folds, 1 to 50.
        seed: Makes a fit repeatable.
    """

    learners: tuple[LearnerName, ...] = ("s", "t", "x")
    folds: int = 5
    repeats: int = 4
    seed: int = 0


class Lifecycle(_Spec, frozen=True):
    """When rows are complete and when the strategy switches.

    Attributes:
        ttl: Seconds after a decision in which observations count; also written `90s`, `30m`, `24h`, `7d`.
        switch: `auto` serves what the gate proves, `manual` waits for a person.
        alpha: Error rate of a wrong switch, in (0, 0.5).
        refit: Share of fresh rows from which models are fitted and the gate is asked again, in [0, 10].
    """

    ttl: float = 86_400.0
    switch: Literal["auto", "manual"] = "auto"
    alpha: float = 0.05
    refit: float = 0.2


class Blueprint(_Spec, frozen=True):
    """A strategy, whole.

    Attributes:
        strategy: Name of the decision point.
        arms: Its arms, two or more.
        metrics: Its outcomes, one or more.
        unit: Key of the context that names what is randomised.
        control: Name of the baseline arm; the first arm where empty.
        default: What `get_decision` returns when it cannot decide; control's value where None.
        features: What is logged of the context and learned from.
        experiment: How units are randomised.
        model: What learns.
        lifecycle: When rows are complete and when the strategy switches.

    Example:
        >>> Blueprint(strategy="checkout", arms=(Arm(name="a"), Arm(name="b")), metrics=(Metric(name="bought"),)).unit
        'user_id'
    """

    strategy: str
    arms: tuple[Arm, ...]
    metrics: tuple[Metric, ...]
    unit: str = "user_id"
    control: str = ""
    default: Any = None
    features: tuple[Feature, ...] = ()
    experiment: Experiment = Experiment()
    model: Model = Model()
    lifecycle: Lifecycle = Lifecycle()

    def ordered_arms(self) -> tuple[Arm, ...]:
        """Return the arms with control first."""
        control = self.control or self.arms[0].name
        return tuple(sorted(self.arms, key=lambda arm: arm.name != control))

    def weights(self) -> tuple[float, ...]:
        """Return the probabilities of `ordered_arms`, shape (k,); they sum to one."""
        given = [arm.weight for arm in self.ordered_arms()]
        return tuple(1.0 / len(given) if weight is None else float(weight) for weight in given)

    def values(self) -> tuple[Any, ...]:
        """Return what the product is given for each of `ordered_arms`, shape (k,)."""
        return tuple(arm.name if arm.value is None else arm.value for arm in self.ordered_arms())

    def goals(self) -> tuple[Metric, ...]:
        """Return the metrics that make up the value."""
        return tuple(metric for metric in self.metrics if metric.role == "goal")

    def salt(self) -> str:
        """Return the salt of the randomisation."""
        return self.experiment.salt or self.strategy
