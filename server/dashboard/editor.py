"""The editor of blueprints: a form and a text that say the same, what is wrong, what changes, and a new version."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import msgspec
from flask import Response, flash, make_response, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as Answer

from abloop.blueprint import Blueprint
from abloop.blueprint.schema import json_schema
from abloop.blueprint.yaml_write import readable, write
from abloop.errors import ConflictError
from abloop.registration import register
from abloop.store.versions import Seen, known_version
from abloop.store.workspace import Workspace
from server.access import allow, principal
from server.audit import audited
from server.dashboard import changes
from server.dashboard.drafts import Draft, read_draft, read_value
from server.dashboard.routes import routes, source
from server.dashboard.why import read_why
from server.numbers import moment

FIRST = """\
strategy: checkout_button
arms: [{name: old}, {name: new}]
metrics: [{name: purchase}]
features: [{name: visits}]
lifecycle: {ttl: 24h}
"""


class State(msgspec.Struct, frozen=True):
    """What a strategy has, as an editor needs it: its newest and its served version, and the served blueprint."""

    newest: int
    served: int
    blueprint: Blueprint

    @property
    def seen(self) -> Seen:
        """What an editor who looks now has seen."""
        return self.newest, self.served


@routes.get("/new")
@allow("edit")
def new() -> str:
    """Begin a strategy."""
    return _page(read_draft(source().workspace(), FIRST), "")


@routes.post("/new")
@allow("edit")
def create() -> Answer:
    """Keep the first version of a strategy, and serve it."""
    return _save("")


@routes.get("/edit/<name:name>")
@allow("read")
def editor(name: str) -> str:
    """Show the blueprint that is served, or another version of it, to be changed."""
    workspace = source().workspace()
    state = _state(workspace, name)
    version = request.args.get("version", state.served, type=int)
    _, blueprint = workspace.catalogue.blueprint(name, version)
    return _page(read_draft(workspace, write(readable(blueprint)), name), name, version=version)


@routes.post("/edit/<name:name>")
@allow("edit")
def save(name: str) -> Answer:
    """Keep a new version, or say what is wrong with it."""
    return _save(name)


@routes.post("/validate")
@allow("edit")
def validate() -> Response:
    """Say what a draft is: its text, its values, what is wrong with it and what it changes. Nothing is kept."""
    asked: Any = request.get_json(silent=True)
    asked = asked if isinstance(asked, dict) else {}
    workspace, name = source().workspace(), str(asked.get("strategy") or "")
    if isinstance(asked.get("text"), str):
        draft = read_draft(workspace, asked["text"], name)
    else:
        draft = read_value(workspace, asked.get("value"), name)
    said = _changed(workspace, name, draft) if draft.blueprint else {}
    problem = None if draft.problem is None else msgspec.to_builtins(draft.problem)
    body = {"text": draft.text, "value": draft.value, "problem": problem, **said}
    return Response(msgspec.json.encode(body), mimetype="application/json")  # in the order that the values have


def _save(name: str) -> Answer:
    """Check the form and keep what it says."""
    workspace, text = source().workspace(), request.form.get("text", "").replace("\r\n", "\n")
    draft = read_draft(workspace, text, name)
    if draft.blueprint is None or request.form.get("do") == "check":
        return _answer(_page(draft, name, checked=True), 200 if draft.blueprint else 422)
    why, wrong = read_why(request.form)
    if wrong:
        return _answer(_page(draft, name, checked=True, said=wrong), 422)
    blueprint, seen = draft.blueprint, (_number("newest"), _number("served"))
    serve = request.form.get("serve", "yes") == "yes"
    with workspace.database.reading() as connection:
        known = known_version(connection, blueprint)
    if known:
        said = f"This is version {known}, word for word: nothing was saved. To serve it, go to the versions."
        return _answer(_page(draft, name, checked=True, said=said), 409)
    try:
        version = register(workspace, blueprint, who=principal().name, why=why, serve=serve, seen=seen)
    except ConflictError:
        return _answer(_conflict(workspace, blueprint.strategy, draft), 409)
    audited("register blueprint", blueprint.strategy, why, {"version": version, "served": serve or version == 1})
    kept = "and serves it" if serve or version == 1 else "and goes on serving what it served"
    flash(f"{blueprint.strategy} has version {version} {kept}.")
    return redirect(url_for("dashboard.versions", name=blueprint.strategy))


def _conflict(workspace: Workspace, name: str, draft: Draft) -> str:
    """Show what came in between beside what was written; the text stays, to be saved on top of it."""
    assert draft.blueprint is not None  # noqa: S101 - the caller has read it
    state = _state(workspace, name)
    newest, served = _number("newest"), _number("served")
    known = {registered.version: (registered, found) for registered, found in workspace.catalogue.blueprints(name)}
    base = known.get(_number("version") or served or newest)
    between = [
        {"version": version, "who": registered.who, "why": registered.why, "at": moment(registered.at, time.time())}
        for version, (registered, _) in known.items()
        if version > newest
    ]
    theirs = changes.rows(base[1], state.blueprint) if base else ()
    mine = changes.rows(base[1], draft.blueprint, theirs) if base else ()
    serving = workspace.catalogue.serving(name)
    told = {
        "between": between,
        "theirs": theirs,
        "mine": mine,
        "serving": serving,
        "moved": served != state.served,
        "base": base[0].version if base else 0,
    }
    return _page(draft, name, checked=True, version=state.served, conflict=told)


def _page(draft: Draft, name: str, *, version: int = 0, checked: bool = False, said: str = "", **more: Any) -> str:
    """Return the editor with a draft in it.

    Args:
        draft: The draft.
        name: Its strategy; empty for a new one.
        version: The version that its text is of.
        checked: Whether what it changes is shown.
        said: Why it was not saved.
        more: For the template.
    """
    workspace = source().workspace()
    state = _state(workspace, name) if name else None
    fresh = state is not None and (request.method == "GET" or "conflict" in more)
    seen = state.seen if state and fresh else (_number("newest"), _number("served"))
    changed = _changed(workspace, name, draft) if checked and draft.blueprint else None
    return render_template(
        "editor.html",
        name=name,
        draft=draft,
        state=state,
        serving=workspace.catalogue.serving(name) if name else None,
        version=version or _number("version"),
        seen=seen,
        changed=changed,
        said=said,
        why=request.form.get("why", ""),
        serve=request.form.get("serve", "yes"),
        schema=_schema(),
        values=block({"value": draft.value, "problem": draft.problem}),
        may="edit" in principal().grants,
        **more,
    )


def _changed(workspace: Workspace, name: str, draft: Draft) -> dict[str, Any]:
    """Return what a draft changes of what is served, in words, line by line, and whether it may use its rows."""
    assert draft.blueprint is not None  # noqa: S101 - the callers have read it
    if not name:
        return {"rows": (), "pairs": (), "shares": True, "words": "", "known": 0}
    state = _state(workspace, name)
    shares, words = changes.compatible(draft.blueprint, state.blueprint, state.served)
    with workspace.database.reading() as connection:
        known = known_version(connection, draft.blueprint)
    return {
        "rows": changes.rows(state.blueprint, draft.blueprint),
        "pairs": changes.side_by_side(state.blueprint, draft.blueprint),
        "shares": shares,
        "words": words,
        "known": known,
        "served": state.served,
    }


def _state(workspace: Workspace, name: str) -> State:
    """Return what a strategy has."""
    served = workspace.catalogue.serving(name).version
    newest, blueprint = workspace.catalogue.blueprint(name)
    if newest != served:
        _, blueprint = workspace.catalogue.blueprint(name, served)
    return State(newest, served, blueprint)


def _number(field: str) -> int:
    """Return a whole number of the form; 0 where there is none."""
    return request.form.get(field, 0, type=int)


@cache
def _schema() -> Markup:
    """Return the JSON Schema of blueprints for the form; it takes as long as the rest of the page."""
    return block(json_schema())


def block(value: Any) -> Markup:
    """Return values as JSON for a data block of a page, in their order, with no sign that could end the block."""
    text = msgspec.json.encode(value).decode()
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704


def _answer(page: str, code: int) -> Response:
    return make_response(page, code)
