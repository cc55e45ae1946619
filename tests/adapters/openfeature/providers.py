"""What the provider's tests build: strategies of every kind, and providers that are ready."""

from __future__ import annotations

from typing import Any

from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagResolutionDetails

from abloop.adapters.openfeature import AbloopProvider
from abloop.loop import Loop

KINDS = ("boolean", "string", "integer", "float", "object")
METRICS: dict[str, Any] = {"metrics": [{"name": "bought"}]}
_ready: list[AbloopProvider] = []


def choice(name: str, *values: Any, **sections: Any) -> dict[str, Any]:
    """Return a blueprint whose arms `a`, `b`, ... have these values."""
    arms = [{"name": arm, "value": value} for arm, value in zip("abcdef", values, strict=False)]
    return {"strategy": name, "arms": arms, **METRICS, **sections}


def ready(loop: Loop | str, **options: Any) -> AbloopProvider:
    """Return a provider that is initialised, outside of the SDK's registry."""
    provider = AbloopProvider(loop, **options)
    provider.initialize(EvaluationContext())
    _ready.append(provider)
    return provider


def shut_down() -> None:
    """Shut down every provider that is ready."""
    while _ready:
        _ready.pop().shutdown()


def ask(
    provider: AbloopProvider, kind: str, key: Any, default: Any = None, unit: Any = "u1", **attributes: Any
) -> FlagResolutionDetails[Any]:
    """Return what a provider answers."""
    context = EvaluationContext(unit, attributes)
    found: FlagResolutionDetails[Any] = getattr(provider, f"resolve_{kind}_details")(key, default, context)
    return found
