"""Tallies at decision time: what the database counted of an entity, and what this process saw since.

Events of this process that were not shipped yet are added to what the database has; the database says, in the same
reading, how far each segment was shipped, so that no event is missing and none is counted twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from abloop.features.spec import Feature, Group
from abloop.features.tally import Tallied, bucket_of, first_bucket, resolution_of, value_of
from abloop.store.sql import Database
from abloop.store.tables import segments, tallies

MOST_DECISIONS = 100_000
MOST_ENTITIES = 100_000
MOST_EVENTS = 1_000  # of one entity that were not shipped yet


class Live:
    """Events of this process that the database may not have counted yet, for the event groups of a blueprint.

    Args:
        groups: Groups of the blueprint.
        features: Features of the blueprint.
    """

    def __init__(self, groups: Sequence[Group], features: Sequence[Feature]) -> None:
        """Begin with none."""
        self._places = [place for place, group in enumerate(groups) if group.events]
        self._features = {
            place: tuple(feature for feature in features if feature.group == groups[place].name)
            for place in self._places
        }
        self._metrics = {feature.metric for each in self._features.values() for feature in each}
        self._lock = threading.Lock()
        self._about: dict[str, tuple[str, ...]] = {}
        # place and entity to the events: metric, value, time, segment, offset
        self._events: dict[tuple[int, str], list[tuple[str, float, float, str, int]]] = {}

    def decided(self, decision_id: str, about: tuple[str, ...]) -> None:
        """Remember what a decision was about; the oldest are forgotten."""
        with self._lock:
            self._about[decision_id] = about
            if len(self._about) > MOST_DECISIONS:
                del self._about[next(iter(self._about))]

    def observed(self, decision_id: str, name: str, value: float, at: float, where: tuple[str, int]) -> None:
        """Remember an event until the database has counted it.

        Args:
            decision_id: Its decision; one that another process made is left to the database.
            name: The metric.
            value: Its value.
            at: When it happened.
            where: Segment of the spool and offset of the record's end.
        """
        if name not in self._metrics:
            return
        with self._lock:
            about = self._about.get(decision_id)
            if about is None:
                return
            for place in self._places:
                if about[place]:
                    events = self._events.setdefault((place, about[place]), [])
                    events.append((name, value, at, *where))
                    del events[:-MOST_EVENTS]
            if len(self._events) > MOST_ENTITIES:
                del self._events[next(iter(self._events))]

    def waiting(self, place: int, entity: str) -> set[str]:
        """Return the segments that hold events of an entity which may not be counted yet."""
        with self._lock:
            return {event[3] for event in self._events.get((place, entity), ())}

    def values(self, place: int, entity: str, base: Mapping[str, Any] | None, now: float) -> Mapping[str, float | None]:
        """Return the features of an entity: what the database counted, and what it has not yet.

        Args:
            place: Which group.
            entity: Its id.
            base: From `compile_tallies`.
            now: Seconds since 1970.
        """
        counted: Mapping[str, Any] = base or {"": {}}
        shipped: Mapping[str, int] = counted[""]
        with self._lock:
            events = self._events.get((place, entity), [])
            if events:
                events[:] = [event for event in events if event[4] > shipped.get(event[3], 0)]
                events = list(events)
        found = {}
        for feature in self._features[place]:
            total, first = counted.get(feature.name, Tallied()), first_bucket(now, feature.window)
            for metric, value, at, _, _ in events:
                if metric == feature.metric and bucket_of(at, resolution_of(feature.window)) >= first:
                    total = total.plus(Tallied(1, value, value, at))
            found[feature.name] = value_of(feature, total)
        return found


def compile_tallies(
    strategy: str,
    group: Group,
    place: int,
    features: Sequence[Feature],
    database: Database,
    live: Live,
    clock: Callable[[], float],
) -> Callable[[str], Mapping[str, Any]]:
    """Return a function of an entity's id that gives what the database has counted of it.

    Args:
        strategy: Its name.
        group: A group of events.
        place: Its place in the blueprint.
        features: Its features.
        database: Where tallies are.
        live: Events of this process.
        clock: Gives seconds since 1970.

    Returns:
        Entity to feature name to `Tallied`, and under the empty name how far each segment was shipped.
    """
    metrics = sorted({feature.metric for feature in features})
    mine = (tallies.c.strategy == strategy, tallies.c.key == group.key, tallies.c.metric.in_(metrics))

    def fetch(entity: str) -> Mapping[str, Any]:
        now, names = clock(), live.waiting(place, entity)
        starts = {feature.name: first_bucket(now, feature.window) for feature in features}
        oldest: dict[int, int] = {}
        for feature in features:
            size = resolution_of(feature.window)
            oldest[size] = min(starts[feature.name], oldest.get(size, starts[feature.name]))
        reach = sa.or_(*[sa.and_(tallies.c.resolution == size, tallies.c.bucket >= at) for size, at in oldest.items()])
        with database.reading() as connection:
            rows = (
                connection.execute(sa.select(tallies).where(*mine, tallies.c.entity == entity, reach)).mappings().all()
            )
            done = connection.execute(sa.select(segments).where(segments.c.name.in_(names))).all() if names else []
        found: dict[str, Any] = {"": {row.name: row.shipped for row in done}}
        for feature in features:
            total, size = Tallied(), resolution_of(feature.window)
            for row in rows:
                if (row["metric"], row["resolution"]) == (feature.metric, size) and row["bucket"] >= starts[
                    feature.name
                ]:
                    total = total.plus(Tallied(row["count"], row["sum"], row["last"], row["last_at"]))
            found[feature.name] = total
        return found

    return fetch
