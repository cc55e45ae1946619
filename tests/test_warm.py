"""No request pays for a model that is swapped in: what is imported, compiled or read is so before the swap."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abloop import offline
from abloop.store.catalogue import Serving
from abloop.testing import ManualClock
from tests.loops import open_loop

SPACES: dict[str, dict[str, Any]] = {
    "trees": {"space": {"type": "number"}, "labels": [{"name": "y"}], "policy": {"formula": "exp(y)"}},
    "network": {
        "space": {"type": "number"},
        "labels": [{"name": "y"}],
        "policy": {"formula": "y"},
        "model": {"kind": "network", "size": "small"},
    },
    "list": {"space": {"type": "ordering"}, "labels": [{"name": "y"}], "policy": {"formula": "y"}},
    "bandit": {
        "arms": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
        "model": {"learners": ["bandit_trees"]},
        "lifecycle": {"ttl": "1h", "switch": "bandit"},
    },
}

# The main thread decides while another one swaps a model in; whatever the main thread imports or compiles is told.
WATCHED = """
import json, sys, threading, time
from abloop.loop import Loop
from abloop.store.catalogue import Serving

url, kind, release = sys.argv[1:]
loop = Loop(url, refresh_seconds=3_600.0)
handle, main, seen, count = loop.strategy("s"), threading.get_ident(), [], 0

def watch(event, arguments):
    if event in ("import", "compile", "exec") and threading.get_ident() == main and swap.ident:
        seen.append([event, str(arguments[0])[:80]])

def ask():
    global count
    count += 1
    context = {"user_id": f"n{count}", "x": 1.0, "c": "p"}
    handle.get_ranking(f"n{count}", [context] * 20) if kind == "list" else handle.get_decision(f"n{count}", context)

def serve():
    loop.catalogue.serve(Serving("s", 1, "personalise", release, 0.0, "worker", "test"))
    loop.refresh()

for _ in range(50):
    ask()
phases, swap = [handle.snapshot.serving.phase], threading.Thread(target=serve)
sys.addaudithook(watch)
swap.start()
while swap.is_alive():
    ask()
    time.sleep(0.002)  # or the swap would wait for this loop
for _ in range(50):
    ask()
phases.append(handle.snapshot.serving.phase)
found = {"seen": list(seen), "phases": phases, "errors": handle.errors}
loop.close()
print(json.dumps(found))
"""


@pytest.mark.parametrize("kind", SPACES)
def test_no_request_pays_for_a_new_model(tmp_path: Path, kind: str) -> None:
    """While a model is swapped in, and after it, requests import and compile nothing; they are all answered."""
    clock, rng = ManualClock(), np.random.default_rng(0)
    loop = open_loop(tmp_path, clock)
    features = [{"name": "x"}, {"name": "c", "type": "categorical"}]
    loop.register(
        {"strategy": "s", "metrics": [{"name": "y"}], "features": features, "lifecycle": {"ttl": "1h"}} | SPACES[kind]
    )
    handle = loop.strategy("s")
    for number in range(300):
        context = {"user_id": f"u{number}", "x": float(rng.normal()), "c": "pq"[number % 2]}
        if kind == "list":
            handle.get_ranking(f"d{number}", [context])
        else:
            handle.get_decision(f"d{number}", context)
        name = f"d{number}/0" if kind == "list" else f"d{number}"
        handle.log_observations(name, {"y": context["x"] + float(rng.normal()) / 10})
    clock.advance(7_200)
    release = offline.cycle(loop, "s", always_valid=False).serving.release
    assert release
    phase = "randomise" if kind == "bandit" else "default"
    loop.catalogue.serve(Serving("s", 1, phase, "", 0.0, "test", "before"))
    loop.close()
    command = [sys.executable, "-c", WATCHED, f"sqlite:///{tmp_path}/abloop.db", kind, release]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == {"seen": [], "phases": [phase, "personalise"], "errors": 0}
