"""The dashboard: pages for the people who review experiments. Each module adds its pages to `routes`."""

from __future__ import annotations

from server.dashboard import assets, effects, landing, models, readouts, strategies
from server.dashboard.routes import routes

PAGES = (assets, effects, landing, models, readouts, strategies)
__all__ = ["PAGES", "routes"]
