"""Products and workers in processes of their own, a killer, and a log of what products were told.

Observations come at any time up to a little after the TTL, some twice: so that some come after their row was complete.
A process that ends by itself fails the check.
"""

from __future__ import annotations

import heapq
import os
import random
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from abloop import offline
from abloop.errors import AbloopError
from abloop.loop import Loop
from abloop.store import parquet
from abloop.store.compaction import compact
from abloop.store.late import join_late
from abloop.store.spool import segments
from abloop.store.status import read_status
from abloop.store.tables import late
from abloop.worker import Turn, Worker
from tests.postgres import Server

TTL = 2.0
PRODUCTS, WORKERS, THREADS = 2, 2, 2
PAUSE = 0.004  # between two decisions of a thread
SERVER_EVERY = 16  # kills after which the server is killed too
MOST_OBSERVATIONS = 4
LONGEST_DELAY = 1.1 * TTL
LONGEST_PAUSE = 0.2  # of a worker between shipping and joining, and between a file and its listing
AWAY_SECONDS = 3.0
BLUEPRINT: dict[str, Any] = {
    "strategy": "s",
    "arms": [{"name": "a"}, {"name": "b"}],
    "metrics": [{"name": "spend", "combine": "sum"}],
    "features": [{"name": "x"}],
    "lifecycle": {"ttl": TTL},
}


