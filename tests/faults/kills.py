"""Products, workers and the database server are killed under load; what was acknowledged is looked for in the table.

`python -m tests.faults.kills [KILLS] [sqlite|postgres|outage] [SEED]` runs the check and prints a line of a table; with
`outage`, the server is away for some seconds again and again, and abloop's own workers must say so and nothing else.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.faults.rig import TTL, Rig
from tests.postgres import Server

KNOWN = ("late", "away", "decisions", "observations")  # counts that need not be 0


def check(rig: Rig) -> dict[str, int]:
    """Compare the table with what was acknowledged, and return the counts."""
    table, left, balanced = rig.drain()
    attempted: dict[str, int] = {}
    acknowledged: dict[str, int] = {}
    after = away = 0
    for line in rig.log.read_text().splitlines():
        kind, name, *bit = line.split()
        if kind in "JA":
            after, away = after + int(name), away + (kind == "A")
            continue
        told = attempted if kind in "DO" else acknowledged
        told[name] = told.get(name, 0) | (1 << int(bit[0]) if bit else 0)
    rows = table.set_index("decision_id")
    bits = rows["y.spend"].fillna(0).astype(int).to_dict()
    made = rows["time"].to_dict()
    in_time = left["at"] <= left["decision_id"].map(made) + TTL
    for name, key in zip(left["decision_id"], left["key"], strict=True):
        bits[name] |= 1 << int(key[1:])
    found = {
        "late": after,
        "away": away,
        "decisions": len(acknowledged),
        "observations": sum(value.bit_count() for value in acknowledged.values()),
        "lost": len(acknowledged.keys() - bits.keys()),
        "lost observations": sum((value & ~bits.get(name, 0)).bit_count() for name, value in acknowledged.items()),
        "left out of their row": int(in_time.sum()),
        "too late for their row": int((rows["at.spend"] > rows["time"] + TTL).sum()),
        "doubled": int(rows.index.duplicated().sum()),
        "invented": sum((value & ~attempted.get(name, 0)).bit_count() for name, value in bits.items()),
        "never sent": len(bits.keys() - attempted.keys()),
    }
    counted = rows["y.spend"].fillna(0).astype(int).map(int.bit_count)
    found["doubled observations"] = int((rows["n.spend"] - counted).abs().sum())  # one counted twice moves a bit
    assert balanced
    assert sum(found[name] for name in found if name not in KNOWN) == 0, found
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
            if kind == "outage":
                rig.outages(kills, server)
            else:
                rig.run(kills, server)
            return check(rig) | dict(rig.killed)


def main(kills: int = 200, kind: str = "sqlite", seed: int = 0) -> None:
    """Run it and say what was found."""
    started = time.perf_counter()
    found = run(kills, kind, seed)
    took = time.perf_counter() - started
    found["worker"] = found.get("worker", 0) + found.pop("regular", 0)
    assert kind != "outage" or found["away"], "no worker said that the database was away"
    names = ("product", "worker", "server", "decisions", "observations", "late")
    counts = [found.get(name, 0) for name in names]
    counts += [found["lost"] + found["lost observations"], found["doubled"] + found["doubled observations"]]
    sys.stdout.write(f"| {kind} | {' | '.join(f'{number:,}' for number in counts)} | {took:.0f} |\n")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 200, given[1] if len(given) > 1 else "sqlite", int(given[2]) if given[2:] else 0)
