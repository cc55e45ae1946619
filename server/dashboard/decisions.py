"""The explorer of decisions: found by id, unit, strategy and time, each told to its last number."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from abloop.errors import AbloopError, DataError, UnknownNameError
from abloop.explanation import Explanation, explain
from abloop.store.aftermath import Outcome, read_outcomes
from abloop.store.search import Found, found_of, search, search_unit
from server.access import allow, principal
from server.audit import audited
from server.dashboard.changes import flow
from server.dashboard.errands import Shown, shown, start
from server.dashboard.routes import routes, source
from server.dashboard.why import require_why
from server.numbers import DASH, Moment, moment, number

PAGE = 50
FORM = "%Y-%m-%dT%H:%M"
WHERE = {"spool": "on this machine", "waiting": "waits for its TTL", "joined": "in the training table"}
STAGES = {
    "joined": "in its row",
    "default": "nothing was logged by the end of the TTL: the default",
    "missing": "nothing was logged by the end of the TTL: it stays missing",
    "waiting": "logged; joined once the TTL has ended",
    "window": "waits for the end of its window",
    "late": "came after the row was complete; the next late join adds it",
    "none": "nothing was logged yet",
}


class Line(msgspec.Struct, frozen=True):
    """One decision of a list."""

    found: Found
    at: Moment
    chance: str
    where: str


class Told(msgspec.Struct, frozen=True):
    """One outcome, in words."""

    metric: str
    value: str
    words: str
    at: Moment | None


@routes.get("/decisions")
@allow("read")
def everywhere() -> str:
    """Find decisions of all strategies, by id or by unit."""
    wanted = {name: request.args.get(name, "").strip() for name in ("id", "unit")}
    workspace, said, lines = source().workspace(), "", []
    try:
        if _impossible(*wanted.values()):
            said = "Nothing is called so."
        elif wanted["id"]:
            lines = [_of_id(name, wanted["id"]) for name in _strategies_of(wanted["id"])]
            said = "" if lines else f"There is no decision {wanted['id']!r}. Look for its id in your logs."
        elif wanted["unit"]:
            lines = [_line(one) for one in search_unit(workspace, wanted["unit"], most=PAGE)]
            said = "" if lines else f"No decision of {wanted['unit']!r} is there."
    except DataError as error:
        said = str(error)
    asked = any(wanted.values())
    names = list(workspace.catalogue.servings())
    return render_template(
        "decisions.html",
        name="",
        wanted=wanted,
        said=said,
        lines=lines,
        asked=asked,
        names=names,
        errand=_erasing(),
    )


@routes.get("/decisions/<name:name>")
@allow("read")
def decisions(name: str) -> str:
    """List a strategy's decisions, newest first."""
    wanted = {each: request.args.get(each, "").strip() for each in ("id", "unit", "since", "until")}
    workspace, said = source().workspace(), ""
    workspace.catalogue.serving(name)
    lines: list[Line] = []
    older = None
    try:
        since, until = _time(wanted["since"], -math.inf), _time(wanted["until"], math.inf)
        before = _place(request.args.get("before", ""))
        if _impossible(wanted["id"], wanted["unit"]):
            said = "Nothing is called so."
        elif wanted["id"]:
            lines = [_of_id(name, wanted["id"])] if name in _strategies_of(wanted["id"]) else []
        else:
            span = {"since": since, "until": until + 59.999}  # the field's minute is meant whole
            found = search(workspace, name, unit=wanted["unit"], **span, before=before, most=PAGE + 1)
            lines = [_line(one) for one in found[:PAGE]]
            if len(found) > PAGE:
                last = found[PAGE - 1].place
                older = {**{each: given for each, given in wanted.items() if given}, "before": f"{last[0]!r}:{last[1]}"}
    except DataError as error:
        said = str(error)
    return render_template(
        "decisions.html",
        name=name,
        serving=workspace.catalogue.serving(name),
        wanted=wanted,
        said=said,
        lines=lines,
        older=older,
        newer="before" in request.args,
        asked=True,
        names=[],
    )


