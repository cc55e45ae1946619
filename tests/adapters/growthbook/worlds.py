"""Random payloads, users and conditions from a seed: hypothesis draws the seed, which is quick.

All is valid, but for one rule in fifty. Numbers are compared with numbers and texts with texts only: GrowthBook 4.0.0
does not compare others, JavaScript and its cases do.
"""

from __future__ import annotations

import random
from typing import Any

TEXTS = ["", "a", "FI", "fi", "SE", "u-17", "8", "1.10.0", "v1.2.3-rc.1", "ä", "日本", "😀x", "true", "Mobile Safari"]
VERSIONS = ["1.2.3", "v1.10.0", "1.2.3-beta.2", "1.2.3-beta.11", "2.0.0+build", "10", "1.2", "a.b.c"]
NUMBERS = [0, 1, -1, 2.0, 2.5, 8, 1e21, 1.5e-7, 10**16, 123456789012345678901, 0.1, -0.0]
PATTERNS = ["^u", "a|b", "[0-9]+$", "^$", "Mobile.*Safari", "(x)?y", "^(a+)+$", "S[EF]"]
URLS = ["", "https://shop.example/a/b?x=1", "http://shop.example/?exp0=1", "shop.example/cart?exp1=0&exp2=9"]
URL_PATTERNS = ["shop", "^/a", "^https://shop\\.example/a", "cart$", "^/cart"]
UNITS = ["id", "device", "company", "anon"]
NAMES = ["text", "number", "flag", "nothing", "tags", "sizes", "nested", "items", "version", "absent"]
Groups = dict[str, Any]


def some(rng: random.Random, share: float) -> bool:
    """Return true in a share of all cases."""
    return rng.random() < share


def simple(rng: random.Random) -> Any:
    """Draw a simple value."""
    return rng.choice([rng.choice(TEXTS), rng.choice(NUMBERS), rng.choice([True, False]), None])


def user(rng: random.Random) -> dict[str, Any]:
    """Draw the attributes of a user."""
    drawn: dict[str, Any] = {
        "text": rng.choice(TEXTS),
        "number": rng.choice(NUMBERS),
        "flag": some(rng, 0.5),
        "nothing": None,
        "tags": [rng.choice(TEXTS) for _ in range(rng.randrange(4))],
        "sizes": [rng.choice(NUMBERS) for _ in range(rng.randrange(4))],
        "nested": {"text": rng.choice(TEXTS), "number": rng.choice(NUMBERS), "list": [simple(rng)]},
        "items": [{"text": rng.choice(TEXTS), "number": rng.choice(NUMBERS)} for _ in range(rng.randrange(3))],
        "version": rng.choice(VERSIONS),
        "mixed": [simple(rng) for _ in range(rng.randrange(4))],
    }
    for name in UNITS:
        if some(rng, 0.8):
            drawn[name] = rng.choice([f"u{rng.randrange(100)}", rng.randrange(1, 99), rng.choice(TEXTS), 2.5, True])
    return drawn


def like(rng: random.Random, value: Any) -> Any:
    """Draw a value of the same type: the same one, or another."""
    if some(rng, 0.3):
        return value
    if isinstance(value, bool):
        return some(rng, 0.5)
    if isinstance(value, str):
        return rng.choice(TEXTS)
    if isinstance(value, int | float):
        return rng.choice(NUMBERS)
    return simple(rng)


def values(rng: random.Random, value: Any) -> list[Any]:
    """Draw a list in which a value, or one of its elements, may stand."""
    known = value if isinstance(value, list) else [value]
    drawn = [simple(rng) for _ in range(rng.randrange(4))] + [like(rng, one) for one in known[:2]]
    return drawn + ([[1], {"a": 1}] if some(rng, 0.1) else [])


def operators(rng: random.Random, value: Any, groups: Groups, depth: int) -> dict[str, Any]:
    """Draw operators for a value."""
    drawn: dict[str, Any] = {}
    for _ in range(rng.choice([1, 1, 1, 2])):
        ways = ["$eq", "$ne", "$in", "$nin", "$ini", "$nini", "$exists", "$type", "$inGroup", "$notInGroup"]
        ways += ["$regex", "$regexi", "$notRegex", "$notRegexi", "$size", "$all", "$alli", "$new"]
        ordered = isinstance(value, str | int | float) and not isinstance(value, bool)
        ways += ["$lt", "$lte", "$gt", "$gte"] * 2 if ordered else []
        ways += ["$veq", "$vne", "$vlt", "$vlte", "$vgt", "$vgte"] if some(rng, 0.5) else []
        ways += ["$not", "$elemMatch"] * 3 if depth > 0 else []
        way = rng.choice(ways)
        drawn[way] = asked(rng, way, value, groups, depth)
    return drawn


