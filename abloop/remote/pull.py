"""What is served, pulled from a server: whole, verified, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from abloop.errors import AbloopError, StoreError, UnknownNameError
from abloop.models.artefact import Artefact, unpack
from abloop.remote.transport import BYTES, Transport
from abloop.store.serving import Served

SECONDS = 60.0  # a model may be large


class _Snapshots(msgspec.Struct):
    strategies: dict[str, Served]
    unknown: list[str]


class Pulled(msgspec.Struct, frozen=True):
    """What a server serves.

    Attributes:
        strategies: By name, with their models.
        unknown: Names of which it has no strategy.
        refused: Name to why what is served cannot be used.
    """

    strategies: dict[str, Served]
    unknown: tuple[str, ...]
    refused: dict[str, AbloopError]


class Puller:
    """Asks a server what it serves; models that are known are not fetched again.

    Args:
        transport: The server.
        models: Whether models are needed.

    Attributes:
        requests: Requests so far.
    """

    def __init__(self, transport: Transport, *, models: bool = True) -> None:
        """Know nothing yet."""
        self._transport, self._models = transport, models
        self._tag, self._names = "", ()  # type: tuple[str, tuple[str, ...]]
        self._known: dict[str, Artefact] = {}
        self.requests = 0

    def forget(self) -> None:
        """Take the next answer whole, since the last one could not be used."""
        self._tag = ""

    def know(self, served: Served) -> None:
        """Take the models of what is served as fetched."""
        for each in (served, *served.rivals):
            if each.artefact is not None:
                self._known[each.serving.release] = each.artefact

    def first(self, name: str, deadline: float, known: Served | None = None) -> Served:
        """Return what is served of one strategy; of a puller that never pulled before.

        Args:
            name: Its name.
            deadline: Seconds that each request may take.
            known: What was served before, whose models are not fetched again.

        Raises:
            UnknownNameError: The server has no such strategy.
            AwayError: The server does not answer.
            StoreError: It refuses the token, or answers with something else.
        """
        if known is not None:
            self.know(known)
        found = self.pull([name], deadline=deadline)
        if found is None or name in found.unknown:
            raise UnknownNameError(
                f"unknown strategy {name!r:.200}: {self._transport.url} has none of this name. "
                "Register it first: loop.register(blueprint)"
            )
        if name in found.refused:
            raise found.refused[name]
        return found.strategies[name]

    def pull(self, names: Sequence[str], *, deadline: float = 0.0) -> Pulled | None:
        """Return what is served of some strategies; None where it is the same as the last time.

        Args:
            names: Their names.
            deadline: Seconds that each request may take; the usual ones where 0.

        Raises:
            AwayError: The server does not answer.
            StoreError: It refuses the token, or answers with something else.
        """
        asked = tuple(sorted(names))
        headers = {"If-None-Match": self._tag} if self._tag and asked == self._names else {}
        self.requests += 1
        query = [("strategy", name) for name in asked]
        answer = self._transport.request("GET", "/v1/snapshots", query=query, headers=headers, deadline=deadline)
        if answer.status == 304:
            return None
        tag = answer.headers.get("etag", "")
        if tag != f'"{hashlib.sha256(answer.body).hexdigest()}"':
            raise StoreError(f"server {self._transport.url}: what it serves was altered on its way. It is asked again")
        try:
            found = msgspec.json.decode(answer.body, type=_Snapshots)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            said = f"server {self._transport.url} serves what this abloop cannot read: {error}"
            raise StoreError(f"{said}. Bring both to one version") from error
        served, refused = {}, dict[str, AbloopError]()
        for name, each in found.strategies.items():
            try:
                served[name] = self._whole(each, deadline or SECONDS)
            except AbloopError as error:  # the others must not wait for this one
                refused[name] = error
        if not refused:
            self._tag, self._names = tag, asked
        self._trim(found.strategies)
        return Pulled(served, tuple(found.unknown), refused)

    def _whole(self, served: Served, deadline: float) -> Served:
        """Return what is served with its models."""
        artefact = self._artefact(served.serving.release, deadline) if served.serving.release and self._models else None
        rivals = tuple(self._whole(rival, deadline) for rival in served.rivals)
        return msgspec.structs.replace(served, artefact=artefact, rivals=rivals)

    def _artefact(self, name: str, deadline: float) -> Artefact:
        """Return a model, fetched unless it is known; its bytes are what its name says."""
        if name not in self._known:
            self.requests += 1
            path = f"/v1/artefacts/{quote(name, safe='')}"
            self._known[name] = unpack(name, self._transport.request("GET", path, kind=BYTES, deadline=deadline).body)
        return self._known[name]

    def _trim(self, served: dict[str, Served]) -> None:
        """Let go of models that nothing serves any more."""
        used = {each.serving.release for whole in served.values() for each in (whole, *whole.rivals)}
        self._known = {name: artefact for name, artefact in self._known.items() if name in used}
