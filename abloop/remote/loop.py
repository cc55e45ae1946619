"""What `abloop.connect("https://...")` gives: the same calls, on what a server serves."""

from __future__ import annotations

import atexit
import logging
import ssl
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Literal, TypeVar, get_args

from abloop.blueprint import Blueprint
from abloop.errors import AbloopError, AwayError, StoreError
from abloop.listening import Listening
from abloop.online import Strategy
from abloop.pseudonyms import compile_pseudonym, require_pseudonym
from abloop.remote.asking import RemoteStrategy
from abloop.remote.feed import Functions, RemoteFeed, remote_sticky
from abloop.remote.pull import Pulled, Puller
from abloop.remote.push import Pusher
from abloop.remote.registering import register
from abloop.remote.transport import Transport
from abloop.repeating import Repeater
from abloop.snapshot import Feed, Snapshot, compile_all, waiting
from abloop.store.online import OnlineStore
from abloop.store.serving import Served, keep, recall
from abloop.store.spool import SPOOL_BYTES, Durability, Spool
from abloop.store.sticky import CachedSticky, StickyStore

log = logging.getLogger("abloop")
Answer = TypeVar("Answer")
Decide = Literal["here", "remote"]
PULL_SECONDS, PUSH_SECONDS, LONGEST_SECONDS = 5.0, 1.0, 30.0
CLOSE_SECONDS = 1.0
FIRST_SECONDS, QUICK_SECONDS = 2.0, 0.1  # that `strategy` waits where this disk knows nothing, and where it does
DEADLINE_SECONDS = 0.05
UNPUSHED = "abloop keeps on the disk what it could not push"
_loops: weakref.WeakSet[RemoteLoop] = weakref.WeakSet()


