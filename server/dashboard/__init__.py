"""The dashboard: pages for the people who review experiments. Each module adds its pages to `routes`."""

from __future__ import annotations

from server.dashboard import decisions, editor, strategies, versions
from server.dashboard.routes import routes

PAGES = (strategies, editor, versions, decisions)
__all__ = ["PAGES", "routes"]
