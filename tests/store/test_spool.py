"""The spool: what was written survives the process, once and whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.store.spool import MAGIC, Segment, Spool, segments


def contents(directory: Path) -> list[bytes]:
    """Return every record in a spool, oldest segment first."""
    return [payload for segment in segments(directory) for _, payload in segment.records()]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=3_000), max_size=30))
def test_what_goes_in_comes_out(tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes]) -> None:
    """Every record comes back in order, over as many segments as it takes, larger ones included."""
    directory = tmp_path_factory.mktemp("spool")
    spool = Spool(directory, segment_bytes=2_048)
    assert all(spool.append(payload) for payload in payloads)
    assert contents(directory) == payloads
    spool.seal()
    assert contents(directory) == payloads
    assert all(segment.finished() for segment in segments(directory))


KILLED = """
import os, signal, sys
from pathlib import Path
from abloop.store.spool import Spool
spool = Spool(Path(sys.argv[1]), segment_bytes=4096)
index = 0
while True:
    spool.append(b"record %d" % index)
    os.write(1, b"%d\\n" % index)
    index += 1
"""


@pytest.mark.parametrize("after", [1, 50, 700])
def test_records_survive_kill_9(tmp_path: Path, after: int) -> None:
    """Every record that was acknowledged before SIGKILL is there, once, in order."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    last = -1
    while last < after:
        last = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().splitlines()
    process.wait()
    process.stdout.close()
    last = int(rest[-1]) if rest and rest[-1].isdigit() else last
    found = contents(tmp_path)
    assert found[: last + 1] == [b"record %d" % index for index in range(last + 1)]
    assert len(found) <= last + 3
    assert all(segment.finished() for segment in segments(tmp_path))


def test_a_torn_tail_is_cut(tmp_path: Path) -> None:
    """A record that was half written is left out, those before it are not."""
    spool = Spool(tmp_path)
    for index in range(10):
        spool.append(b"x" * 100 + bytes([index]))
    spool.seal()
    (segment,) = segments(tmp_path)
    segment.path.write_bytes(segment.path.read_bytes()[:-20])
    assert len(list(segment.records())) == 9


@pytest.mark.parametrize(
    "spoil", [b"", b"garbage", MAGIC[:4], MAGIC + b"\xff" * 50], ids=["empty", "text", "cut", "noise"]
)
def test_files_that_are_no_segment_give_nothing(tmp_path: Path, spoil: bytes) -> None:
    """Whatever lies in the directory, reading it gives whole records or none."""
    path = tmp_path / "1-1-1.spool"
    path.write_bytes(spoil)
    assert list(Segment(path).records()) == []


def test_threads_do_not_mix(tmp_path: Path) -> None:
    """Eight threads lose and mix nothing."""
    spool = Spool(tmp_path, segment_bytes=8_192)

    def work(thread: int) -> None:
        for index in range(1_000):
            spool.append(b"%d-%d" % (thread, index))

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = contents(tmp_path)
    assert sorted(found) == sorted(b"%d-%d" % (thread, index) for thread in range(8) for index in range(1_000))


def test_a_child_has_a_segment_of_its_own(tmp_path: Path) -> None:
    """After a fork, parent and child write to different files; nothing is overwritten."""
    spool = Spool(tmp_path)
    spool.append(b"before")
    child = os.fork()
    if child == 0:
        for index in range(100):
            spool.append(b"child %d" % index)
        os._exit(0)
    for index in range(100):
        spool.append(b"parent %d" % index)
    os.waitpid(child, 0)
    assert len(contents(tmp_path)) == len(set(contents(tmp_path))) == 201
    assert len(segments(tmp_path)) == 2


def test_a_living_segment_is_not_finished(tmp_path: Path) -> None:
    """A segment that can still grow says so, also to the process that writes it."""
    spool = Spool(tmp_path)
    spool.append(b"x")
    (segment,) = segments(tmp_path)
    assert not segment.finished()
    spool.seal()
    assert segment.finished()


def test_a_full_disk_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no segment can be opened, the record is counted as lost, and later ones are kept again."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    spool = Spool(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        assert not spool.append(b"lost")
    assert spool.append(b"kept")
    assert (spool.lost, contents(tmp_path)) == (1, [b"kept"])
    assert "No space left" in spool.last_error
