"""The hot path, in product code: served blueprint, assignment, features, prediction, policy, spool.

It never raises, never waits for another machine, and reads what is served from one reference that a
background thread swaps whole. Programming errors are raised before it, by `connect`, `register` and
`strategy`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence, Sized
from time import perf_counter_ns
from typing import Any

from abloop.errors import AbloopError, DataError
from abloop.records import Observation, encode
from abloop.snapshot import NOTHING, Snapshot, arrange, decide, placed
from abloop.store.workspace import Workspace

log = logging.getLogger("abloop")
COMPLAIN_SECONDS = 60.0


class Strategy:
    """The handle product code holds: two calls, safe from any thread, that never raise.

    Args:
        snapshot: What is served now.
        workspace: Where records go.

    Attributes:
        errors: Calls that could not be answered from the blueprint and got its default.
    """

    def __init__(self, snapshot: Snapshot, workspace: Workspace) -> None:
        """Keep the snapshot; `Loop` swaps it."""
        self.snapshot = snapshot
        self._spool = workspace.spool
        self._clock = workspace.clock
        self._append = workspace.spool.append
        self.errors = 0
        self._complained = -math.inf

    @property
    def name(self) -> str:
        """Name of the strategy."""
        return self.snapshot.strategy

    def get_decision(self, decision_id: str, application_context: Mapping[str, Any]) -> Any:
        """Return the decision for a context, after its record is safe.

        Args:
            decision_id: Ties later observations to this decision, e.g. `abloop.new_decision_id()`.
            application_context: The unit under the blueprint's unit key, and features.

        Returns:
            The arm's value (its name unless the blueprint says otherwise); the blueprint's default if the
            call cannot be answered. It never raises.

        Example:
            >>> import abloop, tempfile
            >>> loop = abloop.connect(f"sqlite:///{tempfile.mkdtemp()}/demo.db")
            >>> arms = (abloop.Arm(name="blue"), abloop.Arm(name="green"))
            >>> loop.register(abloop.Blueprint(strategy="button", arms=arms, metrics=(abloop.Metric(name="click"),)))
            1
            >>> loop.strategy("button").get_decision("d1", {"user_id": "u1"}) in ("blue", "green")
            True
            >>> loop.close()
        """
        started = perf_counter_ns()
        snapshot = self.snapshot
        try:
            if snapshot.split is not None:
                snapshot = snapshot.split.pick(application_context)
            if snapshot.feed is None:
                decision = decide(snapshot, decision_id, application_context, self._clock(), started)
            else:
                now = self._clock()
                fetched = snapshot.feed.fetch(application_context, now)
                decision = decide(snapshot, decision_id, application_context, now, started, fetched)
                snapshot.feed.decided(decision_id, fetched.entities)
            self._append(encode(decision))
        except Exception as error:  # law 1: product code never sees an exception
            self._complain(error)
            return snapshot.default
        return decision.decision

    def get_ranking(self, decision_id: str, contexts: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the order of a list, best first, after its records are safe.

        Every context is a decision of its own with the id `DECISION_ID/INDEX`: log what happened to the third of
        the list with `log_observations(f"{decision_id}/2", ...)`. What was decided is its position, from 0, and
        its score. The default, before there is anything to order by, is the order that was given.

        Args:
            decision_id: Names the whole list.
            contexts: One application context for each item, each with the unit, n of them.

        Returns:
            Indices of `contexts` in their new order, length n. It never raises.

        Example:
            >>> import abloop, tempfile
            >>> loop = abloop.connect(f"sqlite:///{tempfile.mkdtemp()}/demo.db")
            >>> raw = {"strategy": "feed", "space": {"type": "ordering"}, "metrics": [{"name": "click"}]}
            >>> raw |= {"features": [{"name": "age"}], "policy": {"formula": "-age"}, "experiment": {"explore": 0.01}}
            >>> _ = loop.register(raw)
            >>> loop.strategy("feed").get_ranking("d1", [{"user_id": "u", "age": age} for age in (3, 1, 2)])
            [1, 2, 0]
            >>> loop.close()
        """
        started = perf_counter_ns()
        snapshot = self.snapshot
        try:
            if snapshot.split is not None and contexts:
                snapshot = snapshot.split.pick(contexts[0])
            now, found = self._clock(), []
            for index, context in enumerate(contexts):
                fetched = NOTHING if snapshot.feed is None else snapshot.feed.fetch(context, now)
                found.append(decide(snapshot, f"{decision_id}/{index}", context, now, started, fetched))
                if snapshot.feed is not None:
                    snapshot.feed.decided(found[-1].decision_id, fetched.entities)
            order = arrange(found)
            for decision in placed(found, order):
                self._append(encode(decision))
        except Exception as error:  # law 1: product code never sees an exception
            self._complain(error)
            return list(range(len(contexts) if isinstance(contexts, Sized) else 0))
        return order

    def log_observations(self, decision_id: str, observations: Mapping[str, float], *, key: str = "") -> None:
        """Log what happened after a decision. It never raises.

        Args:
            decision_id: The decision's id.
            observations: Metric name to value (number or boolean).
            key: Idempotency key: the same key for the same decision and metric counts once, however often sent.

        Example:
            >>> import abloop, tempfile
            >>> loop = abloop.connect(f"sqlite:///{tempfile.mkdtemp()}/demo.db")
            >>> arms = (abloop.Arm(name="blue"), abloop.Arm(name="green"))
            >>> _ = loop.register(abloop.Blueprint(strategy="b", arms=arms, metrics=(abloop.Metric(name="click"),)))
            >>> loop.strategy("b").log_observations("d1", {"click": True})
            >>> loop.close()
        """
        try:
            snapshot = self.snapshot
            now, strategy, known = self._clock(), snapshot.strategy, snapshot.metrics
            for name, value in observations.items():
                number = float(value)
                if name not in known or not math.isfinite(number) or type(decision_id) is not str:
                    raise DataError(
                        f"strategy {strategy!r}: observation {name!r} = {value!r:.80} for {decision_id!r:.80}; "
                        f"allowed: finite numbers under {', '.join(sorted(known))}"
                    )
                self._append(encode(Observation(decision_id, strategy, now, name, number, key)))
                for feed in snapshot.feeds:
                    feed.observed(decision_id, name, number, now, self._spool.where())
        except Exception as error:  # law 1: product code never sees an exception
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        """Count an error, and log at most one a minute."""
        self.errors += 1
        now = time.monotonic()
        if now - self._complained >= COMPLAIN_SECONDS:
            self._complained = now
            what = str(error) if isinstance(error, AbloopError) else f"{type(error).__name__}: {error}"
            log.error("strategy %r answered with its default (%d errors so far): %s", self.name, self.errors, what)
