"""Where another product's assignments go: each exposure is a decision, so that abloop learns from it and takes over.

While abloop randomises a strategy, the arm that the product's own assignment drew is given and logged with its
share. Once the strategy personalises, its policy gives the arm, and the explore share keeps what was drawn.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from abloop.blueprint.randomisation import Hash
from abloop.decision import unit_text
from abloop.errors import DataError, StoreError, UnknownNameError, listed, unknown
from abloop.faults import Faults
from abloop.loop import Loop
from abloop.online import Strategy
from abloop.snapshot import Snapshot

METRIC = "conversion"
RETRY_SECONDS = 30.0
MOST_STRATEGIES = 1_000
_open: dict[str, Loop] = {}
_counts: weakref.WeakKeyDictionary[Loop, Faults] = weakref.WeakKeyDictionary()  # a client may be made anew a request
_opening = threading.Lock()


def exposure_id(snapshot: Snapshot, unit: str) -> str:
    """Return the decision id of a unit's exposure: one for each version and release, the same in every process.

    Example:
        >>> from abloop.snapshot import waiting
        >>> exposure_id(waiting("checkout", None), "u-17")
        'checkout/u-17/0.default.'
    """
    serving = snapshot.serving
    return f"{serving.strategy}/{unit}/{serving.version}.{serving.phase}.{serving.release[:8]}"


def open_loop(loop: Loop | str) -> Loop:
    """Return a loop, or the one of a URL, opened once in this process."""
    if not isinstance(loop, str):  # what `connect` gave, for a database or a server
        return loop
    with _opening:
        if loop not in _open:
            _open[loop] = Loop(loop)
        return _open[loop]


class Exposures:
    """The decisions that another product's calls lead to. No call raises.

    A strategy that is not registered yet is registered at its first exposure: its arms, their shares, and the metric
    `conversion`. Register a blueprint of your own, with features, to let abloop learn from them.

    Args:
        loop: What `abloop.connect` gave, or a database URL; None records nothing.
        drawn_by: How the product's own assignment draws.

    Raises:
        StoreError: The URL cannot be used.

    Example:
        >>> Exposures(None).place("checkout", "u-17", {}, ["blue", "green"], 1, [0.5, 0.5])
        1
    """

    def __init__(self, loop: Loop | str | None, *, drawn_by: Hash = "given") -> None:
        """Open nothing that is open."""
        self.loop = None if loop is None else open_loop(loop)
        self._faults = Faults() if self.loop is None else _counts.setdefault(self.loop, Faults())
        self._hash = drawn_by
        self._strategies: dict[str, Strategy] = {}
        self._refused: dict[str, float] = {}

    @property
    def errors(self) -> int:
        """Exposures and events of this loop's faces that could not be recorded."""
        return self._faults.count

    def place(
        self,
        strategy: str,
        unit: str,
        context: Mapping[str, Any],
        arms: Sequence[str],
        drawn: int,
        shares: Sequence[float],
        *,
        unit_key: str = "user_id",
    ) -> int:
        """Return the index of the arm to give, after the exposure is recorded.

        Args:
            strategy: Its name.
            unit: What was randomised.
            context: Where features are read from.
            arms: Names of the arms, k of them.
            drawn: Index of the arm that was drawn.
            shares: Shares by which it was drawn, shape (k,).
            unit_key: Key of the context that names what is randomised.
        """
        if self.loop is None:
            return drawn
        try:
            handle = self._strategy(strategy, arms, shares, unit_key)
            if handle is None:
                return drawn
            snapshot = handle.snapshot
            names = list(arms)
            if set(names) != set(snapshot.names):
                raise DataError(
                    f"strategy {strategy!r} has arms {listed(snapshot.names)}, the exposure {listed(names)}; name the "
                    "arms of the blueprint like those, and give them a value each"
                )
            ours = tuple(shares[names.index(name)] for name in snapshot.names)
            key = unit_text(unit, strategy, unit_key)
            features = {**context, snapshot.unit_key: key}
            found = handle.get_details(
                exposure_id(snapshot, key), features, drawn=(snapshot.names.index(names[drawn]), ours)
            )
            if found.error:
                return drawn
            return names.index(found.arm)
        except Exception as error:  # law 1: product code never sees an exception
            self._faults.note("an exposure was not recorded", error)
            return drawn

    def observe(self, unit: str, observations: Mapping[str, float], strategies: Iterable[str]) -> None:
        """Log what happened to a unit, for each strategy that knows the metric.

        Args:
            unit: The unit.
            observations: Metric to value.
            strategies: Strategies that the unit was exposed to.
        """
        if self.loop is None:
            return
        heard: set[str] = set()
        others: dict[str, str] = {}
        for name in strategies:
            try:
                handle = self._strategies.get(name) or self.loop.strategy(name)
                snapshot = handle.snapshot
                known = {metric: value for metric, value in observations.items() if metric in snapshot.metrics}
                for metric in observations:
                    if metric not in known and metric not in heard:
                        others[metric] = unknown(f"metric of strategy {name!r}:", metric, snapshot.metrics)
                heard |= set(known)
                if known:
                    key = unit_text(unit, name, snapshot.unit_key)
                    handle.log_observations(exposure_id(snapshot, key), known)
            except Exception as error:  # law 1
                self._faults.note("an event was not recorded", error)
        for metric, said in others.items():
            if metric not in heard:
                self._faults.note("an event was not recorded", DataError(f"{said}. Add it to the blueprint"))

    def _strategy(self, name: str, arms: Sequence[str], shares: Sequence[float], unit_key: str) -> Strategy | None:
        """Return the handle of a strategy, registered if it is not; None while that fails."""
        found = self._strategies.get(name)
        if found is not None:
            return found
        if self.loop is None or time.monotonic() < self._refused.get(name, 0.0):
            return None
        if len(self._strategies) >= MOST_STRATEGIES:
            raise DataError(f"more than {MOST_STRATEGIES:,} strategies; is {name!r:.80} made of a unit's name?")
        try:
            found = self._registered(self.loop, name, arms, shares, unit_key)
        except Exception:
            self._refused[name] = time.monotonic() + RETRY_SECONDS
            raise
        self._strategies[name] = found
        return found

    def _registered(
        self, loop: Loop, name: str, arms: Sequence[str], shares: Sequence[float], unit_key: str
    ) -> Strategy:
        try:
            found = loop.strategy(name)
        except UnknownNameError:
            total = sum(shares)
            described = {
                "strategy": name,
                "unit": unit_key,
                "arms": [{"name": arm, "weight": share / total} for arm, share in zip(arms, shares, strict=True)],
                "metrics": [{"name": METRIC}],
                "experiment": {"hash": self._hash},
            }
            loop.register(described, why="Its first exposure through another product's calls.")
            found = loop.strategy(name)
        if not found.snapshot.version:
            raise StoreError(f"strategy {name!r}: the database is away")
        return found
