"""A readout beside the bare aggregate and tea-tasting: many rows of five metrics with one covariate, from Parquet.

Each row is a unit, as in the peer. Memory is that of a process that does nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

import duckdb
import pytest

import abloop
from benchmarks.timing import Contestant, interleave, ratio
from tests.peers import environment

ROWS: Final = 10_000_000
METRICS: Final = tuple(f"m{place}" for place in range(5))
BLUEPRINT: Final[dict[str, Any]] = {
    "strategy": "shop",
    "arms": [{"name": "a"}, {"name": "b"}],
    "metrics": [{"name": name, "role": "goal" if name == "m0" else "secondary"} for name in METRICS],
    "features": [{"name": "before"}],
    "readout": {"covariates": ["before"]},
}
BARE: Final = "SELECT arm, COUNT(*), SUM(before), SUM(before * before), " + ", ".join(
    f"SUM({name}), SUM({name} * {name}), SUM({name} * before)" for name in METRICS
)
PEAK: Final = "import sys; from benchmarks.readout import peak; peak(sys.argv[1])"


def write(path: Path, rows: int) -> None:
    """Write units with an arm, a value from before and five metrics that follow it in part."""
    values = ", ".join(f"before * {place}.5 + random() * 10 + {place} AS {name}" for place, name in enumerate(METRICS))
    query = f"SELECT CASE WHEN hash(i) % 2 = 0 THEN 'a' ELSE 'b' END AS arm, before, {values} FROM "  # noqa: S608 - ours
    query += f"(SELECT i, random() * 5 AS before FROM range({rows}) t(i))"  # noqa: S608
    with duckdb.connect() as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")


def bare(path: Path) -> list[tuple[Any, ...]]:
    """Return the sums that any readout needs, by one query of DuckDB."""
    with duckdb.connect() as connection:
        return connection.execute(f"{BARE} FROM read_parquet('{path}') GROUP BY arm").fetchall()


def ours(path: Path) -> Any:
    """Return abloop's readout."""
    return abloop.readout(path, BLUEPRINT)


@contextmanager
def peers(path: Path) -> Iterator[dict[str, Contestant[Path]]]:
    """Give tea-tasting on each backend, in a process of its own environment; nobody where that cannot be made."""
    try:
        python = environment("tea-tasting-backends")
    except (pytest.skip.Exception, pytest.fail.Exception) as error:
        sys.stderr.write(f"without tea-tasting: {error}\n")
        yield {}
        return
    script = Path(__file__).with_name("ask_tea_tasting.py")
    with subprocess.Popen(  # noqa: S603 - our own script
        [python, "-W", "ignore", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        told, said = cast("IO[str]", child.stdin), cast("IO[str]", child.stdout)

        def asked(backend: str) -> Contestant[Path]:
            def run(_: Path) -> None:
                told.write(f"{backend}\n")
                told.flush()
                if said.readline() != "done\n":
                    raise RuntimeError(f"tea-tasting on {backend} ended")

            return Contestant(run)

        yield {f"tea-tasting {backend}": asked(backend) for backend in said.readline().split()}
        told.close()


def peak(path: str) -> None:
    """Print the most memory that one readout takes in this process, in MB, and before."""
    before = _most()
    ours(Path(path))
    sys.stdout.write(json.dumps({"peak_mb": _most(), "before_mb": before}))


def _most() -> int:
    """Return the most memory that this process took so far, in MB; its parent's does not count, as in `getrusage`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Return ratios of times, and the peak memory of a readout."""
    rows, rounds = (20_000, 2) if quick else (ROWS, 7)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "units.parquet"
        write(path, rows)
        with peers(path) as known:
            contestants = {"bare": Contestant(bare), "abloop": Contestant(ours), **known}
            times = interleave(contestants, lambda _: path, rounds)
        done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)  # noqa: S603
        memory = json.loads(done.stdout)
    ratios = {f"abloop / {peer}": ratio(times, "abloop", peer).plain() for peer in times if peer != "abloop"}
    target = {"abloop / bare": 1.5} | {key: 1.0 for key in ratios if "tea" in key}
    return {"ratios": ratios, "target": target, "rows": rows, "memory": memory}
