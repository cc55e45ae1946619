"""The dashboard: pages for the people who review experiments. Each module adds its pages to `routes`."""

from __future__ import annotations

from server.dashboard import strategies
from server.dashboard.routes import routes

PAGES = (strategies,)
__all__ = ["PAGES", "routes"]
