"""The versions of a strategy: who made them and why, what differs, and which of them serves."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from abloop.compare import check_no_round, compare, read_comparison, stop_comparing
from abloop.errors import DataError
from abloop.readout import SRM_ALARM
from abloop.rollout.pause import pause as stop
from abloop.rollout.pause import resume as go_on
from abloop.rollout.promote import withdraw as take_back
from abloop.rollout.versions import rollback
from server.access import allow, principal
from server.audit import audited
from server.dashboard import changes, present, tables
from server.dashboard.errands import shown, start
from server.dashboard.routes import routes, source
from server.dashboard.why import require_why
from server.numbers import Moment, moment, p_value

PAGE = 50


class Line(msgspec.Struct, frozen=True):
    """One version as its line shows it.

    Attributes:
        version: Its number.
        at: When it was registered.
        who: Who registered it.
        why: Why.
        served: Whether it serves.
        shares: Whether it may learn from the rows of the served version.
        words: The same, in words.
        rows: What differs from the version before.
    """

    version: int
    at: Moment
    who: str
    why: str
    served: bool
    shares: bool
    words: str
    rows: tuple[changes.Row, ...]


@routes.get("/versions/<name:name>")
@allow("read")
def versions(name: str) -> str:
    """List the versions of a strategy, newest first."""
    workspace, now = source().workspace(), time.time()
    serving = workspace.catalogue.serving(name)
    known = workspace.catalogue.blueprints(name)
    page = max(1, request.args.get("page", 1, type=int))
    last = (len(known) + PAGE - 1) // PAGE
    places = list(reversed(range(len(known))))[(page - 1) * PAGE : page * PAGE]
    served = next(blueprint for registered, blueprint in known if registered.version == serving.version)
    lines = []
    for place in places:
        registered, blueprint = known[place]
        shares, words = changes.compatible(blueprint, served, serving.version)
        differs = changes.rows(known[place - 1][1], blueprint) if place else ()
        at, is_served = moment(registered.at, now), registered.version == serving.version
        lines.append(Line(registered.version, at, registered.who, registered.why, is_served, shares, words, differs))
    return render_template(
        "versions.html",
        name=name,
        serving=serving,
        since=moment(serving.at, now),
        chip=present.PHASES[serving.phase],
        lines=lines,
        page=page,
        last=last,
        total=len(known),
        comparison=workspace.comparisons.current().get(name),
        compared=_compared(name),
        manual=served.lifecycle.switch == "manual",
        withdrawable=serving.phase in ("personalise", "ship"),
        errand=shown(name, "judge"),
        unit=served.unit,
        features=[feature.key or feature.name for feature in served.features if not feature.group and not feature.of],
        metrics=[metric.name for metric in served.metrics],
        connect=source().connect,
        may="edit" in principal().grants,
    )


@routes.get("/changes/<name:name>")
@allow("read")
def compared(name: str) -> str:
    """Show two versions side by side."""
    workspace = source().workspace()
    served = workspace.catalogue.serving(name).version
    before = request.args.get("before", served, type=int)
    after = request.args.get("after", 0, type=int) or workspace.catalogue.blueprint(name)[0]
    old, new = (workspace.catalogue.blueprint(name, version)[1] for version in (before, after))
    shares, words = changes.compatible(new, old, before)
    return render_template(
        "changes.html",
        name=name,
        serving=workspace.catalogue.serving(name),
        before=before,
        after=after,
        served=served,
        rows=changes.rows(old, new),
        pairs=changes.side_by_side(old, new),
        shares=shares,
        words=words,
        numbers=[registered.version for registered, _ in reversed(workspace.catalogue.blueprints(name))],
    )


@routes.post("/serve/<name:name>")
@allow("edit")
def serve(name: str) -> Response:
    """Serve a version, with the release it had when it was last served."""
    why, version = require_why(request.form), _version()
    serving = rollback(source().workspace(), name, version, who=principal().name, why=why)
    audited("serve version", name, why, {"version": version, "phase": serving.phase, "release": serving.release})
    return _done(name, f"{name} serves version {serving.version}, {present.PHASES[serving.phase].text}.")


@routes.post("/pause/<name:name>")
@allow("edit")
def pause(name: str) -> Response:
    """Give every unit control from now on."""
    why, workspace = require_why(request.form), source().workspace()
    if workspace.catalogue.serving(name).phase == "paused":
        raise DataError(f"strategy {name!r} is paused already. Resume it where you want it served again")
    stop(workspace, name, who=principal().name, why=why)
    audited("pause", name, why)
    return _done(name, f"{name} is paused: every unit gets control, or the default.")


@routes.post("/resume/<name:name>")
@allow("edit")
def resume(name: str) -> Response:
    """Serve a paused strategy again."""
    why = require_why(request.form)
    serving = go_on(source().workspace(), name, who=principal().name, why=why)
    audited("resume", name, why, {"phase": serving.phase})
    return _done(name, f"{name} goes on with version {serving.version}, {present.PHASES[serving.phase].text}.")


@routes.post("/withdraw/<name:name>")
@allow("edit")
def withdraw(name: str) -> Response:
    """Stop serving a release at once."""
    why, workspace = require_why(request.form), source().workspace()
    before = workspace.catalogue.serving(name)
    if before.phase not in ("personalise", "ship"):
        raise DataError(f"strategy {name!r} serves no release; there is nothing to withdraw")
    serving = take_back(workspace, before, who=principal().name, why=why)
    audited("withdraw", name, why, {"release": before.release})
    return _done(name, f"The release of {name} is withdrawn: it is {present.PHASES[serving.phase].text} again.")


@routes.post("/compare/<name:name>")
@allow("edit")
def begin_comparison(name: str) -> Response:
    """Let versions decide side by side."""
    why = require_why(request.form)
    chosen = request.form.getlist("version", type=int)
    shares = _shares(request.form.get("shares", ""))
    check_no_round(source().workspace(), name)
    begun = compare(source().workspace(), name, sorted(chosen), shares=shares, who=principal().name, why=why)
    named = ", ".join(f"{entry.version} ({entry.share:.0%})" for entry in begun.entries)
    audited("compare versions", name, why, {"versions": [entry.version for entry in begun.entries]})
    return _done(name, f"{name} compares versions {named}.")


@routes.post("/uncompare/<name:name>")
@allow("edit")
def end_comparison(name: str) -> Response:
    """End a comparison."""
    why, workspace = require_why(request.form), source().workspace()
    if name not in workspace.comparisons.current():
        raise DataError(f"strategy {name!r} compares nothing; begin a comparison first")
    check_no_round(workspace, name)
    stop_comparing(workspace, name, who=principal().name, why=why)
    audited("end comparison", name, why)
    return _done(name, f"{name} compares nothing any more: what it serves decides for all units.")


@routes.post("/switch/<name:name>")
@allow("edit")
def switch(name: str) -> Response:
    """Ask the gate and serve what it proves, where the blueprint leaves that to a person."""
    why, workspace = require_why(request.form), source().workspace()
    _, blueprint = workspace.catalogue.blueprint(name, workspace.catalogue.serving(name).version)
    if blueprint.lifecycle.switch != "manual":
        raise DataError(f"strategy {name!r} switches by itself; write lifecycle.switch: manual to do it by hand")
    start("judge", name, why)
    audited("switch by hand", name, why)
    return _done(name, "The gate is being asked; what it proves is served when it has answered.")


def _compared(name: str) -> dict[str, Any] | None:
    """Return what the newest comparison says; None where there never was one."""
    workspace, now = source().workspace(), time.time()
    if workspace.comparisons.last(name) is None:
        return None
    found = read_comparison(workspace, name)
    return {
        "running": found.running,
        "since": moment(found.since, now),
        "units": [(arm[1:], f"{count:,}") for arm, count in found.units.items()],
        "srm": p_value(found.srm),
        "unhealthy": found.srm < SRM_ALARM,
        "tables": [tables.table(metric) for metric in found.metrics],
    }


def _version() -> int:
    """Return the version of the form."""
    version = request.form.get("version", 0, type=int)
    if version < 1:
        raise DataError("the form names no version; choose one of the list")
    return version


def _shares(text: str) -> list[float] | None:
    """Return shares, e.g. `0.9, 0.1` or `90 10`; None for equal ones."""
    try:
        given = [float(part) for part in text.replace("%", " ").replace(",", " ").split()]
    except ValueError as error:
        raise DataError(f"shares is {text!r}; allowed: numbers with commas between, e.g. 0.9, 0.1") from error
    return ([share / 100 for share in given] if sum(given) > 1.5 else given) or None


def _done(name: str, said: str) -> Response:
    """Say what was done, on the page of versions."""
    flash(said)
    return redirect(url_for("dashboard.versions", name=name))
