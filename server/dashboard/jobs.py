"""Work that takes longer than a request may: one thread of this process, one job after the other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from abloop.errors import AbloopError

Work = Callable[[Callable[[int, int], None]], None]
log = logging.getLogger("abloop")


class Job(msgspec.Struct, frozen=True):
    """One piece of work.

    Attributes:
        at: When it was asked for, in seconds since 1970.
        who: Who asked.
        state: `waiting`, `running`, `done` or `failed`.
        done: Parts done.
        total: Parts in all; 0 before that is known.
        error: Why it failed, for people.
    """

    at: float
    who: str
    state: str = "waiting"
    done: int = 0
    total: int = 0
    error: str = ""

    @property
    def open(self) -> bool:
        """Whether it is still to be done."""
        return self.state in ("waiting", "running")


class Jobs:
    """The jobs of one process, the newest of each name."""

    def __init__(self) -> None:
        """Begin without a thread."""
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._pool: ThreadPoolExecutor | None = None

    def find(self, name: str) -> Job | None:
        """Return the newest job of a name; None where there is none."""
        with self._lock:
            return self._jobs.get(name)

    def start(self, name: str, work: Work, *, at: float, who: str) -> bool:
        """Have work done, unless it is being done already.

        Args:
            name: Names it.
            work: Is given what it tells its progress.
            at: Seconds since 1970.
            who: Who asks.

        Returns:
            Whether it was taken on.
        """
        with self._lock:
            before = self._jobs.get(name)
            if before is not None and before.open:
                return False
            self._jobs[name] = Job(at, who)
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, "abloop-jobs")
            self._pool.submit(self._run, name, work)
        return True

    def _run(self, name: str, work: Work) -> None:
        self._change(name, state="running")
        try:
            work(lambda done, total: self._change(name, done=done, total=total))
        except AbloopError as error:
            self._change(name, state="failed", error=str(error))
        except ModuleNotFoundError as error:
            said = f"Package {error.name!r} is not installed here. Install it: pip install 'abloop[all]'"
            self._change(name, state="failed", error=said)
        except Exception:
            log.exception("job %s failed", name)
            self._change(name, state="failed", error="Something broke. The server's log says what.")
        else:
            self._change(name, state="done")

    def _change(self, name: str, **values: object) -> None:
        with self._lock:
            self._jobs[name] = msgspec.structs.replace(self._jobs[name], **values)
