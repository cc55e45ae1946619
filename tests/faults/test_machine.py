"""The way of a record as a state machine: in whatever order things happen or break, the table is that of a dict."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy.engine import Connection

from abloop import offline
from abloop.errors import StoreError
from abloop.loop import Loop
from abloop.store import compaction
from abloop.store.compaction import compact
from abloop.store.late import join_late
from abloop.store.sql import Database
from abloop.store.status import read_status
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop, two_arms

IDS, KEYS = st.integers(0, 3), st.integers(0, 3)
STEPS: dict[str, Callable[[Loop], object]] = {
    "ship": offline.ship_spool,
    "join": lambda loop: offline.join_rows(loop, "checkout"),
    "late": lambda loop: join_late(loop, "checkout"),
    "compact": lambda loop: compact(loop, "checkout"),
}


class CutOffError(Exception):
    """The process ends here."""


LOST_RACE = ("another worker", "while they were joined")


@contextmanager
def at_commit(number: int, happens: Callable[[], None], *, after: bool | None = None) -> Iterator[None]:
    """Let something happen once: before that transaction, or right before or after its commit; never if below 0."""
    inner, left = Database.transaction, number

    def reached(point: bool | None) -> None:
        nonlocal left
        if point is after:
            left -= 1
            if left == -1:
                happens()

    @contextmanager
    def transaction(database: Database) -> Iterator[Connection]:
        reached(None)
        with inner(database) as connection:
            yield connection
            reached(False)  # nothing of it is kept
        reached(True)  # all of it is kept, and nobody knows

    with pytest.MonkeyPatch.context() as patch:
        if number >= 0:
            patch.setattr(Database, "transaction", transaction)
        yield


class Way(RuleBasedStateMachine):
    """Decisions and observations on their way, with crashes around each commit and another worker between any two."""

    @initialize()
    def begin(self) -> None:
        """Open an installation."""
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(compaction, "FEWEST", 2)  # so that there is something to merge
        self.place = tempfile.TemporaryDirectory()
        self.clock = ManualClock()
        self.loop = open_loop(Path(self.place.name), self.clock)
        self.loop.register(two_arms(metrics=[{"name": "bought", "combine": "sum"}]))
        self.strategy = self.loop.strategy("checkout")
        self.made: dict[str, float] = {}
        self.seen: dict[tuple[str, str], float] = {}

    @rule(number=IDS)
    def decide(self, number: int) -> None:
        """Decide; of the same id the first counts."""
        self.strategy.get_decision(f"d{number}", {"user_id": f"u{number}", "x": 1.0})
        self.made.setdefault(f"d{number}", self.clock())

    @rule(number=IDS, key=KEYS)
    def observe(self, number: int, key: int) -> None:
        """Observe, also before the decision; of the same key the first counts."""
        self.strategy.log_observations(f"d{number}", {"bought": 2.0**key}, key=f"k{key}")
        self.seen.setdefault((f"d{number}", f"k{key}"), self.clock())

    @rule(part=st.sampled_from([0.1, 0.5, 1.1]))
    def wait(self, part: float) -> None:
        """Let time pass."""
        self.clock.advance(TTL * part)

    @rule(number=IDS, key=KEYS)
    def observe_after_its_row(self, number: int, key: int) -> None:
        """Observe in time what is shipped only once the row is complete."""
        self.work("ship", -1, False)
        self.observe(number, key)
        self.wait(1.1)
        self.work("join", -1, False)

    @rule(step=st.sampled_from(list(STEPS)), cut=st.integers(-1, 3), after=st.booleans())
    def work(self, step: str, cut: int, after: bool) -> None:
        """Do a step; where `cut` is not below 0, end before or after that commit."""

        def ended() -> None:
            raise CutOffError

        with suppress(CutOffError), at_commit(cut, ended, after=after):
            STEPS[step](self.loop)

    @rule(step=st.sampled_from(list(STEPS)), other=st.sampled_from(list(STEPS)), cut=st.integers(0, 2))
    def race(self, step: str, other: str, cut: int) -> None:
        """Do a step, and just before one of its transactions all of another worker's step."""

        def meanwhile() -> None:
            if other == "join":
                STEPS["ship"](self.loop)
            STEPS[other](self.loop)

        try:
            with at_commit(cut, meanwhile):
                STEPS[step](self.loop)
        except StoreError as error:
            if not any(words in str(error) for words in LOST_RACE):
                raise

    @invariant()
    def sums_hold(self) -> None:
        """What was received is accounted for, at any moment."""
        if hasattr(self, "loop"):
            (custody,) = read_status(self.loop).strategies
            assert custody.balanced, custody

    def teardown(self) -> None:
        """In the end the table is that of the dict."""
        if not hasattr(self, "loop"):
            return
        self.patch.undo()
        now = self.clock()
        self.clock.advance(3 * TTL)
        for _ in range(2):
            offline.ship_spool(self.loop)
            offline.join_rows(self.loop, "checkout")
            join_late(self.loop, "checkout")
        files = [self.loop.table_directory / file.name for file in self.loop.manifest.files("checkout")]
        frames = [
            pq.read_table(file, columns=["decision_id", "time", "y.bought", "n.bought"]).to_pandas() for file in files
        ]
        table = pd.concat(frames) if frames else pd.DataFrame({"decision_id": []})
        assert sorted(table["decision_id"]) == sorted(self.made)
        for _, row in table.iterrows():
            mine = [
                key for (name, key), at in self.seen.items() if name == row["decision_id"] and at <= row["time"] + TTL
            ]
            assert row["y.bought"] == sum(2.0 ** int(key[1:]) for key in mine)
            assert row["n.bought"] == len(mine)
            assert row["time"] <= now
        self.loop.close()
        self.place.cleanup()


Way.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
test_the_way_of_a_record = Way.TestCase
