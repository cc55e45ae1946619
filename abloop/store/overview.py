"""All strategies at a glance: one query a table, so that a thousand of them are one quick page."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from abloop.blueprint.randomisation import Experiment
from abloop.store.serving import Serving
from abloop.store.tables import blueprints, dead, decisions, files, servings, verdicts
from abloop.store.workspace import Workspace


class Said(msgspec.Struct, frozen=True):
    """The gate's last word on a strategy.

    Attributes:
        verdict: `personalise`, `ship` or `not enough evidence`.
        reason: The verdict in words.
        arm: The best single arm.
        at: When, in seconds since 1970.
        version: Of which blueprint version.
    """

    verdict: str
    reason: str
    arm: str = ""
    at: float = 0.0
    version: int = 0


class Named(msgspec.Struct, frozen=True):
    """Name and role of a metric."""

    name: str
    role: str = "goal"


class Life(msgspec.Struct, frozen=True):
    """When rows of a strategy are complete, and who switches it."""

    ttl: float = 86_400.0
    switch: str = "auto"


class Kind(msgspec.Struct, frozen=True):
    """What is decided."""

    type: str = "choice"


class Brief(msgspec.Struct, frozen=True):
    """What many pages need of a served blueprint, read without the rest.

    Attributes:
        strategy: Its name.
        unit: Key of what is randomised.
        experiment: How.
        metrics: Names and roles.
        lifecycle: TTL and switch.
        space: What is decided.
    """

    strategy: str
    unit: str = "user_id"
    experiment: Experiment = Experiment()
    metrics: tuple[Named, ...] = ()
    lifecycle: Life = Life()
    space: Kind = Kind()

    @property
    def is_choice(self) -> bool:
        """Whether the decision is one of some arms."""
        return self.space.type in ("choice", "boolean")


class Glance(msgspec.Struct, frozen=True):
    """One strategy at a glance.

    Attributes:
        serving: What is served.
        brief: Of the served blueprint.
        rows: Complete rows of the served version.
        waiting: Decisions that are not joined yet, of all versions.
        oldest: Time of the oldest of them; None where none waits.
        newest: Time of the newest decision there is; None where there is none.
        dead: Dead letters.
        said: The gate's last word; None where it was not asked.
    """

    serving: Serving
    brief: Brief
    rows: int = 0
    waiting: int = 0
    oldest: float | None = None
    newest: float | None = None
    dead: int = 0
    said: Said | None = None


_brief, _said = msgspec.json.Decoder(Brief), msgspec.json.Decoder(Said)


def read_overview(workspace: Workspace) -> list[Glance]:
    """Return all strategies at a glance, by name.

    Args:
        workspace: What `abloop.connect` gave.

    Raises:
        StoreError: The database cannot be read.
    """
    served = workspace.catalogue.servings()
    with workspace.database.reading() as connection:
        briefs, said = _briefs(connection), _verdicts(connection)
        rows, newest = _rows(connection)
        waiting = _waiting(connection)
        letters = dict(_pairs(connection, sa.select(dead.c.strategy, sa.func.count()).group_by(dead.c.strategy)))
    found = []
    for name, serving in served.items():
        number, oldest, last = waiting.get(name, (0, None, None))
        seen = [time for time in (newest.get(name), last) if time is not None]
        found.append(
            Glance(
                serving,
                briefs.get(name, Brief(name)),
                rows.get((name, serving.version), 0),
                number,
                oldest,
                max(seen, default=None),
                letters.get(name, 0),
                said.get(name),
            )
        )
    return found


def read_briefs(workspace: Workspace) -> dict[str, Brief]:
    """Return what many pages need of each served blueprint, by strategy."""
    with workspace.database.reading() as connection:
        return _briefs(connection)


def _briefs(connection: Connection) -> dict[str, Brief]:
    newest = sa.select(sa.func.max(servings.c.id)).group_by(servings.c.strategy)
    its = (servings.c.strategy == blueprints.c.strategy, servings.c.version == blueprints.c.version)
    query = sa.select(blueprints.c.strategy, blueprints.c.body).join(servings, sa.and_(*its))
    return {name: _brief.decode(body) for name, body in _pairs(connection, query.where(servings.c.id.in_(newest)))}


def _verdicts(connection: Connection) -> dict[str, Said]:
    newest = sa.select(sa.func.max(verdicts.c.id)).group_by(verdicts.c.strategy)
    found = {}
    for row in connection.execute(sa.select(verdicts).where(verdicts.c.id.in_(newest))):
        said = _said.decode(row.body)
        found[row.strategy] = msgspec.structs.replace(said, at=row.at, version=row.version)
    return found


def _rows(connection: Connection) -> tuple[dict[tuple[str, int], int], dict[str, float]]:
    """Return complete rows by strategy and version, and the time of the newest by strategy."""
    its = files.c
    query = sa.select(its.strategy, its.version, sa.func.sum(its.rows), sa.func.max(its.newest))
    rows: dict[tuple[str, int], int] = {}
    newest: dict[str, float] = {}
    for name, version, number, last in connection.execute(
        query.where(its.until.is_(None)).group_by(its.strategy, its.version)
    ):
        rows[name, version] = int(number)
        if last is not None:
            newest[name] = max(last, newest.get(name, last))
    return rows, newest


def _waiting(connection: Connection) -> dict[str, tuple[int, float, float]]:
    """Return how many decisions wait, and the times of the oldest and the newest, by strategy."""
    at = decisions.c.at
    query = sa.select(decisions.c.strategy, sa.func.count(), sa.func.min(at), sa.func.max(at))
    query = query.where(decisions.c.body.is_not(None)).group_by(decisions.c.strategy)
    return {name: (number, oldest, newest) for name, number, oldest, newest in connection.execute(query)}


def _pairs(connection: Connection, query: Any) -> list[tuple[str, Any]]:
    return [(row[0], row[1]) for row in connection.execute(query)]
