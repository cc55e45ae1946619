"""What no payload should have: malformed, endless, poisoned. Each is tried by `test_hostile.py`."""

from __future__ import annotations

import math
from typing import Any


class Poison:
    """A value that lets nobody look at it."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__

    def __bool__(self) -> bool:
        raise RuntimeError("no")

    def __len__(self) -> int:
        raise RuntimeError("no")


class LyingText(str):
    """A text whose methods raise."""

    __slots__ = ()

    def lower(self) -> str:
        """Raise."""
        raise RuntimeError("no")

    strip = lower


def nested(key: str, depth: int, inner: Any) -> Any:
    """Return a value under so many levels of a key, made without recursion."""
    for _ in range(depth):
        inner = {key: [inner]} if key in ("$and", "$or", "$nor") else {key: inner}
    return inner


def lists(depth: int) -> Any:
    """Return a list in a list, so deep."""
    inner: Any = []
    for _ in range(depth):
        inner = [inner]
    return inner


TWO = {"variations": ["control", "other"]}
CIRCLE: dict[str, Any] = {}
CIRCLE["$not"] = CIRCLE
LOOP: list[Any] = []
LOOP.append(LOOP)
DOUBLED = {
    f"g{n}": {"type": "condition", "condition": {"$or": [{"$savedGroup": {"id": f"g{n + 1}"}}] * 2}} for n in range(40)
}
DOUBLED["g40"] = {"type": "condition", "condition": {"id": "nobody"}}

# Rules that make the feature give its default, or go on: never an exception, a wrong arm, or a long wait.
RULES: dict[str, Any] = {
    "rules are a number": 5,
    "rules are a text": "force",
    "rules are an object": {"force": 1},
    "a rule is a text": ["x"],
    "a rule is nothing": [None],
    "a rule is a list": [[1, 2]],
    "a rule has keys that are numbers": [{1: 2, "force": "bad"}],
    "a rule is poison": [Poison()],
    "condition is a text": [{"force": "bad", "condition": "x"}],
    "condition is a list": [{"force": "bad", "condition": [{"id": "u"}]}],
    "condition is poison": [{"force": "bad", "condition": Poison()}],
    "condition has a key that is a number": [{"force": "bad", "condition": {5: 5}}],
    "$and of a number": [{"force": "bad", "condition": {"$and": 5}}],
    "$or of a text": [{"force": "bad", "condition": {"$or": "abc"}}],
    "$not of a list": [{"force": "bad", "condition": {"$not": [1]}}],
    "$in of an object": [{"force": "bad", "condition": {"id": {"$in": {"u": 1}}}}],
    "$in of poison": [{"force": "bad", "condition": {"id": {"$in": [Poison()]}}}],
    "$elemMatch of nothing": [{"force": "bad", "condition": {"tags": {"$elemMatch": None}}}],
    "$savedGroup of a number": [{"force": "bad", "condition": {"$savedGroup": 5}}],
    "saved groups that double": [{"force": "bad", "condition": {"$savedGroup": {"id": "g0"}}}],
    "unknown operator, negated": [{"force": "bad", "condition": {"id": {"$not": {"$sounds_like": "u"}}}}],
    "condition 10,000 deep, $not": [{"force": "bad", "condition": nested("$not", 10_001, {"id": "u"})}],
    "condition 10,000 deep, $and": [{"force": "bad", "condition": nested("$and", 10_000, {"id": "u"})}],
    "operators 10,000 deep": [{"force": "bad", "condition": {"id": nested("$not", 10_001, "u")}}],
    "value 10,000 deep": [{"force": "bad", "condition": {"deep": lists(10_000)}}],
    "condition that holds itself": [{"force": "bad", "condition": CIRCLE}],
    "value that holds itself": [{"force": "bad", "condition": {"ring": LOOP}}],
    "100,000 conditions": [{"force": "bad", "condition": {"$or": [{"id": "x"}] * 100_000}}],
    "1,000,000 values": [{"force": "bad", "condition": {"id": {"$ini": ["x"] * 1_000_000}}}],
    "lists against lists": [{"force": "bad", "condition": {"many": {"$all": [{"$gt": 1}] * 5_000}}}],
    "regex with lookahead": [{"force": "bad", "condition": {"id": {"$regex": "(?=u)u"}}}],
    "regex with backreference": [{"force": "bad", "condition": {"id": {"$regex": "(u)\\1"}}}],
    "regex refused, negated": [{"force": "bad", "condition": {"id": {"$notRegex": "(?!u)x"}}}],
    "regex refused, inside $not": [{"force": "bad", "condition": {"$not": {"id": {"$regex": "(?!u)x"}}}}],
    "regex unbalanced": [{"force": "bad", "condition": {"id": {"$regex": "/???***[)"}}}],
    "regex exponential": [{"force": "bad", "condition": {"as": {"$regex": "^(a+)+$"}}}],
    "regex of many states": [{"force": "bad", "condition": {"as": {"$regex": "(a|aa)*" * 140 + "b"}}}],
    "regex of many classes": [{"force": "bad", "condition": {"as": {"$regex": "[\\pL\\pN\\pS]*" * 70}}}],
    "regexes, many": [{"force": "bad", "condition": {"as": {"$regex": f"(a|aa)*{n}"}}} for n in range(2_000)],
    "version of 10 MB": [{"force": "bad", "condition": {"big": {"$vgt": "1.2.3"}}}],
    "text of 10 MB, folded": [{"force": "bad", "condition": {"big": {"$ini": ["x"] * 5_000}}}],
    "text of 10 MB, ordered": [{"force": "bad", "condition": {"$or": [{"wide": {"$lt": "ä"}}] * 5_000}}],
    "text whose methods raise": [{"force": "bad", "condition": {"lying": {"$ini": ["x"]}}}],
    "coverage is a text": [{"force": "bad", "coverage": "all"}],
    "coverage is a list": [TWO | {"coverage": [1]}],
    "coverage is NaN": [TWO | {"coverage": math.nan}],
    "range is a number": [{"force": "bad", "range": 5}],
    "range is of texts": [{"force": "bad", "range": ["a", "b"]}],
    "ranges are a number": [TWO | {"ranges": 5}],
    "ranges are empty parts": [TWO | {"ranges": [[], []]}],
    "ranges of NaN": [TWO | {"ranges": [[math.nan, math.nan], [math.nan, 1]]}],
    "variations are a number": [{"variations": 5}],
    "variations are an object": [{"variations": {"a": 1, "b": 2}}],
    "variations are empty": [{"variations": []}],
    "filters are a text": [TWO | {"filters": "x"}],
    "filters without ranges": [TWO | {"filters": [{"seed": "s"}]}],
    "filters with a seed that is a number": [TWO | {"filters": [{"seed": 5, "ranges": [[0, 1]]}]}],
    "namespace is short": [TWO | {"namespace": ["ns"]}],
    "namespace is a number": [TWO | {"namespace": 5}],
    "meta is a number": [TWO | {"meta": 5}],
    "meta of numbers": [TWO | {"meta": [1, 2]}],
    "seed is a list": [TWO | {"seed": ["s"]}],
    "seed of 10 MB": [TWO | {"seed": "s" * 10_000_000}],
    "key is an object": [TWO | {"key": {"a": 1}}],
    "hash attribute is a list": [TWO | {"hashAttribute": ["id"]}],
    "hash attribute of 10 MB": [TWO | {"hashAttribute": "big"}],
    "hash version is a text": [TWO | {"hashVersion": "two"}],
    "parents are a text": [{"force": "bad", "parentConditions": "f0"}],
    "parents are numbers": [{"force": "bad", "parentConditions": [1]}],
    "parent's id is a list": [{"force": "bad", "parentConditions": [{"id": ["x"]}]}],
    "parent 10,000 features deep": [{"force": "bad", "parentConditions": [{"id": "p0", "condition": {"value": 1}}]}],
    "parents that double": [{"force": "bad", "parentConditions": [{"id": "d0", "condition": {"value": 1}}]}],
    "parent of itself": [{"force": "bad", "parentConditions": [{"id": "feature", "condition": {"value": 1}}]}],
    "bandit is a list": [TWO | {"contextualBanditRef": ["x"]}],
    "100,000 rules": [{"force": "bad", "condition": {"id": "x"}}] * 100_000,
}

# Weights that cannot be used are replaced by equal ones, as GrowthBook does.
WEIGHTS: dict[str, Any] = {
    "weights of NaN": [math.nan, math.nan],
    "weights infinite": [math.inf, -math.inf],
    "weights negative": [1.5, -0.5],
    "weights are texts": ["a", "b"],
    "weights are a text": "ab",
    "weights too few": [1.0],
    "weights of integers beyond any float": [10**400, 1],
    "weights are poison": [Poison(), Poison()],
    "weights are truths": [True, False],
}


def attributes() -> dict[str, Any]:
    """Return a user with a context of more than 10 MB."""
    return {
        "id": "u",
        "number": 7,
        "tags": ["a", "b"],
        "deep": lists(10_000),
        "ring": LOOP,
        "many": [0] * 5_000,
        "as": "a" * 20_000,
        "big": "1." * 5_000_000,
        "wide": "ä" * 5_000_000,
        "lying": LyingText("x"),
        "poison": Poison(),
    }


def chain(length: int) -> dict[str, Any]:
    """Return features that each have the next as a prerequisite, and others that have it twice."""
    ask = {"value": 1}
    deep = {
        f"p{n}": {
            "defaultValue": 1,
            "rules": [{"force": 1, "parentConditions": [{"id": f"p{n + 1}", "condition": ask}]}],
        }
        for n in range(length)
    }
    wide = {
        f"d{n}": {
            "defaultValue": 0,
            "rules": [{"force": 0, "parentConditions": [{"id": f"d{n + 1}", "condition": ask}]}] * 2,
        }
        for n in range(60)
    }
    return deep | wide | {"d60": {"defaultValue": 0}}
