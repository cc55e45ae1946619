"""Erasure while others work: products, the unit among them, and workers; on both databases."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from abloop import offline
from abloop.errors import ConflictError
from abloop.loop import Loop
from abloop.store import erasure, parquet
from abloop.store.erasure import erase
from abloop.store.manifest import TableFile
from abloop.store.status import read_status
from abloop.store.workspace import Workspace
from abloop.testing import ManualClock
from abloop.worker import Worker
from tests.loops import TTL, two_arms
from tests.store.test_erasure import OTHER, SPEND, UNIT, act, open_shop, table
from tests.test_pseudonyms import holding


def test_another_worker_gets_there_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a worker replaces a file while it is written again without the unit, the file in its place is done too."""
    clock = ManualClock()
    loop = open_shop(tmp_path, clock)
    for unit in (UNIT, OTHER):
        act(loop, unit, unit)
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    write_again = erasure.remainder
    left = [2]

    def late(workspace: Workspace, file: TableFile, keep: Any) -> TableFile:
        if left[0]:
            left[0] -= 1
            clock.advance(1)
            path = workspace.table_directory / file.name
            frame = pq.read_table(path).replace_schema_metadata({"turn": str(left[0])})  # the same rows, other bytes
            name = parquet.write(frame, workspace.table_directory, file.strategy, file.version)
            workspace.manifest.replace(file.strategy, [file.name], [msgspec.structs.replace(file, name=name)])
        return write_again(workspace, file, keep)

    monkeypatch.setattr(erasure, "remainder", late)
    done = erase(loop, UNIT)
    assert (done.proven, left[0], done.found["training table"]) == (True, 0, 2)
    assert table(loop)["unit"].tolist() == [OTHER] * 2
    assert holding(tmp_path, UNIT) == []
    loop.close()


def test_a_file_that_is_about_to_be_listed(tmp_path: Path) -> None:
    """A file that a worker wrote but has not listed goes, and the worker is refused; what it would list is not lost."""
    clock = ManualClock()
    loop = open_shop(tmp_path, clock)
    for unit in (UNIT, OTHER):
        act(loop, unit, unit)
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    complete = loop.journal.complete

    def erase_first(*given: Any) -> bool:
        done = erase(loop, UNIT)
        assert (done.proven, done.found["files of no version"]) == (True, 2)
        return complete(*given)

    loop.journal.complete = erase_first  # type: ignore[method-assign]
    with pytest.raises(ConflictError):
        offline.join_rows(loop, "checkout")
    loop.journal.complete = complete  # type: ignore[method-assign]
    assert offline.join_rows(loop, "checkout") == 2
    assert table(loop)["unit"].tolist() == [OTHER] * 2
    assert holding(tmp_path, UNIT) == []
    loop.close()


def produce(loop: Loop, name: str, stop: threading.Event) -> None:
    """Let two units act until told to stop."""
    for index in itertools.count():
        if stop.wait(0.02):
            break
        act(loop, (UNIT, OTHER)[index % 2], f"{name}-{index}")
    loop.close()


def work(loop: Loop, stop: threading.Event, failed: list[str]) -> None:
    """Turn until told to stop, and keep what failed."""
    worker = Worker(loop)
    while not stop.wait(0.05):
        turn = worker.turn()
        failed += [turn.error] if turn.error else [part.error for part in turn.strategies if part.error]
    loop.close()


def test_while_all_runs(tmp_path: Path, database_url: str) -> None:
    """While products decide for the unit too and two workers turn: proven each time, no file missing, sums hold."""
    home, stop = tmp_path / "files", threading.Event()
    failed: list[str] = []
    main, *others = [Loop(database_url, home, refresh_seconds=0.2) for _ in range(5)]
    main.register(two_arms(metrics=[{"name": "bought"}, SPEND], experiment={"sticky": True}, lifecycle={"ttl": 0.2}))
    threads = [threading.Thread(target=produce, args=(loop, f"p{at}", stop)) for at, loop in enumerate(others[:2])]
    threads += [threading.Thread(target=work, args=(loop, stop, failed)) for loop in others[2:]]
    for thread in threads:
        thread.start()
    time.sleep(1)
    done = [erase(main, UNIT) for _ in range(2)]
    stop.set()
    for thread in threads:
        thread.join()
    for each in done:
        assert each.proven, each.left
    assert sum(sum(each.found.values()) for each in done) > 0
    assert all((main.table_directory / file.name).exists() for file in main.manifest.files("checkout"))
    assert all("is missing" in error for error in failed), failed  # a file that was listed when the turn began
    time.sleep(0.3)
    assert not Worker(main).turn().failed
    (custody,) = read_status(main).strategies
    assert (custody.balanced, custody.waiting) == (True, 0)
    assert erase(main, UNIT).proven
    assert holding(home, UNIT) == []
    if database_url.startswith("sqlite"):
        assert [name for name in holding(tmp_path, UNIT) if "abloop.db" in name] == []
    main.close()
