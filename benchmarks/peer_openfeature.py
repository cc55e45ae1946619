"""OpenFeature's client with two providers: its own in-memory one, and abloop's."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from xxhash import xxh3_64_intdigest

from abloop.assign.hashing import prefix, threshold
from abloop.loop import Loop
from benchmarks.ours import register
from benchmarks.timing import Contestant
from benchmarks.traffic import ARMS, DEFAULT, FEATURE, Traffic, check_shares


class OpenFeature:
    """A client of OpenFeature's SDK; the context of each call is made in it, for its user is new.

    Args:
        name: Of the contestant, and of the domain that the provider is bound to.
        provider: The provider.
        flag: What is evaluated.
    """

    def __init__(self, name: str, provider: Any, flag: str) -> None:
        """Bind the provider and wait until it is ready."""
        from openfeature import api
        from openfeature.evaluation_context import EvaluationContext

        api.set_provider_and_wait(provider, name)
        self._api, self._name, self._flag, self._context = api, name, flag, EvaluationContext
        self._client = api.get_client(name)

    def contestants(self) -> dict[str, Contestant[Traffic]]:
        """Return its one way of taking a turn, by name."""
        return {self._name: Contestant(self.evaluate)}

    def check(self, todo: Traffic) -> None:
        """Refuse it where it does something else than the experiment, or falls back."""
        given = []
        for unit, values in zip(todo.units, todo.values, strict=True):
            details = self._client.get_string_details(self._flag, DEFAULT, self._context(unit, values))
            if details.error_code is not None:
                raise RuntimeError(f"{self._name} fell back: {details.error_code} {details.error_message}")
            given.append(details.value)
        check_shares(self._name, given)

    def close(self) -> None:
        """Unbind all providers."""
        self._api.clear_providers()

    def evaluate(self, todo: Traffic) -> None:
        """Take a turn."""
        get, flag, context = self._client.get_string_value, self._flag, self._context
        for unit, values in zip(todo.units, todo.values, strict=True):
            get(flag, DEFAULT, context(unit, values))


def in_memory() -> OpenFeature:
    """Return the SDK's own in-memory provider. It has no buckets, so its flag gets the quickest: the bare hash."""
    from openfeature.flag_evaluation import FlagResolutionDetails, Reason
    from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

    salt, bounds = prefix(FEATURE, "arm"), [threshold(1 / 3), threshold(2 / 3)]

    def split(_: Any, context: Any) -> Any:
        arm = ARMS[bisect_right(bounds, xxh3_64_intdigest((salt + context.targeting_key).encode()))]
        return FlagResolutionDetails(arm, variant=arm, reason=Reason.SPLIT)

    flag = InMemoryFlag(ARMS[0], {arm: arm for arm in ARMS}, context_evaluator=split)
    return OpenFeature("openfeature_in_memory", InMemoryProvider({FEATURE: flag}), FEATURE)


def through_abloop(loop: Loop, strategy: str) -> OpenFeature:
    """Return abloop's provider, with a new strategy as the flag; each evaluation is a decision in the spool."""
    from abloop.adapters.openfeature import AbloopProvider

    register(loop, strategy)
    return OpenFeature("openfeature_abloop", AbloopProvider(loop), strategy)
