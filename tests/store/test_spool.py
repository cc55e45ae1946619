"""The spool: what was written survives the process, once and whole."""

from __future__ import annotations

import gc
import inspect
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import abloop
from abloop.errors import StoreError
from abloop.records import Loss, decode
from abloop.store.segment import OpenSegment
from abloop.store.spool import MAGIC, SPOOL_BYTES, Durability, Segment, Spool, segments
from abloop.testing import ManualClock

MIB = 1 << 20


def contents(directory: Path) -> list[bytes]:
    """Return every record in a spool, oldest segment first."""
    return [payload for segment in segments(directory) for _, payload in segment.records()]


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def no_room(*_: object) -> None:
    """Refuse as a full disk does."""
    raise OSError(28, "No space left on device")


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


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.binary(min_size=1, max_size=700), max_size=9), max_size=6),
    st.sampled_from(["process", "power"]),
)
def test_many_go_in_as_each_alone(
    tmp_path_factory: pytest.TempPathFactory, lists: list[list[bytes]], durability: Durability
) -> None:
    """Records that are written together come back in order, whether or not the segment had room for all of them."""
    directory = tmp_path_factory.mktemp("spool")
    spool = Spool(directory, segment_bytes=2_048, durability=durability)
    assert all(spool.append_all(payloads) for payloads in lists)
    spool.seal()
    assert contents(directory) == [payload for payloads in lists for payload in payloads]
    assert spool.lost == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from abloop.store.spool import Spool
spool = Spool(Path(sys.argv[1]), segment_bytes=4096, durability=sys.argv[2])
index = 0
while True:
    spool.append(b"record %d" % index)
    os.write(1, b"%d\\n" % index)
    index += 1
"""


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("after", [1, 50, 700])
def test_records_survive_kill_9(tmp_path: Path, after: int, durability: str) -> None:
    """Every record that was acknowledged before SIGKILL is there, once, in order."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), durability], stdout=subprocess.PIPE)
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


@pytest.mark.parametrize("durability", get_args(Durability))
def test_a_child_has_a_segment_of_its_own(tmp_path: Path, durability: Durability) -> None:
    """After a fork, parent and child write to different files; nothing is overwritten, and nothing removed."""
    spool = Spool(tmp_path, durability=durability)
    spool.append(b"before")
    child = os.fork()
    if child == 0:
        for index in range(100):
            spool.append(b"child %d" % index)
        spool.close()
        os._exit(0)
    for index in range(100):
        spool.append(b"parent %d" % index)
    os.waitpid(child, 0)
    found = contents(spool.directory)
    assert len(found) == len(set(found)) == 201
    assert len(segments(spool.directory)) == 2
    spool.close()


def test_a_living_segment_is_not_finished(tmp_path: Path) -> None:
    """A segment that can still grow says so, also to the process that writes it."""
    spool = Spool(tmp_path)
    spool.append(b"x")
    (segment,) = segments(tmp_path)
    assert not segment.finished()
    spool.seal()
    assert segment.finished()


def patiently(spool: Spool) -> None:
    """Let the second pass after which a spool that kept nothing tries again."""
    spool._retry = {False: 0.0, True: 0.0}