def asked(rng: random.Random, way: str, value: Any, groups: Groups, depth: int) -> Any:
    """Draw what an operator asks for."""
    if way in ("$not", "$elemMatch"):
        return nested(rng, way, value, groups, depth)
    if way in ("$in", "$nin", "$ini", "$nini"):
        return values(rng, value) if some(rng, 0.95) else simple(rng)
    if way in ("$inGroup", "$notInGroup"):
        return rng.choice([*groups, "none"])
    if "egex" in way:
        return rng.choice(PATTERNS)
    if way[:2] == "$v":
        return rng.choice([*VERSIONS, *NUMBERS])
    if way in ("$all", "$alli"):
        return [like(rng, one) for one in (value if isinstance(value, list) else [value])][: rng.randrange(3)]
    if way == "$size":
        return rng.choice([0, 1, 2, {"$gt": 1}, {"$lte": 2}])
    if way == "$type":
        return rng.choice(["string", "number", "boolean", "array", "object", "null", "unknown", 1])
    return some(rng, 0.5) if way == "$exists" else like(rng, value)


def nested(rng: random.Random, way: str, value: Any, groups: Groups, depth: int) -> Any:
    """Draw what is asked further."""
    if way == "$not":
        return operators(rng, value, groups, depth - 1) if some(rng, 0.9) else like(rng, value)
    first = value[0] if isinstance(value, list) and value else "a"
    alike = isinstance(value, list) and len({type(one) for one in value}) <= 1
    if isinstance(first, dict):
        return condition(rng, first, groups, depth - 1)
    return operators(rng, first if alike else None, groups, depth - 1)


def condition(rng: random.Random, attributes: dict[str, Any], groups: Groups, depth: int = 3) -> dict[str, Any]:
    """Draw a condition for a user, met about every other time."""
    drawn: dict[str, Any] = {}
    for _ in range(rng.choice([0, 1, 1, 1, 2])):
        if depth > 0 and some(rng, 0.35):
            way = rng.choice(["$or", "$nor", "$and", "$not", "$savedGroup", "$savedGroups"])
            if way == "$not":
                drawn[way] = condition(rng, attributes, groups, depth - 1)
            elif way == "$savedGroup":
                drawn[way] = {"id": rng.choice([*groups, "none"])}
                drawn[way] |= {"attributeKey": rng.choice(["id", "text"])} if some(rng, 0.5) else {}
            elif way == "$savedGroups":
                drawn |= {way: ["x"]} if some(rng, 0.2) else {}
            else:
                drawn[way] = [condition(rng, attributes, groups, depth - 1) for _ in range(rng.randrange(3))]
            continue
        name = rng.choice([*attributes, "absent", "$odd"])
        value = attributes.get(name)
        if isinstance(value, dict) and some(rng, 0.7):
            part = rng.choice([*value, "absent"])
            name, value = f"{name}.{part}", value.get(part)
        elif isinstance(value, list) and some(rng, 0.2):
            name, value = rng.choice([(f"{name}.length", len(value)), (f"{name}.9", None)])
        drawn[name] = operators(rng, value, groups, depth) if some(rng, 0.75) else like(rng, value)
    return drawn


def saved_groups(rng: random.Random, attributes: dict[str, Any]) -> Groups:
    """Draw saved groups: lists of both kinds, conditions that name each other, and a kind that is not known yet."""
    plain: Groups = {"old": values(rng, attributes["text"])}
    plain["list"] = {"type": "list", "attributeKey": "id", "values": values(rng, attributes.get("id"))}
    plain["later"] = {"type": "cohort"}
    plain["who"] = {"type": "condition", "condition": condition(rng, attributes, {**plain, "who": 0, "ring": 0}, 1)}
    plain["ring"] = {"type": "condition", "condition": {"$savedGroup": {"id": rng.choice(["ring", "who", "list"])}}}
    return plain


def part(rng: random.Random) -> list[float]:
    """Draw a part of [0, 1)."""
    return sorted([round(rng.random(), 2), round(rng.random(), 2)])


def trial(rng: random.Random, number: int, attributes: dict[str, Any], groups: Groups) -> dict[str, Any]:
    """Draw what rules and experiments in code have in common."""
    count = rng.choice([1, 2, 2, 2, 3])
    drawn: dict[str, Any] = {"key": f"exp{number}", "variations": [simple(rng) for _ in range(count)]}
    weights = {"equal": [1 / count] * count, "short": [1.0], "odd": [2.0] * count, "none": None}
    weights |= {"skewed": [0.9] + [0.1 / max(count - 1, 1)] * (count - 1)}
    own: dict[str, Any] = {
        "weights": rng.choice(list(weights.values())),
        "coverage": rng.choice([None, 0, 0.3, 0.7, 1, 1.5, -1]),
        "condition": condition(rng, attributes, groups),
        "namespace": ["ns", *part(rng)],
        "ranges": [part(rng) for _ in range(count)],
        "hashVersion": rng.choice([None, 1, 2, 2, 3]),
        "hashAttribute": rng.choice(UNITS),
        "fallbackAttribute": rng.choice(UNITS),
        "seed": rng.choice(["s", "ä", "😀"]),
        "meta": [{"key": f"k{index}", "name": f"n{index}"} for index in range(rng.choice([count, count, 1]))],
        "filters": [{"seed": "f", "ranges": [part(rng), part(rng)], "attribute": rng.choice(UNITS)}],
        "bucketVersion": rng.randrange(3),
        "minBucketVersion": rng.randrange(3),
        "disableStickyBucketing": some(rng, 0.5),
        "name": "name",
        "phase": "1",
    }
    odds = {"meta": 0.6, "hashVersion": 0.5, "filters": 0.1, "namespace": 0.1, "ranges": 0.15, "condition": 0.3}
    return drawn | {name: value for name, value in own.items() if some(rng, odds.get(name, 0.2))}


