"""What clients that decide by themselves need: what is served, models, features, kept arms, a place for records."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from flask import current_app, request

from abloop.errors import DataError, UnknownNameError, unknown
from abloop.store.catalogue import artefact_bytes as read_artefact
from abloop.store.inspection import Inspector
from abloop.store.kept import DatabaseSticky
from abloop.store.served import change_token, read_served
from abloop.store.serving import Served
from abloop.store.ship import Sent, receive
from abloop.store.sticky import KeptArm
from abloop.store.tallied import TalliedKeys
from abloop.store.workspace import Workspace
from server.api.deciding import Name, handle, loop
from server.api.endpoint import Made, encode, endpoint
from server.source import Source

MOST_STRATEGIES = 1_000
MOST_HELD = 64
HASH = re.compile("[0-9a-f]{64}")
CACHED = {"If-None-Match": "The ETag of what the caller has: 304 where that is still so."}
Offset = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


class SnapshotsQuery(msgspec.Struct, frozen=True):
    """Of which strategies.

    Attributes:
        strategy: Their names, the parameter once for each.
    """

    strategy: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=MOST_STRATEGIES)]


class Snapshots(msgspec.Struct, frozen=True):
    """What is served.

    Attributes:
        strategies: By name; releases are named, and read from `/v1/artefacts`.
        unknown: Names of which there is no strategy.
    """

    strategies: dict[str, Served]
    unknown: list[str]


class _Held:
    """Answers that were made, while nothing else is served; bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._token: tuple[object, ...] = ()
        self._bodies: dict[tuple[str, ...], tuple[str, bytes]] = {}

    def get(self, token: tuple[object, ...], names: tuple[str, ...]) -> tuple[str, bytes] | None:
        with self._lock:
            if token != self._token:
                self._token, self._bodies = token, {}
            return self._bodies.get(names)

    def put(self, token: tuple[object, ...], names: tuple[str, ...], held: tuple[str, bytes]) -> None:
        with self._lock:
            if token == self._token and len(self._bodies) < MOST_HELD:
                self._bodies[names] = held


@endpoint("GET", "/snapshots", "ingest", query=SnapshotsQuery, answer=Snapshots, statuses=(304,), headers=CACHED)
def get_snapshots(query: SnapshotsQuery) -> Made:
    """Give all that a process needs to decide for some strategies; its ETag is `"SHA-256"` of the body."""
    workspace, names = _workspace(), tuple(sorted(set(query.strategy)))
    held: _Held = current_app.extensions.setdefault("abloop_snapshots", _Held())
    token = (*change_token(workspace.database),)
    found = held.get(token, names)
    if found is None:
        body = encode(_read(workspace, names))
        found = (f'"{hashlib.sha256(body).hexdigest()}"', body)
        held.put(token, names, found)
    return conditional(*found)


def _read(workspace: Workspace, names: tuple[str, ...]) -> Snapshots:
    """Read what is served, without the models."""
    servings, compared = workspace.catalogue.servings(), workspace.comparisons.current()
    served = {}
    for name in names:
        if name in servings:
            paused = servings[name].phase == "paused"
            each = read_served(
                workspace.catalogue, servings[name], None if paused else compared.get(name), models=False
            )
            served[name] = each
    return Snapshots(served, [name for name in names if name not in servings])


def conditional(tag: str, body: Any, headers: Mapping[str, str] | None = None) -> Made:
    """Return a body with its ETag, or only the ETag where the caller has it."""
    known = [part.strip().removeprefix("W/") for part in request.headers.get("If-None-Match", "").split(",")]
    said = {"ETag": tag, "Cache-Control": "no-cache", **(headers or {})}
    if tag in known:
        return Made(None, 304, said)
    return Made(body, 200, {**said, "Content-Type": "application/json"} if isinstance(body, bytes) else said)


@endpoint("GET", "/artefacts/<artefact>", "ingest", statuses=(404,))
def get_artefact(artefact: str) -> bytes:
    """Give the bytes of a model; its name is their SHA-256."""
    return artefact_bytes(_workspace(), artefact)


def artefact_bytes(workspace: Workspace, name: str) -> bytes:
    """Return the bytes of a model.

    Raises:
        UnknownNameError: There is none of this name.
    """
    found = read_artefact(workspace.database, name) if HASH.fullmatch(name) else None
    if found is None:
        raise UnknownNameError(f"there is no model {name!r:.80}; /v1/models lists those of a strategy")
    return found


class SpoolQuery(msgspec.Struct, frozen=True):
    """Which part of a segment is sent.

    Attributes:
        start: Offset of its first byte in the segment, as the last answer said; 0 for the beginning.
        torn: Bytes behind it that are no whole record, where the segment ends.
        skipped: Bytes of a record behind it that is too large to be sent.
    """

    start: Offset = 0
    torn: Offset = 0
    skipped: Offset = 0


