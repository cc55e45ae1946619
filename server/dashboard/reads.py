"""What pages read of a training table, kept until its rows or its serving change: a second look costs nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar, cast

import msgspec
from flask import current_app

from abloop.blueprint import Reading
from abloop.readout import Readout, readout
from abloop.readout.traffic import Traffic, read_traffic
from abloop.store.workspace import Workspace

MOST = 200
Found = TypeVar("Found")


class Reads:
    """The last results, by what they were read from."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[object, ...], object] = OrderedDict()

    def get(self, key: tuple[object, ...], make: Callable[[], Found]) -> Found:
        """Return what belongs to a key; it is made where it is not there.

        Args:
            key: All that the result depends on.
            make: Makes it.
        """
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return cast(Found, self._found[key])
        made = make()
        with self._lock:
            self._found[key] = made
            while len(self._found) > MOST:
                self._found.popitem(last=False)
        return made


def read_readout(workspace: Workspace, name: str, reading: Reading | None = None) -> Readout:
    """Return the readout of a strategy, computed only where its rows or its serving changed.

    Args:
        workspace: Where it is.
        name: The strategy.
        reading: What is read, and how; as the blueprint says where None.
    """
    how = b"" if reading is None else msgspec.json.encode(reading)
    found = _reads().get(("readout", *_stamp(workspace, name), how), lambda: readout(workspace, name, reading=reading))
    if not found.rows:
        return readout(workspace, name, reading=reading)  # its note says how many wait just now
    return msgspec.structs.replace(found, waiting=workspace.journal.backlog(name).waiting)


def read_days(workspace: Workspace, name: str) -> Traffic:
    """Return the traffic of a strategy, computed only where its rows or its serving changed."""
    return _reads().get(("traffic", *_stamp(workspace, name)), lambda: read_traffic(workspace, name))


def once(workspace: Workspace, name: str, what: str, make: Callable[[], Found]) -> Found:
    """Return something else that depends on a strategy's rows and serving alone.

    Args:
        workspace: Where it is.
        name: The strategy.
        what: Names it.
        make: Makes it.
    """
    return _reads().get((what, *_stamp(workspace, name)), make)


def lasting(key: tuple[object, ...], make: Callable[[], Found]) -> Found:
    """Return what never changes once it is there, e.g. what is known of an artefact.

    Args:
        key: Names it.
        make: Makes it.
    """
    return _reads().get(key, make)


def _stamp(workspace: Workspace, name: str) -> tuple[object, ...]:
    """Return what changes with a strategy's rows and with what is served."""
    return (name, *msgspec.structs.astuple(workspace.catalogue.serving(name)), workspace.manifest.version(name))


def _reads() -> Reads:
    found: Reads = current_app.extensions.setdefault("abloop_reads", Reads())
    return found
