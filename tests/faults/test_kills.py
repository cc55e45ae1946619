"""Whatever is killed, whenever: every acknowledged decision and observation is in the table exactly once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.postgres import refuse, why_none

LONG = os.environ.get("ABLOOP_LONG") == "1"


def run(kind: str, kills: int) -> list[str]:
    """Run the check in a process of its own, which must not be busy with anything else when it forks."""
    if kind != "sqlite" and why_none():
        refuse(why_none())
    command = [sys.executable, "-W", "error", "-m", "tests.faults.kills", str(kills), kind, "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    sys.stdout.write(done.stdout)
    return [cell.strip() for cell in done.stdout.strip("|\n ").split("|")]


@pytest.mark.parametrize(("kind", "kills"), [("sqlite", 200 if LONG else 12), ("postgres", 200 if LONG else 17)])
def test_nothing_acknowledged_is_lost_or_doubled(kind: str, kills: int) -> None:
    """Products, shippers, joiners and the server are killed under load; the table is as if nothing had happened."""
    cells = run(kind, kills)
    products, workers, servers = map(int, cells[1:4])
    assert products + workers == kills + 4
    assert servers == (0 if kind == "sqlite" else kills // 16)
    assert cells[-3:-1] == ["0", "0"]
    assert not LONG or cells[6] != "0", "no observation came after its row was complete"


def test_a_database_that_is_away_for_seconds_costs_nothing() -> None:
    """Products go on, also those that start meanwhile; workers wait; nothing acknowledged is lost or doubled."""
    outages = 10 if LONG else 2
    cells = run("outage", outages)
    assert (int(cells[3]), cells[-3:-1]) == (outages, ["0", "0"])
