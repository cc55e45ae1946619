"""Decisions that a server makes: asked over HTTP within a deadline, written here once the product got them."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from abloop.decision import Drawn
from abloop.errors import AwayError, DataError, StoreError
from abloop.online import Strategy
from abloop.records import Decision, decode, encode
from abloop.remote.feed import read
from abloop.remote.transport import Transport
from abloop.snapshot import Snapshot
from abloop.store.home import Home
from abloop.store.online import OnlineStore
from abloop.store.rows import Row

if TYPE_CHECKING:
    from abloop.store.sticky import StickyStore

THREADS = 16
MOST_ANSWERS = 256  # that came too late for anybody, at most, in memory
PATHS = {False: "/v1/decisions", True: "/v1/rankings"}


class _Answer(msgspec.Struct):
    error: str = ""
    record: str = ""
    records: list[str] = []
    order: list[int] = []


class RemoteStrategy(Strategy):
    """A handle whose decisions are made by a server; when that is late, the product gets the default.

    The server writes nothing: what it decided is written by this process when it is given to the product, so that a
    decision that came too late is none. After five that came too late in a row nobody waits, until one is in time.

    Args:
        snapshot: What is served, for its default and its metrics.
        home: Where records go.
        sticky: Where the arms are that units keep; the server keeps them.
        transport: The server.
        deadline: Seconds that a call waits.
    """

    def __init__(
        self, snapshot: Snapshot, home: Home, sticky: StickyStore, transport: Transport, deadline: float
    ) -> None:
        """Ask nothing yet."""
        super().__init__(snapshot, home, sticky)
        self._transport, self._deadline = transport, deadline
        self._store = OnlineStore(home.clock, most_entities=MOST_ANSWERS, threads=THREADS)
        self._answers = self._store.group(f"decisions of {snapshot.strategy}", self._ask, deadline, 0.0)

    def close(self) -> None:
        """Ask nothing more."""
        self._store.close()

    def _decide(
        self,
        decision_id: str,
        context: Mapping[str, Any],
        started: int,
        force: str,
        drawn: Drawn | str | None = None,
        write: bool = True,
    ) -> Decision:
        """Return the decision that the server makes, its record safe; whatever is wrong is raised."""
        del started
        self._require_known()
        if drawn is not None and not isinstance(drawn, str):
            raise DataError("drawn: a server takes the name of the arm; shares are those of the blueprint")
        if type(decision_id) is not str or not decision_id:
            raise DataError(f"decision_id is {decision_id!r:.80}; allowed: a text, e.g. from abloop.new_decision_id()")
        asked = {"context": self._told(context), "force": force or "", "drawn": drawn or ""}
        (made,) = self._asked(decision_id, asked, ranking=False)[1]
        if write:
            self._append(encode(made))
        return made

    def _rank(
        self, decision_id: str, contexts: Sequence[Mapping[str, Any]], started: int, write: bool = True
    ) -> tuple[list[int], Sequence[Decision]]:
        """Return the order that the server makes and its records, which are safe; whatever is wrong is raised."""
        del started
        self._require_known()
        order, made = self._asked(decision_id, {"contexts": [self._told(each) for each in contexts]}, ranking=True)
        if sorted(order) != list(range(len(contexts))):
            raise StoreError("the server's answer is no order of what was asked")
        for decision in made if write else ():
            self._append(encode(decision))
        return order, made

    def _require_known(self) -> None:
        """Refuse to ask before it is known which keys of a context the blueprint names."""
        if not self.snapshot.version:
            raise AwayError(f"strategy {self.name!r}: the server is away, and what it serves is not known here yet")

    def _told(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return the part of a context that the blueprint names: nothing else leaves this process."""
        names = {self.snapshot.unit_key, *self.snapshot.keys}
        names |= {
            feature.source or feature.name for each in self.snapshot.versions() for feature in each.blueprint.sourced()
        }
        return {name: context[name] for name in names if name in context}

    def _asked(self, decision_id: str, asked: dict[str, Any], *, ranking: bool) -> tuple[list[int], list[Decision]]:
        """Return order and records that the server answers, within the deadline."""
        whole = {"strategy": self.name, "decision_id": decision_id, "log": False, **asked}
        kind = "r" if ranking else "d"
        row, _ = self._answers.fetch(kind + msgspec.json.encode(whole, enc_hook=str).decode())
        if row is None:
            raise AwayError(f"server {self._transport.url}: no decision within {self._deadline:g} s")
        if row["error"]:
            raise DataError(row["error"])
        return row["order"], row["made"]

    def _ask(self, asked: str) -> Row:
        """Ask the server, in a thread of its own."""
        path, body = PATHS[asked[0] == "r"], asked[1:].encode()
        answer = self._transport.request("POST", path, body=body, deadline=max(1.0, 2 * self._deadline))
        found: _Answer = read(answer.body, _Answer)
        records = [decode(b64decode(record)) for record in ([found.record] if found.record else found.records)]
        made = [record for record in records if isinstance(record, Decision)]
        return {"error": found.error, "order": found.order, "made": made}
