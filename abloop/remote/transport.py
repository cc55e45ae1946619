"""HTTP to one server, by the standard library: every request has a deadline, no redirect is followed."""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from abloop.errors import (
    AwayError,
    BlueprintError,
    ConflictError,
    DataError,
    StoreError,
    UnknownNameError,
)

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
ANSWER_SECONDS: Final = 10.0
MOST_BYTES: Final = 64 << 20
MOST_RETRY_SECONDS: Final = 300.0
BYTES: Final = "application/octet-stream"
JSON: Final = "application/json"
_PART: Final = 64 << 10


class Answer(msgspec.Struct, frozen=True):
    """What a server answered.

    Attributes:
        status: 200, 201, 204 or 304; all others are raised.
        headers: By name in lower case.
        body: The bytes, whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Failure(msgspec.Struct):
    error: str = ""
    detail: str = ""
    path: str = ""


class Transport:
    """Connections to one server, one for each thread, kept alive.

    Args:
        url: `https://host[:port]`; `http://` to this machine only, unless `insecure`.
        token: Sent with every request.
        insecure: Whether to send it, and what is known of units, over a network that others may read.
        context: Certificates that are trusted; those of the system where None.

    Raises:
        StoreError: The URL is none that is allowed.

    Attributes:
        url: The server as it may be shown.
        name: Host and port as a part of a file's name.
        patience: Seconds that a request may take that has no deadline of its own.
    """

    def __init__(
        self, url: str, token: str = "", *, insecure: bool = False, context: ssl.SSLContext | None = None
    ) -> None:
        """Connect to nothing yet."""
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError as error:
            raise StoreError(f"server {url!r:.200}: {error}. Allowed: https://host or https://host:port") from error
        if parts.scheme not in ("https", "http") or not self._host or parts.username or parts.query or parts.fragment:
            raise StoreError(f"server {url!r:.200}; allowed: https://host or https://host:port, the token in token=...")
        if parts.scheme == "http" and self._host not in LOOPBACK and not insecure:
            raise StoreError(
                f"server {url!r:.200}: over http everybody on the way reads the token and the contexts. Use https://, "
                "or connect(..., insecure=True) on a network of your own"
            )
        if not token.isascii() or not token.isprintable():
            raise StoreError("token: allowed are printable ASCII characters, as the server showed it")
        self._prefix, self._secure = parts.path.rstrip("/"), parts.scheme == "https"
        self._context = (context or ssl.create_default_context()) if self._secure else None
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._local = threading.local()
        self.patience = ANSWER_SECONDS
        self.name = re.sub(r"[^A-Za-z0-9.-]", "-", parts.netloc)[:100]
        self.url = f"{parts.scheme}://{parts.netloc}{self._prefix}"

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        kind: str = JSON,
        deadline: float = 0.0,
    ) -> Answer:
        """Return the answer to one request.

        Args:
            method: E.g. `GET`.
            path: From `/v1` on.
            query: Names and values.
            body: Its bytes; JSON unless the headers say otherwise.
            headers: Besides the token.
            kind: Media type that the answer must have, where it has a body.
            deadline: Seconds within which the answer must be here, whole; `patience` where 0.

        Raises:
            AwayError: There was no answer in time, or the server says that it cannot answer now.
            StoreError: The token is refused, or what answers is no abloop server.
            AbloopError: What the server says is wrong with the request, of the class that says what to do.
        """
        target = f"{self._prefix}{path}{'?' + urlencode(query) if query else ''}"
        until, named = monotonic() + (deadline or self.patience), {**self._headers, **(headers or {})}
        while True:
            connection = self._connection()
            fresh = connection is None
            try:
                connection = connection or self._connect(until)
                return self._exchange(connection, method, target, body, named, kind, until)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if fresh or isinstance(error, TimeoutError) or monotonic() >= until:
                    raise AwayError(f"server {self.url} does not answer: {_said(error)}") from error
                # a connection that was kept may have been closed by the server meanwhile: once more, on a new one

    def _connection(self) -> http.client.HTTPConnection | None:
        """Return the connection of this thread, if it has one."""
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        return found

    def _connect(self, until: float) -> http.client.HTTPConnection:
        """Return a new connection of this thread."""
        plain = socket.create_connection(
            (self._host, self._port or (443 if self._secure else 80)), max(0.001, until - monotonic())
        )
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(max(0.001, until - monotonic()))
            wrapped = plain if self._context is None else self._context.wrap_socket(plain, server_hostname=self._host)
        except OSError:
            plain.close()
            raise
        made = http.client.HTTPConnection(self._host, self._port)
        made.sock = _Timed(wrapped)  # all of a socket that http.client uses
        self._local.connection = made
        return made

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        body: bytes,
        headers: Mapping[str, str],
        kind: str,
        until: float,
    ) -> Answer:
        """Send one request and return its answer, or raise what it says."""
        timed: Any = connection.sock
        if timed is None:  # the last answer ended the connection
            raise ConnectionResetError("the connection was closed")
        timed.until = until
        named = {"Content-Type": JSON} if body else {}
        connection.request(method, target, body or None, {**named, "Accept": JSON, **headers})
        response = connection.getresponse()
        parts, size = [], 0
        while part := response.read1(_PART):
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise http.client.HTTPException(f"its answer is larger than {MOST_BYTES:,} bytes")
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        response.close()  # only then the connection takes another request
        found = {name.lower(): value for name, value in response.getheaders()}
        if response.will_close:
            self.close()
        return self._checked(response.status, found, b"".join(parts), kind)

    def _checked(self, status: int, headers: Mapping[str, str], body: bytes, kind: str) -> Answer:
        """Return an answer that is one; raise any other."""
        ours = headers.get("content-type", "").partition(";")[0].strip() == kind
        if status in (200, 201, 204, 304) and (ours or not body):
            return Answer(status, headers, body)
        try:
            failure = msgspec.json.decode(body, type=_Failure) if status >= 400 else _Failure()
        except (msgspec.DecodeError, UnicodeDecodeError):
            failure = _Failure()
        if status in (429, 500, 502, 503, 504):
            away = AwayError(f"server {self.url}: {failure.detail or f'status {status}'}")
            away.retry_after = _seconds(headers.get("retry-after", ""))
            raise away
        if not failure.error or status < 400:
            moved = (
                f" to {headers['location']!r:.200}; name that" if 300 <= status < 400 and "location" in headers else ""
            )
            said = headers.get("content-type", "no type")
            raise StoreError(f"{self.url} answers as no abloop server does (status {status}, {said}){moved}")
        if status in (401, 403):
            raise StoreError(f"server {self.url} refuses the token: {failure.detail}")
        kinds = {404: UnknownNameError, 409: ConflictError, 412: ConflictError}
        refused = BlueprintError if failure.path.startswith("blueprint") else DataError
        raise kinds.get(status, refused)(failure.detail, place=failure.path.removeprefix("blueprint."))

    def close(self) -> None:
        """Close the connection of this thread."""
        found = self._connection()
        if found is not None:
            self._local.connection = None
            found.close()

    def abandon(self) -> None:
        """In a forked child: leave the parent's connections alone."""
        self._local = threading.local()


class _Timed:
    """A socket each of whose waits ends at one point in time, however little arrives before."""

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self.until = monotonic()

    def _limit(self) -> None:
        left = self.until - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._plain.settimeout(left)

    def sendall(self, payload: bytes) -> None:
        self._limit()
        self._plain.sendall(payload)

    def receive(self, buffer: Any) -> int:
        self._limit()
        return self._plain.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode
        return io.BufferedReader(_Stream(self))

    def close(self) -> None:
        self._plain.close()

    def __del__(self) -> None:
        self._plain.close()  # the thread ended


class _Stream(io.RawIOBase):
    """What arrives at a socket."""

    def __init__(self, timed: _Timed) -> None:
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._timed.receive(buffer)


def _seconds(text: str) -> float:
    """Return the seconds of a Retry-After header; 0 where it names none."""
    return min(float(text), MOST_RETRY_SECONDS) if text.isascii() and text.isdigit() and len(text) < 9 else 0.0


def _said(error: Exception) -> str:
    text = str(error)[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
