"""The provider: evaluations in, decisions out; tracked events become observations. No call raises."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import (
    GeneralError,
    ProviderFatalError,
    ProviderNotReadyError,
)
from openfeature.flag_evaluation import FlagResolutionDetails, FlagType, FlagValueType
from openfeature.hook import Hook
from openfeature.provider import AbstractProvider, Metadata, ProviderStatus
from openfeature.track import TrackingEventDetails

from abloop.adapters.openfeature.context import DECISION_ID, Asked, copied, read_context, read_id, type_name
from abloop.adapters.openfeature.evaluation import NOT_READY, Evaluator
from abloop.adapters.openfeature.flag import Describe, describe
from abloop.adapters.openfeature.memory import Memory
from abloop.adapters.openfeature.shelf import Shelf
from abloop.errors import AbloopError, AwayError, DataError
from abloop.faults import Faults
from abloop.loop import Loop

Object = Sequence[FlagValueType] | Mapping[str, FlagValueType]

METADATA: Final = Metadata("abloop")


class AbloopProvider(AbstractProvider):
    """abloop as an OpenFeature provider: a flag is a strategy, its value the decision. No evaluation raises.

    A unit's decision has one id for each version and release that is served, the same in every process, so that a
    tracked event joins wherever it is tracked. An attribute `decision_id` names an id of your own, in both.

    Args:
        loop: What `abloop.connect` gave, or a database URL, which is opened and closed with the provider.
        remember: Decisions that are remembered, so that events go to the strategies that decided for them.
        cache: Answers that are given again, as CACHED and without a record of their own, when the same unit asks
            with the same features while the same is served; 0 for none.
        metadata: What is told of a decision as its flag metadata.
        hooks: Provider hooks.

    Example:
        >>> import abloop, tempfile
        >>> from openfeature import api
        >>> loop = abloop.connect(f"sqlite:///{tempfile.mkdtemp()}/demo.db")
        >>> arms = (abloop.Arm(name="blue"), abloop.Arm(name="green"))
        >>> _ = loop.register(abloop.Blueprint(strategy="button", arms=arms, metrics=(abloop.Metric(name="click"),)))
        >>> api.set_provider_and_wait(AbloopProvider(loop), "demo")
        >>> client, context = api.get_client("demo"), EvaluationContext("u-17")
        >>> found = client.get_string_details("button", "blue", context)
        >>> found.value == found.variant, found.reason.value, found.flag_metadata["propensity"]
        (True, 'SPLIT', 0.5)
        >>> client.track("click", context)
        >>> api.clear_providers()
        >>> loop.close()
    """

    def __init__(
        self,
        loop: Loop | str,
        *,
        remember: int = 10_000,
        cache: int = 0,
        metadata: Describe = describe,
        hooks: Sequence[Hook] = (),
    ) -> None:
        """Open nothing yet: `initialize` does."""
        super().__init__()
        if not isinstance(loop, Loop | str):
            raise DataError(f"loop is a {type(loop).__name__}; allowed: what abloop.connect gave, or a database URL")
        self._given = loop
        self._hooks = list(hooks)
        self._faults = Faults()
        self._memory = Memory(remember)
        self._resolve = Evaluator(self._memory, cache, metadata, self._faults).resolve
        self._shelf: Shelf | None = None
        self._told = ProviderStatus.NOT_READY
        self._turn = 0
        self._lock = threading.Lock()

    @property
    def errors(self) -> int:
        """Calls that failed in the provider itself; what fails in a decision is in the strategy's `errors`."""
        return self._faults.count

    def get_metadata(self) -> Metadata:
        """Return the provider's name."""
        return METADATA

    def get_provider_hooks(self) -> list[Hook]:
        """Return the hooks that were given."""
        return self._hooks

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Read what is served; while the database is away, what was served last as far as this disk knows.

        Args:
            evaluation_context: Not looked at.

        Raises:
            GeneralError: The database is away and nothing is known here; READY follows once it is back.
            ProviderFatalError: No waiting helps: the URL is none, a driver is missing, the file is no database.
        """
        self.shutdown()
        turn = self._turn
        try:
            loop = Loop(self._given) if isinstance(self._given, str) else self._given
        except AwayError as error:
            raise GeneralError(str(error)) from error
        except AbloopError as error:
            raise ProviderFatalError(str(error)) from error
        shelf = Shelf(loop, loop is not self._given, self._looked)
        with self._lock:
            if self._turn != turn:  # shut down in between
                shelf.close()
                return
            self._shelf = shelf
            loop.listeners.append(self._heard)
            self._told = ProviderStatus.READY if shelf.reached or shelf.flags else ProviderStatus.ERROR
        shelf.watch()
        if self._told is ProviderStatus.ERROR:
            raise GeneralError("the database does not answer, and nothing is known here of what it serves")

    def shutdown(self) -> None:
        """Stop listening; close the database if the provider opened it."""
        with self._lock:
            self._turn += 1
            shelf, self._shelf = self._shelf, None
            self._told = ProviderStatus.NOT_READY
            if shelf is None:
                return
            if self._heard in shelf.loop.listeners:
                shelf.loop.listeners.remove(self._heard)
        shelf.close()

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """Return the decision of a strategy whose arms are booleans."""
        return self._resolve(self._shelf, FlagType.BOOLEAN, flag_key, default_value, evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """Return the decision of a strategy whose arms are texts."""
        return self._resolve(self._shelf, FlagType.STRING, flag_key, default_value, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """Return the decision of a strategy whose arms are whole numbers."""
        return self._resolve(self._shelf, FlagType.INTEGER, flag_key, default_value, evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """Return the decision of a strategy whose space or arms are numbers, whole ones too."""
        return self._resolve(self._shelf, FlagType.FLOAT, flag_key, default_value, evaluation_context)

    def resolve_object_details(
        self, flag_key: str, default_value: Object, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[Object]:
        """Return the decision of a strategy whose space is structured, or whose arms are mappings or lists."""
        return self._resolve(self._shelf, FlagType.OBJECT, flag_key, default_value, evaluation_context)

    def track(
        self,
        tracking_event_name: str,
        evaluation_context: EvaluationContext | None = None,
        tracking_event_details: TrackingEventDetails | None = None,
    ) -> None:
        """Log an event as an observation of the decisions that the unit got. It never raises.

        Args:
            tracking_event_name: Name of a metric; an event that no strategy knows goes nowhere.
            evaluation_context: The unit as targeting key; or a decision id as attribute `decision_id`.
            tracking_event_details: The value, 1 where there is none; attributes that are numbers and have the names
                of metrics are logged with it.
        """
        try:
            self._track(tracking_event_name, read_context(evaluation_context), tracking_event_details)
        except Exception as error:  # law 1: product code never sees an exception
            self._faults.note("OpenFeature event was not logged", error)

    def _track(self, event: str, asked: Asked, details: TrackingEventDetails | None) -> None:
        """Log an event; whatever is wrong is raised."""
        shelf = self._shelf
        if shelf is None:
            raise ProviderNotReadyError(NOT_READY)
        if type(event) is not str:
            raise DataError(f"tracking_event_name is of type {type_name(event)}; allowed: the name of a metric")
        unit, attributes, named = asked
        more = {} if details is None else copied(details.attributes)
        value = None if details is None else details.value
        named = read_id(more.get(DECISION_ID)) or named
        observations: dict[str, Any] = {event: 1.0 if value is None else value}
        for name, number in more.items():
            if type(name) is str and type(number) in (float, int, bool):
                observations.setdefault(name, number)
        for handle, decision_id in self._memory.joins(shelf.flags, event, unit, attributes, named):
            known = handle.snapshot.metrics
            handle.log_observations(decision_id, {name: observations[name] for name in observations if name in known})

    def _heard(self, name: str) -> None:
        """Pass on what the loop says: something else is served, or the database went away or came back."""
        shelf = self._shelf
        if shelf is None:
            return
        if name:
            if name not in shelf.flags:
                shelf.load([name])
            self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=[name]))
        self._tell()

    def _looked(self, names: list[str]) -> None:
        """Pass on that there are new strategies."""
        if names:
            self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=names))
        self._tell()

    def _tell(self) -> None:
        """Emit what became of the provider, where it is something else than was told before."""
        shelf = self._shelf
        if shelf is None:
            return
        if shelf.flags:
            found = ProviderStatus.STALE if shelf.loop.stale else ProviderStatus.READY
        else:
            found = ProviderStatus.READY if shelf.reached else ProviderStatus.ERROR
        if found is self._told:
            return
        self._told = found
        if found is ProviderStatus.READY:
            self.emit_provider_ready(ProviderEventDetails(message="the database is back"))
        elif found is ProviderStatus.STALE:
            self.emit_provider_stale(ProviderEventDetails(message="the database is away; what is served may be old"))
