"""The spool: records are written here before `get_decision` returns, and survive `kill -9` of the process.

A segment is a file of fixed size, filled from the front through a shared memory map, so that a write is a
copy into the page cache: no system call, no waiting for a disk, nothing for a dying process to flush. Its
space is reserved when it is opened, so that a full disk is an error there and never a fault in the middle of
a write. A record is its length, its checksum and its bytes; a length of zero is the end. A segment belongs to
one process, which holds a lock on it; a segment whose lock is free will not grow any more.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from xxhash import xxh32_intdigest as checksum

MAGIC: Final = b"abloop\x01\n"
SEGMENT_BYTES: Final = 4 << 20
_HEADER = struct.Struct("<II")
_pack_header = _HEADER.pack
_spools: weakref.WeakSet[Spool] = weakref.WeakSet()


class Spool:
    """The append side, one for each process; safe for threads and across forks.

    Args:
        directory: Where segments go; made if it is not there.
        segment_bytes: Size of a segment.

    Raises:
        OSError: The directory cannot be made.

    Attributes:
        lost: Records that could not be written, e.g. because the disk is full.
        last_error: Why the last one was lost; empty if none was.
    """

    def __init__(self, directory: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Open nothing yet: the first record opens a segment."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._segment_bytes = segment_bytes
        self.lost = 0
        self.last_error = ""
        self._start()
        _spools.add(self)

    def _start(self) -> None:
        """Begin without a segment; in a forked child, the parent's is left alone."""
        self._lock = threading.Lock()
        self._map: mmap.mmap | None = None
        self._write: Callable[[bytes], object] = _closed
        self._file = -1
        self._name = ""
        self._opened = 0

    def append(self, payload: bytes) -> bool:
        """Write one record.

        Args:
            payload: Its bytes, at least one.

        Returns:
            Whether it is safe; if not, it was counted as lost.
        """
        record = _pack_header(len(payload), checksum(payload)) + payload
        try:
            self._write(record)  # one call that no other thread gets into: it copies and moves on
        except ValueError:  # the segment is full, or closed
            return self._append_to_next(record)
        return True

    def _append_to_next(self, record: bytes) -> bool:
        """Write one record to the next segment, unless another thread has opened it."""
        with self._lock:
            try:
                self._write(record)
            except ValueError:
                try:
                    self._open(len(record))
                except OSError as error:
                    self.lost += 1
                    self.last_error = f"{self._directory}: {error.strerror}"
                    return False
                self._write(record)
        return True

    def where(self) -> tuple[str, int]:
        """Return the segment that is written to and the offset of its end; with other threads writing, roughly."""
        name, written = self._name, self._map
        try:
            return name, written.tell() if written is not None else 0
        except ValueError:  # closed just now
            return name, 0

    def seal(self) -> None:
        """Close the segment, cut to its length; the next record opens another."""
        with self._lock:
            self._close()

    def _open(self, least: int) -> None:
        """Close the segment and open the next one, with room for at least one record."""
        self._close()
        size = max(self._segment_bytes, least + len(MAGIC) + _HEADER.size)
        self._opened += 1
        path = self._directory / f"{time.time_ns():020d}-{os.getpid()}-{self._opened}.spool"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _reserve(file, size)
            self._map = mmap.mmap(file, size)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        self._map.write(MAGIC)
        self._name = path.name
        self._file = file
        self._write = self._map.write

    def _close(self) -> None:
        """Cut the segment to its length and give up its lock."""
        if self._map is not None:
            self._write = _closed
            end = self._map.tell()
            self._map.close()  # from here on no thread writes; one may have, after the end was read
            later = [offset for offset, _ in Segment(self._directory / self._name).records(end)]
            os.ftruncate(self._file, later[-1] if later else end)
            os.close(self._file)
            self._map, self._file = None, -1

    def abandon(self) -> None:
        """In a forked child: let go of the parent's segment without touching it."""
        if self._map is not None:
            self._map.close()
            os.close(self._file)
        self._start()


def _closed(record: bytes) -> object:
    """Refuse to write where no segment is open."""
    raise ValueError("no segment is open")


def _reserve(file: int, size: int) -> None:
    """Make a file as large as it will get, with its space on the disk taken now.

    Raises:
        OSError: The disk has no room.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:  # macOS
        os.pwrite(file, bytes(size), 0)


def _after_fork() -> None:
    for spool in list(_spools):
        spool.abandon()


os.register_at_fork(after_in_child=_after_fork)


class Segment:
    """The read side of one segment.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        """Keep the path."""
        self.path = path

    @property
    def name(self) -> str:
        """Name under which the database remembers how far it was shipped."""
        return self.path.name

    def finished(self) -> bool:
        """Return whether its process closed it or died, so that it will not grow."""
        with self.path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return False
        return True

    def records(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield whole records from an offset on, each with the offset of its end.

        Reading stops at the first record that is not whole: the end, one that is being written just now,
        or the torn last one of a process that died.

        Args:
            start: An offset that this function gave earlier; 0 for the beginning.
        """
        with self.path.open("rb") as file:
            data = file.read(len(MAGIC)) if start == 0 else MAGIC
            if data != MAGIC:
                return
            offset = max(start, len(MAGIC))
            file.seek(offset)
            while True:
                header = file.read(_HEADER.size)
                if len(header) < _HEADER.size:
                    return
                length, digest = _HEADER.unpack(header)
                payload = file.read(length) if length else b""
                if not length or len(payload) < length or checksum(payload) != digest:
                    return
                offset += _HEADER.size + length
                yield offset, payload


def segments(directory: Path) -> list[Segment]:
    """Return the segments in a directory, oldest first."""
    return [Segment(path) for path in sorted(directory.glob("*.spool"))]
