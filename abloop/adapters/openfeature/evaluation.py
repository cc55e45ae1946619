"""One evaluation: context to decision, decision to the specification's answer. Raises nothing."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any, Final, TypeVar

from openfeature.exception import (
    ErrorCode,
    GeneralError,
    OpenFeatureError,
    ProviderNotReadyError,
    TargetingKeyMissingError,
    TypeMismatchError,
)
from openfeature.flag_evaluation import FlagResolutionDetails, FlagType, Reason

from abloop.adapters.exposure import exposure_id
from abloop.adapters.openfeature.context import Asked, read_context, read_unit
from abloop.adapters.openfeature.fixed import Fixed
from abloop.adapters.openfeature.flag import Describe, Flag, shaped
from abloop.adapters.openfeature.memory import Memory
from abloop.adapters.openfeature.recent import Recent
from abloop.adapters.openfeature.shelf import Shelf
from abloop.decision import decide
from abloop.details import Details
from abloop.faults import Faults, said
from abloop.records import FeatureValue
from abloop.snapshot import Snapshot

T = TypeVar("T")
Answered = tuple[Snapshot, tuple[FeatureValue, ...], Details]

NOBODY: Final = "nobody"  # stands for the unit where nothing is drawn and nothing recorded
NOT_READY: Final = "the provider is not initialised, or was shut down; pass it to openfeature.api.set_provider"


class Evaluator:
    """Answers evaluations.

    Args:
        memory: Where decisions are remembered.
        cache: Answers that are given again; 0 for none.
        describe: What is told of a decision as its flag metadata.
        faults: Where errors are counted.
    """

    def __init__(self, memory: Memory, cache: int, describe: Describe, faults: Faults) -> None:
        """Begin with an empty cache."""
        self._memory = memory
        self._cache: Recent[Answered] | None = Recent(cache) if cache else None
        self._describe = describe
        self._faults = faults

    def resolve(
        self, shelf: Shelf | None, kind: FlagType, flag_key: Any, default: T, context: Any
    ) -> FlagResolutionDetails[T]:
        """Return the answer to an evaluation; the default, itself, where there is none. It never raises.

        Args:
            shelf: The flags; None before the provider is initialised.
            kind: What the flag is asked for.
            flag_key: Its name.
            default: What is given where there is no answer.
            context: The evaluation context.
        """
        try:
            return self._answer(shelf, kind, flag_key, default, context)
        except OpenFeatureError as error:
            return _refused(default, error.error_code, error.error_message)
        except Exception as error:  # law 1: product code never sees an exception
            self._faults.note("OpenFeature evaluation was answered with its default", error)
            return _refused(default, ErrorCode.GENERAL, said(error))

    def _answer(
        self, shelf: Shelf | None, kind: FlagType, flag_key: str, default: T, context: Any
    ) -> FlagResolutionDetails[T]:
        """Return the answer to an evaluation; whatever is wrong is raised."""
        if shelf is None:
            raise ProviderNotReadyError(NOT_READY)
        flag = shelf.get(flag_key)
        if kind not in flag.types:
            raise TypeMismatchError(_mismatch(flag, kind))
        unit, attributes, named = read_context(context)
        snapshot = flag.snapshot
        if not unit:
            unit = read_unit(attributes.get(snapshot.unit_key))
        if flag.paused:
            paused = Details(None, "", 1.0, "paused", "", snapshot.version)
            return FlagResolutionDetails(
                default, reason=Reason.DISABLED, flag_metadata=self._metadata(flag_key, paused)
            )
        details, repeated = self._decided(flag, (unit, attributes, named))
        value = shaped(details.value, kind)
        if value is None and details.value is not None:
            raise TypeMismatchError(_mismatch(flag, kind))
        return FlagResolutionDetails(
            default if value is None else value,
            reason=Reason.CACHED if repeated else flag.reason(details),
            variant=details.arm or None,
            flag_metadata=self._metadata(flag_key, details),
        )

    def _decided(self, flag: Flag, asked: Asked) -> tuple[Details, bool]:
        """Return the decision for a unit, recorded, and whether it is one that was made before."""
        unit, attributes, named = asked
        snapshot = flag.snapshot
        if not unit and flag.draws:
            raise TargetingKeyMissingError(
                f"strategy {snapshot.strategy!r} draws by unit; pass one: EvaluationContext(targeting_key=...)"
            )
        attributes[snapshot.unit_key] = unit or NOBODY
        cache = self._cache if flag.lasts and not named else None
        features: tuple[FeatureValue, ...] = ()
        if cache is not None:
            features = snapshot.read(attributes)
            found = cache.get((snapshot.strategy, unit))
            if found is not None and found[0] is snapshot and found[1] == features:
                return found[2], True
        if unit:
            details = flag.handle.get_details(named or exposure_id(snapshot, unit), attributes)
            if details.error:
                raise GeneralError(details.error)
            self._memory.keep(unit, snapshot.strategy, details.decision_id, named=bool(named))
        else:
            made = decide(snapshot, NOBODY, attributes, 0.0, perf_counter_ns())
            details = Details(made.decision, made.arm, made.propensity, made.phase, "", made.version, made.release)
        if cache is not None:
            cache.put((snapshot.strategy, unit), (snapshot, features, details))
        return details, False

    def _metadata(self, flag_key: str, details: Details) -> Fixed:
        """Return the flag metadata; nothing where the function that was given fails."""
        try:
            return Fixed(self._describe(flag_key, details))
        except Exception as error:  # law 1
            self._faults.note("OpenFeature flag metadata is empty", error)
            return Fixed()


def _refused(default: T, code: ErrorCode, message: str | None) -> FlagResolutionDetails[T]:
    return FlagResolutionDetails(default, error_code=code, error_message=message, reason=Reason.ERROR)


def _mismatch(flag: Flag, kind: FlagType) -> str:
    """Return what a flag may be asked for."""
    allowed = ", ".join(sorted(flag.types)) or "none, for its arms are of several types"
    return f"strategy {flag.snapshot.strategy!r} is asked for {kind}; allowed: {allowed}"
