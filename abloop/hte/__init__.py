"""Heterogeneous effects for analysts: learners on arrays, and who gains what in a strategy, in words and tables."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abloop.hte.estimator import EffectLearner
    from abloop.hte.kept import KeptReport, keep, newest
    from abloop.hte.report import explain, report
    from abloop.hte.results import EffectReport

__all__ = ["EffectLearner", "EffectReport", "KeptReport", "explain", "keep", "newest", "report"]
_ROOMS = {
    "EffectLearner": "estimator",
    "EffectReport": "results",
    "KeptReport": "kept",
    "explain": "report",
    "keep": "kept",
    "newest": "kept",
    "report": "report",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for: reading a kept report needs none of the learners."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    found = getattr(importlib.import_module(f"{__name__}.{_ROOMS[name]}"), name)
    globals()[name] = found  # a submodule of the same name would hide it after the import
    return found
