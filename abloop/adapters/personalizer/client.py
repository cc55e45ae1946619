"""The client: requests in, responses out, decisions and rewards in the journal."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import Any, Final

import msgspec

from abloop.adapters.exposure import open_loop
from abloop.adapters.personalizer.among import among, net_effect
from abloop.adapters.personalizer.terms import (
    MOST_ACTIONS,
    RankedAction,
    RankRequest,
    RankResponse,
    describe,
    flatten,
    read_id,
    read_ids,
    read_request,
    read_reward,
)
from abloop.blueprint import Arm, Blueprint
from abloop.decision import decide, unit_text
from abloop.errors import DataError, StoreError, UnknownNameError, listed
from abloop.faults import Faults
from abloop.ids import new_decision_id
from abloop.loop import Loop
from abloop.online import Strategy
from abloop.records import Decision, encode
from abloop.snapshot import NOTHING, Feed

TOLD: Final = "Personalizer's call was answered with its default"
RETRY_SECONDS: Final = 1.0
MOST_DEFERRED: Final = 100_000
METRIC: Final = "reward"


class PersonalizerClient:
    """The client: `rank`, `reward`, `activate`, none of which raises.

    Where a call cannot be answered the first action is given with probability one and the error counted. The
    strategy is registered when its first actions are seen, with the features of that first context, and anew with
    each new action, up to 50. A blueprint of the name that is registered already rules, but for new actions.

    Args:
        endpoint: Taken and not looked at; there is no server.
        credentials: Likewise.
        loop: What `abloop.connect` gave, or a database URL.
        strategy: Name of the strategy.
        unit: Name of the context feature that is randomised, e.g. `user.id`; each event for itself where empty.
        reward_wait: Seconds in which a reward counts; without one the reward is 0.
        ignored: Whatever else the SDK took.

    Attributes:
        events: `events.reward` and `events.activate`, as in the SDK.

    Example:
        >>> import abloop, tempfile
        >>> loop = abloop.connect(f"sqlite:///{tempfile.mkdtemp()}/demo.db")
        >>> client = PersonalizerClient(loop=loop)
        >>> response = client.rank({"timeOfDay": "morning"}, ["sports", "news"])
        >>> response.reward_action_id in ("sports", "news"), [action.probability for action in response.ranking]
        (True, [0.5, 0.5])
        >>> client.reward(response.event_id, 1.0)
        >>> loop.close()
    """

    def __init__(
        self,
        endpoint: Any = None,
        credentials: Any = None,
        *,
        loop: Loop | str,
        strategy: str = "personalizer",
        unit: str = "",
        reward_wait: float = 600.0,
        **ignored: Any,
    ) -> None:
        """Open nothing that is open."""
        self.loop = open_loop(loop)
        self.events = self
        self._faults = Faults()
        self._name, self._unit, self._wait = strategy, unit or "event_id", reward_wait
        self._known: Strategy | None = None
        self._lock = threading.Lock()
        self._retry = -math.inf
        self._deferred: OrderedDict[str, tuple[Decision, Feed | None]] = OrderedDict()

    @property
    def errors(self) -> int:
        """Calls that got the first action, or whose reward was not logged."""
        return self._faults.count

    def rank(
        self,
        rank_request: Any = None,
        actions: Any = None,
        *,
        context: Any = None,
        event_id: Any = None,
        excluded_actions: Any = None,
        defer_activation: Any = False,
        **ignored: Any,
    ) -> RankResponse:
        """Return the action to show, and all actions with their probabilities. It never raises.

        Args:
            rank_request: A `RankRequest`, its JSON as a mapping, or the context where actions are given.
            actions: Actions, as `RankableAction`, mapping or id.
            context: The context, in place of the first argument.
            event_id: Names the event, with actions.
            excluded_actions: Ids that are not to be chosen, with actions.
            defer_activation: Whether the event counts only once it is activated, with actions.
            ignored: Whatever else the SDK took.
        """
        event, offered = "", dict[str, Any]()
        try:
            more = {"event_id": event_id, "excluded_actions": excluded_actions, "defer_activation": defer_activation}
            request = read_request(rank_request, actions=actions, context=context, **more)
            offered, refused = read_ids(request.actions, "actions")
            if refused:
                self._faults.note(TOLD, DataError(refused[0]))
            event = new_decision_id() if request.event_id is None else read_id(request.event_id, "event_id")
            return self._rank(request, offered, event)
        except Exception as error:  # law 1: product code never sees an exception
            self._faults.note(TOLD, error)
            first = next(iter(offered), "")
            return _respond(event or new_decision_id(), offered, first, dict.fromkeys(offered, 0.0) | {first: 1.0})

    def reward(self, event_id: Any, value: Any, **ignored: Any) -> None:
        """Log the reward of an event: a number, or a `RewardRequest`. It never raises."""
        try:
            handle, number = self._known or self.loop.strategy(self._name), read_reward(value)
            known = handle.snapshot.metrics
            metric = METRIC if METRIC in known else handle.snapshot.blueprint.goals()[0].name
            handle.log_observations(read_id(event_id, "event_id"), {metric: number})
        except Exception as error:  # law 1
            self._faults.note(TOLD, error)

    def activate(self, event_id: Any, **ignored: Any) -> None:
        """Let an event count whose activation was deferred, from now on. It never raises."""
        try:
            event = read_id(event_id, "event_id")
            with self._lock:
                decision, feed = self._deferred.pop(event, (None, None))
            if decision is None:
                raise DataError(
                    f"event {event!r:.80} waits for no activation here; activate it once, where it was ranked"
                )
            self._record(msgspec.structs.replace(decision, time=self.loop.clock()), feed)
        except Exception as error:  # law 1
            self._faults.note(TOLD, error)

    def _rank(self, request: RankRequest, offered: Mapping[str, Any], event: str) -> RankResponse:
        """Return the answer to a request; whatever is wrong is raised."""
        started = perf_counter_ns()
        excluded, _ = read_ids(request.excluded_actions, "excluded_actions")
        eligible = [name for name in offered if name not in excluded]
        if not eligible:
            raise DataError(f"no action is left of {listed(offered)}; allowed: one that is not excluded, or more")
        context = flatten(request.context_features)
        handle = self._strategy(list(offered), context)
        if handle is None:
            return _respond(event, offered, eligible[0], {eligible[0]: 1.0})
        snapshot = handle.snapshot
        unit = context.get(snapshot.unit_key)
        context[snapshot.unit_key] = unit if type(unit) in (str, int) else event
        if snapshot.split is not None:
            unit = unit_text(context[snapshot.unit_key], self._name, snapshot.unit_key)
            snapshot = snapshot.split.pick(unit)
        now = self.loop.clock()
        fetched = NOTHING if snapshot.feed is None else snapshot.feed.fetch(context, now)
        made = decide(snapshot, event, context, now, started, fetched)
        made, chances = among(snapshot, made, eligible)
        if request.defer_activation:
            with self._lock:
                self._deferred[event] = made, snapshot.feed
                while len(self._deferred) > MOST_DEFERRED:
                    self._deferred.popitem(last=False)
        else:
            self._record(made, snapshot.feed)
        net = {name: net_effect(snapshot, made, place) for place, name in enumerate(snapshot.names)}
        return _respond(event, offered, made.arm, dict(zip(snapshot.names, chances, strict=True)), net)

    def _strategy(self, names: Sequence[str], context: Mapping[str, Any]) -> Strategy | None:
        """Return the handle of a strategy that has these arms; None while there are too few for one."""
        handle = self._known
        if handle is not None and set(names) <= set(handle.snapshot.names):
            return handle
        with self._lock:
            if time.monotonic() < self._retry:
                if handle is None and len(names) < 2:
                    return None
                raise StoreError(
                    f"strategy {self._name!r} could not be registered a moment ago; it will be tried again"
                )
            self._retry = time.monotonic() + RETRY_SECONDS
            try:
                self._known = handle = self.loop.strategy(self._name)
                self.loop.refresh()
            except UnknownNameError:
                if len(names) < 2:
                    return None
            blueprint = None if handle is None else handle.snapshot.blueprint
            if handle is None or not set(names) <= set(handle.snapshot.names):
                self.loop.register(self._described(blueprint, names, context), why="New actions in a rank request.")
                self._known = handle = self.loop.strategy(self._name)
            self._retry = -math.inf
            return handle

    def _described(
        self, known: Blueprint | None, names: Sequence[str], context: Mapping[str, Any]
    ) -> Blueprint | dict[str, Any]:
        """Return a blueprint with all arms that are known, and new ones."""
        old = () if known is None else known.ordered_arms()
        fresh = [name for name in names if name not in {arm.name for arm in old}]
        if known is not None and known.space.type != "choice":
            raise DataError(
                f"strategy {self._name!r} decides a {known.space.type}; allowed: a choice. Name another one"
            )
        total = len(old) + len(fresh)
        if total > MOST_ACTIONS:
            raise DataError(
                f"strategy {self._name!r} would have {total} actions; allowed: {MOST_ACTIONS}. Name another"
            )
        if known is None:
            features = describe(context, METRIC, self._unit)
            arms = [{"name": name} for name in fresh]
            sections = {"arms": arms, "features": features, "lifecycle": {"ttl": self._wait}}
            return {"strategy": self._name, "unit": self._unit, "metrics": [{"name": METRIC}], **sections}
        weighted = any(arm.weight is not None for arm in old)
        kept = [
            msgspec.structs.replace(arm, weight=arm.weight * len(old) / total if arm.weight is not None else None)
            for arm in old
        ]
        added = [Arm(name=name, weight=1.0 / total if weighted else None) for name in fresh]
        return msgspec.structs.replace(known, arms=(*kept, *added))

    def _record(self, decision: Decision, feed: Feed | None) -> None:
        self.loop.spool.append(encode(decision))
        if feed is not None:
            feed.decided(decision.decision_id, decision.entities)


def _respond(
    event: str,
    offered: Mapping[str, Any],
    chosen: str,
    chances: Mapping[str, float],
    net: Mapping[str, float] | None = None,
) -> RankResponse:
    """Return the response: the chosen action first, the others by probability, then by what is predicted."""
    effects = net or {}
    order = sorted(offered, key=lambda name: (name != chosen, -chances.get(name, 0.0), -effects.get(name, 0.0)))
    ranking = [RankedAction(id=offered[name], probability=chances.get(name, 0.0)) for name in order]
    return RankResponse(event_id=event, reward_action_id=offered.get(chosen), ranking=ranking)
