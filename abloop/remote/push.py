"""Records on their way to a server: the spool is sent piece by piece, and goes once it is kept there."""

from __future__ import annotations

from time import monotonic

import msgspec
from xxhash import xxh32_intdigest as checksum

from abloop.errors import StoreError
from abloop.remote.transport import BYTES, Transport
from abloop.store.segment import MAGIC, Segment, pack_header, segments
from abloop.store.spool import Spool

PIECE_BYTES = 512 << 10
LARGEST_RECORD = 768 << 10
PUSH_SECONDS = 10.0


class _Kept(msgspec.Struct):
    shipped: int


class Pusher:
    """Sends what is in a spool: this process's own records, and those of processes that ended.

    A piece is kept by the server whole or not at all, together with how far its segment was kept; a piece that is sent
    again changes nothing. So whatever fails at whatever point, each record is kept once.

    Args:
        transport: The server.
        spool: This process's own.

    Attributes:
        requests: Requests so far.
        sent: Records that the server keeps.
    """

    def __init__(self, transport: Transport, spool: Spool) -> None:
        """Know nothing of what was sent."""
        self._transport, self._spool = transport, spool
        self._shipped: dict[str, int] = {}
        self.requests = self.sent = 0

    def push(self, seconds: float = PUSH_SECONDS) -> bool:
        """Send what there is, within some seconds.

        Returns:
            Whether everything is sent.

        Raises:
            AwayError: The server does not answer.
            StoreError: It refuses the token, or answers with something else.
        """
        until = monotonic() + seconds
        found = segments(self._spool.directory)
        names = {segment.name for segment in found}
        self._shipped = {name: end for name, end in self._shipped.items() if name in names}
        done = [self._push(segment, until) for segment in found]
        return all(done)

    def _push(self, segment: Segment, until: float) -> bool:
        """Send one segment, and remove it once it is finished and kept; return whether all of it is sent."""
        try:
            finished = segment.finished()  # before reading: nothing can be added to it after
            if not finished and segment.name != self._spool.where()[0]:
                return True  # another process's, which sends it itself
            start = self._shipped.get(segment.name, 0)
            while True:
                end, piece, count, skipped = _piece(segment, start)
                if not piece and not skipped:
                    break
                if monotonic() >= until:
                    return False
                kept = self._send(segment.name, piece, until, start=start, skipped=skipped)
                self.sent += count if kept == end + skipped else 0
                if kept == start or (kept != end + skipped and not _begins(segment, kept)):
                    raise StoreError(f"server {self._transport.url} cannot have {kept} bytes of {segment.name}")
                start = self._shipped[segment.name] = kept
            if finished:
                self._finish(segment, start, until)
        except FileNotFoundError:  # another process has sent it whole, and removed it
            self._shipped.pop(segment.name, None)
        return True

    def _finish(self, segment: Segment, start: int, until: float) -> None:
        """Remove a segment that is kept, after what is torn at its end was counted."""
        with segment.path.open("rb") as file:
            file.seek(max(start, len(MAGIC)))
            torn = len(file.read().rstrip(b"\0"))
        if torn:
            self._send(segment.name, b"", until, start=start, torn=torn)
        segment.path.unlink(missing_ok=True)
        self._shipped.pop(segment.name, None)

    def _send(self, name: str, piece: bytes, until: float, **numbers: int) -> int:
        """Send a piece and return the offset up to which the server keeps the segment."""
        self.requests += 1
        query = [(key, str(number)) for key, number in numbers.items() if number]
        answer = self._transport.request(
            "POST",
            f"/v1/spool/{name}",
            query=query,
            body=piece,
            headers={"Content-Type": BYTES},
            deadline=max(0.05, until - monotonic()),
        )
        try:
            return msgspec.json.decode(answer.body, type=_Kept).shipped
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StoreError(f"server {self._transport.url} answers as no abloop server does: {error}") from error


def _piece(segment: Segment, start: int) -> tuple[int, bytes, int, int]:
    """Return the next piece of a segment.

    Returns:
        Offset of its end, its bytes, its records, and the bytes of a record behind it that is too large to be sent.
    """
    parts: list[bytes] = []
    end, size = max(start, len(MAGIC)), 0
    for stop, payload in segment.records(start):
        if len(payload) > LARGEST_RECORD:
            return stop, b"".join(parts), len(parts), stop - end
        if size and size + len(payload) > PIECE_BYTES:
            break
        parts.append(pack_header(len(payload), checksum(payload)) + payload)
        size += len(parts[-1])
        end = stop
    return end, b"".join(parts), len(parts), 0


def _begins(segment: Segment, offset: int) -> bool:
    """Return whether a record of a segment begins at an offset, or would."""
    return offset == 0 or offset in (end for end, _ in segment.records())