def test_a_full_disk_is_counted_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With no room for a segment, records are counted by kind; the first thing written later is that count."""
    clock = ManualClock()
    spool = Spool(tmp_path, clock=clock)
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR, logger="abloop"):
        patch.setattr(os, "posix_fallocate", no_room)
        assert not any(spool.append(b"lost") for _ in range(1_000))
        assert not any(spool.append(b"lost", spare=True) for _ in range(10))
    assert "No space left" in spool.last_error
    assert [record.message.split(":")[0].split(" keeps ")[1] for record in caplog.records] == [
        "no decisions (1 errors so far)",
        "no observations (1 errors so far)",
    ]
    assert not spool.append(b"lost")  # it is tried again at most once a second
    patiently(spool)
    assert spool.append(b"kept")
    loss, kept = contents(tmp_path)
    assert decode(loss) == Loss(clock(), 1_001, 10, spool.last_error)
    assert (kept, spool.lost, spool.lost_decisions, spool.lost_observations) == (b"kept", 1_011, 1_001, 10)
    spool.close()
    assert len(contents(tmp_path)) == 2


def test_a_full_disk_is_tried_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many records come, a disk that has no room is asked four times a second at most, by size."""
    asked: list[int] = []

    def refuse(_: int, __: int, size: int) -> None:
        asked.append(size)
        no_room()

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    spool = Spool(tmp_path)
    started = time.monotonic()
    while time.monotonic() - started < 1.2:
        spool.append(b"x")
    assert asked == [4 * MIB, MIB, MIB // 4, MIB // 16] * 2
    assert list(tmp_path.iterdir()) == []


def test_smaller_segments_fit_a_fuller_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a disk has room for a smaller segment, that is taken."""

    def refuse(file: int, _: int, size: int) -> None:
        if size > 300_000:
            no_room()
        os.truncate(file, size)

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    spool = Spool(tmp_path)
    assert spool.append(b"x" * 1_000)
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [MIB // 4]
    assert spool.append(b"y" * 280_000)  # larger than the next size: it gets a segment that just holds it
    assert [len(payload) for payload in contents(tmp_path)] == [1_000, 280_000]
    spool.close()


def fill(spool: Spool, payload: bytes, spare: bool = False) -> int:
    """Append until a record is lost; return how many were kept."""
    patiently(spool)
    kept = 0
    while spool.append(payload, spare):
        kept += 1
    return kept


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_full_spool_keeps_the_last_tenth_for_observations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability
) -> None:
    """Decisions stop at nine tenths, observations at the end, nothing is dropped; room made is used again."""
    monkeypatch.setattr(os, "fdatasync", lambda file: None)
    spool = Spool(tmp_path, durability=durability, spool_bytes=4 * MIB)
    decisions = fill(spool, b"d" * 1_000)
    assert 3.2 * MIB < decisions * 1_008 <= 3.6 * MIB
    assert "holds" in spool.last_error
    assert "connect with more spool_bytes" in spool.last_error
    observations = 0
    for _ in range(100):  # while observations go into the last tenth, decisions do not
        observations += spool.append(b"o" * 1_000, spare=True)
        assert not spool.append(b"d" * 1_000)
    observations += fill(spool, b"o" * 1_000, spare=True)
    assert 0.2 * MIB < observations * 1_008 < 0.8 * MIB
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4 * MIB
    found = contents(tmp_path)
    told = [decode(payload) for payload in found if len(payload) < 1_000]
    assert [payload[:1] for payload in found if len(payload) == 1_000] == [b"d"] * decisions + [b"o"] * observations
    first, *_ = segments(tmp_path)
    first.path.unlink()  # shipped
    patiently(spool)
    assert spool.append(b"d" * 1_000)
    told.append(decode(contents(tmp_path)[-2]))
    assert sum(loss.decisions for loss in told if isinstance(loss, Loss)) == spool.lost_decisions == 101
    assert sum(loss.observations for loss in told if isinstance(loss, Loss)) == spool.lost_observations == 1
    spool.close()


def test_a_record_that_never_fits_costs_no_other(tmp_path: Path) -> None:
    """A record larger than the spool is lost; the next one is kept at once."""
    spool = Spool(tmp_path, spool_bytes=MIB)
    assert not spool.append(b"x" * 2 * MIB)
    assert spool.append(b"kept")
    assert contents(tmp_path)[-1] == b"kept"
    spool.close()


def test_a_removed_directory_is_made_again(tmp_path: Path) -> None:
    """Somebody who removes the spool of a running process loses what was in it, and no more."""
    spool = Spool(tmp_path / "spool")
    spool.append(b"removed")
    next((tmp_path / "spool").iterdir()).unlink()
    (tmp_path / "spool").rmdir()
    with pytest.raises(OSError, match="No such file"):
        spool.seal()
    assert spool.append(b"kept")
    assert contents(tmp_path / "spool") == [b"kept"]
    spool.close()


def test_a_loss_that_nobody_can_be_told_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When the disk is still full at the end, the log has the counts; when it is not, the database gets them."""
    told, untold = Spool(tmp_path / "told"), Spool(tmp_path / "untold")
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", no_room)
        told.append(b"lost")
        untold.append(b"lost")
        untold.append(b"lost", spare=True)
        caplog.clear()
        untold.close()
    untold.close()
    told.close()
    (message,) = [record.message for record in caplog.records]
    assert "1 decisions and 1 observations that it could not tell the database" in message
    (loss,) = contents(tmp_path / "told")
    assert decode(loss) == Loss(pytest.approx(time.time(), abs=60), 1, 0, told.last_error)  # type: ignore[arg-type]
    assert contents(tmp_path / "untold") == []


def test_power_acknowledges_nothing_before_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each append returns after a flush that began when its record was written; threads share flushes."""
    durable: set[bytes] = set()
    flushes = 0

    def slow(flush: Callable[[int], None]) -> Callable[[int], None]:
        def slowly(file: int) -> None:
            nonlocal flushes
            path = Path(f"/proc/self/fd/{file}")
            written = [] if path.is_dir() else [payload for _, payload in Segment(path).records()]
            time.sleep(0.002)
            flush(file)
            flushes += 1
            durable.update(written)

        return slowly

    monkeypatch.setattr(os, "fdatasync", slow(os.fdatasync))
    monkeypatch.setattr(os, "fsync", slow(os.fsync))
    spool = Spool(tmp_path, segment_bytes=8_192, durability="power")
    early: list[bytes] = []

    def work(thread: int) -> None:
        for index in range(30):
            payload = b"%d-%d" % (thread, index) + bytes(50)
            assert spool.append(payload)
            if payload not in durable:
                early.append(payload)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert early == []
    assert len(set(contents(tmp_path))) == 480
    assert len(segments(tmp_path)) > 3
    assert 1 < flushes < 400
    spool.close()


def test_power_flushes_names_and_what_it_seals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and its name in the directory are flushed when it is made, its length when it is sealed."""
    calls: list[str] = []
    flush = os.fsync

    def noted(file: int) -> None:
        calls.append(Path(f"/proc/self/fd/{file}").readlink().suffix or "directory")
        flush(file)

    monkeypatch.setattr(os, "fsync", noted)
    quick = Spool(tmp_path)
    quick.append(b"x")
    quick.close()
    assert calls == []
    spool = Spool(tmp_path, durability="power")
    spool.append(b"x")
    assert calls == [".spool", "directory"]
    spool.close()
    assert calls == [".spool", "directory", ".spool"]


def test_power_trusts_no_segment_after_the_disk_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush that failed is no acknowledgement, not the second time either; the next record gets a new segment."""
    spool = Spool(tmp_path, durability="power")
    assert spool.append(b"first")

    def failing(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing)
        assert not spool.append(b"unknown")
    assert spool.append(b"next")
    assert "Input/output" in spool.last_error
    assert [len(list(found.records())) for found in segments(tmp_path)] == [2, 2]  # the second begins with the loss
    assert spool.lost == 1
    spool.close()


def test_memory_leaves_nothing_behind(tmp_path: Path) -> None:
    """Records are in a directory of the spool's own, for the process itself, and gone when it is closed."""
    spool = Spool(tmp_path / "unused", durability="memory")
    assert spool.append(b"x")
    assert contents(spool.directory) == [b"x"]
    assert not (tmp_path / "unused").exists()
    if Path("/dev/shm").is_dir():  # noqa: S108
        assert str(spool.directory).startswith("/dev/shm/")  # noqa: S108
    spool.close()
    assert not spool.directory.exists()
    code = """
import sys; from pathlib import Path; from abloop.store.spool import Spool
spool = Spool(Path("unused"), durability="memory"); spool.append(b"x"); print(spool.directory)
"""
    assert not Path(run(code).stdout.strip()).exists()  # at exit too


def test_what_is_not_allowed_is_refused_at_connect(tmp_path: Path) -> None:
    """Wrong values of `durability` and `spool_bytes` say what came and what is allowed."""
    url = f"sqlite:///{tmp_path}/x.db"
    with pytest.raises(StoreError, match="durability 'disk'; allowed: 'process', 'power', 'memory'"):
        abloop.connect(url, durability="disk")  # type: ignore[arg-type]
    for wrong in (0, -1, MIB - 1, 1e9, True, "1 GiB", None):
        with pytest.raises(StoreError, match=r"spool_bytes .*; allowed: whole numbers from 1,048,576"):
            abloop.connect(url, spool_bytes=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("durability", get_args(Durability))
def test_connect_hands_over_where_records_go(tmp_path: Path, durability: Durability) -> None:
    """What `connect` was given is what the spool does, and the loop reads where the spool writes."""
    loop = abloop.connect(f"sqlite:///{tmp_path}/x.db", durability=durability, spool_bytes=MIB)
    loop.register({"strategy": "s", "arms": [{"name": "a"}, {"name": "b"}], "metrics": [{"name": "m"}]})
    strategy = loop.strategy("s")
    strategy.get_decision("d", {"user_id": "u"})
    strategy.log_observations("d", {"m": 1})
    assert [type(decode(payload)).__name__ for payload in contents(loop.spool_directory)] == ["Decision", "Observation"]
    (found,) = segments(loop.spool_directory)
    assert found.size() < MIB
    loop.close()
    assert inspect.signature(abloop.connect).parameters["spool_bytes"].default == SPOOL_BYTES


def test_spools_are_sealed_at_exit(tmp_path: Path) -> None:
    """A process that ends without closing leaves segments that are cut to their length and free to be shipped."""
    code = """
import sys; from pathlib import Path; from abloop.store.spool import Spool
spools = [Spool(Path(sys.argv[1]) / name, durability=name) for name in ("process", "power")]
for spool in spools: spool.append(b"last words")
"""
    run(code, tmp_path)
    for name in ("process", "power"):
        (found,) = segments(tmp_path / name)
        assert found.finished()
        assert found.size() == len(MAGIC) + 8 + len(b"last words")
        assert contents(tmp_path / name) == [b"last words"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20), st.data())
def test_a_cut_anywhere_loses_what_is_behind_it(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], data: st.DataObject
) -> None:
    """Wherever a segment is torn, the whole records before that place come back, from any offset given before."""
    directory = tmp_path_factory.mktemp("spool")
    spool = Spool(directory)
    for payload in payloads:
        spool.append(payload)
    spool.seal()
    (found,) = segments(directory)
    whole = list(found.records())
    cut = data.draw(st.integers(0, found.size()))
    tail = data.draw(st.binary(max_size=3)) if data.draw(st.booleans()) else bytes(20)
    content = found.path.read_bytes()
    found.path.write_bytes(content[:cut] + (b"" if tail == content[cut : cut + len(tail)] else tail))
    expected = [(end, payload) for end, payload in whole if end <= cut]
    start = data.draw(st.sampled_from([0, *(end for end, _ in expected)]))
    assert list(found.records(start)) == [(end, payload) for end, payload in expected if end > start]


