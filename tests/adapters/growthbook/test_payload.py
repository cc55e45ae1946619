"""A payload as blueprints: users keep their arms, targets mean what conditions meant, the rest is said in sentences."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import abloop
from abloop.adapters.growthbook import GrowthBook, core
from abloop.adapters.growthbook.payload import Imported, blueprints
from abloop.adapters.growthbook.target import Translator
from abloop.blueprint.target import Target, compile_target
from abloop.errors import DataError
from abloop.features.graph import Graph
from abloop.features.read import read, readers
from abloop.features.spec import Feature
from abloop.snapshot import Snapshot
from abloop.store.serving import Serving
from tests.adapters.growthbook import hostile

TWO: dict[str, Any] = {"key": "exp", "variations": ["blue", "green"]}


def turned(*rules: dict[str, Any], **more: Any) -> Imported:
    """Return what the rules of one feature give."""
    return blueprints({"features": {"f": {"defaultValue": "grey", "rules": list(rules)}}}, metrics=["bought"], **more)


def test_an_experiment_is_a_blueprint() -> None:
    """Seed, hash, coverage, weights, namespace, unit, names and values go where a blueprint has them."""
    rule = TWO | {"seed": "s", "hashVersion": 2, "coverage": 0.6, "weights": [0.3, 0.7], "namespace": ["ns", 0.1, 0.5]}
    rule |= {"hashAttribute": "device", "meta": [{"key": "b"}, {"key": "g"}], "condition": {"visits": {"$gt": 3}}}
    found = turned(rule, features=[Feature("age"), "spend"])
    assert all("who is not in gets" in sentence for sentence in found.skipped)
    (blueprint,) = found.blueprints
    trial = blueprint.experiment
    assert (blueprint.strategy, blueprint.unit) == ("exp", "device")
    assert [(arm.name, arm.value, arm.weight) for arm in blueprint.arms] == [("b", "blue", 0.3), ("g", "green", 0.7)]
    assert (trial.salt, trial.hash, trial.traffic, trial.target) == ("s", "growthbook-2", 0.6, "visits > 3")
    assert trial.layer is not None
    assert (trial.layer.name, trial.layer.low, trial.layer.high) == ("ns", 0.1, 0.5)
    assert [feature.name for feature in blueprint.features] == ["age", "spend", "visits"]


@pytest.mark.parametrize("seed", range(20))
def test_units_keep_their_arms(seed: int) -> None:
    """Who is in, and with which arm, is the same by the blueprint as by the client, unit by unit."""
    rng = random.Random(seed)
    weights = rng.choice([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])
    rule = TWO | {"hashVersion": rng.choice([1, 2]), "coverage": rng.choice([0.3, 0.8, 1]), "weights": weights}
    rule |= {"seed": f"seed {seed}"} if rng.random() < 0.5 else {}
    rule |= {"namespace": ["ns", 0.2, 0.9]} if rng.random() < 0.5 else {}
    if rng.random() < 0.3:
        ranges = core.getBucketRanges(2, rule.pop("coverage"), rule.pop("weights"))
        rule["ranges"] = [list(part) for part in ranges]
    tester = {"force": "green", "condition": {"id": {"$in": ["u1", "u2"]}}}
    found = turned(tester, rule)
    assert all("who is not in gets" in sentence for sentence in found.skipped)
    snapshot = Snapshot(Serving("exp", 1, "randomise"), found.blueprints[0])
    for number in range(300):
        unit = f"u{number}"
        gb = GrowthBook(attributes={"id": unit}, features={"f": {"rules": [tester, rule]}})
        result = gb.eval_feature("f")
        forced = snapshot.forced(unit, "")
        inside = snapshot.screen.inside(unit, 0.0)
        if forced is not None:
            assert (result.source, result.value) == ("force", snapshot.values[forced])
        else:
            assert inside is (result.source == "experiment")
            assert not inside or snapshot.values[snapshot.assignment.arm(unit)] == result.value


def asked(rng: random.Random, depth: int = 2) -> dict[str, Any]:
    """Draw a condition that can be translated."""
    drawn: dict[str, Any] = {}
    for _ in range(rng.choice([0, 1, 1, 2])):
        way = rng.choice(["$and", "$or", "$nor", "$not", "n", "n", "text", "text", "flag"])
        if way in ("$and", "$or", "$nor"):
            drawn[way] = [asked(rng, depth - 1) for _ in range(rng.randrange(3))] if depth else []
        elif way == "$not":
            drawn[way] = asked(rng, depth - 1) if depth else {}
        else:
            drawn[way] = value(rng, way)
    return drawn


def literal(rng: random.Random, name: str) -> Any:
    """Draw a value of an attribute."""
    return rng.choice({"n": [0, 1, -2.5, 3], "text": ["FI", "SE", "it's"], "flag": [True, False]}[name])


def value(rng: random.Random, name: str) -> Any:
    """Draw what is asked of an attribute."""
    drawn = [literal(rng, name) for _ in range(rng.randrange(3))] + ([None] if rng.random() < 0.2 else [])
    ways: list[Any] = [literal(rng, name), None, {"$eq": literal(rng, name)}, {"$ne": literal(rng, name)}]
    ways += [{"$in": drawn}, {"$nin": drawn}, {"$exists": rng.random() < 0.5}, {"$not": {"$in": drawn}}, {}]
    if name == "n":
        ways += [{sign: literal(rng, "n")} for sign in ("$lt", "$lte", "$gt", "$gte")] * 2 + [{"$gt": -1, "$lte": 2}]
    return rng.choice(ways)


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_targets_mean_what_conditions_mean(seed: int) -> None:
    """A translated condition holds for exactly the users who meet it, also where attributes are missing."""
    rng = random.Random(seed)
    for _ in range(10):
        condition = asked(rng)
        found = turned(TWO | {"condition": condition}, features=[Feature("n")])
        if not found.blueprints:
            assert "nobody" in found.skipped[0] or "numeric" in found.skipped[0]
            continue
        (blueprint,) = found.blueprints
        formula, graph = compile_target(blueprint), Graph(blueprint.features)
        for _ in range(10):
            user = {name: rng.choice([None, literal(rng, name)]) for name in ("n", "text", "flag")}
            user = {name: known for name, known in user.items() if known is not None or rng.random() < 0.5}
            row = graph.row(read(readers(graph.sourced), user))
            inside = Target(formula, graph.names).row(row) if formula else True
            assert inside is core.evalCondition(user, condition), (condition, user, blueprint.experiment.target)


SKIPPED: dict[str, tuple[dict[str, Any], str]] = {
    "regex": ({"condition": {"id": {"$regex": "^u"}}}, "$regex"),
    "group": ({"condition": {"id": {"$inGroup": "g"}}}, "$inGroup"),
    "saved group": ({"condition": {"$savedGroup": {"id": "g"}}}, "$savedGroup"),
    "nested": ({"condition": {"user.country": "FI"}}, "within another"),
    "list": ({"condition": {"tags": ["a"]}}, "array"),
    "mixed": ({"condition": {"n": {"$in": [1, "a"]}}}, "numeric"),
    "ordered texts": ({"condition": {"text": {"$gt": "a"}}}, "$gt"),
    "quotes": ({"condition": {"text": 'it\'s "it"'}}, "signs"),
    "prerequisite": ({"parentConditions": [{"id": "x"}]}, "prerequisites"),
    "filters": ({"filters": [{"seed": "s", "ranges": [[0, 1]]}]}, "filters"),
    "holdout": ({"meta": [{}, {"passthrough": True}]}, "holdout"),
    "hash": ({"hashVersion": 3}, "hash version"),
    "ranges": ({"ranges": [[0.1, 0.2], [0.5, 0.9]]}, "ranges"),
    "one arm": ({"variations": ["a"]}, "arms"),
    "nobody": ({"condition": {"id": {"$in": []}}}, "nobody"),
    "bandit": ({"contextualVariations": ["a", "b"]}, "bandit"),
    "coverage": ({"coverage": "half"}, "ValueError"),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_what_cannot_be_said_is_left_out(name: str) -> None:
    """An experiment that a blueprint cannot say is left out, with a sentence that names it and the reason."""
    more, reason = SKIPPED[name]
    found = turned(TWO | more)
    assert found.blueprints == ()
    assert len(found.skipped) == 1
    assert reason in found.skipped[0]
    assert "feature 'f', rule 1" in found.skipped[0]


def test_what_is_not_as_it_was_is_said() -> None:
    """Earlier rules, weights that do not sum to one, arms without a share and second places are told of."""
    found = turned({"force": "grey", "condition": {"country": "US"}}, TWO)
    assert found.blueprints[0].experiment.target == "not (country == 'US')"
    assert "they get control here" in found.skipped[0]
    assert "a share of the users" in turned({"force": "grey", "coverage": 0.5}, TWO).skipped[0]
    assert "nobody reaches it" in turned({"force": "grey"}, TWO).skipped[0]
    three = {"key": "exp", "variations": [1, 2, 3], "weights": [0.5, 0, 0.495]}
    found = turned(three)
    assert [arm.name for arm in found.blueprints[0].arms] == ["0", "2"]
    assert "sum to 0.995" in found.skipped[0]
    assert "no share" in found.skipped[1]
    assert "stands in the payload before" in turned(TWO, TWO).skipped[-1]
    assert "not used" in turned(TWO | {"fallbackAttribute": "device"}).skipped[0]
    assert "null" in turned(TWO | {"variations": [None, 1]}).skipped[0]


def test_hostile_payloads_are_sentences() -> None:
    """No rule of the hostile corpus raises: each is a blueprint or a sentence."""
    for rules in hostile.RULES.values():
        few = rules[:3] if isinstance(rules, list) else rules
        found = blueprints({"f": {"rules": few}}, metrics=["bought"])
        assert len(found.blueprints) + len(found.skipped) <= 6
    for payload in (None, 5, "x", [], {"features": 5}):
        with pytest.raises(DataError, match="payload"):
            blueprints(payload, metrics=["bought"])  # type: ignore[arg-type]
    assert blueprints({"features": {"f": 5, "g": hostile.Poison()}}, metrics=["m"]).blueprints == ()


def test_blueprints_are_registered(tmp_path: Path) -> None:
    """What came of a payload can be registered and decides."""
    loop = abloop.connect(f"sqlite:///{tmp_path}/x.db")
    found = turned(TWO | {"condition": {"country": {"$in": ["FI", "SE"]}, "page views": {"$gte": 1}}})
    loop.register(found.blueprints[0])
    inside = {"id": "u1", "country": "FI", "page views": 2}
    gb = GrowthBook(attributes=inside, features={"f": {"rules": [TWO]}})
    assert loop.strategy("exp").get_decision("d1", inside) == gb.get_feature_value("f", None)
    assert loop.strategy("exp").get_details("d2", {"id": "u1", "country": "US"}).reason == "untargeted"
    loop.close()


def test_names_that_are_no_words() -> None:
    """Attributes with names that are words of the language, or none at all, are read by `feature`."""
    said = {name: Translator({}).formula({name: 1}) for name in ("visits", "page views", "effect", "in", "max")}
    assert said.pop("visits") == "visits == 1"
    assert said == {name: f"feature('{name}') == 1" for name in said}
