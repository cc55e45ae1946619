"""Whether a token is right. The database is asked once a second for each, argon2 once for each token and process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from abloop.errors import StoreError
from abloop.store.attempts import Attempts
from abloop.store.secret import fingerprint, verify_secret
from abloop.store.sql import Database
from abloop.store.tokens import Token, Tokens, split
from server.principal import Principal

FRESH_SECONDS = 1.0  # how long a revocation in another process may go unseen; one in this process is seen at once
MOST = 10_000


class Proofs:
    """Tokens that were proven right, in this process.

    Args:
        database: Gives the database; it is asked where nothing fresh is known.
        clock: Gives seconds since 1970.
        timer: Gives seconds of a clock that never goes back.
    """

    def __init__(
        self,
        database: Callable[[], Database],
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know nothing yet."""
        self._database, self._clock, self._timer = database, clock, timer
        self._lock = threading.Lock()
        self._fresh: dict[str, tuple[Principal, float, float]] = {}
        self._proven: dict[str, tuple[str, str]] = {}

    def principal(self, header: str, address: str) -> Principal | float:
        """Return whose token an `Authorization` header holds; seconds to wait after too many wrong ones; else 0.

        Args:
            header: The header's value.
            address: Of the client.

        Raises:
            StoreError: The database refused.
        """
        if (known := self.known(header)) is not None:
            return known
        scheme, _, text = header.partition(" ")
        key, secret = split(text.strip())
        now = self._clock()
        token = Tokens(self._database()).find(key) if scheme.lower() == "bearer" and key else None
        if token is None or not token.valid(now):
            return 0.0
        right, wait = self._prove(token, secret, address, now)
        return self._keep(header, token, now) if right else wait

    def known(self, header: str) -> Principal | None:
        """Return whose token a header holds, where it was proven a moment ago; asks nobody."""
        found = self._fresh.get(header)
        fresh = found is not None and self._timer() < found[1] and self._clock() < found[2]
        return found[0] if found is not None and fresh else None

    def forget(self) -> None:
        """Ask the database again for every token: one of them was revoked."""
        with self._lock:
            self._fresh.clear()

    def _prove(self, token: Token, secret: str, address: str, now: float) -> tuple[bool, float]:
        """Return whether a secret is the token's, and how long to wait after too many that were not."""
        proof = (token.hash, fingerprint(secret))
        if self._proven.get(token.id) == proof:
            return True, 0.0
        attempts, keys = Attempts(self._database()), [f"token {token.id} from {address}"]
        try:
            if wait := attempts.begin(keys, now):
                return False, wait
        except StoreError:  # a database that is only read counts nothing; the limit of requests still holds
            keys = []
        if not verify_secret(token.hash, secret):
            return False, 0.0
        if keys:
            attempts.succeed(keys, now)
        with self._lock:
            if len(self._proven) >= MOST:
                self._proven.clear()
            self._proven[token.id] = proof
        return True, 0.0

    def _keep(self, header: str, token: Token, now: float) -> Principal:
        """Remember a token for a moment, and have its use written down."""
        with suppress(StoreError):  # when it was used last is worth no refusal
            Tokens(self._database()).note_use(token, now)
        found = Principal(f"{token.name} ({token.id})", "token", frozenset(token.grants), token.id)
        until = token.expires if token.expires is not None else float("inf")
        with self._lock:
            if len(self._fresh) >= MOST:
                self._fresh.clear()
            self._fresh[header] = (found, self._timer() + FRESH_SECONDS, until)
        return found