def test_records_larger_than_what_is_read_at_once(tmp_path: Path) -> None:
    """Records of any size come back whole, with the offsets of their ends."""
    rng = random.Random(5)
    payloads = [rng.randbytes(rng.choice([1, 100, 70_000, 262_136, 262_144, 700_000])) for _ in range(40)]
    spool = Spool(tmp_path)
    assert all(spool.append(payload) for payload in payloads)
    spool.close()
    assert contents(tmp_path) == payloads
    for found in segments(tmp_path):
        *_, (end, _) = found.records()
        assert end == found.size()


def test_names_say_when_and_in_which_order(tmp_path: Path) -> None:
    """A name begins with the clock's time, never comes twice, and sorts by order of creation, also when clocks err."""
    clock = ManualClock()
    first, second = Spool(tmp_path, clock=clock), Spool(tmp_path, clock=clock)
    start = clock()
    for index, step in enumerate([0.0, 1.5, -3_600.0, 0.0, 7_200.25, -1e12] * 3):
        clock.advance(step) if step > 0 else setattr(clock, "_now", clock() + step)
        for spool in (first, second)[:: 1 if index % 2 else -1]:
            assert spool.append(b"%d" % index)
            spool.seal()
    found = segments(tmp_path)
    assert len(found) == 36
    mine = [int(payload) for part in found for _, payload in part.records()]
    assert mine == sorted(mine)
    assert found[0].opened == start
    assert all(part.opened is not None and part.opened >= start for part in found)
    assert Segment(tmp_path / "1-1-1.spool").opened is None
    assert Segment(tmp_path / "copy of x.spool").opened is None


def test_a_spool_that_nobody_closes_gives_up_its_lock(tmp_path: Path) -> None:
    """A spool that is forgotten leaves a segment that can be shipped and removed, and no open file."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for index in range(10):
        Spool(tmp_path).append(b"%d" % index)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208
    assert all(found.finished() for found in segments(tmp_path))
    assert contents(tmp_path) == [b"%d" % index for index in range(10)]


def test_a_segment_that_was_removed_has_no_size(tmp_path: Path) -> None:
    """A segment may be shipped and removed while another process adds up what the spool holds."""
    assert Segment(tmp_path / "gone.spool").size() == 0


def test_space_is_taken_where_the_system_cannot_reserve_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `posix_fallocate` on a file system the segment is written full of zeros, or refused."""

    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    opened = OpenSegment(tmp_path / "a.spool", 4_096)
    assert (tmp_path / "a.spool").stat().st_blocks > 0
    opened.close()
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: len(data) - 1)
    with pytest.raises(OSError, match="No space left"):
        OpenSegment(tmp_path / "b.spool", 4_096)
    assert not (tmp_path / "b.spool").exists()
