"""Heterogeneous effects for analysts: learners on arrays, and who gains what in a strategy, in words and tables."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abloop.hte.estimator import EffectLearner
    from abloop.hte.kept import KeptReport, keep, newest
    from abloop.hte.results import EffectReport
    from abloop.hte.strategy import explain, report

__all__ = ["EffectLearner", "EffectReport", "KeptReport", "explain", "keep", "newest", "report"]
_ROOMS = {
    "EffectLearner": "estimator",
    "EffectReport": "results",
    "KeptReport": "kept",
    "explain": "strategy",
    "keep": "kept",
    "newest": "kept",
    "report": "strategy",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for: reading a kept report needs none of the learners."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_ROOMS[name]}"), name)
