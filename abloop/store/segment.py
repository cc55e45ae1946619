"""Segments, the files of the spool: how one is laid out, written and read.

A segment is a file of fixed size, filled from the front through a shared memory map, so that a write is a
copy into the page cache: no system call, no waiting for a disk, nothing for a dying process to flush. Its
space is reserved when it is opened, so that a full disk is an error there and never a fault in the middle of
a write. A record is its length, its checksum and its bytes; a length of zero is the end. A segment belongs to
one process, which holds a lock on it; a segment whose lock is free will not grow any more.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import re
import shutil
import struct
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from xxhash import xxh32_intdigest as checksum

MAGIC: Final = b"abloop\x01\n"
_READ_BYTES: Final = 256 << 10
_HEADER = struct.Struct("<II")
pack_header = _HEADER.pack
_NAMED = re.compile(r"(\d{20})-")  # nanoseconds since 1970
_UNSUPPORTED = (errno.EINVAL, errno.EOPNOTSUPP)


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

    @property
    def opened(self) -> float | None:
        """When it was opened by its process's clock, in seconds since 1970; None where its name does not say.

        Example:
            >>> Segment(Path("01700000000500000000-0000042-000001-0badcafe.spool")).opened
            1700000000.5
        """
        return opened_at(self.path.name)

    def size(self) -> int:
        """Return its size in bytes; 0 where it was shipped and removed."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

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
        with self.path.open("rb", buffering=_READ_BYTES) as file:  # not mapped: its process may cut it meanwhile
            if start == 0 and file.read(len(MAGIC)) != MAGIC:
                return
            offset, size = max(start, len(MAGIC)), os.fstat(file.fileno()).st_size
            file.seek(offset)
            yield from read_records(file, offset, size)


def opened_at(name: str) -> float | None:
    """Return when a segment was opened, by its name, in seconds since 1970; None where it does not say."""
    found = _NAMED.match(name)
    return int(found[1]) / 1e9 if found else None


def read_records(file: BinaryIO, offset: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield whole records from a place on, each with the offset of its end, up to the first that is not whole.

    Args:
        file: At the beginning of a record.
        offset: Offset of that in the segment.
        size: Of the segment.
    """
    read, unpack, digest_of, skip = file.read, _HEADER.unpack, checksum, _HEADER.size
    while len(header := read(skip)) == skip:
        length, digest = unpack(header)
        offset += skip + length
        if not length or offset > size:
            return
        payload = read(length)
        if len(payload) < length or digest_of(payload) != digest:
            return
        yield offset, payload


def segments(directory: Path) -> list[Segment]:
    """Return the segments in a directory, oldest first."""
    return [Segment(path) for path in sorted(directory.glob("*.spool"))]


def framed(payloads: Sequence[bytes]) -> bytes:
    """Return records as they stand in a segment, one behind the other: each its length, its checksum, its bytes."""
    pack, digest = pack_header, checksum
    return b"".join([pack(len(payload), digest(payload)) + payload for payload in payloads])


def remove(directory: Path, owner: int) -> None:
    """Remove a temporary directory, unless this is a child of the process that made it."""
    if os.getpid() == owner:
        shutil.rmtree(directory, ignore_errors=True)


def write_over(segment: Segment, start: int, end: int) -> None:
    """Write zeros over a record that was shipped, so that those behind it can still be read; it is none any more.

    Args:
        segment: Its segment; where that is gone, nothing is done.
        start: Offset of its first byte, after length and checksum.
        end: Offset of its end.
    """
    zeros = bytes(end - start)
    try:
        file = os.open(segment.path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # shipped and removed meanwhile
        return
    try:
        os.pwrite(file, pack_header(len(zeros), checksum(zeros)) + zeros, start - _HEADER.size)
    finally:
        os.close(file)


class OpenSegment:
    """The write side of one segment.

    Args:
        path: The file, which must not be there.
        size: Its size in bytes.
        lasting: Whether it is to be there after a loss of power.

    Raises:
        OSError: The disk has no room, or the directory cannot be written to.

    Attributes:
        name: Name of the file.
        size: As given.
        write: Copies a record to the end, whole; a ValueError says that there is no room.
    """

    def __init__(self, path: Path, size: int, *, lasting: bool = False) -> None:
        """Make, lock and map the file."""
        self._path, self.name, self.size, self._lasting = path, path.name, size, lasting
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _allocate(self._file, size)
            self._map = mmap.mmap(self._file, size)
            self._map.write(MAGIC)
            if lasting:
                os.fsync(self._file)
                _flush_directory(path.parent)
        except OSError:
            os.close(self._file)
            path.unlink(missing_ok=True)
            raise
        self._release = weakref.finalize(self, os.close, self._file)  # a spool that nobody closed gives up its lock
        self._release.atexit = False
        self.write: Callable[[bytes], object] = self._map.write
        self._flushing = threading.Lock()
        self._flushed = 0
        self._failure: OSError | None = None

    @property
    def broken(self) -> bool:
        """Whether the disk failed, so that nobody knows what of it is there."""
        return self._failure is not None

    def end(self) -> int:
        """Return the offset of the end of its records; 0 where it is closed."""
        try:
            return self._map.tell()
        except ValueError:
            return 0

    def flush(self, end: int) -> None:
        """Return when all up to an offset is on the disk; threads that wait for it share one flush.

        Args:
            end: The offset, of a record that was written.

        Raises:
            OSError: The disk failed, now or before: nobody knows what of this segment it holds.
        """
        with self._flushing:
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            if self._flushed < end:
                newest = self._map.tell()
                try:
                    _flush(self._file, self._map)
                except OSError as error:
                    self._failure = error
                    raise
                self._flushed = newest

    def close(self) -> None:
        """Cut it to its length and give up its lock.

        Raises:
            OSError: The disk failed.
        """
        with self._flushing:  # nobody flushes a file that is closed
            end = self._map.tell()
            self._map.close()  # from here on no thread writes; one may have, after the end was read
            try:
                later = [offset for offset, _ in Segment(self._path).records(end)]
                os.ftruncate(self._file, later[-1] if later else end)
                if self._lasting and self._failure is None:
                    os.fsync(self._file)
                    self._flushed = later[-1] if later else end
            except OSError as error:
                self._failure = error
                raise
            finally:
                self._release()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's segment without touching it."""
        self._map.close()
        self._release()


def _allocate(file: int, size: int) -> None:
    """Make a file as large as it will get, with its space on the disk taken now.

    Raises:
        OSError: The disk has no room.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file, 0, size)
            return
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
    if os.pwrite(file, bytes(size), 0) < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _flush(file: int, written: mmap.mmap) -> None:
    """Return when a file is on the disk, and let other threads work until then."""
    if sys.platform != "linux":  # elsewhere a flush of the file need not reach what was written through a map
        written.flush()
    getattr(os, "fdatasync", os.fsync)(file)


def _flush_directory(directory: Path) -> None:
    """Return when the names in a directory are on the disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
