"""The dashboard: pages for the people who review experiments. Each module adds its pages to `routes`."""

from __future__ import annotations

from server.dashboard import (
    assets,
    decisions,
    editor,
    effects,
    errands,
    landing,
    models,
    readouts,
    strategies,
    tradeoffs,
    versions,
)
from server.dashboard.routes import routes

PAGES = (assets, decisions, editor, effects, errands, landing, models, readouts, strategies, tradeoffs, versions)
__all__ = ["PAGES", "routes"]
