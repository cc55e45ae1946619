"""What is malformed, endless or poisoned gives the default or control, is counted, and takes no time worth a word."""

from __future__ import annotations

import logging
import math
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from abloop.adapters.growthbook import Experiment, Feature, GrowthBook, InMemoryStickyBucketService, core, regex
from abloop.adapters.growthbook.faults import Faults
from tests.adapters.growthbook import hostile, worlds

SECONDS = 0.5  # of a busy machine; alone it is 50 ms
QUIET = {  # what is no mistake: GrowthBook has an answer for it
    "$in of an object",
    "$savedGroup of a number",
    "unknown operator, negated",
    "coverage is NaN",
    "ranges of NaN",
    "regex exponential",
    "variations are empty",
    "hash version is a text",
    "parent of itself",
}
VALUES = {"regex exponential": "bad", "parent of itself": None}  # of what GrowthBook has an answer for


@pytest.fixture(scope="module")
def attributes() -> dict[str, Any]:
    """Return a user with a context of more than 10 MB."""
    return hostile.attributes()


@pytest.fixture(scope="module")
def others() -> dict[str, Any]:
    """Return features with endless prerequisites."""
    return hostile.chain(10_000)


@pytest.mark.parametrize("name", hostile.RULES)
def test_rules(name: str, attributes: dict[str, Any], others: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """A malformed rule gives the feature's default in time, is counted, and named in one line of the log."""
    features = others if "parent" in name else {}
    features = {**features, "feature": {"defaultValue": "default", "rules": hostile.RULES[name]}}
    gb = GrowthBook(attributes=attributes, features=features, saved_groups=hostile.DOUBLED)
    before = gb.errors
    started = time.perf_counter()
    with caplog.at_level(logging.ERROR):
        found = gb.eval_feature("feature")
    took = time.perf_counter() - started
    assert found.value == VALUES.get(name, "default")
    assert (gb.errors == before) == (name in QUIET), gb.errors
    assert took < SECONDS
    lines = [line for line in caplog.messages if "GrowthBook" in line]
    assert len(lines) == (name not in QUIET)
    assert all("feature '" in line and len(line) < 500 for line in lines)


@pytest.mark.parametrize("name", hostile.WEIGHTS)
def test_weights(name: str) -> None:
    """Weights that cannot be used are equal ones."""
    rule = hostile.TWO | {"weights": hostile.WEIGHTS[name]}
    gb = GrowthBook(attributes={"id": "u"}, features={"feature": {"rules": [rule]}, "fair": {"rules": [hostile.TWO]}})
    fair = GrowthBook(attributes={"id": "u"}, features={"feature": {"rules": [hostile.TWO]}})
    assert gb.get_feature_value("feature", None) == fair.get_feature_value("feature", None)
    assert gb.errors == 0


PAYLOADS: list[Any] = [
    None,
    5,
    "features",
    [],
    {"features": 5},
    {"features": ["f"]},
    {"features": {"feature": 5}},
    {"features": {"feature": None}},
    {"features": {"feature": ["rules"]}},
    {"features": {None: {"defaultValue": 1}, 5: {}}},
    {"features": {"feature": hostile.Poison()}},
    {"features": {}, "savedGroups": 5},
    {"features": {"feature": {"defaultValue": 1}}, "savedGroups": [1]},
    {"features": {}, "contextualBandits": "x"},
    {"encryptedFeatures": "abc.def"},
    hostile.Poison(),
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_payloads(payload: Any) -> None:
    """A payload that is none is taken for empty, or its features give their default."""
    gb = GrowthBook(attributes={"id": "u"})
    gb.set_payload(payload)
    gb.set_features(payload)
    assert gb.eval_feature("feature").value in (None, 1)
    assert gb.get_feature_value("feature", 1) == 1
    assert gb.is_off("feature") or gb.is_on("feature")


STRANGE: list[Any] = [
    None,
    5,
    -1,
    "",
    "x",
    [],
    [1],
    {},
    math.nan,
    math.inf,
    10**400,
    True,
    object(),
    hostile.Poison(),
    b"x",
]


def test_functions_take_anything() -> None:
    """The functions of `core` never raise, whatever they are given."""
    for one in STRANGE:
        for other in STRANGE:
            core.gbhash(one, other, 1)
            core.gbhash("seed", one, other)
            core.getBucketRanges(2, one, other)
            core.chooseVariation(one, other)
            core.inNamespace(one, other)
            core.inRange(one, other)
            core.getQueryStringOverride(one, other, 2)
            core.evalCondition(one, other, one)
            core.evalCondition({"id": one}, {"id": {"$in": other, "$gt": other}}, {})
        core.getEqualWeights(one if not isinstance(one, int) or one < 10 else 2)
        core.paddedVersionString(one)


def broken(rng: random.Random, value: Any, share: float) -> Any:
    """Return a value in which parts, here and there, are something else."""
    if rng.random() < share:
        return rng.choice(STRANGE)
    if isinstance(value, dict):
        return {
            key if rng.random() > share else rng.choice(["$in", "$or", "id", "rules"]): broken(rng, one, share)
            for key, one in value.items()
        }
    return [broken(rng, one, share) for one in value] if isinstance(value, list) else value


def test_broken_worlds() -> None:
    """A valid world in which parts are of any other type raises nowhere, in no time worth a word."""
    for seed in range(600):
        rng = random.Random(seed)
        world = worlds.world(seed)
        switches = ("enabled", "qa_mode", "skip_all_experiments")
        client = {
            name: value if name in switches else broken(rng, value, 0.03) for name, value in world["client"].items()
        }
        coded = broken(rng, world["experiment"], 0.05)
        service = InMemoryStickyBucketService()
        for document in world["stored"] or ():
            service.docs[service.get_key(document["attributeName"], document["attributeValue"])] = broken(
                rng, document, 0.1
            )
        started = time.perf_counter()
        gb = GrowthBook(**client, sticky_bucket_service=service)
        for key in world["client"]["features"]:
            gb.eval_feature(key).on  # noqa: B018 - whether JavaScript takes it for true is known at once
            gb.get_feature_value(key, None)
        experiment = Experiment("exp5", ["a", "b"])
        vars(experiment).update(coded if isinstance(coded, dict) else {})
        gb.run(experiment)
        assert time.perf_counter() - started < SECONDS


def test_experiments_take_anything() -> None:
    """An experiment with any field of any type gives control or an arm; a client takes anything, too."""
    for name in vars(Experiment("e", ["a", "b"])):
        for value in STRANGE:
            experiment = Experiment("e", ["a", "b"])
            setattr(experiment, name, value)
            gb = GrowthBook(attributes={"id": "u"}, url="https://shop.example")
            result = gb.run(experiment)
            assert result.value in ("a", "b", None, "x", "", 1) or name == "variations", (name, result.value)
    for value in STRANGE:
        gb = GrowthBook(attributes=value, features=value if value is None else {"f": {"defaultValue": 1}})
        gb.set_attributes(value)
        gb.set_forced_variations(value)
        gb.set_forced_features(value)
        gb.set_url(value)
        gb.log_event(value, value)
        gb.eval_feature(value)
        gb.run(value)
        Feature(1, value)
        gb.get_all_results()
        gb.subscribe(value)
        gb.run(Experiment("e", ["a", "b"]))
        gb.destroy()


def test_callbacks_may_raise(caplog: pytest.LogCaptureFixture) -> None:
    """A callback that raises changes no result; it is counted, logged, and told again the next time."""
    calls: list[str] = []

    def raising(*_: Any, **__: Any) -> None:
        calls.append("x")
        raise RuntimeError("callback")

    rule = {"key": "e", "variations": ["a", "b"]}
    gb = GrowthBook(
        attributes={"id": "u"},
        features={"f": {"rules": [rule]}},
        on_experiment_viewed=raising,
        on_feature_usage=raising,
    )
    gb.subscribe(raising)
    gb.set_event_logger(raising)
    with caplog.at_level(logging.ERROR):
        first, second = gb.eval_feature("f").value, gb.eval_feature("f").value
        gb.log_event("purchase")
    assert first == second == "a"
    assert len(calls) == 6  # exposure, usage and subscriber; exposure and usage; event
    assert gb.errors == 6
    assert len([line for line in caplog.messages if "callback" in line]) == 1


class BrokenService(InMemoryStickyBucketService):
    """A store that is away."""

    def get_all_assignments(self, attributes: dict[str, str]) -> dict[str, Any]:
        """Raise."""
        raise ConnectionError("away")

    def save_assignments(self, doc: dict[str, Any]) -> None:
        """Raise."""
        raise ConnectionError("away")


def test_sticky_buckets_take_anything() -> None:
    """A store that is away changes no arm; documents and versions that are malformed give the default, in time."""
    features = {"f": {"defaultValue": "default", "rules": [hostile.TWO]}}
    gb = GrowthBook(attributes={"id": "u"}, features=features, sticky_bucket_service=BrokenService())
    assert gb.get_feature_value("f", None) == "other"
    assert gb.errors == 2  # neither read nor written
    for document in (5, {"assignments": 5}, {"assignments": {"f__0": ["x"]}}, {"assignments": None}):
        service = InMemoryStickyBucketService()
        service.docs["id||u"] = document  # type: ignore[assignment]
        gb = GrowthBook(attributes={"id": "u"}, features=features, sticky_bucket_service=service)
        assert gb.get_feature_value("f", None) in ("default", "other")
    old = {"f": {"defaultValue": "default", "rules": [hostile.TWO | {"minBucketVersion": 10**9}]}}
    gb = GrowthBook(attributes={"id": "u"}, features=old, sticky_bucket_service=InMemoryStickyBucketService())
    started = time.perf_counter()
    assert gb.get_feature_value("f", None) == "default"
    assert time.perf_counter() - started < SECONDS


def test_keyboard_interrupt_passes() -> None:
    """What is no Exception is not held back."""

    def stopping(**_: Any) -> None:
        raise KeyboardInterrupt

    gb = GrowthBook(attributes={"id": "u"}, features={"f": {"rules": [hostile.TWO]}}, on_experiment_viewed=stopping)
    with pytest.raises(KeyboardInterrupt):
        gb.eval_feature("f")


def test_log_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand errors of many clients are one line; each client counts its own."""
    with caplog.at_level(logging.ERROR):
        clients = [GrowthBook(features={"f": {"defaultValue": 1, "rules": ["x"]}}) for _ in range(10)]
        for gb in clients:
            for _ in range(100):
                assert gb.get_feature_value("f", 2) == 1
    assert [gb.errors for gb in clients] == [100] * 10
    assert len(caplog.messages) == 1
    Faults.complained = -math.inf
    clients[0].eval_feature("f")
    assert len(caplog.messages) == 2


def test_without_re2(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Without google-re2 a condition with a regular expression is not met, and the log says what to install."""
    monkeypatch.setitem(sys.modules, "re2", None)
    regex._compiled.cache_clear()
    rule = {"force": "bad", "condition": {"id": {"$regex": "u"}}}
    gb = GrowthBook(attributes={"id": "u"}, features={"f": {"defaultValue": "default", "rules": [rule]}})
    assert gb.get_feature_value("f", None) == "default"
    assert "google-re2" in caplog.text
    regex._compiled.cache_clear()


def test_copies_for_callbacks_are_bounded(attributes: dict[str, Any]) -> None:
    """A callback's copy of a 10 MB context with 10,000 levels is made in time and without recursion."""
    seen: list[Any] = []
    gb = GrowthBook(
        attributes={**attributes, "list": list(range(1_000_000))},
        features={"f": {"rules": [hostile.TWO]}},
        on_experiment_viewed=lambda **known: seen.append(known),
    )
    started = time.perf_counter()
    gb.eval_feature("f")
    assert time.perf_counter() - started < SECONDS
    assert len(seen) == 1


def test_import_is_light() -> None:
    """The face loads the standard library, msgspec and xxhash; no database library, no RE2, no growthbook."""
    code = "import sys, abloop.adapters.growthbook; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    loaded = {name for name in done.stdout.split() if name not in sys.stdlib_module_names and name[0] != "_"}
    assert loaded <= {"abloop", "msgspec", "xxhash", "typing_extensions"}, loaded  # the last is msgspec's
