"""Longer work as pages start and show it: what is under way, how far it is, how it ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from flask import current_app, url_for

from server.access import allow, principal
from server.dashboard.routes import routes, source
from server.errands import Errands
from server.numbers import Moment, moment
from server.work import DOING, Errand


class Shown(msgspec.Struct, frozen=True):
    """An errand as a page shows it.

    Attributes:
        errand: The errand.
        doing: What it does, in words.
        asked: When it was asked for.
        address: Where the script that waits asks how it goes; empty where it has ended.
    """

    errand: Errand
    doing: str
    asked: Moment
    address: str


def errands() -> Errands:
    """Return the errands of this installation."""
    here, found = source(), current_app.extensions.get("abloop_errands")
    if found is None:
        home = here.workspace().table_directory.parent / "errands"
        found = current_app.extensions.setdefault("abloop_errands", here.errands(home))
    made: Errands = found
    return made


def start(kind: str, strategy: str, why: str, asked: Mapping[str, Any] | None = None) -> None:
    """Have work done in the name of who asks.

    Args:
        kind: A name of `server.work.WORK`.
        strategy: For which strategy; empty for all.
        why: Why.
        asked: More of what is asked.

    Raises:
        DataError: The strategy has another errand under way.
    """
    errands().start(Errand(kind, strategy, principal().name, why, time.time(), dict(asked or {})))


def shown(strategy: str, *kinds: str) -> Shown | None:
    """Return the last errand of a strategy for its page; None where there is none of these kinds."""
    last = errands().last(strategy, *kinds)
    if last is None:
        return None
    address = url_for("dashboard.errand", name=strategy) if strategy else url_for("dashboard.erasing")
    return Shown(last, DOING[last.kind], moment(last.at, time.time()), address if last.runs else "")


@routes.get("/errand/<name:name>")
@allow("read")
def errand(name: str) -> dict[str, Any]:
    """Say how the strategy's last errand goes, for the script that waits for it."""
    return _progress(errands().last(name))


@routes.get("/erasing")
@allow("admin")
def erasing() -> dict[str, Any]:
    """Say how the last erasure goes, for the script that waits for it."""
    return _progress(errands().last(""))


def _progress(found: Errand | None) -> dict[str, Any]:
    return {"status": found.status, "done": found.done, "total": found.total} if found else {"status": "none"}
