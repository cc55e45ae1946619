"""Threads that fetch rows of feature groups, each group with its own."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import perf_counter

from abloop.store.rows import Row

IDLE_SECONDS = 30.0


class Flight:
    """One fetch under way, shared by all who want its entity."""

    __slots__ = ("answered", "at", "began", "done", "entity", "late", "row")

    def __init__(self, entity: str, began: float) -> None:
        self.entity = entity
        self.began = began
        self.done = threading.Event()
        self.answered = False
        self.late = False
        self.row: Row = None
        self.at = math.nan


class Crew:
    """The threads of one group: started when there is work, gone when there was none for a while."""

    def __init__(self, name: str, most: int, run: Callable[[Flight], None]) -> None:
        self._name, self._most, self._run = name, most, run
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Flight | None] = SimpleQueue()
        self._threads: set[threading.Thread] = set()
        self._closed = False

    def send(self, flight: Flight, under_way: int) -> None:
        """Have a fetch done; `under_way` counts it and those not finished."""
        with self._lock:
            self._queue.put(flight)
            if len(self._threads) >= min(self._most, under_way):
                return
            thread = threading.Thread(target=self._work, name=f"abloop-fetch {self._name}", daemon=True)
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the system has no thread to give, or the interpreter ends: the fetch is late
            with self._lock:
                self._threads.discard(thread)

    def _work(self) -> None:
        while True:
            try:
                flight = self._queue.get(timeout=IDLE_SECONDS)
            except Empty:
                flight = None
            if flight is not None:
                self._run(flight)
                continue
            with self._lock:
                if self._closed or self._queue.empty():
                    self._threads.discard(threading.current_thread())
                    return

    def close(self, until: float) -> None:
        """Let every thread end, and wait for them until a point of `perf_counter`."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
            for _ in threads:
                self._queue.put(None)
        for thread in threads:
            thread.join(max(0.0, until - perf_counter()))
