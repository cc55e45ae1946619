"""Whatever is killed, whenever: every acknowledged decision and observation is in the table exactly once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.postgres import refuse, why_none

LONG = os.environ.get("ABLOOP_LONG") == "1"


@pytest.mark.parametrize(("kind", "kills"), [("sqlite", 200 if LONG else 12), ("postgres", 200 if LONG else 17)])
def test_nothing_acknowledged_is_lost_or_doubled(kind: str, kills: int) -> None:
    """Products, shippers, joiners and the server are killed under load; the table is as if nothing had happened."""
    if kind == "postgres" and why_none():
        refuse(why_none())
    command = [sys.executable, "-W", "error", "-m", "tests.faults.kills", str(kills), kind, "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    cells = [cell.strip() for cell in done.stdout.strip("|\n ").split("|")]
    products, workers, servers = map(int, cells[1:4])
    assert products + workers == kills + 4
    assert servers == (0 if kind == "sqlite" else kills // 16)
    assert cells[-3:-1] == ["0", "0"]
    assert not LONG or cells[6] != "0", "no observation came after its row was complete"
    sys.stdout.write(done.stdout)
