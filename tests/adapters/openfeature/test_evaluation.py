"""Evaluations: types, decision spaces, error codes, units and what is recorded."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from typing import Any

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from abloop.adapters.exposure import exposure_id
from abloop.adapters.openfeature import AbloopProvider
from abloop.loop import Loop
from abloop.records import Decision
from tests.adapters.openfeature.providers import KINDS, METRICS, ask, choice, ready
from tests.loops import two_arms
from tests.test_online import records

VALUES: dict[str, tuple[Any, Any]] = {
    "boolean": (True, False),
    "string": ("x", ""),
    "integer": (0, 10),
    "float": (0.0, 0.5),
    "object": ({"deep": [1, {"er": 2}]}, [1, 2]),
}


@pytest.mark.parametrize("asked", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_types(loop: Loop, kind: str, asked: str) -> None:
    """A flag is given as what it is, a whole number also as a float; anything else is the default and an error."""
    loop.register(choice("flag", *VALUES[kind]))
    default = object()
    found = ask(ready(loop), asked, "flag", default)
    if asked == kind or (kind, asked) == ("integer", "float"):
        wanted = dict(zip("ab", VALUES[kind], strict=True))[found.variant or ""]
        assert found.value == wanted
        assert type(found.value) is (float if asked == "float" else type(wanted))
        assert (found.reason, found.error_code) == (Reason.SPLIT, None)
    else:
        assert found.value is default
        assert (found.reason, found.error_code, found.variant) == (Reason.ERROR, ErrorCode.TYPE_MISMATCH, None)
        assert f"allowed: {kind.upper()}" in (found.error_message or "") or kind == "integer"
        assert records(loop) == []  # it was not given, so it is no decision


def test_a_flag_of_several_types_is_of_none(loop: Loop) -> None:
    """Arms of two types are refused for every unit alike, so that no arm loses its units; numbers are floats."""
    loop.register(choice("mixed", "x", 1))
    loop.register(choice("numbers", 1, 0.5))
    loop.register(choice("large", 1, 2**53 + 1))
    provider = ready(loop)
    for kind in KINDS:
        assert ask(provider, kind, "mixed").error_code is ErrorCode.TYPE_MISMATCH
    assert ask(provider, "integer", "numbers").error_code is ErrorCode.TYPE_MISMATCH
    assert type(ask(provider, "float", "numbers").value) is float
    assert ask(provider, "float", "large").error_code is ErrorCode.TYPE_MISMATCH
    assert ask(provider, "integer", "large").error_code is None


def test_spaces(loop: Loop) -> None:
    """Every decision space has its type: booleans, numbers and scores as floats, structured values as objects."""
    rule = {"policy": {"formula": "2 * x"}, "features": [{"name": "x"}], **METRICS}
    fields = [{"name": "n", "low": 0, "high": 9}, {"name": "hd", "type": "boolean"}]
    loop.register({"strategy": "bool", "space": {"type": "boolean"}, **METRICS})
    loop.register({"strategy": "number", "space": {"type": "number"}, "default": 1, **rule})
    loop.register({"strategy": "order", "space": {"type": "ordering"}, **rule})
    record = {**rule, "policy": {"formula": "{'n': 2 * x, 'hd': x > 1}"}, "default": {"n": 0, "hd": False}}
    loop.register({"strategy": "record", "space": {"type": "structured", "fields": fields}, **record})
    provider = ready(loop)
    units = [f"u{i}" for i in range(200)]
    assert {ask(provider, "boolean", "bool", unit=unit).value for unit in units} == {True, False}
    numbers = [ask(provider, "float", "number", unit=unit, x=2) for unit in units]
    assert {(type(found.value), found.value, found.variant) for found in numbers} == {
        (float, 4.0, "policy"),
        (float, 1.0, "default"),
    }
    assert {found.reason for found in numbers} == {Reason.TARGETING_MATCH, Reason.SPLIT}
    assert ask(provider, "integer", "number").error_code is ErrorCode.TYPE_MISMATCH
    assert {ask(provider, "float", "order", 7.0, unit=unit, x=2).value for unit in units} == {4.0, 7.0}
    assert {json.dumps(ask(provider, "object", "record", unit=unit, x=2).value, sort_keys=True) for unit in units} == {
        '{"hd": true, "n": 4.0}',
        '{"hd": false, "n": 0}',
    }


def test_without_a_decision_the_callers_default_is_given(loop: Loop) -> None:
    """A number that nothing predicts yet, without a default of its own, is the caller's, and no error."""
    labels = {"labels": [{"name": "bought"}], **METRICS}
    loop.register({"strategy": "price", "space": {"type": "number"}, **labels})
    loop.register({"strategy": "own", "space": {"type": "number"}, "default": 3, **labels})
    provider, default = ready(loop), 9.5
    found = ask(provider, "float", "price", default)
    assert found.value is default
    assert (found.reason, found.variant, found.error_code) == (Reason.DEFAULT, "default", None)
    assert ask(provider, "float", "own", default).value == 3.0


def test_objects_are_copies(loop: Loop) -> None:
    """Whatever a caller does to an object, the next one gets it as it was."""
    loop.register(choice("flag", *[{"list": [1]}] * 2))
    provider = ready(loop)
    ask(provider, "object", "flag").value["list"].append(2)
    assert ask(provider, "object", "flag").value == {"list": [1]}


