"""The online feature store of a product process: a bounded cache in front of the sources of feature groups.

A decision never waits longer than its group's budget. A value that was found is used again while it is young enough,
and is fetched anew in the background before it is too old. A source that hangs or fails makes its own features
missing and nothing else: every group has threads of its own.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Callable
from time import perf_counter

from abloop.store.crew import Crew, Flight
from abloop.store.memory import CacheStats, Memory
from abloop.store.rows import Fetch, Row
from abloop.store.shared import Shared, packable

log = logging.getLogger("abloop")
Clock = Callable[[], float]
MISSING = (None, None)
FLIGHTS_PER_THREAD = 16
STRIKES = 5
PAUSE_SECONDS = 2.0
CLOSE_SECONDS = 1.0
COMPLAIN_SECONDS = 60.0
_stores: weakref.WeakSet[OnlineStore] = weakref.WeakSet()


class GroupCache:
    """The rows of one group, as `OnlineStore.group` gives it: for any thread, and across forks."""

    def __init__(self, name: str, clock: Clock, memory: Memory, threads: int, shared: Shared | None) -> None:
        """Hold nothing yet."""
        self.name = name
        self._clock, self._memory, self._threads, self._shared = clock, memory, threads, shared
        self._held = memory.room()
        self._most = threads * FLIGHTS_PER_THREAD
        self._hits = self._misses = self._late = self._failed = 0
        self._complained, self._closed = -math.inf, False
        self.restart()

    def serve(self, fetch: Fetch, budget: float, max_age: float) -> None:
        """Fetch from a source from now on."""
        self._fetch, self._budget, self._max_age, self._fresh = fetch, budget, max_age, max_age / 2

    def restart(self) -> None:
        """Begin without threads and with a lock nobody holds, as a forked child must."""
        self._lock = threading.Lock()
        self._flights: dict[str, Flight] = {}
        self._probe: Flight | None = None
        self._strikes, self._failed_at = 0, -math.inf
        self._crew = Crew(self.name, self._threads, self._run)

    def fetch(self, entity: str) -> tuple[Row, float | None]:
        """Return an entity's row and the seconds since it was read; never raises, waits at most the budget.

        Args:
            entity: Its id.

        Returns:
            Row and age; None and age where there is no such entity; None and None where it is not known in time.
            The row is shared: it may not be changed.
        """
        try:
            entry = self._held.young.get(entity)
            if entry is not None:
                age = self._clock() - entry[1]
                if 0.0 <= age <= self._fresh:
                    self._hits += 1
                    return entry[0], age
            return self._look(entity)
        except Exception as error:  # the promise of the hot path, whatever a stranger's id or clock does
            self._complain(_said(error))
            return MISSING

    def _look(self, entity: str) -> tuple[Row, float | None]:
        """Answer from what is no longer fresh, or wait for the source."""
        asked = self._clock()
        entry = self._held.young.get(entity)
        if entry is None and (entry := self._held.old.get(entity)) is not None:
            self._memory.promote(self._held, entity, entry)
        if entry is not None and 0.0 <= asked - entry[1] <= self._max_age:
            self._hits += 1
            if asked - entry[1] > self._fresh:
                self._begin(entity, asked, self._most // 2)  # what nobody waits for leaves room for what is waited for
            return entry[0], asked - entry[1]
        self._misses += 1
        end = perf_counter() + self._budget  # a thread that has to start is part of it
        flight = self._begin(entity, asked, self._most)
        if flight is None:
            self._late += 1
            return MISSING
        if not flight.done.wait(max(0.0, end - perf_counter())):
            return self._give_up(flight)
        age = max(0.0, self._clock() - flight.at)
        return (flight.row, age) if flight.answered and age <= self._max_age + self._budget else MISSING

    def _begin(self, entity: str, now: float, most: int) -> Flight | None:
        """Have an entity fetched, if it is not under way and there is room; return the fetch if it is worth a wait."""
        with self._lock:
            shut = self._strikes >= STRIKES
            if (flight := self._flights.get(entity)) is not None:
                return None if shut or flight.late else flight
            if self._closed or len(self._flights) >= (self._threads if shut else most):
                return None
            if shut:
                probed = self._probe is None or self._probe.done.is_set()
                if not probed or 0.0 <= now - self._failed_at < PAUSE_SECONDS:
                    return None
            flight = self._flights[entity] = Flight(entity, now)
            self._probe = flight if shut else None
            under_way = len(self._flights)
        self._crew.send(flight, under_way)
        return None if shut else flight

    def _give_up(self, flight: Flight) -> tuple[None, None]:
        """Count a fetch that did not come in time; when it comes, it is kept all the same."""
        with self._lock:
            self._late += 1
            self._strikes += not flight.late
            shut = self._strikes == STRIKES and not flight.late
            flight.late = True
        if shut:
            self._complain(f"{STRIKES} fetches in a row failed or took over {self._budget:g} s; nobody waits for now")
        return MISSING

    def _run(self, flight: Flight) -> None:
        """Fetch in a thread: fill the cache, wake who waits, tell the other processes."""
        began, problem, own = perf_counter(), "", False
        try:
            if not self._closed:
                flight.row, flight.at, own = self._obtain(flight.entity)
                self._memory.keep(self._held, flight.entity, (flight.row, flight.at))
                flight.answered = True
        except BaseException as error:  # even SystemExit: the thread is ours, and somebody waits for it
            problem = _said(error)
        with self._lock:
            if self._flights.get(flight.entity) is flight:
                del self._flights[flight.entity]
            if problem:
                self._failed += 1
                self._failed_at = flight.began
                self._strikes += not flight.late
            elif perf_counter() - began <= self._budget:
                self._strikes = 0
        flight.done.set()
        if problem:
            self._complain(problem)
        if own and self._shared is not None:
            self._shared.put(self.name, flight.entity, flight.row, flight.at, self._max_age)

    def _obtain(self, entity: str) -> tuple[Row, float, bool]:
        """Return a row, when it was read, and whether this process read it from the source."""
        now = self._clock()
        known = None if self._shared is None else self._shared.get(self.name, entity)
        if known is not None and now - known[1] <= self._fresh:
            return known[0], min(known[1], now), False
        try:
            row = self._fetch(entity)
            return row if self._shared is None else packable(row), now, True  # as the others will see it
        except Exception as error:
            if known is None or not now - known[1] <= self._max_age:
                raise
            self._failed += 1
            self._complain(_said(error))
            return known[0], known[1], False

    def _complain(self, problem: str) -> None:
        """Log at most once a minute."""
        now = time.monotonic()
        if now - self._complained >= COMPLAIN_SECONDS:
            self._complained = now
            log.warning("feature group %r: its features are missing: %s", self.name, problem)

    def stats(self) -> CacheStats:
        """Return what became of the calls so far."""
        now, held = self._clock(), {**self._held.old, **self._held.young}
        ages = sorted(now - at for _, at in held.values() if 0.0 <= now - at <= self._max_age)
        middle, oldest = (ages[len(ages) // 2], ages[-1]) if ages else (None, None)
        shut = self._strikes >= STRIKES
        return CacheStats(self._hits, self._misses, self._late, self._failed, len(held), middle, oldest, shut)

    def close(self, until: float) -> None:
        """Fetch nothing more; wait for threads until a point of `perf_counter`."""
        self._closed = True
        self._crew.close(until)


def _said(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:300]
    except Exception:  # an error that cannot even say itself
        return type(error).__name__


class OnlineStore:
    """The caches of all feature groups in one process.

    Args:
        clock: Gives seconds since 1970.
        most_entities: Most entities in memory, all groups together.
        threads: Most threads that fetch for one group.
        shared: A Redis that processes share.

    Example:
        >>> store = OnlineStore()
        >>> user = store.group("user", {"u1": {"age": 31}}.get, budget=0.5, max_age=60.0)
        >>> user.fetch("u1")[0], user.fetch("u1")[0], store.stats()["user"].hit_rate
        ({'age': 31}, {'age': 31}, 0.5)
        >>> store.close()
    """

    def __init__(
        self, clock: Clock = time.time, *, most_entities: int = 100_000, threads: int = 4, shared: Shared | None = None
    ) -> None:
        """Hold nothing and start no thread yet."""
        self.clock = clock
        self._memory = Memory(most_entities)
        self._threads = threads
        self._shared = shared
        self._groups: dict[str, GroupCache] = {}
        self._lock = threading.Lock()
        _stores.add(self)

    def group(self, name: str, fetch: Fetch, budget: float, max_age: float) -> GroupCache:
        """Return the cache of a group; the same one for the same name, with the source as given now.

        Args:
            name: Its name, also in Redis: the same for all processes that fetch the same, and for nothing else.
            fetch: Reads one entity's row; may raise, hang and be called from several threads.
            budget: Seconds that a call waits.
            max_age: Seconds for which a row is used again; from half of it on it is fetched anew in the background.
        """
        with self._lock:
            if name not in self._groups:
                self._groups[name] = GroupCache(name, self.clock, self._memory, self._threads, self._shared)
            cache = self._groups[name]
            cache.serve(fetch, budget, max_age)
        return cache

    def stats(self) -> dict[str, CacheStats]:
        """Return hits, misses and ages by group."""
        return {name: cache.stats() for name, cache in list(self._groups.items())}

    def close(self) -> None:
        """Stop fetching; wait a second at most for what is under way."""
        until = perf_counter() + CLOSE_SECONDS
        for cache in list(self._groups.values()):
            cache.close(until)
        if self._shared is not None:
            self._shared.close()

    def abandon(self) -> None:
        """In a forked child: keep the rows, leave the parent's threads and locks alone."""
        self._lock = threading.Lock()
        self._memory.restart()
        for cache in self._groups.values():
            cache.restart()


def _after_fork() -> None:
    for store in list(_stores):
        store.abandon()


os.register_at_fork(after_in_child=_after_fork)