class SpoolAnswer(msgspec.Struct, frozen=True):
    """How far a segment is kept.

    Attributes:
        shipped: Offset from which to go on.
    """

    shipped: int


@endpoint("POST", "/spool/<segment>", "ingest", query=SpoolQuery, body=bytes, answer=SpoolAnswer)
def post_spool(segment: str, query: SpoolQuery, body: bytes) -> SpoolAnswer:
    """Keep the records that a client wrote to its disk, each once however often they are sent."""
    workspace = _workspace()
    sent, inspector = Sent(segment, query.start, body), Inspector(workspace.catalogue, workspace.clock)
    shipped = receive(
        sent,
        query.start,
        workspace.journal,
        TalliedKeys(workspace.catalogue),
        inspector,
        workspace.clock(),
        torn=query.torn,
        skipped=query.skipped,
    )
    return SpoolAnswer(shipped)


class FeaturesRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose features are asked for.

    Attributes:
        strategy: The strategy.
        version: Blueprint version.
        group: Name of one of its feature groups.
        entity: Id of the entity, as text.
    """

    strategy: Name
    version: Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]
    group: Name
    entity: Name


class FeaturesAnswer(msgspec.Struct, frozen=True):
    """What is known of an entity.

    Attributes:
        row: Column to value; null where there is no such entity, or it was not known in time.
        age: Seconds since it was read; null where it is not known.
    """

    row: dict[str, Any] | None
    age: float | None


@endpoint("POST", "/features", "ingest", body=FeaturesRequest, answer=FeaturesAnswer, statuses=(404,))
def post_features(body: FeaturesRequest) -> FeaturesAnswer:
    """Fetch the features of one entity of a group, within the group's budget."""
    opened = loop()
    strategy = handle(opened, body.strategy)
    snapshot = next((each for each in strategy.snapshot.versions() if each.version == body.version), None)
    if snapshot is None or snapshot.feed is None:
        raise UnknownNameError(f"version {body.version} of {body.strategy!r} is not served, or has no feature groups")
    groups = {group.name: place for place, group in enumerate(snapshot.blueprint.groups)}
    if body.group not in groups:
        raise UnknownNameError(unknown("group", body.group, groups), place="group")
    place = groups[body.group]
    fetched = snapshot.feed.fetch({snapshot.keys[place]: body.entity}, opened.clock())
    age = fetched.ages[place]
    return FeaturesAnswer(dict(fetched.rows[place]) if age is not None else None, age)


class KeptQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose kept arm is asked for.

    Attributes:
        strategy: The strategy.
        unit: The unit.
    """

    strategy: Name
    unit: Name


class KeptArms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arms that units keep.

    Attributes:
        arms: One for each unit.
    """

    arms: Annotated[list[KeptArm], msgspec.Meta(max_length=MOST_STRATEGIES)]


@endpoint("POST", "/sticky/read", "ingest", body=KeptQuestion, answer=KeptArms)
def post_sticky_read(body: KeptQuestion) -> KeptArms:
    """Tell which arm a unit keeps; none where it keeps none."""
    found = DatabaseSticky(_workspace().database).read(body.strategy, body.unit)
    return KeptArms([] if found is None else [KeptArm(body.strategy, body.unit, *found)])


@endpoint("POST", "/sticky", "ingest", body=KeptArms, answer=KeptArms, statuses=(404,))
def post_sticky(body: KeptArms) -> KeptArms:
    """Keep the arms that units were given."""
    workspace = _workspace()
    for name in sorted({arm.strategy for arm in body.arms}):
        if "\0" in name:
            raise UnknownNameError(unknown("strategy", name.replace("\0", "\ufffd"), workspace.catalogue.servings()))
        _, blueprint = workspace.catalogue.blueprint(name)
        known = {arm.name for arm in blueprint.ordered_arms()}
        for index, each in enumerate(body.arms):
            if each.strategy == name and (not each.unit or "\0" in each.unit or each.arm not in known):
                raise DataError(f"arms[{index}]: {unknown('arm', each.arm, known)}", place=f"arms[{index}].arm")
            if each.strategy == name and not 0 < each.propensity <= 1:
                raise DataError(f"arms[{index}].propensity: allowed: above 0, at most 1", place=f"arms[{index}]")
    arms = {(arm.strategy, arm.unit): arm for arm in body.arms}
    if arms:
        DatabaseSticky(workspace.database).write([arms[key] for key in sorted(arms)])
    return KeptArms([])


def _workspace() -> Workspace:
    """Return the installation."""
    source: Source = current_app.extensions["abloop"]
    return source.workspace()
