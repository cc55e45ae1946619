"""What is told of an answer: reasons, metadata, and that it was given before."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from abloop.adapters.openfeature import AbloopProvider
from abloop.compare import compare
from abloop.loop import Loop
from abloop.records import Decision
from abloop.rollout.pause import pause, resume
from tests.adapters.openfeature.providers import ask, choice, ready
from tests.loops import two_arms
from tests.test_online import records, serve_constant


def reasons(provider: AbloopProvider, key: str, **attributes: Any) -> dict[str, set[str]]:
    """Return the reasons of many units, each with the phases behind it."""
    found: dict[str, set[str]] = {}
    for index in range(400):
        given = ask(provider, "string", key, unit=f"u{index}", **attributes)
        found.setdefault(str(given.reason), set()).add(str(given.flag_metadata["phase"]))
    return found


def test_reasons_of_who_is_in(loop: Loop) -> None:
    """Drawn is SPLIT; held out, outside and untargeted are DEFAULT; forced is TARGETING_MATCH; nobody in is STATIC."""
    loop.register(two_arms("split"))
    loop.register(two_arms("half", experiment={"traffic": 0.5, "holdout": 0.2, "force": {"u7": "green"}}))
    loop.register(two_arms("target", experiment={"target": "x > 1"}))
    loop.register(two_arms("nobody", experiment={"traffic": 0}))
    arms = [{"name": "blue", "weight": 1.0}, {"name": "green", "weight": 1e-10}]
    loop.register(two_arms("all", arms=arms))
    loop.register(two_arms("rule", arms=arms, experiment={"target": "x > 1"}))
    provider = ready(loop)
    assert reasons(provider, "split") == {"SPLIT": {"randomise"}}
    half = {"SPLIT": {"randomise"}, "DEFAULT": {"outside", "holdout"}, "TARGETING_MATCH": {"forced"}}
    assert reasons(provider, "half") == half
    assert reasons(provider, "target", x=2) == {"SPLIT": {"randomise"}}
    assert reasons(provider, "target", x=0) == {"DEFAULT": {"untargeted"}}
    assert reasons(provider, "nobody") == {"STATIC": {"outside"}}
    assert reasons(provider, "all") == {"STATIC": {"randomise"}}
    assert reasons(provider, "rule", x=2) == {"TARGETING_MATCH": {"randomise"}}
    assert reasons(provider, "rule", x=0) == {"DEFAULT": {"untargeted"}}


def test_reasons_of_what_is_served(loop: Loop) -> None:
    """Personalised is TARGETING_MATCH, one arm for all STATIC, the explore share SPLIT; propensities are told."""
    loop.register(two_arms("p"))
    loop.register(two_arms("s"))
    provider = ready(loop)
    serve_constant(loop, "p", (0.0, 0.3))
    serve_constant(loop, "s", (0.0, 0.3), phase="ship")
    assert reasons(provider, "p") == {"TARGETING_MATCH": {"personalise"}, "SPLIT": {"explore"}}
    assert reasons(provider, "s") == {"STATIC": {"ship"}, "SPLIT": {"explore"}}
    told = [ask(provider, "string", "p", unit=f"u{i}") for i in range(200)]
    assert {(found.value, round(float(found.flag_metadata["propensity"]), 9)) for found in told} == {
        ("green", 0.95),
        ("blue", 0.05),
    }
    assert all(found.flag_metadata["release"] for found in told)


def test_paused_is_disabled(loop: Loop) -> None:
    """A paused strategy gives the caller's default and is not recorded; to those it is forced on, too."""
    loop.register(two_arms(experiment={"force": {"tester": "green"}}))
    provider, default = ready(loop), "mine"
    pause(loop, "checkout", who="t", why="t")
    loop.refresh()
    found = ask(provider, "string", "checkout", default)
    assert found.value is default
    assert (found.reason, found.error_code, found.variant) == (Reason.DISABLED, None, None)
    assert found.flag_metadata["phase"] == "paused"
    assert ask(provider, "string", "checkout", default, unit=None).reason == Reason.DISABLED
    assert ask(provider, "string", "checkout", default, unit="tester").value is default
    assert [record.unit for record in records(loop) if isinstance(record, Decision)] == []
    resume(loop, "checkout", who="t", why="t")
    loop.refresh()
    assert ask(provider, "string", "checkout", default).reason == Reason.SPLIT


