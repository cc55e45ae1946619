"""Any object in any place: no exception, and the caller's own default wherever there is an error.

`python -m tests.adapters.openfeature.test_hostile 1000000` makes so many calls.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails
from openfeature.track import TrackingEventDetails

from abloop.adapters.openfeature import AbloopProvider
from abloop.loop import Loop
from tests.adapters.openfeature.providers import KINDS, METRICS, choice, ready, shut_down
from tests.adapters.planout.hostile import NASTY, Raises
from tests.loops import open_loop

CALLS = 100_000
SECONDS = 15.0
FEATURES = [
    {"name": "n"},
    {"name": "c", "type": "categorical"},
    {"name": "t", "type": "time"},
    {"name": "s", "type": "sparse"},
    {"name": "e", "type": "embedding", "size": 4},
]


class Nameless(type):
    """A class that does not tell its name."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no")


class Foul(EvaluationContext):
    """A context that raises when it is read."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no")


class Bottomless(Mapping[str, Any]):
    """A mapping without end."""

    def __getitem__(self, key: str) -> Any:
        return self

    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            yield str(number)
            number += 1

    def __len__(self) -> int:
        return 1 << 40


class Sly:
    """Is equal to everything, and has the hash of a flag's name."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("string")


LARGE = "x" * 10_000_000
OBJECTS: list[Any] = [
    *NASTY,
    Nameless("Secretive", (), {})(),
    Bottomless(),
    Sly(),
    LARGE,
    LARGE.encode(),
    {LARGE: LARGE},
    [LARGE] * 9,
]
ODD_CONTEXTS: list[Any] = [None, Foul("u1"), Raises(), {}, "u1", EvaluationContext(), EvaluationContext("u1", LARGE)]  # type: ignore[arg-type]

UNITS = [unit for unit in OBJECTS if type(unit) in (str, int, float, bytes, type(None), bool)]  # the SDK asks for truth


def register(loop: Loop) -> None:
    """Register a flag of each type, with features of each type."""
    values = {"boolean": (True, False), "string": "xy", "integer": (1, 2), "float": (0.5, 1.5), "object": ({}, [1])}
    for kind in KINDS:
        loop.register(choice(kind, *values[kind], features=FEATURES))
    loop.register(choice("still", "x", "y", features=FEATURES, experiment={"traffic": 0}))
    loop.register(choice("some", "x", "y", features=FEATURES, experiment={"target": "n > 1"}))
    rule = {"policy": {"formula": "n * 2"}, "features": FEATURES, **METRICS}
    loop.register({"strategy": "rule", "space": {"type": "number"}, "default": 1, **rule})


class Calls:
    """Makes calls of a provider out of a seed, and counts what came of them."""

    def __init__(self, provider: AbloopProvider, seed: int) -> None:
        """Begin with none made."""
        self.provider, self.rng = provider, random.Random(seed)
        self.results: Counter[str] = Counter()
        names = [f"resolve_{kind}_details" for kind in KINDS]
        self.asks = [(getattr(provider, name), getattr(provider, f"{name}_async")) for name in names]

    def pick(self, *usual: Any) -> Any:
        """Return one of some values, or something else."""
        return self.rng.choice(usual) if self.rng.random() < 0.6 else self.rng.choice(OBJECTS)

    def context(self) -> Any:
        """Return a context, usually one."""
        if self.rng.random() < 0.1:
            return self.rng.choice(ODD_CONTEXTS)
        if self.rng.random() < 0.1:
            return EvaluationContext(self.pick("u1"), self.rng.choice(OBJECTS))
        names = self.rng.sample(("n", "c", "t", "s", "e", "user_id", "other", "", "decision_id"), 3)
        unit = f"u{self.rng.randrange(1_000)}"
        return EvaluationContext(self.pick(unit, unit, None), {name: self.pick(1, "x", 0.5, None) for name in names})

    def resolve(self) -> None:
        """Evaluate a flag."""
        place = self.rng.randrange(len(KINDS))
        ask, ask_async = self.asks[place]
        default, context = self.rng.choice(OBJECTS), self.context()
        usual = {"string": ["still", "some"], "float": ["rule", "integer"]}.get(KINDS[place], [])
        key = self.pick(KINDS[place], KINDS[place], *usual, self.rng.choice([*KINDS, "absent"]))
        found: FlagResolutionDetails[Any]
        if self.rng.random() < 0.8:
            found = ask(key, default, context)
        else:
            try:
                ask_async(key, default, context).send(None)
            except StopIteration as done:
                found = done.value
        assert type(found) is FlagResolutionDetails
        if found.error_code is not None:
            assert found.value is default
            assert found.reason == "ERROR"
            assert type(found.error_message) is str
        self.results[str(found.error_code or found.reason)] += 1

    def track(self) -> None:
        """Track an event."""
        details = TrackingEventDetails(self.pick(1.0, None))
        details.attributes = self.pick({}, {"seen": 1})  # the constructor itself asks whether they are true
        self.provider.track(self.pick("bought"), self.context(), self.pick(details, None))
        self.results["tracked"] += 1

    def make(self, number: int) -> None:
        """Make so many calls."""
        for _ in range(number):
            if self.rng.random() < 0.85:
                self.resolve()
            else:
                self.track()


