"""Work that takes longer than a request: in a process of its own, one at a time for each strategy, its state in a file.

A model of trade-offs takes half a gigabyte and half a minute; a server that fits one itself would answer nobody
meanwhile. What is asked goes through the child's standard input, for it holds the database's password.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import msgspec

from abloop.errors import AbloopError, DataError
from abloop.store.workspace import Workspace

Status = Literal["running", "done", "failed"]
UNFORESEEN = "It ended without a result; the server's log says why."


class Errand(msgspec.Struct, frozen=True):
    """One piece of work.

    Attributes:
        kind: What is done: a name of `WORK`.
        strategy: For which strategy; empty for all.
        who: Who asked for it.
        why: Why.
        at: When, in seconds since 1970.
        asked: More of what was asked; it is not kept.
        status: Whether it runs, is done, or failed.
        said: What came of it, in words.
        result: What came of it, as plain data.
        ended: When, in seconds since 1970; 0 while it runs.
    """

    kind: str
    strategy: str
    who: str
    why: str
    at: float
    asked: dict[str, Any] = {}
    status: Status = "running"
    said: str = ""
    result: Any = None
    ended: float = 0.0


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
                last = self.last(errand.strategy)
                kind = last.kind if last else "something"
                raise DataError(f"{kind!r} still runs for {errand.strategy!r}; wait until it has ended") from error
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

    def last(self, strategy: str) -> Errand | None:
        """Return the last errand of a strategy; None where there was none."""
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


def propose(workspace: Workspace, errand: Errand) -> tuple[str, Any]:
    """Propose a round of weights and begin it."""
    from abloop import tuning

    count = int(errand.asked.get("arms") or 0)
    state = tuning.propose(workspace, errand.strategy, count=count, who=errand.who, why=errand.why)
    return f"Round {state.rounds[-1].number} runs.", None


def foresee(workspace: Workspace, errand: Errand) -> tuple[str, Any]:
    """Ask a model of all trials what some weights would change."""
    from abloop import tuning

    weights = {str(name): float(value) for name, value in errand.asked["weights"].items()}
    (found,) = tuning.expect(workspace, errand.strategy, [weights])
    return "The model has answered.", {"weights": weights, "lifts": msgspec.to_builtins(found)}


def judge(workspace: Workspace, errand: Errand) -> tuple[str, Any]:
    """Ask the gate, and serve what it proves, because a person says so."""
    from abloop import offline

    before = workspace.catalogue.serving(errand.strategy)
    judged = offline.gate(workspace, errand.strategy)
    serving = offline.switch(workspace, errand.strategy, judged, who=errand.who)
    changed = (serving.phase, serving.release) != (before.phase, before.release)
    done = f"{errand.strategy} is in phase {serving.phase!r} from now on." if changed else "Nothing was switched."
    return f"{judged.verdict.reason} {done}", None


def erase(workspace: Workspace, errand: Errand) -> tuple[str, Any]:
    """Erase a unit everywhere, and prove it."""
    from abloop.store.erasure import erase as remove

    erased = remove(workspace, str(errand.asked["unit"]), who=errand.who, why=errand.why)
    proof = "a second look found none" if erased.proven else f"a second look found {sum(erased.left.values()):,} left"
    return f"The unit is erased: {sum(erased.found.values()):,} records were there, and {proof}.", erased.found


Work = Callable[[Workspace, Errand], tuple[str, Any]]
WORK: Mapping[str, Work] = {"propose": propose, "foresee": foresee, "judge": judge, "erase": erase}


def run(order: Order) -> Errand:
    """Do what was ordered, keep how it ended, and return that."""
    place, errand = Path(order.place), order.errand
    try:
        with closing(Workspace(order.url, order.directory)) as workspace:
            said, result = WORK[errand.kind](workspace, errand)
        errand = msgspec.structs.replace(errand, status="done", said=said, result=result, asked={})
    except AbloopError as error:
        errand = msgspec.structs.replace(errand, status="failed", said=str(error), asked={})
    except Exception:
        keep(place, msgspec.structs.replace(errand, status="failed", said=UNFORESEEN, asked={}, ended=time.time()))
        raise
    errand = msgspec.structs.replace(errand, ended=time.time())
    keep(place, errand)
    return errand


def main() -> None:
    """Do what standard input orders."""
    run(msgspec.json.decode(sys.stdin.buffer.read(), type=Order))
