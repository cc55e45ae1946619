"""How a view tells the log of changes what it did, and the pages that show it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from flask import Blueprint as Routes
from flask import current_app, g, render_template, request

from abloop.store.audit import Entry
from server.access import allow, principal
from server.numbers import moment
from server.source import Source

routes = Routes("audit", __name__)
PAGE = 100


def audited(what: str, target: str, why: str, body: Mapping[str, Any] | None = None) -> Entry:
    """Add what was just done to the log, under the name of who asks. Call it once, after it succeeded.

    Args:
        what: The change, e.g. `create token`; the same words for each change of a kind.
        target: What was changed, e.g. a strategy's name.
        why: Why, as the person wrote it.
        body: More of it; no secrets, and nothing that names a unit.

    Raises:
        StoreError: The database refused.
    """
    source: Source = current_app.extensions["abloop"]
    asking = g.get("acting") or principal()
    return source.workspace().audit.append(
        at=time.time(), who=asking.name, kind=asking.kind, what=what, target=target, why=why, body=body
    )


@routes.get("/audit")
@allow("admin")
def audit() -> str:
    """Show who changed what and why, newest first."""
    wanted = {name: request.args.get(name, "")[:200] for name in ("who", "what", "target")}
    before = request.args.get("before", type=int)
    source: Source = current_app.extensions["abloop"]
    found = source.workspace().audit.entries(**wanted, before=before, most=PAGE + 1)
    now = time.time()
    rows = [(entry, moment(entry.at, now)) for entry in found[:PAGE]]
    older = {**wanted, "before": found[PAGE - 1].id} if len(found) > PAGE else None
    return render_template("audit.html", rows=rows, wanted=wanted, older=older)
