"""The spool: records are written here before `get_decision` returns, and survive what `durability` says.

How its files, the segments, are laid out is in `abloop/store/segment.py`.
"""

from __future__ import annotations

import atexit
import errno
import itertools
import logging
import math
import os
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, get_args

from xxhash import xxh32_intdigest as checksum

from abloop.errors import StoreError, listed
from abloop.faults import Faults
from abloop.records import Loss, encode
from abloop.store.segment import MAGIC, OpenSegment, Segment, framed, pack_header, remove, segments

__all__ = ["MAGIC", "SPOOL_BYTES", "Durability", "Segment", "Spool", "segments"]

Durability = Literal["process", "power", "memory"]
SEGMENT_BYTES: Final = 4 << 20
SMALLEST_SEGMENT: Final = 64 << 10  # tried last where the disk, or the spool, is nearly full
SPOOL_BYTES: Final = 1 << 30
LEAST_SPOOL_BYTES: Final = 1 << 20
RETRY_SECONDS: Final = 1.0
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the segments in it have unguessable directories of their own
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_spools: weakref.WeakSet[Spool] = weakref.WeakSet()
_number = itertools.count(1).__next__
log = logging.getLogger("abloop")


class Spool:
    """The append side, one for each process; safe for threads and across forks.

    What was written is never dropped to make room. When the segments of all processes reach nine tenths of
    `spool_bytes`, because nothing ships them, or when the disk is full, decisions are no longer written; observations
    may use the last tenth, since they complete rows that are there. Products get their decisions all the same. What is
    not written is counted by kind, said in `last_error` and at most once a minute in the log, and tried again at most
    once a second. The first record after that is a `Loss` with the counts, so that the database knows them too; what
    could not be said so until the process ends is logged. The bound is looked at when a segment is opened: processes
    that do so in the same moment can pass it by a segment each.

    Args:
        directory: Where segments go; made if it is not there.
        segment_bytes: Size of a segment; smaller ones are tried where it does not fit.
        durability: What a record survives once `append` returned. `process`: the end of the process, by `kill -9` too.
            `power`: a loss of power as well, by a flush to the disk that threads share. `memory`, for tests: nothing;
            segments are in a temporary directory, in memory where the system has one (`/dev/shm`), which is removed
            when the spool is closed. Only this process and its children know it.
        spool_bytes: Most that the segments of all processes in the directory may take, in bytes.
        clock: Gives seconds since 1970; names of segments begin with it.

    Raises:
        OSError: The directory cannot be made.
        StoreError: `durability` or `spool_bytes` is none that is allowed.

    Attributes:
        directory: Where its segments are.
        last_error: Why the last record was lost; empty if none was.
    """

    def __init__(
        self,
        directory: Path,
        segment_bytes: int = SEGMENT_BYTES,
        *,
        durability: Durability = "process",
        spool_bytes: int = SPOOL_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open nothing yet: the first record opens a segment."""
        if durability not in get_args(Durability):
            raise StoreError(f"durability {durability!r:.80}; allowed: {listed(get_args(Durability))}")
        if type(spool_bytes) is not int or spool_bytes < LEAST_SPOOL_BYTES:
            raise StoreError(f"spool_bytes {spool_bytes!r:.80}; allowed: whole numbers from {LEAST_SPOOL_BYTES:,}")
        self.directory, self._temporary = directory, durability == "memory"
        if self._temporary:
            self.directory = Path(
                tempfile.mkdtemp(prefix="abloop-", dir=_SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None)
            )
            weakref.finalize(self, remove, self.directory, os.getpid()).atexit = False  # `_at_exit` closes it first
        self.directory.mkdir(parents=True, exist_ok=True)
        self._segment_bytes, self._spool_bytes, self._clock = segment_bytes, spool_bytes, clock
        self._lasting = durability == "power"
        self._owner, self._newest = os.getpid(), 0
        self._start()
        _spools.add(self)

    def _start(self) -> None:
        """Begin without a segment and without losses: in a forked child both are the parent's."""
        self._lock = threading.Lock()
        self._segment: OpenSegment | None = None
        self._spare = False
        self._write: Callable[[bytes], object] = _refuse
        self._faults = {False: Faults(), True: Faults()}
        self._unsaid = {False: 0, True: 0}
        self._retry = {False: -math.inf, True: -math.inf}
        self._error = OSError()
        self.last_error = ""

    @property
    def lost(self) -> int:
        """Records that this process could not write."""
        return self.lost_decisions + self.lost_observations

    @property
    def lost_decisions(self) -> int:
        """Decisions that this process made and could not write."""
        return self._faults[False].count

    @property
    def lost_observations(self) -> int:
        """Observations that this process could not write."""
        return self._faults[True].count

    def append(self, payload: bytes, spare: bool = False) -> bool:
        """Write one record.

        Args:
            payload: Its bytes, at least one.
            spare: Whether it is an observation, which may use the last tenth of the spool.

        Returns:
            Whether it is safe; if not, it was counted as lost.
        """
        record = pack_header(len(payload), checksum(payload)) + payload
        try:
            self._write(record)  # one call that no other thread gets into: it copies and moves on
        except ValueError:  # the segment is full, or there is none, or a copy alone does not do
            return self._append_locked(record, spare)
        return True

    def append_all(self, payloads: Sequence[bytes]) -> bool:
        """Write decisions, in one copy where the segment has room for all, and return whether all are safe."""
        try:
            self._write(framed(payloads))
        except ValueError:
            return [self.append(payload) for payload in payloads].count(False) == 0  # each has its try
        return True

    def _append_locked(self, record: bytes, spare: bool) -> bool:
        """Write one record to this segment or the next, and wait for the disk where it has to last."""
        try:
            with self._lock:
                if not self._fits(record, spare):
                    if time.monotonic() < self._retry[spare]:
                        return self._lose(spare, self._error)
                    self._open(len(record), spare).write(record)
                segment = self._segment
                end = segment.end() if segment is not None else 0
            if segment is not None and self._lasting:
                segment.flush(end)
        except OSError as error:
            with self._lock:
                return self._lose(spare, error)
        return True

    def _fits(self, record: bytes, spare: bool) -> bool:
        """Write a record to the open segment, if there is one that takes it."""
        if self._segment is None or self._segment.broken or (self._spare and not spare):
            return False
        try:
            self._segment.write(record)
        except ValueError:
            return False
        return True

    def _lose(self, spare: bool, error: OSError) -> bool:
        """Count a record as lost, and say so."""
        self._error = error.with_traceback(None)
        self._unsaid[spare] += 1
        self.last_error = f"{self.directory}: {error.strerror}"
        kind = "observations" if spare else "decisions"
        self._faults[spare].note(f"the spool {self.directory} keeps no {kind}", error)
        return False

    def _open(self, least: int, spare: bool) -> OpenSegment:
        """Open the next segment, with room for one record after what is said of a loss.

        Raises:
            OSError: There is no room for it on the disk or in the spool, or the directory takes no files.
        """
        loss = b""
        if any(self._unsaid.values()):
            said = encode(Loss(self._clock(), self._unsaid[False], self._unsaid[True], self.last_error))
            loss = pack_header(len(said), checksum(said)) + said
        least += len(loss) + len(MAGIC)
        try:
            if not self._spare:
                self._close()
            segment, spared = self._next(least, spare)
        except OSError:
            if least <= SMALLEST_SEGMENT:  # a larger record may be the only one that finds no room
                self._retry[spare] = time.monotonic() + RETRY_SECONDS
            raise
        self._close()
        self._segment, self._spare = segment, spared
        if loss:
            segment.write(loss)
            self._unsaid = {False: 0, True: 0}
        if not spared and not self._lasting:
            self._write = segment.write
        return segment

    def _next(self, least: int, spare: bool) -> tuple[OpenSegment, bool]:
        """Return the largest segment that there is room for, and whether that is in the last tenth of the spool."""
        if not self._temporary:
            self.directory.mkdir(parents=True, exist_ok=True)  # somebody may have removed it
        used = sum(segment.size() for segment in segments(self.directory))
        refused = OSError(
            errno.ENOSPC,
            f"it holds {used:,} bytes; allowed: {self._spool_bytes:,}. Ship it, or connect with more spool_bytes",
        )
        sizes = [size for size in (self._segment_bytes >> shift for shift in (2, 4, 6)) if size >= SMALLEST_SEGMENT]
        for spared in (False, True) if spare else (False,):
            room = self._spool_bytes * (10 if spared else 9) // 10 - used
            for size in dict.fromkeys(max(size, least) for size in (self._segment_bytes, *sizes)):
                if size > room:
                    continue
                try:
                    return OpenSegment(self.directory / self._name(), size, lasting=self._lasting), spared
                except OSError as error:
                    if error.errno not in _NO_ROOM:
                        raise
                    refused = error
        raise refused

    def _name(self) -> str:
        """Return a name that no segment ever had, and that sorts behind those of this process."""
        self._newest = max(self._newest, round(self._clock() * 1e9))  # also where a clock is set back
        return f"{self._newest:020d}-{os.getpid():07d}-{_number():06d}-{os.urandom(4).hex()}.spool"

    def where(self) -> tuple[str, int]:
        """Return the segment that is written to and the offset of its end; with other threads writing, roughly."""
        segment = self._segment
        return (segment.name, segment.end()) if segment is not None else ("", 0)

    def seal(self) -> None:
        """Close the segment, cut to its length; the next record opens another."""
        with self._lock:
            self._close()

    def close(self) -> None:
        """Seal it, write what was lost if that can be written now, else log it; remove a temporary directory."""
        with self._lock:
            try:
                self._close()
                if any(self._unsaid.values()):
                    self._open(0, spare=True)
                    self._close()
            except OSError as error:
                said = f"{self._unsaid[False]:,} decisions and {self._unsaid[True]:,} observations"
                log.error("the spool %s lost %s that it could not tell the database: %s", self.directory, said, error)
                self._unsaid = {False: 0, True: 0}
        if self._temporary:
            remove(self.directory, self._owner)

    def _close(self) -> None:
        """Close the segment, if there is one."""
        self._write, segment, self._segment, self._spare = _refuse, self._segment, None, False
        if segment is not None:
            segment.close()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's segment without touching it."""
        if self._segment is not None:
            self._segment.abandon()
        self._start()


def _refuse(record: bytes) -> object:
    """Refuse to write where a copy is not enough."""
    raise ValueError("no segment is open, or not for everything")


def _after_fork() -> None:
    for spool in list(_spools):
        spool.abandon()


def _at_exit() -> None:
    for spool in list(_spools):
        spool.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
