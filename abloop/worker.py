"""The worker: turns the cold path for all strategies, again and again, until it is told to stop.

Each turn ships, joins, adds what came late and asks the gate; each step is restartable, so that a worker may be killed
at any point and several may run at once. A strategy that fails stops no other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from abloop import offline
from abloop.errors import AbloopError, AwayError, ConflictError
from abloop.faults import Faults, said
from abloop.hte.kept import keep
from abloop.hte.strategy import explain
from abloop.store.compaction import compact
from abloop.store.late import join_late
from abloop.store.retention import retain
from abloop.store.ship import Shipped
from abloop.store.workspace import Workspace

EVERY_SECONDS = 5.0
LONGEST_PAUSE = 30.0
GATE_SECONDS = 60.0  # between two questions to the gate while it refuses
RETENTION_SECONDS = 3_600.0


class StrategyTurn(msgspec.Struct, frozen=True):
    """What a turn did for one strategy.

    Attributes:
        strategy: Its name.
        rows: Rows that were completed.
        late: Rows to which something was added.
        verdict: What the gate said; empty where it was not asked.
        phase: How it is served now.
        error: Why the turn ended early; empty where it did not.
    """

    strategy: str
    rows: int = 0
    late: int = 0
    verdict: str = ""
    phase: str = ""
    error: str = ""


class Turn(msgspec.Struct, frozen=True):
    """One turn of the cold path.

    Attributes:
        at: When it began, in seconds since 1970.
        seconds: How long it took.
        shipped: What reached the database; None where shipping failed.
        strategies: What was done for each strategy.
        error: Why nothing could be done; empty where that is not so.
    """

    at: float
    seconds: float
    shipped: Shipped | None
    strategies: list[StrategyTurn]
    error: str = ""

    @property
    def failed(self) -> bool:
        """Whether anything did."""
        return bool(self.error) or any(part.error for part in self.strategies)


class Worker:
    """Turns the cold path of an installation.

    Args:
        workspace: What `abloop.connect` gave.
        strategies: Only these; all there are where empty.

    Attributes:
        turns: Turns so far.
        errors: Steps that failed so far.
    """

    def __init__(self, workspace: Workspace, strategies: Sequence[str] = ()) -> None:
        """Do nothing yet."""
        self._workspace = workspace
        self._only = tuple(strategies)
        self._faults: dict[str, Faults] = {}
        self._asked: dict[str, float] = {}
        self._retained: dict[str, float] = {}
        self.turns = 0

    @property
    def errors(self) -> int:
        """Steps that failed so far."""
        return sum(faults.count for faults in self._faults.values())

    def run(self, every: float, stop: threading.Event, told: Callable[[Turn], object] = lambda turn: None) -> None:
        """Turn until told to stop; while the database is away, wait longer from turn to turn.

        Args:
            every: Seconds from the start of a turn to the start of the next.
            stop: Ends it after the step in hand.
            told: Is given each turn.
        """
        pause = every
        while not stop.is_set():
            turn = self.turn(stop)
            told(turn)
            pause = min(max(2 * pause, 1.0), LONGEST_PAUSE) if turn.error else every
            stop.wait(max(0.0, pause - turn.seconds) if not turn.error else pause)

    def turn(self, stop: threading.Event | None = None) -> Turn:
        """Turn once, and return what was done; what fails is in it."""
        at, started = self._workspace.clock(), time.monotonic()
        done: list[StrategyTurn] = []
        shipped, error = None, ""
        try:
            shipped = offline.ship_spool(self._workspace)
            for name in self._only or sorted(self._workspace.catalogue.servings()):
                if stop is not None and stop.is_set():
                    break
                done.append(self._advance(name))
        except AbloopError as failed:
            self._note("", failed)
            error = said(failed)
        self.turns += 1
        return Turn(at, time.monotonic() - started, shipped, done, error)

    def _advance(self, name: str) -> StrategyTurn:
        """Turn for one strategy; its errors are its own, unless the database is away."""
        rows = late = 0
        verdict = phase = error = ""
        try:
            rows = offline.join_rows(self._workspace, name)
            late = join_late(self._workspace, name).rows
            self._watch(name)
            verdict = self._judge(name)
            compact(self._workspace, name)
            self._retain(name)
            phase = self._workspace.catalogue.serving(name).phase
        except AwayError:
            raise
        except ConflictError:  # it was done by another worker, or will be in the next turn
            pass
        except Exception as failed:  # whatever it is, the other strategies go on
            error = self._note(name, failed)
        return StrategyTurn(name, rows, late, verdict, phase, error)

    def _watch(self, name: str) -> None:
        """Abandon the arms of a tuning round that break a limit."""
        if self._workspace.tunings.state(name).open is not None:
            from abloop import tuning  # with SciPy, which most workers do not need

            tuning.watch(self._workspace, name, who="worker")

    def _judge(self, name: str) -> str:
        """Ask the gate where enough is fresh since it was asked last, and return what it said."""
        workspace, now = self._workspace, time.monotonic()
        version = workspace.catalogue.serving(name).version
        rows = sum(file.rows for file in workspace.manifest.files(name) if file.version == version)
        if not rows or now - self._asked.get(name, -GATE_SECONDS) < GATE_SECONDS:
            return ""
        if offline.last_word(workspace, name, version, rows) is not None:
            return ""
        self._asked[name] = now
        judged = offline.gate(workspace, name, always_valid=True)
        offline.switch(workspace, name, judged)
        if judged.learned is not None:
            keep(workspace, explain(*judged.learned, judged.verdict), who="worker")
        return judged.verdict.verdict

    def _retain(self, name: str) -> None:
        """Let go of what is older than the blueprint keeps, once an hour."""
        now = time.monotonic()
        if now - self._retained.get(name, -RETENTION_SECONDS) >= RETENTION_SECONDS:
            retain(self._workspace, name)
            self._retained[name] = now

    def _note(self, name: str, error: Exception) -> str:
        """Count an error, say it at most once a minute, and return it."""
        what = f"worker: strategy {name!r} waits for the next turn" if name else "worker: waits for the next turn"
        self._faults.setdefault(name, Faults()).note(what, error)
        return said(error)
