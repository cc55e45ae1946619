"""Any Python object as key, unit, context, default, observation or forced arm: no exception, the default comes back."""

from __future__ import annotations

import logging
import math
import os
import random
from collections import OrderedDict, UserDict, UserString, defaultdict
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abloop.loop import Loop
from abloop.online import Strategy
from tests.loops import open_loop

CALLS = 1_000_000 if os.environ.get("ABLOOP_LONG") else 40_000
ALLOWED = ("blue", "green", "red")


class Rude:
    """Objects to everything."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def _no(self, *_: Any) -> Any:
        raise ValueError("no")

    __repr__ = __str__ = __hash__ = __eq__ = __len__ = __iter__ = __float__ = __int__ = __bool__ = _no
    __getitem__ = __contains__ = __index__ = __call__ = __format__ = __lt__ = __add__ = _no


class RudeText(str):
    """A text whose methods object."""

    __slots__ = ()

    def encode(self, *_: Any, **__: Any) -> bytes:
        """Object."""
        raise ValueError("no")

    def __hash__(self) -> int:
        raise ValueError("no")

    __str__ = __repr__ = __add__ = __radd__ = __eq__ = encode  # type: ignore[assignment]


class RudeMapping(Mapping[str, Any]):
    """A mapping that gives rude answers."""

    def __getitem__(self, key: str) -> Any:
        return Rude()

    def __iter__(self) -> Iterator[str]:
        raise KeyError("no")

    def __len__(self) -> int:
        return -1


class RudeError(Exception):
    """An exception that cannot be told."""

    def __str__(self) -> str:
        raise self


class Untellable(dict[str, Any]):
    """A context whose error cannot be told."""

    def get(self, *_: Any) -> Any:
        """Object."""
        raise RudeError


def circle() -> dict[str, Any]:
    """Return a mapping that holds itself."""
    found: dict[str, Any] = {"user_id": "u"}
    found["x"] = found
    return found


def deep() -> list[Any]:
    """Return a list in a list, 5,000 times."""
    found: list[Any] = []
    for _ in range(5_000):
        found = [found]
    return found


THINGS: list[Any] = [
    None, True, False, 0, -1, 2**63, 10**400, -(10**5_000), 1.5, math.nan, math.inf, -math.inf, 1j, Decimal("NaN"),
    Decimal("1e999999"), Fraction(1, 3), "", "u", "\ud800", "\0", "x" * 10_000, "é\U0001f600", b"", b"u",
    bytearray(b"u"), memoryview(b"u"), [], [1], (), ("u",), {}, {"user_id": "u"}, {"user_id": "u", "x": 1.0}, set(),
    frozenset(("u",)), range(3), object(), object, int, len, lambda: 1, iter([1]), (n for n in [1]), Rude(), Rude,
    RudeText("u"), RudeMapping(), UserString("u"), UserDict({"user_id": "u"}), OrderedDict(user_id="u"),
    defaultdict(Rude, user_id="u"), Untellable(), circle(), deep(), np.float64(1.0), np.int64(3), np.array([1, 2]),
    np.array("u"), np.str_("u"), np.nan, NotImplemented, Ellipsis, ValueError("x"), RudeError(), Path("u"), logging,
]  # fmt: skip


def nested(rng: random.Random, depth: int = 2) -> Any:
    """Draw a thing, or a container of things."""
    if depth and rng.random() < 0.3:
        inner = [nested(rng, depth - 1) for _ in range(rng.randrange(3))]
        return inner if rng.random() < 0.5 else {"x": inner}
    return rng.choice(THINGS)


def context(rng: random.Random) -> Any:
    """Draw a context: mostly a mapping that holds strange things."""
    if rng.random() < 0.3:
        return nested(rng)
    found: dict[Any, Any] = {"user_id": rng.choice(THINGS) if rng.random() < 0.5 else f"u{rng.random()}"}
    for name in ("x", "colour", "tags", "vector", "when", "person", "undeclared"):
        if rng.random() < 0.5:
            found[name] = nested(rng)
    return found


@pytest.fixture(scope="module")
def strategies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Loop, list[Strategy]]]:
    """Return handles of strategies with every kind of feature, experiment and space."""
    loop = open_loop(tmp_path_factory.mktemp("hostile"))
    features = [
        {"name": "x"},
        {"name": "colour", "type": "categorical"},
        {"name": "tags", "type": "sparse"},
        {"name": "vector", "type": "embedding", "size": 4},
        {"name": "when", "type": "time"},
        {"name": "logged", "transform": "log", "of": ["x"]},
        {"name": "bought_1d", "group": "habit", "metric": "bought", "window": "24h"},
    ]
    base = {
        "metrics": [{"name": "bought"}],
        "features": features,
        "groups": [{"name": "habit", "key": "person", "events": True}],
        "default": "red",
    }
    arms = {"arms": [{"name": "blue"}, {"name": "green"}]}
    sections = {
        "target": "x > 1 or colour == 'a'",
        "traffic": 0.7,
        "sticky": True,
        "holdouts": [{"name": "h", "share": 0.1}],
        "force": {"u": "green"},
    }
    raws = [
        {"strategy": "plain", "metrics": [{"name": "bought"}], "features": features[:2], "default": "red", **arms},
        {"strategy": "all", **base, **arms, "experiment": sections},
        {"strategy": "rule", **base, "space": {"type": "number"}, "policy": {"formula": "x + logged"}, "default": -7.0},
        {"strategy": "order", **base, "space": {"type": "ordering"}, "policy": {"formula": "-x"}, "default": None},
    ]
    for raw in raws:
        loop.register(raw)
    yield loop, [loop.strategy(str(raw["strategy"])) for raw in raws]
    loop.close()


def test_no_call_raises_whatever_comes(strategies: tuple[Loop, list[Strategy]]) -> None:
    """Decisions are arms or the default, whatever comes in; nothing is raised, nothing breaks for the next call."""
    loop, handles = strategies
    logging.getLogger("abloop").setLevel(logging.CRITICAL)
    rng, plain, answers = random.Random(0), handles[0], 0
    calls: list[Callable[[Strategy, Any, Any], Any]] = [
        lambda handle, key, some: handle.get_decision(key, some),
        lambda handle, key, some: handle.get_decision(key, some, force=rng.choice(THINGS)),
        lambda handle, key, some: handle.get_details(key, some).value,
        lambda handle, key, some: handle.get_details(key, some, drawn=rng.choice([(1, (0.5, 0.5)), *THINGS])).value,
        lambda handle, key, some: handle.log_observations(key, nested(rng)),
        lambda handle, key, some: handle.log_observations(key, {"bought": nested(rng)}, key=rng.choice(THINGS)),
        lambda handle, key, some: handle.get_ranking(key, nested(rng)),
        lambda handle, key, some: handle.get_ranking(key, [some, {"user_id": "u", "x": 1.0}]),
    ]
    for index in range(CALLS):
        handle = rng.choice(handles)
        key = rng.choice(THINGS) if rng.random() < 0.5 else f"d{index}"
        call = rng.choice(calls)
        answer = call(handle, key, context(rng))
        if handle.name in ("plain", "all") and calls.index(call) < 4:
            assert answer in ALLOWED
            answers += 1
        if index % 1_000 == 0:
            assert plain.get_decision(f"good{index}", {"user_id": f"u{index}", "x": 1.0}) in ("blue", "green")
    assert answers > CALLS / 8
    assert loop.spool.lost == 0
    logging.getLogger("abloop").setLevel(logging.NOTSET)


def test_a_waiting_strategy_gives_the_callers_own_default(tmp_path: Path) -> None:
    """While nothing is known, the very object that the product gave comes back, whatever it is."""
    pytest.importorskip("psycopg")
    loop = Loop("postgresql+psycopg://u:p@127.0.0.1:1/x", tmp_path)
    for index, thing in enumerate(THINGS):
        handle = loop.strategy(f"s{index}", default=thing)
        assert handle.get_decision("d", {"user_id": "u"}) is thing
        assert handle.get_details("d", {"user_id": "u"}).value is thing
    loop.close()
