"""Work that takes longer than a request: in a process of its own, one at a time for each strategy, its state in a file.

A model of trade-offs takes half a gigabyte and half a minute; a server that fits one itself would answer nobody
meanwhile. So few work at a time; the others wait for their turn. What is asked goes through the child's standard input,
for it holds the database's password.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from abloop.errors import AbloopError, DataError
from abloop.store.audit import told_elsewhere
from abloop.store.workspace import Workspace
from server.work import DOING, WORK, Errand, Progress, Status

AT_ONCE = 2  # errands of an installation on one machine
PAUSE_SECONDS = 0.2  # between two looks whether it is one's turn, and at least between two notes of progress
UNFORESEEN = "It ended without a result; the server's log says why."


class Order(msgspec.Struct, frozen=True):
    """What a child is told."""

    url: str
    directory: str | None
    place: str
    errand: Errand


class Errands:
    """The errands of one installation.

    Args:
        url: SQLAlchemy URL of its database.
        directory: Where spool and training tables are; beside an SQLite file where None.
        home: Where the states of errands are kept.
    """

    def __init__(self, url: str, directory: str | Path | None, home: Path) -> None:
        """Start nothing."""
        self._url, self._directory, self._home = url, directory, home

    def start(self, errand: Errand) -> Errand:
        """Send one out and return it.

        Raises:
            DataError: One runs already for the strategy.
        """
        place = self._place(errand.strategy)
        self._home.mkdir(parents=True, exist_ok=True)
        lock = os.open(place.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                last = self._last(errand.strategy)
                doing = DOING[last.kind] if last else "other work"
                raise DataError(f"{doing} is under way for {errand.strategy!r}; wait until it has ended") from error
            keep(place, msgspec.structs.replace(errand, asked={}))  # which may name a unit
            directory = None if self._directory is None else str(self._directory)
            order = msgspec.json.encode(Order(self._url, directory, str(place), errand))
            child = subprocess.Popen(
                [sys.executable, "-c", "from server.errands import main; main()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=(lock,),  # it holds the lock from here on, until it ends, however it ends
                start_new_session=True,
            )
        finally:
            os.close(lock)
        assert child.stdin is not None  # noqa: S101 - it was asked for
        with child.stdin as pipe:
            pipe.write(order)
        threading.Thread(target=child.wait, name="abloop-errand", daemon=True).start()  # which leaves no zombie
        return errand

    def last(self, strategy: str, *kinds: str) -> Errand | None:
        """Return the last errand of a strategy; None where there was none, or one of other kinds than these.

        Args:
            strategy: Its name; empty for what is done for all.
            kinds: Names of `WORK`; any where none is given.
        """
        found = self._last(strategy)
        return found if found is not None and (not kinds or found.kind in kinds) else None

    def _last(self, strategy: str) -> Errand | None:
        place = self._place(strategy)
        try:
            errand = msgspec.json.decode(place.read_bytes(), type=Errand)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        if errand.status == "running" and not self._runs(place):
            errand = msgspec.json.decode(place.read_bytes(), type=Errand)  # it may have ended just now
            if errand.status == "running":
                return msgspec.structs.replace(errand, status="failed", said=UNFORESEEN)
        return errand

    def _place(self, strategy: str) -> Path:
        return self._home / f"{hashlib.sha256(strategy.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.json"

    def _runs(self, place: Path) -> bool:
        """Return whether somebody holds the lock."""
        try:
            with place.with_suffix(".lock").open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False


def keep(place: Path, errand: Errand) -> None:
    """Keep the state of an errand, whole or not at all."""
    beside = place.with_suffix(f".{os.getpid()}")
    beside.write_bytes(msgspec.json.encode(errand))
    beside.replace(place)


@contextmanager
def turn(home: Path) -> Iterator[None]:
    """Wait until fewer than `AT_ONCE` others are at work, in whichever process."""
    with ExitStack() as stack:
        slots = [os.open(home / f"turn-{number}.lock", os.O_RDWR | os.O_CREAT, 0o600) for number in range(AT_ONCE)]
        for slot in slots:
            stack.callback(os.close, slot)
        while not any(map(_taken, slots)):
            time.sleep(PAUSE_SECONDS)
        yield


def _taken(slot: int) -> bool:
    """Return whether a lock could be taken."""
    try:
        fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def run(order: Order) -> Errand:
    """Do what was ordered, keep how it ended, and return that."""
    place, errand = Path(order.place), order.errand
    hidden = msgspec.structs.replace(errand, asked={})  # which may name a unit

    def end(status: Status, said: str, result: Any = None) -> Errand:
        ended = msgspec.structs.replace(hidden, status=status, said=said, result=result, ended=time.time())
        keep(place, ended)
        return ended

    try:
        with turn(place.parent), told_elsewhere(), closing(Workspace(order.url, order.directory)) as workspace:
            said, result = WORK[errand.kind](workspace, errand, _noting(place, hidden))
    except AbloopError as error:
        return end("failed", str(error))
    except ModuleNotFoundError as error:
        return end("failed", f"Package {error.name!r} is not installed here. Install it: pip install 'abloop[all]'")
    except Exception:
        end("failed", UNFORESEEN)
        raise
    return end("done", said, result)


def _noting(place: Path, errand: Errand) -> Progress:
    """Return what notes the progress of an errand, not more often than anybody looks."""
    noted = -math.inf

    def note(done: int, total: int) -> None:
        nonlocal noted
        if (now := time.monotonic()) - noted >= PAUSE_SECONDS:
            keep(place, msgspec.structs.replace(errand, done=done, total=total))
            noted = now

    return note


def main() -> None:
    """Do what standard input orders."""
    run(msgspec.json.decode(sys.stdin.buffer.read(), type=Order))
