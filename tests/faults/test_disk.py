"""A full disk and a directory that cannot be written: products get their decisions, and every loss is counted."""

from __future__ import annotations

import errno
import logging
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from abloop import offline
from abloop.errors import StoreError
from abloop.loop import Loop
from abloop.store import spool as spools
from abloop.store.status import read_status
from abloop.testing import ManualClock
from tests.loops import TTL, two_arms

MEGABYTE = 1 << 20
CONTEXT = {"user_id": "u", "x": 1.0}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of two megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"no disk can be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the spool try again at once after it could not write."""
    monkeypatch.setattr(spools, "RETRY_SECONDS", 0.0)


def open_on(home: Path, directory: Path, clock: ManualClock) -> Loop:
    """Return an installation with its database on one disk and its files on another."""
    loop = Loop(f"sqlite:///{home}/abloop.db", directory, clock=clock, refresh_seconds=3_600.0)
    loop.register(two_arms())
    return loop


def call(loop: Loop, name: str) -> None:
    """Decide and observe as a product does."""
    strategy = loop.strategy("checkout")
    assert strategy.get_decision(name, CONTEXT) in ("blue", "green")
    strategy.log_observations(name, {"bought": 1.0})


def fill(path: Path) -> None:
    """Write a file until its disk is full."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4_096))


def rows(loop: Loop) -> list[str]:
    """Bring everything into the training table and return the ids that are in it."""
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    files = [loop.table_directory / file.name for file in loop.manifest.files("checkout")]
    return [name for file in files for name in pq.read_table(file, columns=["decision_id"])["decision_id"].to_pylist()]


def test_a_full_disk(disk: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each call is answered, what is lost is counted once, said once a minute, and told to the database afterwards."""
    clock = ManualClock()
    loop = open_on(tmp_path, disk / "files", clock)
    ballast = disk / "ballast"
    call(loop, "first")
    with caplog.at_level(logging.ERROR, logger="abloop"):
        fill(ballast)
        for number in range(60_000):
            call(loop, f"d{number}")
            if loop.spool.lost_decisions >= 100:
                break
    lost, kept = loop.spool.lost, number + 2 - loop.spool.lost_decisions
    assert loop.spool.lost_decisions >= 100
    assert "No space left" in loop.spool.last_error
    assert loop.strategy("checkout").errors == 0
    assert 1 <= len([record for record in caplog.records if "the spool" in record.message]) <= 2
    ballast.unlink()
    call(loop, "last")
    assert loop.spool.lost == lost
    clock.advance(TTL + 1)
    found = rows(loop)
    assert len(found) == len(set(found)) == kept + 1
    assert {"first", "last"} <= set(found)
    status = read_status(loop)
    assert status.lost == lost
    assert status.strategies[0].balanced
    loop.close()


def test_a_disk_that_is_full_for_the_database(disk: Path, tmp_path: Path) -> None:
    """Shipping to a full disk fails whole, loses nothing, and goes on once there is room."""
    clock = ManualClock()
    loop = open_on(disk, tmp_path / "files", clock)
    for number in range(12_000):
        call(loop, f"d{number}")
    with pytest.raises(StoreError, match="disk is full"):
        rows(loop)
    assert loop.strategy("checkout").get_decision("more", CONTEXT) in ("blue", "green")
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    clock.advance(TTL + 1)
    found = rows(loop)
    assert len(found) == len(set(found)) == 12_001
    (custody,) = read_status(loop).strategies
    assert (custody.balanced, custody.fates["joined"], loop.spool.lost) == (True, 12_000, 0)
    loop.close()


def test_a_disk_that_becomes_read_only(disk: Path, tmp_path: Path) -> None:
    """Products get their decisions from a disk that cannot be written; what was acknowledged before is kept."""
    clock = ManualClock()
    loop = open_on(tmp_path, disk / "files", clock)
    call(loop, "first")
    loop.spool.seal()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for number in range(5):
        call(loop, f"d{number}")
    assert (loop.spool.lost_decisions, loop.spool.lost_observations) == (5, 5)
    assert "Read-only file system" in loop.spool.last_error
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    clock.advance(TTL + 1)
    call(loop, "last")
    clock.advance(TTL + 1)
    assert sorted(rows(loop)) == ["first", "last"]
    assert read_status(loop).lost == 10
    loop.close()


def test_a_disk_that_refuses_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where no disk can be mounted: the system says that there is no space."""
    clock = ManualClock()
    loop = open_on(tmp_path, tmp_path / "files", clock)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", refuse)
        for number in range(5):
            call(loop, f"d{number}")
    assert (loop.spool.lost_decisions, loop.spool.lost_observations) == (5, 5)
    call(loop, "last")
    clock.advance(TTL + 1)
    assert rows(loop) == ["last"]
    assert read_status(loop).lost == 10
    loop.close()


STRANGER = """
import os, sys
from abloop.loop import Loop
loop = Loop("sqlite:///{home}/abloop.db", "{home}/files", refresh_seconds=3600.0)
strategy = loop.strategy("checkout")
os.setgid({gid})
os.setuid({uid})
for number in range(5):
    assert strategy.get_decision(f"d{{number}}", {{"user_id": "u", "x": 1.0}}) in ("blue", "green")
    strategy.log_observations(f"d{{number}}", {{"bought": 1.0}})
sys.stdout.write(f"{{loop.spool.lost_decisions}} {{loop.spool.lost_observations}} {{loop.spool.last_error}}")
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_directory_of_somebody_else(tmp_path: Path) -> None:
    """A process that may not write the directory decides all the same, and knows what it lost."""
    open_on(tmp_path, tmp_path / "files", ManualClock()).close()
    user = pwd.getpwnam("nobody")
    code = STRANGER.format(uid=user.pw_uid, gid=user.pw_gid, home=tmp_path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("5 5 ")
    assert "Permission denied" in done.stdout
