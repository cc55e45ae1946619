"""Blueprints over HTTP: read, check, compare, register."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from flask import current_app, request

from abloop.blueprint import Blueprint, content_hash
from abloop.blueprint.diff import Change, diff
from abloop.blueprint.text import to_plain
from abloop.errors import BlueprintError, DataError, UnknownNameError
from abloop.registration import inspect, register
from abloop.rollout import versions as rolling
from abloop.rollout.versions import Version
from abloop.store.workspace import Workspace
from server.access import principal
from server.api.clients import CACHED, conditional
from server.api.deciding import Name, Text
from server.api.endpoint import Made, endpoint
from server.audit import audited
from server.source import Source

Number = Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]
MATCHED = {"If-Match": "The ETag that GET /v1/blueprints gave: 409 where somebody changed the strategy since."}


class StrategyQuery(msgspec.Struct, frozen=True):
    """Which strategy.

    Attributes:
        strategy: Its name.
    """

    strategy: Name


class VersionQuery(msgspec.Struct, frozen=True):
    """Which version of a strategy.

    Attributes:
        strategy: Its name.
        version: Its number; the newest where left out.
    """

    strategy: Name
    version: Number | None = None


class DiffQuery(msgspec.Struct, frozen=True):
    """Which two versions.

    Attributes:
        strategy: The strategy.
        before: The older one.
        after: The newer one.
    """

    strategy: Name
    before: Number
    after: Number


class BlueprintAnswer(msgspec.Struct, frozen=True):
    """One version of a blueprint.

    Attributes:
        strategy: Its strategy.
        version: Its number.
        newest: The newest one's.
        served: That of the one that is served.
        hash: SHA-256 of its content.
        blueprint: What it says, defaults left out.
    """

    strategy: str
    version: int
    newest: int
    served: int
    hash: str
    blueprint: dict[str, Any]


class BlueprintRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A blueprint to check or to register.

    Attributes:
        blueprint: What it says.
        why: Why it changes.
        serve: Whether a new version is served from now on; the first one always is.
    """

    blueprint: dict[str, Any]
    why: Text = ""
    serve: bool = True


class Checked(msgspec.Struct, frozen=True):
    """A blueprint that can be registered.

    Attributes:
        strategy: Its strategy.
        hash: SHA-256 of its content.
        changes: What differs from the newest version.
    """

    strategy: str
    hash: str
    changes: tuple[Change, ...]


class Changes(msgspec.Struct, frozen=True):
    """What differs.

    Attributes:
        changes: Field by field.
    """

    changes: tuple[Change, ...]


class Versions(msgspec.Struct, frozen=True):
    """All versions of a strategy.

    Attributes:
        versions: Oldest first.
    """

    versions: tuple[Version, ...]


class Registration(msgspec.Struct, frozen=True):
    """A version that is kept.

    Attributes:
        strategy: Its strategy.
        version: Its number; that of an equal version, where there is one.
        served: Number of the version that is served now.
        new: Whether it was made.
    """

    strategy: str
    version: int
    served: int
    new: bool


@endpoint("GET", "/blueprints", "read", query=VersionQuery, answer=BlueprintAnswer, statuses=(304, 404), headers=CACHED)
def get_blueprint(query: VersionQuery) -> Made:
    """Give one version of a blueprint; its ETag goes with a change as If-Match."""
    catalogue = workspace().catalogue
    served = catalogue.serving(query.strategy).version
    newest, last = catalogue.blueprint(query.strategy)
    version, found = (newest, last) if query.version is None else catalogue.blueprint(query.strategy, query.version)
    plain = to_plain(found, defaults=False)
    answer = BlueprintAnswer(query.strategy, version, newest, served, content_hash(found), plain)
    return conditional(f'"{newest}.{served}"' if query.version is None else f'"{answer.hash}"', answer)


@endpoint("GET", "/blueprints/versions", "read", query=StrategyQuery, answer=Versions, statuses=(404,))
def get_versions(query: StrategyQuery) -> Versions:
    """List the versions of a strategy: who, when, why, and what changed."""
    return Versions(rolling.versions(workspace(), query.strategy))


@endpoint("GET", "/blueprints/diff", "read", query=DiffQuery, answer=Changes, statuses=(404,))
def get_diff(query: DiffQuery) -> Changes:
    """Tell what differs between two versions."""
    catalogue = workspace().catalogue
    before, after = (catalogue.blueprint(query.strategy, number)[1] for number in (query.before, query.after))
    return Changes(diff(before, after))


@endpoint("POST", "/blueprints/validate", "read", body=BlueprintRequest, answer=Checked)
def post_validate(body: BlueprintRequest) -> Checked:
    """Check a blueprint as it would be registered; nothing is kept."""
    opened, found = workspace(), _inspected(workspace(), body)
    try:
        _, last = opened.catalogue.blueprint(found.strategy)
    except UnknownNameError:
        return Checked(found.strategy, content_hash(found), ())
    return Checked(found.strategy, content_hash(found), diff(last, found))


@endpoint(
    "POST",
    "/blueprints",
    "edit",
    body=BlueprintRequest,
    answer=Registration,
    statuses=(201, 409),
    headers=MATCHED,
)
def post_blueprint(body: BlueprintRequest) -> Made:
    """Register a blueprint as the newest version of its strategy, unless an equal one is there."""
    opened, seen = workspace(), _seen()
    checked = _inspected(opened, body)
    name = checked.strategy
    before = max((known.version for known, _ in _history(opened, name)), default=0)
    version = register(opened, checked, who=principal().name, why=body.why, serve=body.serve, seen=seen)
    new = version > before
    if new:
        audited("register blueprint", name, body.why, {"version": version, "served": body.serve})
    served = opened.catalogue.serving(name).version
    refresh()
    return Made(Registration(name, version, served, new), 201 if new else 200, {"ETag": f'"{version}.{served}"'})


def _inspected(opened: Workspace, body: BlueprintRequest) -> Blueprint:
    """Return the blueprint of a request, checked.

    Raises:
        BlueprintError: With the path in the request.
    """
    try:
        return inspect(opened, body.blueprint)
    except BlueprintError as error:
        raise BlueprintError(str(error), place=f"blueprint.{error.place}".rstrip(".")) from error


def _history(opened: Workspace, name: str) -> list[Any]:
    """Return the versions of a strategy; none where there is no such strategy."""
    try:
        return list(opened.catalogue.blueprints(name))
    except UnknownNameError:
        return []


def _seen() -> tuple[int, int] | None:
    """Return the newest and the served version that the caller knew; None where it does not say.

    Raises:
        DataError: The header If-Match is none that was given.
    """
    text = request.headers.get("If-Match")
    if text is None or text.strip() == "*":
        return None
    found = re.fullmatch(r'"([0-9]{1,9})\.([0-9]{1,9})"', text.strip())
    if not found:
        raise DataError(f"If-Match is {text!r:.80}; allowed: the ETag that GET /v1/blueprints gave", place="If-Match")
    return int(found[1]), int(found[2])


def workspace() -> Workspace:
    """Return the installation."""
    source: Source = current_app.extensions["abloop"]
    return source.workspace()


def refresh() -> None:
    """Have this process decide by what was just changed; other processes see it within seconds."""
    source: Source = current_app.extensions["abloop"]
    source.loop().refresh()