def test_error_codes(loop: Loop) -> None:
    """Each mistake has its code, a sentence that says what to do, and the caller's default itself."""
    loop.register(two_arms())
    provider, default = ready(loop), object()
    asked = {
        "absent": (ask(provider, "string", "absent", default), ErrorCode.FLAG_NOT_FOUND),
        "number": (ask(provider, "string", 17, default), ErrorCode.FLAG_NOT_FOUND),
        "no unit": (ask(provider, "string", "checkout", default, unit=None), ErrorCode.TARGETING_KEY_MISSING),
        "empty unit": (ask(provider, "string", "checkout", default, unit=""), ErrorCode.TARGETING_KEY_MISSING),
        "unit": (ask(provider, "string", "checkout", default, unit=1.5), ErrorCode.INVALID_CONTEXT),
        "yes": (ask(provider, "string", "checkout", default, unit=True), ErrorCode.INVALID_CONTEXT),
        "long unit": (ask(provider, "string", "checkout", default, unit="u" * 10_001), ErrorCode.INVALID_CONTEXT),
        "long attribute": (
            ask(provider, "string", "checkout", default, unit=None, user_id="u" * 10_001),
            ErrorCode.INVALID_CONTEXT,
        ),
        "id": (ask(provider, "string", "checkout", default, decision_id=3), ErrorCode.INVALID_CONTEXT),
        "context": (provider.resolve_string_details("checkout", default, {"a": 1}), ErrorCode.INVALID_CONTEXT),  # type: ignore[arg-type,type-var]
        "attributes": (
            provider.resolve_string_details("checkout", default, EvaluationContext("u", 3)),  # type: ignore[arg-type,type-var]
            ErrorCode.INVALID_CONTEXT,
        ),
        "surrogate": (ask(provider, "string", "checkout", default, unit="\ud800"), ErrorCode.GENERAL),
        "not ready": (ask(AbloopProvider(loop), "string", "checkout", default), ErrorCode.PROVIDER_NOT_READY),
    }
    for name, (found, code) in asked.items():
        assert found.value is default, name
        assert (found.error_code, found.reason) == (code, Reason.ERROR), name
        assert found.error_message, name
    assert provider.errors == 0
    assert records(loop) == []


def test_the_unit(loop: Loop) -> None:
    """The targeting key is the unit; without one, the attribute that the blueprint names; whole numbers are text."""
    loop.register(two_arms(unit="company"))
    provider = ready(loop)
    ask(provider, "string", "checkout", unit="u1", company="c1")
    ask(provider, "string", "checkout", unit=None, company="c1")
    ask(provider, "string", "checkout", unit=17)
    assert [record.unit for record in records(loop) if isinstance(record, Decision)] == ["u1", "c1", "17"]


def test_without_a_unit_only_what_draws_nothing(loop: Loop) -> None:
    """A flag whose answer is the same for all needs no targeting key and is not recorded; any other does."""
    experiments = ({"holdout": 0.1}, {"traffic": 0.9}, {"sticky": True}, {"layer": {"name": "l"}}, {})
    for index, experiment in enumerate(experiments):
        loop.register(two_arms(f"draws{index}", experiment=experiment))
    loop.register(two_arms("still", experiment={"traffic": 0}))
    provider = ready(loop)
    for index in range(len(experiments)):
        found = ask(provider, "string", f"draws{index}", unit=None)
        assert found.error_code is ErrorCode.TARGETING_KEY_MISSING
    found = ask(provider, "string", "still", unit=None)
    assert (found.value, found.reason, found.flag_metadata["decision_id"]) == ("blue", Reason.STATIC, "")
    assert provider.resolve_string_details("still", "x").value == "blue"
    assert records(loop) == []


def test_the_record(loop: Loop) -> None:
    """One decision for a unit and what is served, with features by their key as they are; or under the caller's id."""
    features = [{"name": "x"}, {"name": "tags", "type": "sparse"}]
    loop.register(two_arms(features=features))
    provider = ready(loop)
    context = EvaluationContext("u1", {"x": 2, "tags": {"a": 1, "b": {"c": 2}}, "other": {"deep": 1}})
    kept = copy.deepcopy(context)
    found = provider.resolve_string_details("checkout", "", context)
    ask(provider, "string", "checkout", decision_id="mine", x=3)
    assert context == kept
    first, second = records(loop)
    assert isinstance(first, Decision)
    assert isinstance(second, Decision)
    assert first.features == (2.0, {"a": 1.0})
    assert first.decision_id == exposure_id(loop.strategy("checkout").snapshot, "u1")
    assert (second.decision_id, second.features) == ("mine", (3.0, None))
    assert found.flag_metadata == {
        "strategy": "checkout",
        "version": 1,
        "phase": "randomise",
        "propensity": 0.5,
        "decision_id": first.decision_id,
        "release": "",
    }
    assert found.variant == first.arm
    assert {type(value) for value in found.flag_metadata.values()} <= {bool, int, float, str}


def test_the_async_twins_stay_where_they_are(loop: Loop) -> None:
    """An asynchronous evaluation gives the same, on the thread of its event loop, and starts none."""
    for kind in KINDS:
        loop.register(choice(kind, *VALUES[kind]))
    provider = ready(loop)
    context = EvaluationContext("u1")
    before = threading.enumerate()

    async def both(kind: str) -> tuple[Any, Any]:
        found = await getattr(provider, f"resolve_{kind}_details_async")(kind, None, context)
        return found, ask(provider, kind, kind)

    for kind in KINDS:
        found, twin = asyncio.run(both(kind))
        assert found == twin
        assert found.error_code is None
    assert set(threading.enumerate()) <= set(before)


def test_the_line_that_changes(loop: Loop) -> None:
    """A product on OpenFeature changes one line; its calls stay, and decisions and outcomes arrive."""
    loop.register(two_arms())
    api.set_provider_and_wait(AbloopProvider(loop))
    client = api.get_client()
    arms = {client.get_string_value("checkout", "blue", EvaluationContext(f"u{i}", {"x": i})) for i in range(50)}
    client.track("bought", EvaluationContext("u1"))
    assert arms == {"blue", "green"}
    assert len(records(loop)) == 51