def test_no_call_raises(loop: Loop) -> None:
    """A hundred thousand calls with whatever there is, in time: answers of every kind, and no exception."""
    register(loop)
    provider = ready(loop, cache=1_000)
    calls = Calls(provider, 1)
    started = time.perf_counter()
    calls.make(CALLS)
    assert time.perf_counter() - started < SECONDS
    assert sum(calls.results.values()) == CALLS
    wanted = {"SPLIT", "STATIC", "CACHED", "DEFAULT", "TARGETING_MATCH", "tracked", *ErrorCode} - {"PROVIDER_FATAL"}
    assert wanted - set(calls.results) <= {"PARSE_ERROR", "PROVIDER_NOT_READY"}
    assert provider.errors < calls.results["tracked"]


def test_no_call_of_the_client_raises(loop: Loop) -> None:
    """Through the SDK's client too, whose context is one: any key, default, unit and attribute."""
    register(loop)
    api.set_provider_and_wait(AbloopProvider(loop))
    client, rng = api.get_client(), random.Random(2)
    for _ in range(5_000):
        get = getattr(client, f"get_{rng.choice(KINDS)}_details")
        default, key = rng.choice(OBJECTS), rng.choice([*KINDS, *OBJECTS])
        found = get(key, default, EvaluationContext(rng.choice(UNITS), {"n": rng.choice(OBJECTS)}))
        assert found.error_code is None or found.value is default


def test_threads_while_blueprints_change(loop: Loop) -> None:
    """Eight threads evaluate and track while versions change: whole answers, each of a version that was served."""
    loop.register(choice("busy", [0, "a"], [0, "b"]))
    provider = ready(loop, remember=50, cache=50)
    stop, failed, counts = threading.Event(), list[Any](), [0] * 8

    def work(number: int) -> None:
        rng = random.Random(number)
        try:
            while not stop.is_set():
                context = EvaluationContext(f"u{rng.randrange(200)}", {f"x{rng.randrange(3)}": rng.random()})
                found: Any = provider.resolve_object_details("busy", [], context)
                assert found.error_code is None, found
                version, arm = found.value
                assert found.variant == arm
                assert found.flag_metadata["version"] == version + 1
                provider.track("bought", context)
                assert provider.resolve_string_details("later", "mine", context).value in ("mine", "x", "y")
                counts[number] += 1
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for version in range(1, 13):
        features = [{"name": f"x{version % 3}"}]
        loop.register(choice("busy", [version, "a"], [version, "b"], features=features))
        if version == 6:
            loop.register(choice("later", "x", "y"))
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    assert failed == []
    assert min(counts) > 20
    assert (provider.errors, loop.strategy("busy").errors) == (0, 0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        opened = open_loop(Path(folder))
        register(opened)
        made, begun = Calls(ready(opened, cache=1_000), int(time.time())), time.perf_counter()
        made.make(int(sys.argv[1]))
        spent = time.perf_counter() - begun
        sys.stdout.write(f"{sum(made.results.values()):,} calls in {spent:.0f} s: {dict(made.results)}\n")
        shut_down()
        opened.close()
