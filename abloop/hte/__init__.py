"""Heterogeneous effects for analysts: learners on arrays, and who gains what in a strategy, in words and tables."""

from __future__ import annotations

from abloop.hte.estimator import EffectLearner
from abloop.hte.report import EffectReport, report

__all__ = ["EffectLearner", "EffectReport", "report"]
