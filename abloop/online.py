"""The hot path, in product code: served blueprint, assignment, features, prediction, policy, spool.

It never raises, never waits for another machine, and reads what is served from one reference that a
background thread swaps whole. Programming errors are raised before it, by `connect`, `register` and
`strategy`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from time import perf_counter_ns
from typing import Any

from abloop.assign.experiment import Assignment
from abloop.blueprint import Blueprint
from abloop.errors import AbloopError, DataError
from abloop.features.encode import Encoder
from abloop.features.spec import read, readers
from abloop.models.effects import EffectModel
from abloop.policy.choose import best_arm
from abloop.policy.explore import mixed_propensity
from abloop.records import Decision, Observation, Phase, encode
from abloop.store.catalogue import Serving
from abloop.store.workspace import Workspace

log = logging.getLogger("abloop")
COMPLAIN_SECONDS = 60.0


class Snapshot:
    """All that is needed to decide for one strategy, swapped whole.

    Args:
        serving: What is served.
        blueprint: The served version.
        encoder: How the release encodes features; None while everything is randomised.
        effects: The release; None while everything is randomised.
    """

    def __init__(
        self,
        serving: Serving,
        blueprint: Blueprint,
        encoder: Encoder | None = None,
        effects: EffectModel | None = None,
    ) -> None:
        """Compile the blueprint for deciding."""
        arms, trial = blueprint.ordered_arms(), blueprint.experiment
        self.serving = serving
        self.strategy = blueprint.strategy
        self.version = serving.version
        self.unit_key = blueprint.unit
        self.metrics = frozenset(metric.name for metric in blueprint.metrics)
        self.names = tuple(arm.name for arm in arms)
        self.values = blueprint.values()
        self.costs = tuple(arm.cost for arm in arms)
        self.default = self.values[0] if blueprint.default is None else blueprint.default
        self.explore = trial.explore
        self.features = readers(blueprint.features)
        self.assignment = Assignment(
            blueprint.salt(), blueprint.weights(), holdout=trial.holdout, explore=trial.explore
        )
        self.weights = self.assignment.weights
        self.encoder, self.effects = encoder, effects


def decide(snapshot: Snapshot, decision_id: str, context: Mapping[str, Any], now: float, started: int) -> Decision:
    """Return the decision for a context. Pure: no clock, no storage, no randomness but the unit's hash.

    Args:
        snapshot: What is served.
        decision_id: Id of the decision.
        context: The application context.
        now: Seconds since 1970.
        started: `time.perf_counter_ns()` when the call came in.

    Raises:
        DataError: The context has no usable unit, or the decision id is not text.
    """
    unit = context.get(snapshot.unit_key)
    if type(unit) is not str:
        unit = _unit_text(unit, snapshot)
    if type(decision_id) is not str or not decision_id:
        raise DataError(f"decision_id is {decision_id!r}; allowed: a text, e.g. from abloop.new_decision_id()")
    features = read(snapshot.features, context)
    assignment, weights = snapshot.assignment, snapshot.weights
    predictions: tuple[float, ...] = ()
    phase: Phase = "randomise"
    if assignment.has_holdout and assignment.held_out(unit):
        phase, arm, propensity = "holdout", 0, 1.0
    elif snapshot.effects is None or snapshot.encoder is None:
        arm = assignment.arm(unit)
        propensity = weights[arm]
    else:
        predictions = snapshot.effects.row(snapshot.encoder.row(features))
        chosen = best_arm(predictions, snapshot.costs)
        explores = assignment.explores(unit)
        phase, arm = ("explore", assignment.arm(unit)) if explores else (snapshot.serving.phase, chosen)
        propensity = mixed_propensity(weights, snapshot.explore, chosen, arm)
    return Decision(
        decision_id,
        snapshot.strategy,
        snapshot.version,
        unit,
        now,
        features,
        predictions,
        snapshot.names[arm],
        propensity,
        phase,
        snapshot.values[arm],
        snapshot.serving.release,
        perf_counter_ns() - started,
    )


def _unit_text(unit: object, snapshot: Snapshot) -> str:
    """Return a whole number as text; refuse anything else that is no text."""
    if isinstance(unit, str):
        return str(unit)
    if isinstance(unit, int) and not isinstance(unit, bool):
        return str(unit)
    came = "is missing" if unit is None else f"is {unit!r:.80}"
    raise DataError(
        f"strategy {snapshot.strategy!r}: context[{snapshot.unit_key!r}] {came}; allowed: a text or a whole number. "
        f"Pass it: get_decision(decision_id, {{{snapshot.unit_key!r}: ...}})"
    )


class Strategy:
    """The handle product code holds: two calls, safe from any thread, that never raise.

    Args:
        snapshot: What is served now.
        workspace: Where records go.

    Attributes:
        errors: Calls that could not be answered from the blueprint and got its default.
    """

    def __init__(self, snapshot: Snapshot, workspace: Workspace) -> None:
        """Keep the snapshot; `Loop` swaps it."""
        self.snapshot = snapshot
        self._clock = workspace.clock
        self._append = workspace.spool.append
        self.errors = 0
        self._complained = -math.inf

    @property
    def name(self) -> str:
        """Name of the strategy."""
        return self.snapshot.strategy

    def get_decision(self, decision_id: str, application_context: Mapping[str, Any]) -> Any:
        """Return the decision for a context, after its record is safe.

        Args:
            decision_id: Ties later observations to this decision, e.g. `abloop.new_decision_id()`.
            application_context: The unit under the blueprint's unit key, and features.

        Returns:
            The arm's value (its name unless the blueprint says otherwise); the blueprint's default if the
            call cannot be answered. It never raises.

        Example:
            >>> import abloop, tempfile
            >>> loop = abloop.connect(f"sqlite:///{tempfile.mkdtemp()}/demo.db")
            >>> arms = (abloop.Arm(name="blue"), abloop.Arm(name="green"))
            >>> loop.register(abloop.Blueprint(strategy="button", arms=arms, metrics=(abloop.Metric(name="click"),)))
            1
            >>> loop.strategy("button").get_decision("d1", {"user_id": "u1"}) in ("blue", "green")
            True
            >>> loop.close()
        """
        started = perf_counter_ns()
        snapshot = self.snapshot
        try:
            decision = decide(snapshot, decision_id, application_context, self._clock(), started)
            self._append(encode(decision))
        except Exception as error:  # law 1: product code never sees an exception
            self._complain(error)
            return snapshot.default
        return decision.decision

    def log_observations(self, decision_id: str, observations: Mapping[str, float], *, key: str = "") -> None:
        """Log what happened after a decision. It never raises.

        Args:
            decision_id: The decision's id.
            observations: Metric name to value (number or boolean).
            key: Idempotency key: the same key for the same decision and metric counts once, however often sent.

        Example:
            >>> import abloop, tempfile
            >>> loop = abloop.connect(f"sqlite:///{tempfile.mkdtemp()}/demo.db")
            >>> arms = (abloop.Arm(name="blue"), abloop.Arm(name="green"))
            >>> _ = loop.register(abloop.Blueprint(strategy="b", arms=arms, metrics=(abloop.Metric(name="click"),)))
            >>> loop.strategy("b").log_observations("d1", {"click": True})
            >>> loop.close()
        """
        try:
            now, strategy, known = self._clock(), self.snapshot.strategy, self.snapshot.metrics
            for name, value in observations.items():
                number = float(value)
                if name not in known or not math.isfinite(number) or type(decision_id) is not str:
                    raise DataError(
                        f"strategy {strategy!r}: observation {name!r} = {value!r:.80} for {decision_id!r:.80}; "
                        f"allowed: finite numbers under {', '.join(sorted(known))}"
                    )
                self._append(encode(Observation(decision_id, strategy, now, name, number, key)))
        except Exception as error:  # law 1: product code never sees an exception
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        """Count an error, and log at most one a minute."""
        self.errors += 1
        now = time.monotonic()
        if now - self._complained >= COMPLAIN_SECONDS:
            self._complained = now
            what = str(error) if isinstance(error, AbloopError) else f"{type(error).__name__}: {error}"
            log.error("strategy %r answered with its default (%d errors so far): %s", self.name, self.errors, what)
