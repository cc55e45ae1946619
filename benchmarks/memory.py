"""Whether memory stays flat: what a process takes after a million decisions more, in bytes per decision.

Each decision has a new user and a new id, and ten features. Only anonymous memory counts: segments of the spool are
files, which the kernel may drop from memory at any time. It is measured in a process of its own,
`python -m benchmarks.memory WARM_UP DECISIONS`.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import abloop
from abloop.online import Strategy
from abloop.store.spool import segments
from benchmarks.ours import new_context, register

STATUS: Final = Path("/proc/self/status")
PARTS: Final = 10


def anonymous_bytes() -> int:
    """Return the anonymous memory of this process, in bytes.

    Raises:
        OSError: This system does not tell.
    """
    gc.collect()
    lines = STATUS.read_text().splitlines()
    told = next((line for line in lines if line.startswith("RssAnon:")), None)
    if told is None:
        raise OSError(f"{STATUS} has no RssAnon")
    return int(told.split()[1]) * 1_024


def run(strategy: Strategy, spool: Path, start: int, decisions: int) -> None:
    """Decide for new users; remove what the spool closed, as shipping does."""
    get_decision, new_decision_id = strategy.get_decision, abloop.new_decision_id
    for index in range(start, start + decisions):
        get_decision(new_decision_id(), new_context(index))
    for segment in segments(spool)[:-1]:
        segment.path.unlink()


def grow(warm_up: int, decisions: int) -> dict[str, Any]:
    """Return how anonymous memory grew over decisions, after others to warm up.

    Raises:
        RuntimeError: Some decisions were not made, or not recorded.
        OSError: This system does not tell.
    """
    with tempfile.TemporaryDirectory() as directory:
        loop = abloop.connect(f"sqlite:///{Path(directory) / 'memory.db'}")
        strategy = register(loop, "memory")
        run(strategy, loop.spool_directory, 0, warm_up)
        sizes = [anonymous_bytes()]
        part = decisions // PARTS
        for number in range(PARTS):
            run(strategy, loop.spool_directory, warm_up + number * part, part)
            sizes.append(anonymous_bytes())
        if strategy.errors or loop.spool.lost:
            raise RuntimeError(f"{strategy.errors} calls failed, {loop.spool.lost} records lost")
        loop.close()
    return {
        "growth_bytes_per_decision": round((sizes[-1] - sizes[0]) / (part * PARTS), 3),
        "warm_up": warm_up,
        "decisions": part * PARTS,
        "anonymous_bytes_before": sizes[0],
        "anonymous_bytes_after": sizes[-1],
        "anonymous_bytes_most": max(sizes),
    }


def measure_memory(warm_up: int, decisions: int) -> dict[str, Any]:
    """Return what `grow` finds in a fresh process.

    Raises:
        RuntimeError: It failed.
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "benchmarks.memory", str(warm_up), str(decisions)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"memory could not be measured: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    print(json.dumps(grow(int(sys.argv[1]), int(sys.argv[2]))))
