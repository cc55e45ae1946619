"""Records on their way: what is spooled in a round, shipped and joined; and the long run.

`python -m benchmarks.flow [--rows N] [--url URL]` streams rows through spool, database and training table in rounds,
and prints seconds a million rows and the most memory it took.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from abloop import offline
from abloop.loop import Loop
from abloop.records import Decision, Observation, encode
from abloop.testing import ManualClock

TTL: Final = 3_600.0
START: Final = 1_700_000_000.0
ROUND: Final = 100_000
FEATURES: Final = [
    *({"name": f"f{place}"} for place in range(15)),
    *({"name": f"c{place}", "type": "categorical"} for place in range(5)),
]
BLUEPRINT: Final[dict[str, Any]] = {
    "strategy": "s",
    "arms": [{"name": "a"}, {"name": "b"}],
    "metrics": [{"name": "click"}, {"name": "spend", "combine": "sum"}, {"name": "best", "combine": "max"}],
    "features": FEATURES,
    "lifecycle": {"ttl": TTL},
}


METRICS: Final = ("click", "spend", "best")


def records(decisions: int, number: int, metrics: Sequence[str] = METRICS) -> list[tuple[int, bytes]]:
    """Return the records of a round: each decision, of 20 features, and an observation of each metric.

    Args:
        decisions: How many.
        number: The round; ids differ from round to round.
        metrics: What is observed.

    Returns:
        Kind of record (1 decision, 2 observation) and its bytes, in the order in which a product writes them.
    """
    rng, made = random.Random(number), []
    for place in range(decisions):
        at = START + number * 10_000 + place / 100
        name = f"{int(at * 1000):012x}{rng.getrandbits(64):016x}"
        values = (*(rng.random() for _ in range(15)), *(rng.choice("abc") for _ in range(5)))
        arm = "ab"[place & 1]
        decision = Decision(name, "s", 1, f"u{place % 5000}", at, values, (), arm, 0.5, "randomise", arm, latency=900)
        made.append((1, encode(decision)))
        for metric in metrics:
            key = f"{number:04x}{place:08x}{metric}"
            made.append((2, encode(Observation(name, "s", at + 5.0, metric, rng.random(), key))))
    return made


class Flow:
    """An installation whose spool is filled, shipped and joined round by round.

    Args:
        url: A new database.
    """

    def __init__(self, url: str) -> None:
        """Open it."""
        self._clock = ManualClock(START)
        self._directory = Path(tempfile.mkdtemp())
        self.loop = Loop(url, self._directory, clock=self._clock)
        self.loop.register(BLUEPRINT)
        self._rows = self._joined = 0

    def spool(self, payloads: list[tuple[int, bytes]]) -> None:
        """Write the records of a round."""
        for _, payload in payloads:
            self.loop.spool.append(payload)
        self.loop.spool.seal()
        self._rows = sum(kind == 1 for kind, _ in payloads)

    def run(self) -> None:
        """Ship and join what is spooled."""
        self._clock.advance(10_000)
        offline.ship_spool(self.loop)
        self._joined = offline.join_rows(self.loop, "s")

    def check(self, _: object) -> None:
        """Refuse a round that lost or doubled something.

        Raises:
            RuntimeError: It did.
        """
        if self._joined != self._rows:
            raise RuntimeError(f"{self._rows:,} decisions became {self._joined:,} rows")

    def __enter__(self) -> Flow:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove everything."""
        self.loop.close()
        shutil.rmtree(self._directory)


def wide_table(flow: Flow, rows: int) -> list[str]:
    """Make a training table of 100 features and return its files."""
    import numpy as np

    from abloop.blueprint import from_mapping
    from abloop.join import Joined, Seen
    from abloop.join import join as joined
    from abloop.store import parquet
    from abloop.store.manifest import TableFile

    raw = {**BLUEPRINT, "strategy": "wide", "features": [{"name": f"f{place}"} for place in range(100)]}
    flow.loop.register(raw)
    rng, files = np.random.default_rng(0), []
    for start in range(0, rows, offline.FILE_ROWS):
        values = rng.normal(size=(min(offline.FILE_ROWS, rows - start), 100)).tolist()
        made = [
            Decision(
                f"d{start + at}", "wide", 1, f"u{at % 9}", START + start + at, tuple(v), (), "a", 0.5, "randomise", "a"
            )
            for at, v in enumerate(values)
        ]
        labels: Joined = joined(made, Seen(), [], TTL)
        table = parquet.to_table(made, labels, from_mapping(raw), [b""] * len(made))
        name = parquet.write(table, flow.loop.table_directory, "wide", 1)
        files.append(TableFile(name, "wide", 1, len(made), {}, START, START + start, START + start + len(made)))
    flow.loop.manifest.replace("wide", [], files)
    return [str(flow.loop.table_directory / file.name) for file in files]


def table_of(files: list[str]) -> Any:
    """Return the same files as pyarrow reads them, which is not a frame yet."""
    import pyarrow.parquet as pq

    return pq.read_table(files)


def stream(url: str, rows: int) -> dict[str, float]:
    """Return seconds a million rows and the most memory, in MB, of rows with an observation each, in rounds."""
    with Flow(url) as flow:
        seconds = 0.0
        for number in range(-(-rows // ROUND)):
            flow.spool(records(min(ROUND, rows - number * ROUND), number, METRICS[:1]))
            started = time.perf_counter()
            flow.run()
            seconds += time.perf_counter() - started
            flow.check(None)
            if sys.stderr.isatty():
                print(f"\r{(number + 1) * ROUND:,} rows", end="", file=sys.stderr)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "seconds_a_million": round(seconds / rows * 1e6, 1),
        "mb": round(most),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="rows through spool, database and training table")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--url", default="", help="a new database (default: SQLite in a temporary directory)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(stream(options.url or f"sqlite:///{name}/x.db", options.rows)))