def test_versions_that_are_compared(loop: Loop) -> None:
    """While versions are compared each unit gets its own, which the metadata names; a shared type is needed."""
    for values in (("x", "y"), ("z", "w"), (1, 2)):
        loop.register(choice("flag", *values))
    provider = ready(loop)
    compare(loop, "flag", [1, 2], who="t", why="t")
    loop.refresh()
    told = [ask(provider, "string", "flag", unit=f"u{i}") for i in range(100)]
    assert {(found.value, found.flag_metadata["version"]) for found in told} == {
        *[("x", 1), ("y", 1)],
        *[("z", 2), ("w", 2)],
    }
    compare(loop, "flag", [2, 3], who="t", why="t")
    loop.refresh()
    assert ask(provider, "string", "flag").error_code is ErrorCode.TYPE_MISMATCH


def test_metadata_cannot_be_changed_but_copied(loop: Loop) -> None:
    """Flag metadata refuses every change, becomes JSON, and a copy of it is a plain dictionary."""
    loop.register(two_arms())
    told: Any = ask(ready(loop), "string", "checkout").flag_metadata
    changes = (
        lambda: told.update(a=1),
        lambda: told.clear(),
        lambda: told.pop("version"),
        lambda: told.setdefault("a", 1),
        lambda: told.popitem(),
        lambda: told.__delitem__("version"),
        lambda: told.__ior__({"a": 1}),
    )
    for change in changes:
        with pytest.raises(TypeError, match="cannot be changed"):
            change()
    assert type(copy.deepcopy(told)) is type(copy.copy(told)) is dict
    assert json.loads(json.dumps(told)) == msgspec.to_builtins(told) == dict(told)


def test_metadata_of_ones_own(loop: Loop) -> None:
    """A function tells what is told; where it fails, nothing is, and the answer stands."""
    loop.register(two_arms())
    provider = ready(loop, metadata=lambda key, details: {"who": key, "arm": details.arm})
    found = ask(provider, "string", "checkout")
    assert found.flag_metadata == {"who": "checkout", "arm": found.value}
    failing = ready(loop, metadata=lambda key, details: {"no": 1 / 0})
    found = ask(failing, "string", "checkout")
    assert (found.reason, found.flag_metadata, failing.errors) == (Reason.SPLIT, {}, 1)


def test_answers_that_are_given_again(loop: Loop) -> None:
    """With a cache the same question is answered once and recorded once; other features, or a new version, are new."""
    loop.register(two_arms())
    loop.register(two_arms("ramp", experiment={"ramp": [{"at": "2020-01-01", "traffic": 1}]}))
    provider, plain = ready(loop, cache=2), ready(loop)
    asked = [ask(provider, "string", "checkout", x=1) for _ in range(3)]
    assert [found.reason for found in asked] == [Reason.SPLIT, Reason.CACHED, Reason.CACHED]
    assert len({(found.value, found.variant, json.dumps(found.flag_metadata)) for found in asked}) == 1
    assert ask(provider, "string", "checkout", x=2).reason == Reason.SPLIT
    assert ask(provider, "string", "checkout", x=2, decision_id="mine").reason == Reason.SPLIT
    assert ask(provider, "string", "checkout", x=2, other=1).reason == Reason.CACHED
    assert len(records(loop)) == 3
    loop.register(two_arms(default="x"))
    assert ask(provider, "string", "checkout", x=2).reason == Reason.SPLIT
    assert [ask(provider, "string", "checkout", unit=unit).reason for unit in ("a", "b", "c", "a")] == [
        Reason.SPLIT
    ] * 4
    assert [ask(provider, "string", "ramp").reason for _ in range(2)] == [Reason.SPLIT] * 2  # its traffic changes
    assert [ask(plain, "string", "checkout").reason for _ in range(2)] == [Reason.SPLIT] * 2