@routes.get("/decision/<name:name>")
@allow("read")
def decision(name: str) -> str:
    """Tell one decision: what was known, what was predicted, how that became an arm, and what happened then."""
    workspace, wanted, now = source().workspace(), request.args.get("id", ""), time.time()
    workspace.catalogue.serving(name)
    if _impossible(wanted) or not wanted:
        raise UnknownNameError(f"there is no decision {wanted!r}; look for its id in your logs")
    record = workspace.find(wanted, name)
    told: Explanation | None = None
    said = ""
    try:
        told = explain(workspace, wanted, name)
    except AbloopError as error:
        said = str(error)
    return render_template(
        "decision.html",
        name=name,
        serving=workspace.catalogue.serving(name),
        record=record,
        told=told,
        said=said,
        at=moment(record.time, now),
        answer=flow(record.decision),
        features=[(one.name, _value(one.value), one.source, _age(one.age)) for one in told.features] if told else [],
        predictions=[(key, f"{value:.6g}") for key, value in told.predictions.items()] if told else [],
        chance=f"{record.propensity:.6g}",
        latency=f"{record.latency / 1000:,.1f}",
        outcomes=[_told(one, now) for one in read_outcomes(workspace, record)],
        errand=_erasing(),
        admin="admin" in principal().grants,
    )


@routes.post("/erase")
@allow("admin")
def erase() -> Response:
    """Erase a unit everywhere; what comes of it is told on the page of decisions."""
    why, unit = require_why(request.form), request.form.get("unit", "")
    if not unit or request.form.get("again", "") != unit:
        raise DataError("to erase a unit, type its name as it stands there; nothing was erased")
    start("erase", "", why, {"unit": unit})
    audited("erase unit", "all strategies", why)
    flash("The unit is being erased, everywhere. This takes a while; the page of decisions tells when it is proven.")
    return redirect(url_for("dashboard.everywhere"))


def _erasing() -> Shown | None:
    """Return the last erasure, for an admin."""
    return shown("", "erase") if "admin" in principal().grants else None


def _strategies_of(wanted: str) -> list[str]:
    """Return the strategies that have a decision of an id."""
    workspace = source().workspace()
    try:
        return [workspace.find(wanted).strategy]
    except UnknownNameError:
        return []
    except DataError:
        return [name for name in workspace.catalogue.servings() if _has(name, wanted)]


def _has(name: str, wanted: str) -> bool:
    try:
        source().workspace().find(wanted, name)
    except UnknownNameError:
        return False
    return True


def _of_id(name: str, wanted: str) -> Line:
    """Return the line of one decision."""
    return _line(found_of(source().workspace().find(wanted, name)))


def _line(found: Found) -> Line:
    return Line(found, moment(found.time, time.time()), f"{found.propensity:.4g}", WHERE.get(found.where, ""))


def _impossible(*texts: str) -> bool:
    """Return whether no database can hold a text, so that nothing is called so."""
    return any("\0" in text or text != text.encode("utf-8", "replace").decode() for text in texts)


def _time(text: str, otherwise: float) -> float:
    """Return a time of a form, UTC, in seconds since 1970."""
    if not text:
        return otherwise
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise DataError(f"time is {text!r}; allowed: e.g. 2026-12-01T08:30, UTC") from error


def _place(text: str) -> tuple[float, str] | None:
    """Return where a page begins: `TIME:ID` of the last decision of the page before."""
    if not text:
        return None
    at, _, name = text.partition(":")
    try:
        found = float(at)
    except ValueError:
        found = math.nan
    if not math.isfinite(found) or _impossible(name):
        raise DataError("the address of this page is not whole; begin with the newest decisions")
    return found, name


def _value(value: Any) -> str:
    """Return a feature's value as text."""
    if value is None:
        return "missing"
    text = (
        f"{value:.6g}"
        if isinstance(value, float)
        else value
        if isinstance(value, str)
        else flow(msgspec.to_builtins(value))
    )
    return text if len(text) <= 400 else f"{text[:400]} … ({len(text):,} characters)"


def _age(seconds: float | None) -> str:
    return "" if seconds is None else f"{number(seconds, 1)} s before"


def _told(outcome: Outcome, now: float) -> Told:
    """Return an outcome in words."""
    value = DASH if outcome.value is None or not math.isfinite(outcome.value) else f"{outcome.value:.6g}"
    words = STAGES[outcome.stage] + (f"; {outcome.count} observations" if outcome.count > 1 else "")
    return Told(outcome.metric, value, words, None if outcome.at is None else moment(outcome.at, now))
