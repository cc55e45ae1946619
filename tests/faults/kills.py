"""Products, workers and the database server are killed under load; what was acknowledged is looked for in the table.

`python -m tests.faults.kills [KILLS] [sqlite|postgres] [SEED]` runs the check and prints a line of a table.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from abloop import offline
from abloop.errors import AbloopError
from abloop.loop import Loop
from abloop.store.late import join_late
from abloop.store.spool import segments
from abloop.store.status import read_status
from abloop.store.tables import late
from tests.postgres import Server

TTL = 2.0
PRODUCTS, WORKERS, THREADS = 2, 2, 2
PAUSE = 0.004  # between two decisions of a thread
SERVER_EVERY = 16  # kills after which the server is killed too
MOST_OBSERVATIONS = 4
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
        """Register the strategy; start nothing yet."""
        self.directory, self.url, self.rng = directory, url, random.Random(seed)
        self.log = directory / "acknowledged"
        self.living: dict[int, Callable[[], None]] = {}
        self.killed: Counter[str] = Counter()
        loop = self.open()
        loop.register(BLUEPRINT)
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
        try:
            work()
        finally:
            os._exit(1)

    def kill(self, pid: int) -> Callable[[], None]:
        """Kill a process, and return what it did."""
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        work = self.living.pop(pid)
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
            rng = random.Random(f"{start}-{thread}")
            for number in range(1_000_000):
                name = f"{start}-{thread}-{number}"
                note(f"D {name}")
                strategy.get_decision(name, {"user_id": name, "x": rng.random()})
                note(f"d {name}")
                for bit in range(rng.randrange(MOST_OBSERVATIONS + 1)):
                    note(f"O {name} {bit}")
                    for _ in range(rng.choice([1, 1, 2])):
                        strategy.log_observations(name, {"spend": 2**bit}, key=f"k{bit}")
                    note(f"o {name} {bit}")
                time.sleep(PAUSE)

        threads = [threading.Thread(target=act, args=(thread,), daemon=True) for thread in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def worker(self) -> None:
        """Ship and join without a pause, whatever fails."""
        loop = self.open()
        while True:
            try:
                turn(loop)
            except AbloopError:
                time.sleep(0.02)

    def run(self, kills: int, server: Server | None) -> None:
        """Kill one process after another, each at a random moment, and start it again; then all of them."""
        for work in [self.product] * PRODUCTS + [self.worker] * WORKERS:
            self.start(work)
        for number in range(kills):
            time.sleep(self.rng.uniform(0.02, 0.4))
            self.start(self.kill(self.rng.choice(list(self.living))))
            if server is not None and number % SERVER_EVERY == SERVER_EVERY - 1:
                server.kill()
                self.killed["server"] += 1
                time.sleep(self.rng.uniform(0.0, 0.5))
                server.start()
        for pid in list(self.living):
            self.kill(pid)

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
        columns = ["decision_id", "y.spend", "n.spend"]
        table = pd.concat([pq.read_table(file, columns=columns).to_pandas() for file in files])
        with loop.database.reading() as connection:
            left = pd.DataFrame(connection.execute(late.select()).mappings().all(), columns=list(late.c.keys()))
        loop.close()
        return table, left, custody.balanced


def turn(loop: Loop) -> None:
    """Turn the cold path once."""
    offline.ship_spool(loop)
    offline.join_rows(loop, "s")
    join_late(loop, "s")


def check(rig: Rig) -> dict[str, int]:
    """Compare the table with what was acknowledged, and return the counts."""
    table, left, balanced = rig.drain()
    attempted: dict[str, int] = {}
    acknowledged: dict[str, int] = {}
    for line in rig.log.read_text().splitlines():
        kind, name, *bit = line.split()
        told = attempted if kind in "DO" else acknowledged
        told[name] = told.get(name, 0) | (1 << int(bit[0]) if bit else 0)
    rows = table.set_index("decision_id")
    bits = rows["y.spend"].fillna(0).astype(int).to_dict()
    for name, key in zip(left["decision_id"], left["key"], strict=True):
        assert not bits[name] & (1 << int(key[1:])), f"{name} {key} is in its row, and late"
        bits[name] |= 1 << int(key[1:])
    found = {
        "decisions": len(acknowledged),
        "observations": sum(value.bit_count() for value in acknowledged.values()),
        "lost": len(acknowledged.keys() - bits.keys()),
        "lost observations": sum((value & ~bits.get(name, 0)).bit_count() for name, value in acknowledged.items()),
        "doubled": int(rows.index.duplicated().sum()),
        "invented": sum((value & ~attempted.get(name, 0)).bit_count() for name, value in bits.items()),
        "never sent": len(bits.keys() - attempted.keys()),
    }
    counted = rows["y.spend"].fillna(0).astype(int).map(int.bit_count)
    found["doubled observations"] = int((rows["n.spend"] - counted).abs().sum())  # one counted twice moves a bit
    assert balanced
    assert sum(found[name] for name in found if name not in ("decisions", "observations")) == 0, found
    return found


def run(kills: int, kind: str, seed: int) -> dict[str, int]:
    """Run the check on a fresh installation."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if kind == "sqlite":
            rig = Rig(directory, f"sqlite:///{directory}/x.db", seed)
            rig.run(kills, None)
            return check(rig) | dict(rig.killed)
        with Server() as server:
            rig = Rig(directory, server.url(), seed)
            rig.run(kills, server)
            return check(rig) | dict(rig.killed)


def main(kills: int = 200, kind: str = "sqlite", seed: int = 0) -> None:
    """Run it and say what was found."""
    started = time.perf_counter()
    found = run(kills, kind, seed)
    took = time.perf_counter() - started
    names = ("product", "worker", "server", "decisions", "observations")
    said = " | ".join(f"{found.get(name, 0):,}" for name in names)
    sys.stdout.write(f"| {kind} | {said} | 0 | 0 | {took:.0f} |\n")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 200, given[1] if len(given) > 1 else "sqlite", int(given[2]) if given[2:] else 0)
