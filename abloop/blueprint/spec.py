"""The sections of a blueprint: immutable, closed, with a default for everything but what only a person knows."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from abloop.blueprint.learning import Label, Model
from abloop.blueprint.randomisation import Experiment
from abloop.blueprint.ranking import Ranking
from abloop.blueprint.reading import Reading
from abloop.blueprint.tuning import Tuning
from abloop.features.spec import Feature, Group, Seconds

Role = Literal["goal", "secondary", "guardrail"]
Combine = Literal["last", "sum", "max"]
Measured = Literal["", "latency", "cost", "decision"]
SpaceType = Literal["choice", "boolean", "number", "structured", "ordering"]
FieldType = Literal["number", "boolean", "text"]


DEFAULT, POLICY = "default", "policy"  # the two arms of a space that has none of its own
BOOLEANS = {"false": False, "true": True}


class _Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section: keyword-only, immutable, closed."""


class Arm(_Spec, frozen=True):
    """One arm of the experiment.

    Attributes:
        name: Its name.
        weight: Probability while randomised, in (0, 1]; equal shares where no arm names one.
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
        window: Seconds after a decision in which outcomes count, where that is longer than the TTL, e.g. `28d`: the
            row is there once the TTL has ended, this metric of it once the window has.
        by: `decision`, or `unit`: outcomes are logged of the unit and count for each of its decisions before.
        source: Where outcomes are read from: a name given to `abloop.connect(sources=...)`, or a database URL.
        query: SQL that selects `unit`, `time` and `value` of outcomes there between `:start` and `:end`.
        measured: Of what a decision itself tells, so that nothing is logged: `latency`, microseconds spent deciding,
            of a list on all of it; `cost` of the arm that was given; `decision`, the number that was given, 1 for true.
    """

    name: str
    role: Role = "goal"
    value: float = 1.0
    default: float | None = 0.0
    combine: Combine = "last"
    window: Seconds = 0.0
    by: Literal["decision", "unit"] = "decision"
    source: str = ""
    query: str = ""
    measured: Measured = ""


class Field(_Spec, frozen=True):
    """One field of a structured decision.

    Attributes:
        name: Its name.
        type: `number`, `boolean` or `text`.
        low: Of a number: its least value; what the formula gives below is raised to it.
        high: Of a number: its greatest value.
        choices: Of a text: what it may be.
    """

    name: str
    type: FieldType = "number"
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


class Space(_Spec, frozen=True):
    """What a decision may be.

    Attributes:
        type: `choice` among the arms, `boolean`, a bounded `number`, a `structured` value of several fields, or
            the `ordering` of a list. A choice or boolean is randomised until the gate proves a policy. The others
            give the default until there is something to decide with; then their explore share compares the
            policy with the default.
        low: Of a number: its least value; what the formula gives below is raised to it.
        high: Of a number: its greatest value.
        fields: Of a structured value: its fields.
    """

    type: SpaceType = "choice"
    low: float | None = None
    high: float | None = None
    fields: tuple[Field, ...] = ()


