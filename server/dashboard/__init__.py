"""The dashboard: pages for the people who review experiments. Each module adds its pages to `routes`."""

from __future__ import annotations

from server.dashboard import (
    assets,
    data,
    decisions,
    editor,
    effects,
    errands,
    landing,
    lists,
    models,
    readouts,
    strategies,
    tradeoffs,
    versions,
)
from server.dashboard.routes import routes

PAGES = (
    assets,
    data,
    decisions,
    editor,
    effects,
    errands,
    landing,
    lists,
    models,
    readouts,
    strategies,
    tradeoffs,
    versions,
)
__all__ = ["PAGES", "routes"]
