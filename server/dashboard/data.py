"""The data of a strategy: whether it is still what the model learned from, where its records are, what is missing."""

from __future__ import annotations

import time
from functools import partial

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from abloop.errors import DataError
from abloop.readout.drift import DRIFTS, MOVES, Drift, Shift, course_figure, parts_figure, read_drift
from abloop.store.dead import read_dead
from abloop.store.status import read_status
from abloop.store.workspace import Workspace
from server.access import allow, principal
from server.audit import audited
from server.dashboard.alerts import custody_alerts, traffic_alerts
from server.dashboard.charts import chart
from server.dashboard.errands import shown, start
from server.dashboard.present import Chip
from server.dashboard.reads import once, read_days
from server.dashboard.routes import command, routes, source
from server.dashboard.summary import data_facts
from server.dashboard.why import require_why
from server.numbers import DASH, Moment, moment, p_value, percent

MOST_REASONS = 20
SHOWN = 6  # columns whose values are drawn
STATES = {
    "stable": Chip("stable", "none", "·"),
    "moves": Chip("moves", "wait", "!"),
    "drifts": Chip("drifts", "wait", "!"),
}


@routes.get("/data/<name:name>")
@allow("read")
def data(name: str) -> str:
    """Show the data of a strategy."""
    here, now = source(), time.time()
    workspace = here.workspace()
    serving = workspace.catalogue.serving(name)
    _, blueprint = workspace.catalogue.blueprint(name, serving.version)
    (custody,) = read_status(workspace, name).strategies
    files, days = workspace.manifest.files(name), read_days(workspace, name)
    newest = max((file.newest for file in files if file.newest is not None), default=None)
    try:
        drift, refusal = once(workspace, name, "drift", lambda: read_drift(workspace, name)), ""
    except DataError as error:
        drift, refusal = None, str(error)
    drawn = once(workspace, name, "drift figures", lambda: _figures(drift)) if drift else (None, ())
    return render_template(
        "data.html",
        serving=serving,
        alerts=(*custody_alerts(custody, serving.phase, newest, now), *traffic_alerts(days, blueprint)),
        drift=drift,
        refusal=refusal,
        since=moment(drift.since, now) if drift else None,
        columns=[_row(shift) for shift in drift.columns] if drift else [],
        course=drawn[0],
        parts=drawn[1],
        bounds=(MOVES, DRIFTS),
        facts=data_facts(custody, files, now),
        letters=_letters(workspace, name, now) if custody.dead else (),
        dead=custody.dead,
        errand=shown(name, "replay"),
        may="edit" in principal().grants,
        cycle=command("cycle", name),
        url=here.url,
        computed=moment(now, now),
    )


@routes.post("/replay/<name:name>")
@allow("edit")
def replay(name: str) -> Response:
    """Try the dead letters of a strategy again, in the background."""
    why = require_why(request.form)
    source().workspace().catalogue.serving(name)
    start("replay", name, why)
    audited("replay dead letters", name, why)
    return redirect(url_for("dashboard.data", name=name), 303)


def _letters(workspace: Workspace, name: str, now: float) -> tuple[tuple[str, str, Moment], ...]:
    """Return why records could not be kept, how many of the oldest thousand, and when the last of them came."""
    found: dict[str, list[float]] = {}
    for letter in read_dead(workspace.database, name):
        found.setdefault(letter.reason, []).append(letter.at)
    often = sorted(found.items(), key=lambda each: -len(each[1]))[:MOST_REASONS]
    return tuple((reason, f"{len(times):,}", moment(max(times), now)) for reason, times in often)


def _row(shift: Shift) -> tuple[Shift, Chip, tuple[str, ...]]:
    """Return a column as a line of the table."""
    before, now = shift.lacking
    return (
        shift,
        STATES[shift.state],
        (
            f"{shift.index:.3f}",
            p_value(shift.p_value),
            percent(before),
            percent(now),
            percent(shift.unseen) if shift.unseen else DASH,
        ),
    )


def _figures(drift: Drift) -> tuple[object, tuple[object, ...]]:
    """Return the course of all, and the values of the columns that moved most, each with its numbers."""
    shown = drift.columns[:SHOWN]
    return (
        chart(lambda: course_figure(drift)),
        tuple((shift, chart(partial(parts_figure, shift)), _parts(shift)) for shift in shown),
    )


def _parts(shift: Shift) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the values of a column as rows of a table."""
    rows = [(part.name, (percent(part.before), percent(part.now))) for part in shift.parts]
    return (("Values", ("before", "now")), *rows)