class Weight(_Spec, frozen=True):
    """One named number of the policy's formula, which tuning may turn.

    Attributes:
        name: Its name in the formula.
        value: Its value.
        low: Least value that tuning may try; `value` where None.
        high: Greatest value that tuning may try; `value` where None.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None


class Policy(_Spec, frozen=True):
    """How predictions become a decision.

    Attributes:
        formula: Reads features, labels and weights by name; of a choice also `effect` (predicted effect of each
            arm against control, in value), `cost` and `sd` (of each arm). Where empty: `best_arm(effect, cost)`
            for a choice or boolean, the only label for a number or ordering.
        weights: Its named numbers.
    """

    formula: str = ""
    weights: tuple[Weight, ...] = ()


class Lifecycle(_Spec, frozen=True):
    """When rows are complete and when the strategy switches.

    Attributes:
        ttl: Seconds after a decision in which observations count; also written `90s`, `30m`, `24h`, `7d`.
        switch: `auto` serves what the gate proves, `manual` waits for a person; `bandit` serves every fit, unproven:
            its policy explores by itself.
        alpha: Error rate of a wrong switch, in (0, 0.5).
        refit: Share of fresh rows from which models are fitted and the gate is asked again, in [0, 10].
        retention: Seconds after which rows and all that is kept of a decision go; 0 keeps them.
    """

    ttl: Seconds = 86_400.0
    switch: Literal["auto", "manual", "bandit"] = "auto"
    alpha: float = 0.05
    refit: float = 0.2
    retention: Seconds = 0.0


class Blueprint(_Spec, frozen=True):
    """A strategy, whole.

    Attributes:
        strategy: Name of the decision point.
        metrics: Its outcomes, one or more.
        arms: Of a choice: its arms, two or more. Of a boolean: `false` and `true`, where one has a cost.
        space: What a decision may be.
        unit: Key of the context that names what is randomised.
        control: Name of the baseline arm; the first arm where empty.
        default: What `get_decision` returns when it cannot decide; control's value where None.
        groups: Where features are fetched from that the context does not hold.
        features: What is logged and learned from.
        labels: What is predicted besides the effects.
        policy: How predictions become a decision.
        ranking: Of an ordering: how a list is ordered besides the score.
        experiment: How units are randomised.
        model: What learns.
        lifecycle: When rows are complete, when the strategy switches and how long its rows are kept.
        pseudonymise: Of what a keyed hash is written instead: the unit's key, categorical features.
        readout: What is read of it and how it is tested; versions that differ in nothing else are read as one.
        tuning: What its weights are tuned for.

    Example:
        >>> Blueprint(strategy="checkout", arms=(Arm(name="a"), Arm(name="b")), metrics=(Metric(name="bought"),)).unit
        'user_id'
    """

    strategy: str
    metrics: tuple[Metric, ...]
    arms: tuple[Arm, ...] = ()
    space: Space = Space()
    unit: str = "user_id"
    control: str = ""
    default: Any = None
    groups: tuple[Group, ...] = ()
    features: tuple[Feature, ...] = ()
    labels: tuple[Label, ...] = ()
    policy: Policy = Policy()
    ranking: Ranking = Ranking()
    experiment: Experiment = Experiment()
    model: Model = Model()
    lifecycle: Lifecycle = Lifecycle()
    pseudonymise: tuple[str, ...] = ()
    readout: Reading = Reading()
    tuning: Tuning = Tuning()

    @property
    def is_choice(self) -> bool:
        """Whether the decision is one of some arms, which can be randomised."""
        return self.space.type in ("choice", "boolean")

    def ordered_arms(self) -> tuple[Arm, ...]:
        """Return the arms with control first; of a space without arms, the default and the policy."""
        if not self.is_choice:
            return (Arm(name=DEFAULT, value=self.default), Arm(name=POLICY))
        arms = self.arms or tuple(Arm(name=name) for name in BOOLEANS)
        control = self.control or ("false" if self.space.type == "boolean" else arms[0].name)
        return tuple(sorted(arms, key=lambda arm: arm.name != control))

    def weights(self) -> tuple[float, ...]:
        """Return the probabilities of `ordered_arms`, shape (k,); they sum to one."""
        given = [arm.weight for arm in self.ordered_arms()]
        return tuple(1.0 / len(given) if weight is None else float(weight) for weight in given)

    def values(self) -> tuple[Any, ...]:
        """Return what the product is given for each of `ordered_arms`, shape (k,); None for the policy's own."""
        if not self.is_choice:
            return (self.default, None)
        names: dict[str, Any] = dict(BOOLEANS) if self.space.type == "boolean" else {}
        return tuple(names.get(arm.name, arm.name) if arm.value is None else arm.value for arm in self.ordered_arms())

    def given(self) -> dict[str, Any]:
        """Return what the product is given, by arm."""
        return dict(zip([arm.name for arm in self.ordered_arms()], self.values(), strict=True))

    def outputs(self) -> tuple[str, ...]:
        """Return what a release predicts, in order: `effect.ARM` of a choice, `sd.ARM`, then `label.NAME[.ARM]`."""
        arms = [arm.name for arm in self.ordered_arms()] if self.is_choice else []
        found = [f"effect.{arm}" for arm in arms] + [f"sd.{arm}" for arm in arms if self.model.is_bandit]
        for label in self.labels:
            by_arm = [f".{arm}" for arm in arms] if label.by_arm else [""]
            found += [f"label.{name}{arm}" for name in label.names() for arm in by_arm]
        return tuple(found)

    def sourced(self) -> tuple[Feature, ...]:
        """Return the features that are read or fetched, and logged; the others are made of them."""
        return tuple(feature for feature in self.features if not feature.transform)

    def goals(self) -> tuple[Metric, ...]:
        """Return the metrics that make up the value."""
        return tuple(metric for metric in self.metrics if metric.role == "goal")

    def salt(self) -> str:
        """Return the salt of the randomisation."""
        return self.experiment.salt or self.strategy
