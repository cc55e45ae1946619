"""The store: a record written, shipped and joined, read again, each beside the least that has to be done for it.

`write` appends a decision of 20 features to the spool, beside `os.write` of the same bytes to a file. `ship_join` takes
a spool, of one decision and three observations each, to the finished training table; beside it the same rows, once they
are rows, are inserted into the same tables with the same keys, by the bare driver's `executemany` and by SQLAlchemy's
Core: nothing is read, decoded, inspected, joined, taken out again or written as Parquet. On Postgres, if there is a
server, beside its driver's `executemany` and beside `COPY`. `read` gives a training table of 100 features as a pandas
frame, beside pyarrow's own table of the same files, which is no frame yet. Targets are multiples of the time: .35 of a
rate is 2.86 of the time.
`python -m benchmarks.flow` is the long run.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import abloop
from abloop.store.spool import Spool
from benchmarks.bare import Copied, Driven, Stated
from benchmarks.flow import Flow, records, table_of, wide_table
from benchmarks.timing import Contestant, Ratio, interleave, ratio

TARGET: Final = {
    "write_to_os_write": 3.0,
    "ship_join_to_sqlite": 1 / 0.35,
    "ship_join_to_sqlite_core": 1 / 0.35,
    "ship_join_to_postgres": 1 / 0.35,
    "read_to_pyarrow": 2.0,
}


def writing(calls: int, rounds: int, directory: Path) -> dict[str, list[float]]:
    """Return the seconds of writing one record, by contestant."""
    (_, payload), *_ = records(1, 0)
    spool = Spool(directory / "written")
    file = os.open(directory / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def each(write: Callable[[bytes], object]) -> Contestant[int]:
        def run(_: int) -> None:
            for _ in range(calls):
                write(payload)

        return Contestant(run)

    def bare(given: bytes) -> object:
        return os.write(file, given)

    try:
        return interleave({"write": each(spool.append), "os_write": each(bare)}, int, rounds)
    finally:
        os.close(file)
        spool.seal()


def flowing(url: Callable[[], str], decisions: int, rounds: int, *, postgres: bool) -> dict[str, list[float]]:
    """Return the seconds of shipping and joining, by contestant, on one kind of database."""
    with ExitStack() as stack:
        flow = stack.enter_context(Flow(url()))
        driven = stack.enter_context(Driven(url()))
        contestants = {
            "ship_join": Contestant(lambda _: flow.run(), before=flow.spool, after=flow.check),
            "driver": Contestant(driven.run, before=driven.prepare),
        }
        if postgres:
            copied = stack.enter_context(Copied(url()))
            contestants["copy"] = Contestant(copied.run, before=copied.prepare)
        else:
            stated = stack.enter_context(Stated(url()))
            contestants["core"] = Contestant(stated.run, before=stated.prepare)
        return interleave(contestants, lambda number: records(decisions, number), rounds)


def reading(rows: int, rounds: int, directory: Path) -> dict[str, list[float]]:
    """Return the seconds of reading a training table of 100 features as a frame, by contestant."""
    with Flow(f"sqlite:///{directory}/wide.db") as flow:
        files = wide_table(flow, rows)
        contestants: dict[str, Contestant[int]] = {
            "read": Contestant(lambda _: abloop.read_table(flow.loop, "wide")),
            "pyarrow": Contestant(lambda _: table_of(files)),
        }
        return interleave(contestants, int, rounds)


def databases(directory: Path) -> Iterator[str]:
    """Yield URLs of new SQLite databases."""
    for number in range(1_000):
        (directory / f"d{number}").mkdir()
        yield f"sqlite:///{directory}/d{number}/x.db"


def measure(quick: bool = False) -> dict[str, Any]:
    """Return the ratios of this machine.

    Args:
        quick: Few rows in few rounds: shows that it works, and no more.
    """
    calls, decisions, rows, rounds = (2_000, 500, 5_000, 3) if quick else (50_000, 25_000, 1_000_000, 9)
    ratios: dict[str, Ratio] = {}
    left_out = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        seconds = writing(calls, rounds, directory)
        ratios["write_to_os_write"] = ratio(seconds, "write", "os_write")
        fresh = databases(directory)
        sqlite = flowing(lambda: next(fresh), decisions, rounds, postgres=False)
        ratios["ship_join_to_sqlite"] = ratio(sqlite, "ship_join", "driver")
        ratios["ship_join_to_sqlite_core"] = ratio(sqlite, "ship_join", "core")
        events = {"sqlite": per_minute(sqlite["ship_join"], decisions)}
        made = postgres_databases(stack)
        if isinstance(made, str):
            left_out["postgres"] = made
        else:
            postgres = flowing(made, decisions, rounds, postgres=True)
            ratios["ship_join_to_postgres"] = ratio(postgres, "ship_join", "driver")
            ratios["ship_join_to_postgres_copy"] = ratio(postgres, "ship_join", "copy")
            events["postgres"] = per_minute(postgres["ship_join"], decisions)
        seconds = reading(rows, 3 if quick else 5, directory)
        ratios["read_to_pyarrow"] = ratio(seconds, "read", "pyarrow")
    return {
        "ratios": {name: found.plain() for name, found in ratios.items()},
        "target": {name: goal for name, goal in TARGET.items() if name in ratios},
        "events_a_minute": events,
        "rows": {"ship_join": decisions, "read": rows},
        "left_out": left_out,
        "python": platform.python_version(),
        "versions": {"abloop": abloop.__version__, **{name: version(name) for name in ("sqlalchemy", "pyarrow")}},
    }


def per_minute(seconds: Sequence[float], decisions: int) -> int:
    """Return the events that are shipped and joined in a minute, in the median round."""
    return round(60 * 4 * decisions / sorted(seconds)[len(seconds) // 2])


def postgres_databases(stack: ExitStack) -> Callable[[], str] | str:
    """Return what makes a Postgres database and gives its URL, or why there is none."""
    try:
        from tests.postgres import GIVEN, Databases, Server, why_none
    except ImportError as error:
        return f"the tests are not there: {error}"
    if os.environ.get(GIVEN):
        return Databases(os.environ[GIVEN]).make
    reason = why_none()
    if reason:
        return reason
    server = stack.enter_context(Server())
    return Databases(server.url()).make
