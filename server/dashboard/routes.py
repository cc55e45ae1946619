"""The pages of people: the object that carries their addresses, and the pages that each strategy has."""

from __future__ import annotations

import shlex

from flask import Blueprint as Routes
from flask import current_app

from server.dashboard.reads import lasting
from server.source import Source

routes = Routes("dashboard", __name__)

TABS = (
    ("dashboard.strategy", "Overview"),
    ("dashboard.readout", "Readout"),
    ("dashboard.effects", "Who gets what"),
    ("dashboard.tradeoffs", "Trade-offs"),
    ("dashboard.model", "Model"),
    ("dashboard.data", "Data"),
    ("dashboard.lists", "Lists"),
    ("dashboard.editor", "Blueprint"),
    ("dashboard.decisions", "Decisions"),
)  # each takes the strategy's `name`; one that has no page here is left out


@routes.app_template_global("tabs")
def tabs(name: str, version: int) -> tuple[tuple[str, str], ...]:
    """Return endpoint and title of each page that a strategy has; only an ordering has lists."""

    def orders() -> bool:
        return source().workspace().catalogue.blueprint(name, version)[1].space.type == "ordering"

    lists = lasting(("ordering", name, version), orders)  # a version never changes
    return tuple(tab for tab in TABS if tab[0] in current_app.view_functions and (lists or tab[0] != "dashboard.lists"))


@routes.app_template_global("has_page")
def has_page(endpoint: str) -> bool:
    """Return whether there is such a page."""
    return endpoint in current_app.view_functions


def source() -> Source:
    """Return where this app reads from."""
    found: Source = current_app.extensions["abloop"]
    return found


def command(*words: str) -> str:
    """Return a command line of `abloop` on this installation.

    Args:
        words: The command with its arguments, e.g. `cycle`, `banner`.
    """
    here = source()
    parts = ["abloop", *words, "--url", here.url]
    return shlex.join([*parts, "--directory", str(here.directory)] if here.directory else parts)
