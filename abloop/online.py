"""The hot path, in product code: served blueprint, assignment, features, prediction, policy, spool.

It never raises, never waits for another machine, and reads what is served from one reference that a
background thread swaps whole. Programming errors are raised before it, by `connect`, `register` and
`strategy`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from abloop.blueprint.conceal import conceal
from abloop.decision import Drawn, decide, had, keeps, randomise, remember, unit_text
from abloop.details import Details, details_of
from abloop.errors import DataError, StoreError, unknown
from abloop.faults import Faults, said
from abloop.ids import new_key
from abloop.ranking import arrange, decide_list
from abloop.records import Decision, Observation, encode
from abloop.snapshot import NOTHING, Snapshot

if TYPE_CHECKING:
    from abloop.store.home import Home
    from abloop.store.sticky import StickyStore


class Strategy:
    """The handle product code holds: two calls, safe from any thread, that never raise.

    Args:
        snapshot: What is served now.
        home: Where records go.
        sticky: Where the arms are that units keep.
    """

    def __init__(self, snapshot: Snapshot, home: Home, sticky: StickyStore) -> None:
        """Keep the snapshot; `Loop` swaps it."""
        self.snapshot = snapshot
        self._sticky = sticky
        self._spool, self._append = home.spool, home.spool.append
        self._clock, self._pseudonym = home.clock, home.pseudonym
        self._faults = Faults()

    @property
    def errors(self) -> int:
        """Calls that could not be answered from the blueprint and got its default."""
        return self._faults.count

    @property
    def name(self) -> str:
        """Name of the strategy."""
        return self.snapshot.strategy

    def get_decision(
        self, decision_id: str, application_context: Mapping[str, Any], *, force: str = "", drawn: str = ""
    ) -> Any:
        """Return the decision for a context, after its record is safe.

        Args:
            decision_id: Ties later observations to this decision, e.g. `abloop.new_decision_id()`.
            application_context: The unit under the blueprint's unit key, and features.
            force: Name of the arm to give, e.g. from the address of a test page; no such arm is counted as an error,
                and no force.
            drawn: Name of the arm that the product's own assignment drew, by the shares of the blueprint: it is given
                while the strategy randomises, and to the explore share once it personalises.

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
        try:
            snapshot = self.snapshot
            if snapshot.quick and not force and not drawn:  # what most strategies do, without further calls
                made = randomise(snapshot, decision_id, application_context, self._clock(), started)
                self._append(encode(made))
                return made.decision
            return self._decide(decision_id, application_context, started, force, drawn or None).decision
        except Exception as error:  # law 1: product code never sees an exception
            self._complain(error)
            return self.snapshot.default

    def get_details(
        self,
        decision_id: str,
        application_context: Mapping[str, Any],
        *,
        force: str = "",
        drawn: Drawn | str | None = None,
    ) -> Details:
        """Return the decision with its arm, propensity and reason. It never raises.

        Args:
            decision_id: As for `get_decision`.
            application_context: As for `get_decision`.
            force: As for `get_decision`.
            drawn: As for `get_decision`, or index of the arm and the shares it was drawn by.

        Example:
            >>> import abloop, tempfile
            >>> loop = abloop.connect(f"sqlite:///{tempfile.mkdtemp()}/demo.db")
            >>> arms = (abloop.Arm(name="blue"), abloop.Arm(name="green"))
            >>> _ = loop.register(abloop.Blueprint(strategy="b", arms=arms, metrics=(abloop.Metric(name="click"),)))
            >>> found = loop.strategy("b").get_details("d1", {"user_id": "u1"}, drawn=(1, (0.9, 0.1)))
            >>> found.value, found.propensity, found.reason
            ('green', 0.1, 'randomise')
            >>> loop.close()
        """
        started = perf_counter_ns()
        try:
            made = self._decide(decision_id, application_context, started, force, drawn)
        except Exception as error:  # law 1: product code never sees an exception
            self._complain(error)
            return Details(self.snapshot.default, error=said(error))
        return details_of(made)

    def make_decision(
        self, decision_id: str, application_context: Mapping[str, Any], *, force: str = "", drawn: str = ""
    ) -> Decision:
        """Return the record of a decision without writing it, for a caller that does; see `get_decision`.

        Raises:
            AbloopError: The call cannot be answered, e.g. since the context has no unit.
        """
        return self._decide(decision_id, application_context, perf_counter_ns(), force, drawn or None, write=False)

    def make_ranking(
        self, decision_id: str, contexts: Sequence[Mapping[str, Any]], *, write: bool = False
    ) -> tuple[list[int], Sequence[Decision]]:
        """Return the order of a list and its records, or raise; see `get_ranking` and `make_decision`."""
        return self._rank(decision_id, contexts, perf_counter_ns(), write)

    def _decide(
        self,
        decision_id: str,
        context: Mapping[str, Any],
        started: int,
        force: str,
        drawn: Drawn | str | None = None,
        write: bool = True,
    ) -> Decision:
        """Return the decision for a context, its record safe; whatever is wrong is raised."""
        snapshot = self._version(context)
        if snapshot.conceals:
            context = conceal(snapshot.blueprint, context, self._pseudonym)
        if isinstance(drawn, str):
            if drawn not in snapshot.names:
                raise DataError(unknown("arm in drawn:", drawn, snapshot.names))
            drawn = snapshot.names.index(drawn), snapshot.weights
        if force and not (type(force) is str and force in snapshot.names):
            self._complain(DataError(unknown("arm in force:", force, snapshot.names)))
            force = ""
        now, fetched, kept, before = self._clock(), NOTHING, None, None
        if snapshot.feed is not None or snapshot.sticky or snapshot.calm:
            fetched = NOTHING if snapshot.feed is None else snapshot.feed.fetch(context, now)
            kept = keeps(snapshot, self._sticky, context) if snapshot.sticky and drawn is None else None
            before = had(snapshot, self._sticky, context) if snapshot.calm else None
        decision = decide(snapshot, decision_id, context, now, started, fetched, force, drawn or kept, before)
        if write:
            self._append(encode(decision))
            if snapshot.feed is not None:
                snapshot.feed.decided(decision_id, fetched.entities)
        if kept is None and (snapshot.sticky or snapshot.calm):
            remember(snapshot, self._sticky, decision, drawn)
        return decision

    def _version(self, context: Mapping[str, Any]) -> Snapshot:
        """Return the version that decides for the unit of a context."""
        snapshot = self.snapshot
        if not snapshot.version:
            raise StoreError(f"strategy {self.name!r}: the database is away, and what it serves is not known here yet")
        if snapshot.split is None:
            return snapshot
        return snapshot.split.pick(unit_text(context.get(snapshot.unit_key), self.name, snapshot.unit_key))

    def get_ranking(self, decision_id: str, contexts: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the order of a list, best first, after its records are safe. It never raises.

        Every context is a decision of its own with the id `DECISION_ID/INDEX`: log what happened to the third of
        the list with `log_observations(f"{decision_id}/2", ...)`. What was decided is its position, from 0, and its
        score. Before there is anything to order by it is the order that was given.

        Args:
            decision_id: Names the whole list.
            contexts: One application context for each item, each with the unit, n of them.

        Returns:
            Indices of `contexts` in their new order, length n.

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
        try:
            return self._rank(decision_id, contexts, started)[0]
        except Exception as error:  # law 1: product code never sees an exception
            self._complain(error)
            return _given_order(contexts)

    def _rank(
        self, decision_id: str, contexts: Sequence[Mapping[str, Any]], started: int, write: bool = True
    ) -> tuple[list[int], Sequence[Decision]]:
        """Return the order of a list and its records, which are safe; whatever is wrong is raised."""
        if not self.snapshot.version or not contexts:
            return list(range(len(contexts))), ()
        snapshot = self._version(contexts[0])
        if snapshot.conceals:
            contexts = [conceal(snapshot.blueprint, each, self._pseudonym) for each in contexts]
        now, feed = self._clock(), snapshot.feed
        fetched = [NOTHING if feed is None else feed.fetch(context, now) for context in contexts]
        found = decide_list(snapshot, decision_id, contexts, fetched, now, started)
        order, decisions = arrange(snapshot, decision_id, found)
        if write:
            self._spool.append_all([encode(decision) for decision in decisions])
            for decision in decisions if feed is not None else ():
                feed.decided(decision.decision_id, decision.entities)  # type: ignore[union-attr]
        return order, decisions

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
        self._observe(decision_id, "", observations, key)

    def log_unit_observations(self, unit: str | int, observations: Mapping[str, float], *, key: str = "") -> None:
        """Log what a unit did, for metrics `by: unit`: it counts for each of its decisions before. It never raises.

        Args:
            unit: The unit, as contexts name it.
            observations: As for `log_observations`.
            key: Idempotency key: the same key for the same unit and metric counts once, however often sent.
        """
        self._observe(None, unit, observations, key)

    def _observe(self, decision_id: str | None, unit: object, observations: Mapping[str, float], key: str) -> None:
        """Log observations of a decision; of a unit where that is None."""
        try:
            snapshot = self.snapshot
            now, strategy, known, version = self._clock(), self.name, snapshot.metrics, snapshot.version
            of, whose = decision_id, "" if decision_id is not None else unit_text(unit, strategy, snapshot.unit_key)
            if whose and snapshot.conceals:
                whose = conceal(snapshot.blueprint, {snapshot.unit_key: whose}, self._pseudonym)[snapshot.unit_key]
            for name, value in observations.items():
                number = float(value)
                if (name not in known and version) or not math.isfinite(number) or not (whose or type(of) is str):
                    raise DataError(
                        f"strategy {strategy!r}: observation {name!r} = {value!r:.80} for {whose or of!r:.80}; "
                        f"allowed: finite numbers under {', '.join(sorted(known))}"
                    )
                observation = Observation(of or "", strategy, now, name, number, key or new_key(), whose)
                self._append(encode(observation), spare=True)
                for feed in () if whose else snapshot.feeds:
                    feed.observed(of or "", name, number, now, self._spool.where())
        except Exception as error:  # law 1: product code never sees an exception
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        """Count an error, and log at most one a minute."""
        self._faults.note(f"strategy {self.name!r} answered with its default", error)


def _given_order(contexts: object) -> list[int]:
    """Return the order that was given, whatever was given."""
    try:
        return list(range(len(contexts)))  # type: ignore[arg-type]
    except Exception:  # law 1
        return []
