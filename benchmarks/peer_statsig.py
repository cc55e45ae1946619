"""Statsig's Rust core: its specs come from a data store of our own, its network is switched off.

An exposure goes through all of its machinery, up to the encoded batch that it would post; there it is dropped. Its
log tells how many events each batch has: `python -m benchmarks.peer_statsig CALLS` counts them, in a process of its
own, for the SDK keeps a logger for as long as the process runs.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.timing import Contestant
from benchmarks.traffic import ARMS, DEFAULT, FEATURE, Traffic, check_shares, traffic

BUCKETS: Final = (333, 667, 1_000)
TIME: Final = 1_767_225_600_000
PATIENCE_SECONDS: Final = 10.0
OWN_EVENTS: Final = 5
BATCH: Final = re.compile(r"Logging Events \((\d+)\)")


def specs() -> str:
    """Return what Statsig would fetch: one running experiment with three groups."""
    conditions = {
        arm: {
            "type": "user_bucket",
            "targetValue": below,
            "operator": "lt",
            "field": None,
            "additionalValues": {"salt": FEATURE},
            "idType": "userID",
        }
        for arm, below in zip(ARMS, BUCKETS, strict=True)
    }
    rules = [
        {
            "name": arm,
            "groupName": arm,
            "passPercentage": 100,
            "conditions": [arm],
            "returnValue": {"arm": arm},
            "id": arm,
            "salt": arm,
            "idType": "userID",
            "isExperimentGroup": True,
        }
        for arm in ARMS
    ]
    experiment = {
        "type": "dynamic_config",
        "salt": FEATURE,
        "enabled": True,
        "defaultValue": {},
        "rules": rules,
        "idType": "userID",
        "entity": "experiment",
        "version": 1,
        "isActive": True,
        "hasSharedParams": False,
    }
    empty = ("feature_gates", "layer_configs", "experiment_to_layer", "id_lists", "sdk_configs", "diagnostics")
    head = {"has_updates": True, "time": TIME, "response_format": "dcs-v2", "condition_map": conditions}
    return json.dumps({**head, "dynamic_configs": {FEATURE: experiment}, **{name: {} for name in empty}})


class Statsig:
    """A client, and two ways of using it: as a web request does, and the kindest.

    Args:
        logger: Where its log goes, down to debugging; nowhere where None.

    Raises:
        RuntimeError: It did not take the specs.
    """

    def __init__(self, logger: Any = None) -> None:
        """Start the client."""
        import statsig_python_core as core

        class Store(core.DataStore):
            def get(self, key: str) -> Any:
                return core.DataStoreResponse(result=specs() if "download_config_specs" in key else None, time=TIME)

        options = core.StatsigOptions(
            data_store=Store(),  # type: ignore[no-untyped-call]
            disable_network=True,
            disable_country_lookup=True,
            disable_disk_access=True,
            output_logger_provider=logger,
            output_log_level="none" if logger is None else "debug",
        )
        self._user, self._users = core.StatsigUser, list[Any]()
        self._silent = core.ExperimentEvaluationOptions(disable_exposure_logging=True)
        self._client = core.Statsig("secret-none", options)
        self._client.initialize().wait(PATIENCE_SECONDS)
        if self._client.get_initialize_details().source != "Adapter(DataStore)":
            raise RuntimeError("Statsig did not take its specs from the data store")

    def contestants(self) -> dict[str, Contestant[Traffic]]:
        """Return its ways of taking a turn, by name; what it still has to send does not run into another's turn."""
        return {
            "statsig": Contestant(self.logged, after=self.flush),
            "statsig_unlogged": Contestant(self.unlogged, before=self.ready, after=self.flush),
        }

    def check(self, todo: Traffic) -> None:
        """Refuse it where it does something else than the experiment, or does not log each exposure."""
        values = self.logged(todo)
        check_shares("Statsig", values)
        self.ready(todo)
        if self.unlogged(todo) != values:
            raise RuntimeError("Statsig gives other arms where it does not log")
        reasons = {self._client.get_experiment(user, FEATURE).details.reason for user in self._users}
        if reasons != {"Adapter(DataStore):Recognized"}:
            raise RuntimeError(f"Statsig fell back: {reasons}")
        self.flush(todo)
        check_events(len(todo.units))

    def close(self) -> None:
        """Shut it down, within bounds."""
        self._client.shutdown().wait(PATIENCE_SECONDS)

    def flush(self, _: object = None) -> None:
        """Let it work off its queue."""
        self._client.flush_events().wait(PATIENCE_SECONDS)

    def ready(self, todo: Traffic) -> None:
        """Build the users ahead."""
        made = self._user
        self._users = [made(unit, custom=values) for unit, values in zip(todo.units, todo.values, strict=True)]

    def logged(self, todo: Traffic) -> list[str]:
        """Take a turn: a user object for every call, for the user is new, and its exposure put on the queue."""
        get, made = self._client.get_experiment, self._user
        return [
            get(made(unit, custom=values), FEATURE).get_string("arm", DEFAULT)
            for unit, values in zip(todo.units, todo.values, strict=True)
        ]

    def unlogged(self, _: Traffic) -> list[str]:
        """Take a turn of the kindest kind: user objects are ready, no exposure is logged."""
        get, silent = self._client.get_experiment, self._silent
        return [get(user, FEATURE, silent).get_string("arm", DEFAULT) for user in self._users]


def check_events(calls: int) -> None:
    """Refuse Statsig where its log does not tell of an event for each call, or of some where it is to log none.

    Raises:
        RuntimeError: The events that it would have posted are not the exposures.
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "benchmarks.peer_statsig", str(calls)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"Statsig's events could not be counted: {done.stderr}")
    logged, unlogged = json.loads(done.stdout)
    if not (calls <= logged <= calls + OWN_EVENTS and unlogged <= OWN_EVENTS):
        raise RuntimeError(f"Statsig would post {logged} events of {calls} exposures, and {unlogged} of none")


def count_events(calls: int) -> tuple[int, int]:
    """Return how many events Statsig would post for calls that log their exposure, and for as many that do not."""
    from statsig_python_core import OutputLoggerProvider

    batches: list[int] = []

    class Logger(OutputLoggerProvider):
        def debug(self, _: str, message: str) -> None:
            if told := BATCH.match(message):
                batches.append(int(told[1]))

    peer = Statsig(Logger())  # type: ignore[no-untyped-call]
    todo = traffic(0, calls)
    peer.logged(todo)
    peer.flush()
    logged = sum(batches)
    peer.ready(todo)
    peer.unlogged(todo)
    peer.flush()
    unlogged = sum(batches) - logged
    peer.close()
    return logged, unlogged


if __name__ == "__main__":
    print(json.dumps(count_events(int(sys.argv[1]))))
