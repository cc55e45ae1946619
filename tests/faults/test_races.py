"""Many threads and processes decide while blueprints change: no error, no mixed answer, no record lost or doubled."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from abloop import offline
from abloop.loop import Loop
from abloop.records import Decision, decode
from abloop.store.spool import Spool, segments

SECONDS = 30.0 if os.environ.get("ABLOOP_LONG") else 3.0
THREADS, FORKS = 16, 4
COLOURS = ("blue", "green", "red")


def described(version: int) -> dict[str, Any]:
    """Return a version whose every value names it, so that a mixture of two would show."""
    arms = [{"name": name, "value": [version, name]} for name in COLOURS[: 2 + version % 2]]
    return {
        "strategy": "busy",
        "arms": arms,
        "metrics": [{"name": "bought"}],
        "features": [{"name": f"x{version % 3}"}],
        "experiment": {"traffic": 1.0 - (version % 4) / 10},
    }


def decide(loop: Loop, who: str, stop: threading.Event, found: list[tuple[str, Any]], seconds: float) -> None:
    """Decide without pause until told to stop."""
    handle, end, index = loop.strategy("busy"), time.monotonic() + seconds, 0
    while not stop.is_set() and time.monotonic() < end:
        decision_id = f"{who}-{index}"
        value = handle.get_decision(decision_id, {"user_id": decision_id, "x0": 1.0, "x1": 2, "x2": "no"})
        handle.log_observations(decision_id, {"bought": index % 2})
        found.append((decision_id, tuple(value)))
        index += 1


def child(loop: Loop, number: int, seconds: float, pipe: int) -> None:
    """Decide in four threads of a forked process, and say how many decisions and errors there were."""
    found: list[list[tuple[str, Any]]] = [[] for _ in range(4)]
    stop = threading.Event()
    threads = [
        threading.Thread(target=decide, args=(loop, f"f{number}.{index}", stop, part, seconds))
        for index, part in enumerate(found)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handle = loop.strategy("busy")
    loop.spool.seal()
    lines = [f"{decision_id} {value[0]} {value[1]}" for part in found for decision_id, value in part]
    Path(f"/proc/self/fd/{pipe}").write_text("\n".join([str(handle.errors), *lines]))
    os._exit(0)


def read_spool(loop: Loop) -> tuple[dict[str, Decision], int]:
    """Return the decisions in the spool, of which no two have one id, and the number of observations."""
    written: dict[str, Decision] = {}
    observed = 0
    for segment in segments(loop.spool_directory):
        for _, payload in segment.records():
            record = decode(payload)
            if isinstance(record, Decision):
                assert record.decision_id not in written
                written[record.decision_id] = record
            else:
                observed += 1
    return written, observed


def test_threads_and_forks_decide_while_blueprints_change(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Each answer is an arm of one whole version, and its record is in the database once, equal to the answer."""
    loop = Loop(f"sqlite:///{tmp_path}/abloop.db", refresh_seconds=0.05)
    loop.register(described(1))
    loop.strategy("busy")
    outs, pids = [tmp_path / f"out{number}" for number in range(FORKS)], []
    for number, out in enumerate(outs):
        file = os.open(out, os.O_RDWR | os.O_CREAT)
        pid = os.fork()
        if pid == 0:
            child(loop, number, SECONDS, file)
        os.close(file)
        pids.append(pid)
    stop = threading.Event()
    found: list[list[tuple[str, Any]]] = [[] for _ in range(THREADS)]
    threads = [
        threading.Thread(target=decide, args=(loop, f"t{index}", stop, part, SECONDS))
        for index, part in enumerate(found)
    ]
    for thread in threads:
        thread.start()
    version, end = 1, time.monotonic() + SECONDS
    while time.monotonic() < end:
        version += 1
        loop.register(described(version))
        loop.spool.seal()  # segments change hands in the middle of it all
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * FORKS
    answers = {decision_id: list(value) for part in found for decision_id, value in part}
    for out in outs:
        errors, *lines = out.read_text().splitlines()
        assert errors == "0"
        for line in lines:
            decision_id, number, name = line.split()
            answers[decision_id] = [int(number), name]
    assert (loop.strategy("busy").errors, loop.spool.lost) == (0, 0)
    loop.spool.seal()
    written, observed = read_spool(loop)
    assert {decision_id: record.decision for decision_id, record in written.items()} == answers
    assert all(record.decision == [record.version, record.arm] for record in written.values())
    assert observed == len(answers)
    assert version > 1  # two of them, however busy the machine is
    shipped = offline.ship_spool(loop)
    assert (shipped.records, shipped.refused, shipped.torn_bytes) == (2 * len(answers), 0, 0)
    record_property("decisions", len(answers))
    record_property("versions", version)
    loop.close()


@pytest.mark.parametrize("size", [4_096, 65_536])
def test_no_record_is_lost_where_segments_change(tmp_path: Path, size: int) -> None:
    """Threads that write while others seal lose and double nothing, in however small segments."""
    spool = Spool(tmp_path, segment_bytes=size)
    stop = threading.Event()

    def write(who: int) -> None:
        for index in range(20_000):
            assert spool.append(b"%d %d" % (who, index))

    def seal() -> None:
        while not stop.is_set():
            spool.seal()

    sealer = threading.Thread(target=seal)
    writers = [threading.Thread(target=write, args=(who,)) for who in range(6)]
    for thread in (sealer, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    sealer.join()
    spool.seal()
    found = [payload for segment in segments(tmp_path) for _, payload in segment.records()]
    assert len(found) == len(set(found)) == 120_000
    assert spool.lost == 0
