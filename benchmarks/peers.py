"""The peers of `assign`: growthbook and Eppo here, OpenFeature and Statsig beside; each works without a network.

A peer is imported when it is asked for, so that one that is not installed is left out and named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks.timing import Contestant
from benchmarks.traffic import ARMS, DEFAULT, FEATURE, Peer, Traffic, check_count, check_shares

RULE: Final = {"key": FEATURE, "variations": list(ARMS), "weights": [1 / 3] * 3, "hashAttribute": "id"}
PAYLOAD: Final = {FEATURE: {"defaultValue": DEFAULT, "rules": [RULE]}}
SHARDS: Final = 10_000
BOUNDS: Final = (0, 3_333, 6_667, SHARDS)
UNLOGGED: Final = "checkout_unlogged"
NOWHERE: Final = "http://127.0.0.1:9"


def gather(makers: Mapping[str, Callable[[], Peer]]) -> tuple[dict[str, Peer], dict[str, str]]:
    """Return the peers that can be had, and why each of the others is left out.

    Args:
        makers: What makes each peer, by name; it raises ImportError where something is not installed.

    Example:
        >>> from importlib import import_module
        >>> gather({"acme": lambda: import_module("acme_flags")})
        ({}, {'acme': "No module named 'acme_flags'"})
    """
    peers: dict[str, Peer] = {}
    left_out: dict[str, str] = {}
    for name, make in makers.items():
        try:
            peers[name] = make()
        except ImportError as error:
            left_out[name] = str(error)
    return peers, left_out


class Growthbook:
    """growthbook: three ways of using it, and the list that its callback fills.

    A feature has one experiment rule under its default hash (version 1, the quicker one); nothing is fetched.

    Attributes:
        exposures: What the callback was given in this turn.
    """

    def __init__(self) -> None:
        """Begin with no exposure."""
        import growthbook

        self._made = growthbook.GrowthBook
        self._experiment = growthbook.Experiment(key=FEATURE, variations=list(ARMS), weights=[1 / 3] * 3)
        self.exposures: list[tuple[Any, Any, Any]] = []

    def contestants(self) -> dict[str, Contestant[Traffic]]:
        """Return its ways of taking a turn, by name."""
        return {
            "growthbook_reused": Contestant(self.reused, after=self.counted),
            "growthbook_per_request": Contestant(self.per_request, after=self.counted),
            "growthbook_run": Contestant(self.run, after=self.counted),
        }

    def check(self, todo: Traffic) -> None:
        """Refuse it where it does something else than the experiment."""
        check_shares("growthbook", self.reused(todo))
        if not all(result.inExperiment and result.hashUsed for _, result, _ in self.exposures):
            raise RuntimeError("growthbook left users out of the experiment")
        self.counted(todo)

    def close(self) -> None:
        """Do nothing: nothing runs."""

    def track(self, experiment: Any, result: Any, user_context: Any) -> None:
        """Keep an exposure."""
        self.exposures.append((experiment, result, user_context))

    def counted(self, todo: Traffic) -> None:
        """Refuse a turn in which not every call was an exposure; forget them."""
        check_count("growthbook", len(self.exposures), len(todo.units))
        self.exposures.clear()

    def reused(self, todo: Traffic) -> list[Any]:
        """Take a turn with one instance whose attributes change on every call; return the values."""
        client = self._made(features=PAYLOAD, on_experiment_viewed=self.track)
        values = []
        for attributes in todo.attributes:
            client.set_attributes(attributes)
            values.append(client.eval_feature(FEATURE).value)
        return values

    def per_request(self, todo: Traffic) -> None:
        """Take a turn with one instance for every call, as a web request makes it."""
        made, track = self._made, self.track
        for attributes in todo.attributes:
            made(attributes=attributes, features=PAYLOAD, on_experiment_viewed=track).eval_feature(FEATURE)

    def run(self, todo: Traffic) -> None:
        """Take a turn with one instance and one experiment that is built once: its quickest way."""
        client, experiment = self._made(on_experiment_viewed=self.track), self._experiment
        for attributes in todo.attributes:
            client.set_attributes(attributes)
            client.run(experiment)


def eppo_configuration() -> bytes:
    """Return what Eppo would fetch: one flag that logs each assignment and one that logs none."""
    splits = [
        {"variationKey": arm, "shards": [{"salt": FEATURE, "ranges": [{"start": start, "end": end}]}]}
        for arm, start, end in zip(ARMS, BOUNDS, BOUNDS[1:], strict=False)
    ]
    flags = {
        key: {
            "key": key,
            "enabled": True,
            "variationType": "STRING",
            "totalShards": SHARDS,
            "variations": {arm: {"key": arm, "value": arm} for arm in ARMS},
            "allocations": [{"key": "equal", "rules": [], "doLog": logged, "splits": splits}],
        }
        for key, logged in ((FEATURE, True), (UNLOGGED, False))
    }
    whole = {
        "createdAt": "2026-01-01T00:00:00.000Z",
        "format": "SERVER",
        "environment": {"name": "benchmarks"},
        "flags": flags,
    }
    return json.dumps(whole).encode()


class Eppo:
    """Eppo's Rust core with a configuration of our own; it does not poll, and its logger appends to a list.

    Attributes:
        exposures: What the logger was given in this turn.
    """

    def __init__(self) -> None:
        """Start the client."""
        import eppo_client

        exposures: list[dict[str, Any]] = []

        class Logger(eppo_client.AssignmentLogger):
            def log_assignment(self, event: dict[str, Any]) -> None:
                exposures.append(event)

        self.exposures = exposures
        self._client = eppo_client.init(
            eppo_client.ClientConfig(
                api_key="none",
                base_url=NOWHERE,
                assignment_logger=Logger(),
                is_graceful_mode=False,
                poll_interval_seconds=None,
                initial_configuration=eppo_client.Configuration(flags_configuration=eppo_configuration()),
            )
        )

    def contestants(self) -> dict[str, Contestant[Traffic]]:
        """Return its ways of taking a turn, by name."""
        return {
            "eppo": Contestant(self.logged, after=self.counted),
            "eppo_unlogged": Contestant(self.unlogged, after=self.nothing),
        }

    def check(self, todo: Traffic) -> None:
        """Refuse it where it does something else than the experiment."""
        values = self.assign(todo, FEATURE)
        check_shares("Eppo", values)
        logged = [(event["subject"], event["variation"]) for event in self.exposures]
        if logged != list(zip(todo.units, values, strict=True)):
            raise RuntimeError("Eppo logged other exposures than it gave")
        self.counted(todo)
        if self.assign(todo, UNLOGGED) != values:
            raise RuntimeError("Eppo gives other arms where it does not log")
        self.nothing(todo)

    def close(self) -> None:
        """Stop its thread."""
        self._client.shutdown()

    def counted(self, todo: Traffic) -> None:
        """Refuse a turn in which not every call was an exposure; forget them."""
        check_count("Eppo", len(self.exposures), len(todo.units))
        self.exposures.clear()

    def nothing(self, _: Traffic) -> None:
        """Refuse a turn of no exposures in which there were some."""
        check_count("Eppo without logging", len(self.exposures), 0)

    def logged(self, todo: Traffic) -> None:
        """Take a turn in which each call logs its exposure."""
        self.assign(todo, FEATURE)

    def unlogged(self, todo: Traffic) -> None:
        """Take a turn in which nothing is logged: assignment alone."""
        self.assign(todo, UNLOGGED)

    def assign(self, todo: Traffic, flag: str) -> list[str]:
        """Return what each user is given."""
        get = self._client.get_string_assignment
        return [get(flag, unit, values, DEFAULT) for unit, values in zip(todo.units, todo.values, strict=True)]
