"""What is described, served and judged: blueprints, servings, artefacts and verdicts in the database."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from abloop.assign.allocation import Allocation
from abloop.blueprint import Blueprint
from abloop.blueprint.policy import first_phase
from abloop.errors import StoreError, UnknownNameError, unknown
from abloop.evaluate.verdict import Verdict
from abloop.models.artefact import Artefact, pack, unpack
from abloop.store.audit import note
from abloop.store.serving import Serving
from abloop.store.sql import Database
from abloop.store.tables import artefacts, blueprints, servings, verdicts
from abloop.store.versions import Seen, add_version, checked, read_allocation

RACES = 5  # how often a number may be taken by another process before this one gives up


class Registered(msgspec.Struct, frozen=True):
    """Who registered a blueprint version, when and why.

    Attributes:
        version: From 1.
        at: Seconds since 1970.
        who: Who.
        why: Why.
    """

    version: int
    at: float
    who: str
    why: str


class Catalogue:
    """Blueprints, servings, artefacts and verdicts.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def add_blueprint(
        self, blueprint: Blueprint, *, at: float, who: str, why: str, serve: bool = True, seen: Seen | None = None
    ) -> int:
        """Keep a blueprint as the newest version of its strategy and serve it, randomised unless it is paused.

        A blueprint equal to any version changes nothing, so that a product may register at every start: neither
        a rollback nor a colleague's newer version is undone by a restart.

        Args:
            blueprint: Checked blueprint.
            at: Seconds since 1970.
            who: Who registers it.
            why: Why.
            serve: Whether a new version is served from now on; the first one always is.
            seen: The newest and the served version that it was written after, 0 where there was none; whatever is
                there where None.

        Returns:
            Its version, from 1.

        Raises:
            ConflictError: Something else is newest or served by now than what was seen; nothing was changed.
        """
        said: Any = {"at": at, "who": who, "why": why, "serve": serve, "seen": seen, "url": self._database.url}
        for left in reversed(range(RACES)):
            try:
                with self._database.transaction() as connection:
                    return add_version(connection, blueprint, **said)
            except StoreError as error:  # somebody took the same number at the same time: look again
                if not left or not isinstance(error.__cause__, IntegrityError):
                    raise
        raise AssertionError

    def allocation(self, strategy: str, version: int) -> Allocation | None:
        """Return which part of the hash space is whose arm in a version; None where its weights alone say it."""
        with self._database.reading() as connection:
            return read_allocation(connection, strategy, version)

    def blueprints(self, strategy: str) -> list[tuple[Registered, Blueprint]]:
        """Return every version of a strategy's blueprint with who, when and why, oldest first.

        Raises:
            UnknownNameError: There is no such strategy.
            StoreError: A stored text was altered.
        """
        query = sa.select(blueprints).where(blueprints.c.strategy == strategy).order_by(blueprints.c.version)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        if not rows:
            self.serving(strategy)  # says that there is no such strategy, and which there are
        return [(Registered(row.version, row.at, row.who, row.why), checked(row, self._database.url)) for row in rows]

    def blueprint(self, strategy: str, version: int | None = None) -> tuple[int, Blueprint]:
        """Return a version of a strategy's blueprint; the newest for None.

        Raises:
            UnknownNameError: There is no such strategy or version.
            StoreError: The stored text was altered.
        """
        query = sa.select(blueprints).where(blueprints.c.strategy == strategy)
        query = query.where(blueprints.c.version == version) if version else query
        with self._database.reading() as connection:
            row = connection.execute(query.order_by(blueprints.c.version.desc()).limit(1)).first()
        if row is None:
            known = list(self.servings())
            name = strategy if strategy not in known else f"{strategy} version {version}"
            raise UnknownNameError(f"{unknown('strategy', name, known)}. Register it first: loop.register(blueprint)")
        return int(row.version), checked(row, self._database.url)

    def servings(self) -> dict[str, Serving]:
        """Return what is served now, by strategy, in alphabetical order."""
        newest = sa.select(sa.func.max(servings.c.id)).group_by(servings.c.strategy)
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(servings).where(servings.c.id.in_(newest)).order_by(servings.c.strategy)
            ).all()
        return {row.strategy: _serving(row) for row in rows}

    def serving(self, strategy: str) -> Serving:
        """Return what is served now for one strategy.

        Raises:
            UnknownNameError: There is no such strategy.
        """
        newest = self.history(strategy, most=1) if "\0" not in strategy else []  # which Postgres refuses to look up
        if not newest:
            known = list(self.servings())
            raise UnknownNameError(
                f"{unknown('strategy', strategy, known)}. Register it first: loop.register(blueprint)"
            )
        return newest[0]

    def history(self, strategy: str, most: int = 100) -> list[Serving]:
        """Return what was served, newest first, at most so many."""
        query = sa.select(servings).where(servings.c.strategy == strategy).order_by(servings.c.id.desc()).limit(most)
        with self._database.reading() as connection:
            return [_serving(row) for row in connection.execute(query)]

    def last_serving(self, strategy: str, version: int) -> Serving:
        """Return how a version was last served when not paused, or how it would begin if it never was."""
        mine = (servings.c.strategy == strategy, servings.c.version == version, servings.c.phase != "paused")
        with self._database.reading() as connection:
            row = connection.execute(sa.select(servings).where(*mine).order_by(servings.c.id.desc()).limit(1)).first()
        return _serving(row) if row else Serving(strategy, version, first_phase(self.blueprint(strategy, version)[1]))

    def serve(self, serving: Serving, artefact: Artefact | None = None, *, what: str = "serve version") -> Serving:
        """Serve something else from now on, keeping its artefact in the same transaction.

        Args:
            serving: What is to be served; its release is filled in from the artefact, where there is one.
            artefact: A new model; None for none, or one that is kept already.
            what: What the log of changes calls it.

        Returns:
            The serving as kept.
        """
        release, payload = pack(artefact) if artefact else (serving.release, b"")
        row = {**msgspec.structs.asdict(serving), "release": release}
        with self._database.transaction() as connection:
            if artefact:
                insert = self._database.insert_new(artefacts)
                connection.execute(insert.values(name=release, body=payload, at=serving.at))
            connection.execute(servings.insert().values(**row))
            body = {name: row[name] for name in ("version", "phase", "release")}
            by = {"who": serving.who, "what": what, "target": serving.strategy, "why": serving.why}
            note(connection, at=serving.at, **by, body=body)
        return Serving(**row)

    def artefact(self, name: str) -> Artefact:
        """Return a verified artefact.

        Raises:
            ArtefactError: Its bytes were altered.
            StoreError: It is not there.
        """
        body = artefact_bytes(self._database, name)
        if body is None:
            raise StoreError(f"database {self._database.url}: artefact {name[:12]} is missing. Train again")
        return unpack(name, body)

    def add_verdict(self, strategy: str, version: int, verdict: Verdict, *, at: float) -> None:
        """Keep what the gate said."""
        body = msgspec.json.encode(verdict).decode()
        with self._database.transaction() as connection:
            connection.execute(verdicts.insert().values(strategy=strategy, version=version, at=at, body=body))

    def verdicts(self, strategy: str, most: int = 100) -> list[tuple[float, int, Verdict]]:
        """Return time, blueprint version and verdict of the last times the gate was asked, newest first."""
        query = sa.select(verdicts).where(verdicts.c.strategy == strategy).order_by(verdicts.c.id.desc()).limit(most)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [(row.at, row.version, _read_verdict(row.body)) for row in rows]


def artefact_bytes(database: Database, name: str) -> bytes | None:
    """Return the bytes of an artefact, to be verified by their reader; None where it is not there."""
    with database.reading() as connection:
        body = connection.execute(sa.select(artefacts.c.body).where(artefacts.c.name == name)).scalar()
    return None if body is None else bytes(body)


def _serving(row: Any) -> Serving:
    """Return a row of the table of servings."""
    return Serving(row.strategy, row.version, row.phase, row.release, row.at, row.who, row.why)


def _read_verdict(body: str) -> Verdict:
    """Return a stored verdict; JSON has no NaN, so that a number that is null was not estimated."""
    raw = msgspec.json.decode(body)
    nan = float("nan")
    raw.update({key: nan for key in ("gain", "low", "high") if raw[key] is None})
    return msgspec.convert(raw, Verdict)