class RemoteLoop(Listening):
    """The client of a server: register blueprints, get strategies, close.

    What is served is pulled every five seconds, verified, and kept on this machine's disk; decisions are made in this
    process. Records are on the disk before a call returns, and pushed in the background. While the server is away all
    goes on, and what waits is pushed when it is back.

    Args:
        url: `https://host[:port]`; `http://` to this machine only, unless `insecure`.
        token: A token with the grant `ingest`; `register` needs `edit`.
        directory: Where spool and snapshots go; `abloop.HOST.files` in the current directory by default.
        clock: Gives seconds since 1970.
        sources: Functions that fetch feature groups, by the name that blueprints use; all others the server fetches.
        sticky: Where the arms are kept that units keep; on the server where None.
        durability, spool_bytes, pseudonym_key: As for `abloop.connect`.
        decide: `here`, or `remote`: each decision is asked of the server.
        deadline: Of a decision that is asked of the server: seconds until the product gets the default.
        insecure: Whether `http://` may leave this machine.
        context: Certificates that are trusted; those of the system where None.
        pull_seconds, push_seconds: How often it is asked, and told.

    Raises:
        StoreError: The URL is none that is allowed, or the directory cannot be used.
        DataError: The key is too short or too long.

    Attributes:
        features: The online store of this process.
        listeners, stale: See `Listening`.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        directory: str | Path | None = None,
        clock: Callable[[], float] = time.time,
        *,
        sources: Functions | None = None,
        sticky: StickyStore | None = None,
        durability: Durability = "process",
        spool_bytes: int = SPOOL_BYTES,
        pseudonym_key: bytes | str = b"",
        decide: Decide = "here",
        deadline: float = DEADLINE_SECONDS,
        insecure: bool = False,
        context: ssl.SSLContext | None = None,
        pull_seconds: float = PULL_SECONDS,
        push_seconds: float = PUSH_SECONDS,
    ) -> None:
        """Open the spool; ask nothing yet."""
        if decide not in get_args(Decide):
            raise StoreError(f"decide {decide!r:.80}; allowed: 'here', or 'remote'")
        if not 0 < deadline <= 60:
            raise StoreError(f"deadline {deadline!r:.80}; allowed: seconds above 0, at most 60")
        self.transport = Transport(url, token, insecure=insecure, context=context)
        self.pseudonym = compile_pseudonym(pseudonym_key)
        self.clock = clock
        home = Path(directory) if directory is not None else Path(f"abloop.{self.transport.name}.files")
        self.served_directory = home / "served"
        try:
            self.spool = Spool(home / "spool", durability=durability, spool_bytes=spool_bytes, clock=clock)
        except OSError as error:
            raise StoreError(
                f"directory {home}: {error.strerror}. Make it writable, or name another: connect(url, directory=...)"
            ) from error
        self._listen(stale=False)
        self.features = OnlineStore(clock)
        self._sources, self._remote, self._deadline = dict(sources or {}), decide == "remote", deadline
        self._sticky: StickyStore = sticky or remote_sticky(self.features, self.transport)
        self.puller = Puller(self.transport, models=not self._remote)
        self.pusher = Pusher(self.transport, self.spool)
        self._feeds: dict[tuple[str, int], RemoteFeed] = {}
        self._strategies: dict[str, Strategy] = {}
        self._wait_until = 0.0
        after: Any = {"longest": LONGEST_SECONDS, "done": self.transport.close}
        self._pulling = Repeater("abloop-refresh", self, RemoteLoop.refresh, pull_seconds, **after)
        self._pushing = Repeater("abloop-push", self, RemoteLoop._push, push_seconds, **after, said=UNPUSHED)
        self._closed = False
        _loops.add(self)

    def register(self, blueprint: Blueprint | Mapping[str, Any], *, who: str = "", why: str = "") -> int:
        """Keep a blueprint as the newest version of its strategy and serve it; the token needs the grant `edit`.

        Args:
            blueprint: A `Blueprint`, or a mapping as read from YAML.
            who: Not sent: the server knows whose token it is.
            why: Why.

        Returns:
            Its version, from 1; that of an equal version, if there is one.

        Raises:
            AbloopError: It is refused, the key of pseudonyms is not here, or the server is away or refuses the token.
        """
        del who
        version = register(self.transport, self.pseudonym, blueprint, why)
        self.refresh()
        return version

    def strategy(self, name: str, default: Any = None) -> Strategy:
        """Return the handle of a registered strategy; the same one for each call.

        While the server is away it serves what was served last, as far as this machine's disk knows.

        Args:
            name: Its name.
            default: What it answers where nothing at all is known of it yet, because the server is away.

        Raises:
            UnknownNameError: There is no such strategy.
            DataError: It pseudonymises, and the key is not here.
            StoreError: The server refuses the token, or is none.
        """
        if name not in self._strategies:
            first = self._first(name, default)
            if first.conceals:
                require_pseudonym(self.pseudonym, name)
            self._strategies[name] = (
                RemoteStrategy(first, self, self._sticky, self.transport, self._deadline)
                if self._remote
                else Strategy(first, self, self._sticky)
            )
        found = self._strategies[name]
        if default is not None and not found.snapshot.version:
            found.snapshot = waiting(name, default)
        self._pulling.start(soon=self.stale)
        self._pushing.start()
        return found

    @property
    def handles(self) -> Mapping[str, Strategy]:
        """The handles that this process has, by strategy."""
        return self._strategies

    def refresh(self) -> None:
        """Ask now what is served, as the background thread does.

        Raises:
            AbloopError: The server is away, or what it serves cannot be used; what was served before goes on.
        """
        if not self._strategies or monotonic() < self._wait_until:
            return
        refused = self._take(self._asked(lambda: self.puller.pull(list(self._strategies))))
        if isinstance(self._sticky, CachedSticky):
            self._sticky.flush()
        if refused is not None:
            raise refused

    def push(self, seconds: float = 10.0) -> bool:
        """Push what was written, within some seconds, or raise why not; return whether nothing is left."""
        return self.pusher.push(seconds)

    def close(self) -> None:
        """Stop the background threads, push for a second at most what is left, close the spool."""
        if self._closed:
            return
        self._closed, until = True, monotonic() + CLOSE_SECONDS
        self._pulling.close()
        self._pushing.close(CLOSE_SECONDS / 2)
        for handle in self._strategies.values():
            if isinstance(handle, RemoteStrategy):
                handle.close()
        self.spool.close()
        try:
            if not self.stale:
                self.pusher.push(max(0.1, until - monotonic()))
        except AbloopError as error:
            log.warning("abloop keeps what it could not push in %s: %s", self.spool.directory, error)
        self.features.close()
        self.transport.close()

    def _push(self) -> None:
        if monotonic() >= self._wait_until:
            self._asked(self.pusher.push)

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        """Ask the server, and keep whether it answers and when it wants to be asked again."""
        try:
            found = ask()
        except StoreError as error:
            self._wait_until = monotonic() + getattr(error, "retry_after", 0.0)
            self._away(True)
            raise
        self._away(False)
        return found

    def _first(self, name: str, default: Any) -> Snapshot:
        """Return what a strategy serves; from the disk, or its default, while the server is away."""
        known = recall(self.served_directory, name)
        if self.stale and known is not None:  # nobody waits for a server that was away a moment ago
            return self._compile(known)
        puller = Puller(self.transport, models=not self._remote)
        try:
            wait = FIRST_SECONDS if known is None else QUICK_SECONDS
            served = self._asked(lambda: puller.first(name, wait, known))
            self.puller.know(served)
            return self._kept(served)
        except StoreError as error:
            if known is None and not isinstance(error, AwayError):
                raise
            log.warning("abloop starts without its server: %s", error)
        return waiting(name, default) if known is None else self._compile(known)

    def _take(self, pulled: Pulled | None) -> AbloopError | None:
        """Serve what was pulled, each strategy for itself; return why one of them cannot be, if one cannot."""
        if pulled is None:
            return None
        refused: AbloopError | None = next(iter(pulled.refused.values()), None)
        for name, served in pulled.strategies.items():
            try:
                self._strategies[name].snapshot = self._kept(served)
                self._tell(name)
            except AbloopError as error:  # the others must not wait for this one
                refused = error
                self.puller.forget()
        return refused

    def _kept(self, served: Served) -> Snapshot:
        """Compile what is served, and keep it on the disk for a time without the server."""
        snapshot = self._compile(served)
        try:
            keep(self.served_directory, served)
        except OSError as error:
            log.warning("abloop could not keep what it serves in %s: %s", self.served_directory, error.strerror)
        return snapshot

    def _compile(self, served: Served) -> Snapshot:
        """Compile what is served; where the server decides, without what it fetches."""
        if self._remote:
            snapshot = compile_all(served, lambda each: None)
            snapshot.quick = False
            return snapshot
        return compile_all(served, self._feed)

    def _feed(self, served: Served) -> Feed | None:
        """Return where a version's feature groups are fetched from; refits share it."""
        blueprint, key = served.blueprint, (served.serving.strategy, served.serving.version)
        if not blueprint.groups:
            return None
        if key not in self._feeds:
            self._feeds[key] = RemoteFeed(blueprint, key[1], self.features, self.transport, self._sources)
        return self._feeds[key]

    def abandon(self) -> None:
        """In a forked child: leave the parent's connections alone, and work in threads of its own."""
        self.transport.abandon()
        self._pulling.restart()
        self._pushing.restart()


def _at_exit() -> None:
    for loop in list(_loops):
        loop.close()


atexit.register(_at_exit)