class Rig:
    """Processes over one installation, and the log of what they were told.

    Args:
        directory: Where everything is.
        url: The database.
        seed: Of the killer's choices.
    """

    def __init__(self, directory: Path, url: str, seed: int) -> None:
        """Register the strategy and serve it once, so that this disk knows it; start nothing yet."""
        self.directory, self.url, self.rng = directory, url, random.Random(seed)
        self.log, self.owner = directory / "acknowledged", os.getpid()
        self.living: dict[int, Callable[[], None]] = {}
        self.killed: Counter[str] = Counter()
        loop = self.open()
        loop.register(BLUEPRINT)
        loop.strategy("s")
        loop.close()

    def open(self) -> Loop:
        """Return the installation."""
        return Loop(self.url, self.directory, refresh_seconds=3_600.0)

    def start(self, work: Callable[[], None]) -> None:
        """Fork a process that works until it is killed."""
        pid = os.fork()
        if pid:
            self.living[pid] = work
            return
        work_or_end(work)

    def kill(self, pid: int) -> Callable[[], None]:
        """Kill a process, and return what it did; one that had ended by itself is an error."""
        work = self.living.pop(pid)
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        assert os.WIFSIGNALED(status), f"a {work.__name__} ended by itself"
        self.killed[work.__name__] += 1
        return work

    def product(self) -> None:
        """Decide and observe from several threads, each call noted before it and after."""
        loop = self.open()
        strategy, log = loop.strategy("s"), os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        start = f"{os.getpid()}-{time.time_ns()}"

        def note(text: str) -> None:
            os.write(log, f"{text}\n".encode())

        def act(thread: int) -> None:
            rng, number = random.Random(f"{start}-{thread}"), 0
            later: list[tuple[float, str, int]] = []
            while os.getppid() == self.owner:
                name, number = f"{start}-{thread}-{number}", number + 1
                note(f"D {name}")
                strategy.get_decision(name, {"user_id": name, "x": rng.random()})
                assert not strategy.errors, "a call was answered with the default"
                note(f"d {name}")
                for bit in range(rng.randrange(MOST_OBSERVATIONS + 1)):
                    for _ in range(rng.choice([1, 1, 2])):
                        delay = rng.choice([0.0, rng.uniform(0.0, LONGEST_DELAY), rng.uniform(0.95, 1.0) * TTL])
                        heapq.heappush(later, (time.time() + delay, name, bit))
                while later and later[0][0] <= time.time():
                    _, name, bit = heapq.heappop(later)
                    note(f"O {name} {bit}")
                    strategy.log_observations(name, {"spend": 2**bit}, key=f"k{bit}")
                    assert not strategy.errors, "an observation was refused"
                    note(f"o {name} {bit}")
                time.sleep(PAUSE)

        threads = [
            threading.Thread(target=work_or_end, args=(partial(act, thread),), daemon=True) for thread in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def worker(self) -> None:
        """Ship and join, whatever fails, with pauses in which others get in between."""
        loop, log = self.open(), os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        rng, write = random.Random(time.time_ns()), parquet.write

        def write_slowly(*arguments: Any) -> str:
            name = write(*arguments)
            time.sleep(rng.choice([0.0, 0.0, rng.uniform(0.0, LONGEST_PAUSE)]))
            return name

        parquet.write = write_slowly  # a file is there, and nobody knows it yet
        while os.getppid() == self.owner:
            try:
                os.write(log, f"J {turn(loop, rng.uniform(0.0, LONGEST_PAUSE))}\n".encode())
            except AbloopError:
                time.sleep(0.02)

    def regular(self) -> None:
        """Do what `abloop worker` does; the only error that is allowed is that the database is away."""
        loop, log, stop = self.open(), os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), threading.Event()

        def told(turn: Turn) -> None:
            if os.getppid() != self.owner:
                stop.set()
            wrong = [part.error for part in turn.strategies if part.error]
            assert not wrong, wrong
            os.write(log, f"{'A' if turn.error else 'J'} {sum(part.late for part in turn.strategies)}\n".encode())

        Worker(loop).run(0.1, stop, told)

    @contextmanager
    def working(self, worker: Callable[[], None]) -> Iterator[None]:
        """Let products and workers work, and kill them in the end."""
        try:
            for work in [self.product] * PRODUCTS + [worker] * WORKERS:
                self.start(work)
            yield
        finally:
            for pid in list(self.living):
                self.kill(pid)

    def run(self, kills: int, server: Server | None) -> None:
        """Kill one process after another, each at a random moment, and start it again; now and then the server."""
        with self.working(self.worker):
            for number in range(kills):
                time.sleep(self.rng.uniform(0.02, 0.4))
                self.start(self.kill(self.rng.choice(list(self.living))))
                if server is not None and number % SERVER_EVERY == SERVER_EVERY - 1:
                    server.kill()
                    self.killed["server"] += 1
                    time.sleep(self.rng.uniform(0.0, 0.5))
                    server.start()

    def outages(self, number: int, server: Server) -> None:
        """Stop the server for some seconds, in turn as an administrator does and as a crash does; products go on."""
        with self.working(self.regular):
            for turn in range(number):
                time.sleep(TTL)
                (server.kill if turn % 2 else server.halt)()
                self.killed["server"] += 1
                self.start(self.kill(next(pid for pid, work in self.living.items() if work == self.product)))
                for _ in range(2):
                    before = self.log.stat().st_size
                    time.sleep(AWAY_SECONDS / 2)
                    assert self.log.stat().st_size > before, "the products stand still"
                server.start()
            time.sleep(TTL)

    def drain(self) -> tuple[pd.DataFrame, pd.DataFrame, bool]:
        """Let one worker bring everything to its end; return table, late observations, and whether the sums hold."""
        loop = self.open()
        time.sleep(TTL + 0.1)
        for _ in range(3):
            turn(loop)
        (custody,) = read_status(loop).strategies
        rest = (custody.waiting, custody.fates["waiting"], len(segments(loop.spool_directory)))
        assert rest == (0, 0, 0), f"decisions, observations and segments that still wait: {rest}"
        files = [loop.table_directory / file.name for file in loop.manifest.files("s")]
        columns = ["decision_id", "time", "y.spend", "n.spend", "at.spend"]
        table = pd.concat([pq.read_table(file, columns=columns).to_pandas() for file in files])
        with loop.database.reading() as connection:
            left = pd.DataFrame(connection.execute(late.select()).mappings().all(), columns=list(late.c.keys()))
        loop.close()
        return table, left, custody.balanced


def work_or_end(work: Callable[[], None]) -> None:
    """Work, and end the whole process where that ends, saying why."""
    try:
        work()
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def turn(loop: Loop, pause: float = 0.0) -> int:
    """Turn the cold path once, and return how many observations came after their row was complete."""
    offline.ship_spool(loop)
    time.sleep(pause)  # what comes meanwhile may come after its row
    offline.join_rows(loop, "s")
    joined = join_late(loop, "s").joined
    compact(loop, "s")
    return joined
