"""A stream of records as products send it, and what must become of it, recomputed with pandas alone.

`python -m tests.faults.stream [SEEDS] [DECISIONS]` runs the long check and prints a line for each seed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from abloop import offline
from abloop.loop import Loop
from abloop.records import Decision, Observation, encode
from abloop.store.late import join_late
from abloop.store.spool import Spool
from abloop.store.status import read_status
from abloop.testing import ManualClock

START, TTL, HOUR = 1_700_000_000.0, 86_400.0, 3_600.0
METRICS = {"click": "max", "spend": "sum", "rating": "last"}
BLUEPRINT: dict[str, Any] = {
    "strategy": "s",
    "arms": [{"name": "a"}, {"name": "b"}],
    "metrics": [
        {"name": "click", "combine": "max"},
        {"name": "spend", "combine": "sum"},
        {"name": "rating", "combine": "last", "default": None},
    ],
    "features": [{"name": "x"}],
    "lifecycle": {"ttl": TTL},
}


class Stream(msgspec.Struct, frozen=True):
    """Records and when they arrive.

    Attributes:
        decisions: One row a decision: id, time, unit, arm, x.
        observations: One row an observation: decision_id, name, key, time, value.
        payloads: The records, duplicates included.
        arrivals: When each arrives, in seconds since 1970; shape of `payloads`.
    """

    decisions: pd.DataFrame
    observations: pd.DataFrame
    payloads: list[bytes]
    arrivals: np.ndarray[Any, Any]


def make(seed: int, decisions: int, *, most_copies: int = 5) -> Stream:
    """Return a stream: three observations a decision, 5 % before it, 5 % after its TTL, 1 % of none, clocks off.

    Args:
        seed: Of the random numbers.
        decisions: How many.
        most_copies: Most times that a record is sent.
    """
    rng = np.random.default_rng(seed)
    true = START + np.sort(rng.uniform(0, HOUR * 6, decisions))
    skew = rng.choice([-HOUR, 0.0, HOUR], decisions, p=[0.1, 0.8, 0.1])
    made = pd.DataFrame({"decision_id": [f"{seed}-{place:08d}" for place in rng.permutation(decisions)]})
    made["time"], made["unit"] = true + skew, [f"u{place}" for place in rng.integers(0, decisions // 3 + 1, decisions)]
    made["arm"], made["x"] = np.array(["a", "b"])[rng.integers(0, 2, decisions)], rng.normal(size=decisions)
    owner = np.repeat(np.arange(decisions), 3)
    n = len(owner)
    fate = rng.choice(["usual", "early", "late", "orphan"], n, p=[0.89, 0.05, 0.05, 0.01])
    delay = np.where(
        fate == "late", rng.uniform(TTL + 2 * HOUR, 2 * TTL, n), rng.exponential(HOUR, n).clip(0, 20 * HOUR)
    )
    happened = true[owner] + delay + rng.choice([-HOUR, 0.0, HOUR], n, p=[0.1, 0.8, 0.1])
    seen = pd.DataFrame({"decision_id": made["decision_id"].to_numpy()[owner]})
    seen.loc[fate == "orphan", "decision_id"] += "-never"
    seen["name"], seen["key"] = rng.choice(list(METRICS), n), [f"k{place}" for place in range(n)]
    seen["time"], seen["value"] = np.round(happened), np.round(rng.gamma(2.0, 5.0, n), 2)
    arrives = np.where(fate == "early", true[owner] - rng.uniform(0, HOUR, n), true[owner] + delay)
    arrives += rng.exponential(60.0, n)
    payloads = [
        encode(Decision(*row[:1], "s", 1, row[3], row[1], (row[5],), (), row[4], 0.5, "randomise", row[4]))
        for row in zip(
            made["decision_id"], made["time"], range(decisions), made["unit"], made["arm"], made["x"], strict=True
        )
    ]
    payloads += [
        encode(Observation(name, "s", at, metric, value, key))
        for name, metric, key, at, value in seen.itertuples(index=False)
    ]
    first = np.r_[true, arrives]
    copies = rng.integers(1, most_copies + 1, len(payloads)) if most_copies > 1 else np.ones(len(payloads), dtype=int)
    again = np.repeat(np.arange(len(payloads)), copies)
    resent = np.r_[True, again[1:] != again[:-1]]
    moments = first[again] + np.where(resent, 0.0, rng.uniform(0, 3 * HOUR, len(again)))
    return Stream(made, seen, [payloads[place] for place in again], moments)


def send(loop: Loop, payloads: list[bytes], parts: int = 1) -> None:
    """Write records to spools of several processes."""
    for part in range(parts):
        spool = Spool(loop.spool_directory, clock=lambda: START)
        for payload in payloads[part::parts]:
            spool.append(payload)
        spool.close()


def expected(stream: Stream) -> pd.DataFrame:
    """Return the training table, by pandas: the independent oracle."""
    made = stream.decisions.set_index("decision_id")
    seen = stream.observations[stream.observations["decision_id"].isin(made.index)]
    seen = seen[seen["time"].to_numpy() <= made["time"].loc[seen["decision_id"]].to_numpy() + TTL]
    table = made.copy()
    for name, how in METRICS.items():
        mine = seen[seen["name"] == name].sort_values(["time", "key"]).groupby("decision_id")["value"]
        found = mine.sum() if how == "sum" else mine.max() if how == "max" else mine.last()
        table[f"y.{name}"] = found.reindex(made.index)
        table[f"n.{name}"] = mine.size().reindex(made.index).fillna(0)
        if name != "rating":
            table[f"y.{name}"] = table[f"y.{name}"].fillna(0.0)
    return table.sort_index()


def joined(loop: Loop) -> pd.DataFrame:
    """Return the training table as it is on disk."""
    files = [str(loop.table_directory / file.name) for file in loop.manifest.files("s")]
    frame = pd.concat([pd.read_parquet(file) for file in files])
    assert frame["decision_id"].is_unique
    return frame.set_index("decision_id").rename(columns={"x.x": "x"}).sort_index()


def fates(loop: Loop) -> dict[str, int]:
    """Return what became of the observations, as `abloop store status` says it."""
    join_late(loop, "s")
    (custody,) = read_status(loop, "s").strategies
    assert custody.balanced
    return {"received": custody.observations, **custody.fates}


def check(loop: Loop, stream: Stream) -> dict[str, int]:
    """Compare the table with the oracle, and return what became of the observations."""
    found = fates(loop)
    theirs, ours = expected(stream), joined(loop)
    pd.testing.assert_frame_equal(
        ours[list(theirs.columns)], theirs, check_dtype=False, check_index_type=False, rtol=1e-12, check_names=False
    )
    orphans = int(stream.observations["decision_id"].str.endswith("-never").sum())
    assert found["received"] - found["duplicates"] == len(stream.observations)
    assert found["joined"] == int(theirs[[f"n.{name}" for name in METRICS]].to_numpy().sum())
    assert found["orphaned"] == orphans
    assert found["late"] == len(stream.observations) - found["joined"] - orphans
    return found


def run(directory: Path, seed: int, decisions: int, url: str = "") -> dict[str, int]:
    """Send a shuffled stream, ship it with joins in between, and check what became of it."""
    stream = make(seed, decisions)
    clock = ManualClock(START)
    loop = Loop(url or f"sqlite:///{directory}/x.db", directory, clock=clock, refresh_seconds=3_600.0)
    loop.register(BLUEPRINT)
    order = np.argsort(stream.arrivals, kind="stable")
    cuts = np.searchsorted(stream.arrivals[order], START + HOUR * np.arange(4, 72, 4))
    for part in np.split(order, cuts):
        clock.advance(max(0.0, float(stream.arrivals[part].max(initial=0.0)) - clock()))
        send(loop, [stream.payloads[place] for place in part], parts=2)
        offline.ship_spool(loop)
        offline.join_rows(loop, "s")
    clock.advance(10 * TTL)
    offline.join_rows(loop, "s")
    found = check(loop, stream)
    loop.close()
    return found


def main(seeds: int, decisions: int) -> None:
    """Run the long check."""
    say = sys.stdout.write
    say("| seed | decisions | sent | received | joined | late | orphaned | lost, doubled, wrong | seconds |\n")
    say("|" + " --- |" * 9 + "\n")
    for seed in range(seeds):
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as name:
            found = run(Path(name), seed, decisions)
        took = time.perf_counter() - started
        each = (seed, decisions, "1 to 5 times", *(found[key] for key in ("received", "joined", "late", "orphaned")), 0)
        say(
            "| "
            + " | ".join(f"{value:,}" if isinstance(value, int) else value for value in each)
            + f" | {took:.0f} |\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:] or ("20", "1000000")))
