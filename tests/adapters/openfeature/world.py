"""What one scenario of the specification has: a client, a flag, a context, hooks and what came of them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagEvaluationOptions
from openfeature.hook import Hook, HookContext
from openfeature.provider import ProviderStatus

from abloop.adapters.openfeature import AbloopProvider
from abloop.loop import Loop

TYPES: dict[str, type] = {"boolean": bool, "string": str, "integer": int, "float": float, "object": dict}
LEVELS = ("API", "Transaction", "Client", "Invocation", "Before Hooks")
WAIT_SECONDS = 5.0


class Recording(Hook):
    """Keeps what it is called with, and adds to the context."""

    def __init__(self, calls: list[tuple[str, str]], name: str = "hook") -> None:
        """Begin with nothing kept."""
        self.calls, self.name = calls, name
        self.details: dict[str, FlagEvaluationDetails[Any]] = {}
        self.adds = EvaluationContext()

    def before(self, hook_context: HookContext, hints: Any) -> EvaluationContext:
        """Add to the context."""
        self.calls.append(("before", self.name))
        return self.adds

    def after(self, hook_context: HookContext, details: Any, hints: Any) -> None:
        """Keep the details."""
        self.calls.append(("after", self.name))
        self.details["after"] = details

    def error(self, hook_context: HookContext, exception: Exception, hints: Any) -> None:
        """Keep that there was one."""
        self.calls.append(("error", self.name))

    def finally_after(self, hook_context: HookContext, details: Any, hints: Any) -> None:
        """Keep the details."""
        self.calls.append(("finally", self.name))
        self.details["finally"] = details


class Waiting(AbloopProvider):
    """A provider that is initialised only once it is told to."""

    def __init__(self, url: str) -> None:
        """Begin without."""
        super().__init__(url)
        self.go = threading.Event()

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Wait first."""
        self.go.wait(WAIT_SECONDS)
        super().initialize(evaluation_context)


class World:
    """What one scenario has."""

    def __init__(self, folder: Path, make: Callable[[], AbloopProvider]) -> None:
        """Begin anew, with a folder of one's own."""
        self.folder = folder
        self.make = make
        self.client: OpenFeatureClient = api.get_client()
        self.type, self.key, self.default = "boolean", "", None
        self.attributes: dict[str, Any] = {}
        self.context: EvaluationContext | None = None
        self.options: FlagEvaluationOptions | None = None
        self.details = FlagEvaluationDetails[Any]("", None)
        self.calls: list[tuple[str, str]] = []
        self.hook = Recording(self.calls)
        self.kept: Any = None
        self.loop: Loop | None = None
        self.levels: dict[str, dict[str, str]] = {}
        self.order: list[str] = []
        self.ends: list[Callable[[], object]] = []

    def evaluate(self, **more: Any) -> None:
        """Ask the client."""
        context = self.context or EvaluationContext(attributes=self.attributes)
        get = getattr(self.client, f"get_{self.type}_details")
        self.details = get(self.key, self.default, context, **more)

    def close(self) -> None:
        """Leave nothing of the scenario in the SDK, whose API is one for the process."""
        for end in self.ends:
            end()
        api.shutdown()
        if self.loop is not None:
            self.loop.close()


def parsed(kind: str, text: str) -> Any:
    """Return a value of a feature file."""
    if kind.lower() == "string":
        return None if text == "null" else text
    value = json.loads(text.replace('\\"', '"'))
    wanted = TYPES[kind.lower()]
    assert isinstance(value, wanted)
    return value


def wait_for(status: ProviderStatus, client: OpenFeatureClient) -> None:
    """Wait until the provider has a status."""
    end = time.monotonic() + WAIT_SECONDS
    while client.get_provider_status() is not status and time.monotonic() < end:
        time.sleep(0.005)
    assert client.get_provider_status() is status