def parent(rng: random.Random, attributes: dict[str, Any], groups: Groups) -> dict[str, Any]:
    """Draw a prerequisite."""
    asks = [{"value": simple(rng)}, {"value": {"$exists": True}}, {"value": {"$in": values(rng, True)}}, {}]
    return {"id": f"f{rng.randrange(5)}", "condition": rng.choice(asks)} | ({"gate": True} if some(rng, 0.3) else {})


def rule(rng: random.Random, number: int, attributes: dict[str, Any], groups: Groups) -> dict[str, Any]:
    """Draw a rule of a feature; one in fifty is malformed."""
    drawn = trial(rng, number, attributes, groups)
    if some(rng, 0.4):
        drawn = {name: value for name, value in drawn.items() if name not in ("variations", "ranges")}
        drawn |= {"force": simple(rng)} | ({"range": part(rng)} if some(rng, 0.2) else {})
    elif some(rng, 0.15):
        drawn["contextualVariations"] = drawn.pop("variations")
        drawn["contextualBanditRef"] = rng.choice(["bandit", "gone"])
    if "meta" in drawn and some(rng, 0.2):
        drawn["meta"][0]["passthrough"] = True
    if some(rng, 0.2):
        drawn["parentConditions"] = [parent(rng, attributes, groups) for _ in range(rng.choice([1, 1, 2]))]
    if some(rng, 0.3):
        drawn["id"] = f"r{number}"
    if some(rng, 0.02):
        drawn[rng.choice(["coverage", "namespace", "ranges", "filters", "meta"])] = rng.choice(["x", 5, [1], [{}]])
    return drawn


def bandits(rng: random.Random, attributes: dict[str, Any], groups: Groups) -> dict[str, Any]:
    """Draw a bandit."""
    leaf = {"leafId": 3, "weights": [0.2, 0.8], "condition": condition(rng, attributes, groups, 1)}
    return {"bandit": {"banditVersion": 7, "contexts": [leaf] if some(rng, 0.8) else []}}


def world(seed: int) -> dict[str, Any]:
    """Draw arguments of a client, an experiment in code, and stored sticky buckets."""
    rng = random.Random(seed)
    attributes = user(rng)
    groups = saved_groups(rng, attributes)
    features = {}
    for number in range(5):
        rules = [rule(rng, rng.randrange(4), attributes, groups) for _ in range(rng.randrange(4))]
        features[f"f{number}"] = {"defaultValue": simple(rng), "rules": rules}
    client: dict[str, Any] = {"attributes": attributes, "features": features, "saved_groups": groups}
    client |= {"url": rng.choice(URLS), "contextual_bandits": bandits(rng, attributes, groups)}
    client["forced_variations"] = {"exp3": rng.randrange(-1, 4)} if some(rng, 0.2) else {}
    client["overrides"] = {"exp2": {"coverage": 0.5, "weights": [0.1, 0.9]}} if some(rng, 0.2) else {}
    client |= {"groups": {"beta": some(rng, 0.5), "staff": some(rng, 0.5)}}
    client |= {"qa_mode": some(rng, 0.05), "skip_all_experiments": some(rng, 0.05), "enabled": some(rng, 0.95)}
    coded = trial(rng, 5, attributes, groups)
    more: dict[str, Any] = {
        "url": rng.choice(URL_PATTERNS),
        "groups": ["beta", "staff"][: rng.randrange(3)],
        "force": rng.randrange(3),
        "status": rng.choice(["draft", "running", "stopped"]),
        "active": some(rng, 0.7),
        "parentConditions": [parent(rng, attributes, groups)],
    }
    coded |= {name: value for name, value in more.items() if some(rng, 0.15)}
    stored = [
        {
            "attributeName": name,
            "attributeValue": str(attributes.get(name)),
            "assignments": {f"exp{n}__{v}": f"k{n % 2}"},
        }
        for name, n, v in ((rng.choice(UNITS), rng.randrange(6), rng.randrange(3)) for _ in range(rng.randrange(4)))
    ]
    return {"client": client, "experiment": coded, "stored": stored if some(rng, 0.5) else None}
