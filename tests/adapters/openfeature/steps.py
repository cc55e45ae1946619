"""What the steps of the specification's scenarios do, with the SDK's client and abloop's provider."""

from __future__ import annotations

import copy
import threading

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationOptions
from openfeature.provider import ProviderStatus
from openfeature.transaction_context import ContextVarsTransactionContextPropagator

from abloop.adapters.openfeature import AbloopProvider
from abloop.records import Decision
from tests.adapters.openfeature.gherkin import Steps, Table
from tests.adapters.openfeature.world import LEVELS, TYPES, Recording, Waiting, World, parsed, wait_for
from tests.loops import open_loop, two_arms
from tests.test_online import records
from tests.test_outage import lock

step = Steps()


@step(r"an? (stable|not ready|error|fatal|stale) provider")
def provider(world: World, status: str) -> None:
    folder = world.folder
    url = f"sqlite:///{folder}/abloop.db"
    if status == "stable":
        api.set_provider_and_wait(world.make())
        return
    if status == "not ready":
        waiting = Waiting(url)
        world.ends += [waiting.go.set, lambda: wait_for(ProviderStatus.READY, world.client)]
        api.set_provider(waiting)
        wait_for(ProviderStatus.NOT_READY, world.client)
        return
    if status == "stale":  # it starts a second time, without its database
        loop = open_loop(folder)
        loop.register(two_arms())
        loop.strategy("checkout")
        loop.close()
    if status != "fatal":
        world.ends.append(lock(folder / "abloop.db").close)
    api.set_provider(AbloopProvider("this is no database URL" if status == "fatal" else url))
    wait_for(ProviderStatus(status.upper()), world.client)


@step(r"a stable provider with retrievable context is registered")
def retrievable(world: World) -> None:
    world.loop = open_loop(world.folder)
    features = [{"name": name, "type": "categorical"} for name in ("key", *LEVELS)]
    world.loop.register(two_arms("some-flag", features=features))
    api.set_transaction_context_propagator(ContextVarsTransactionContextPropagator())
    api.set_provider_and_wait(AbloopProvider(world.loop))
    world.client.add_hooks([world.hook])
    world.levels = {level: {} for level in LEVELS}


@step(r'a context entry with key "(.*)" and value "(.*)" is added to the "(.*)" level')
def add_entry(world: World, key: str, value: str, level: str) -> None:
    world.levels[level] = {**world.levels[level], key: value}


@step(r"a table with levels of increasing precedence")
def levels(world: World, table: Table) -> None:
    world.order = [name for (name,) in table]
    assert world.order == [level for level in LEVELS if level in world.order]


@step(r'context entries for each level from API level down to the "(.*)" level, with key "(.*)" and value "(.*)"')
def add_entries(world: World, last: str, key: str, value: str) -> None:
    for level in world.order[: world.order.index(last) + 1]:
        add_entry(world, key, level, level)
    assert value == last


@step(r"some flag was evaluated")
def evaluate_some(world: World) -> None:
    api.set_evaluation_context(EvaluationContext("u-17", world.levels["API"]))
    api.set_transaction_context(EvaluationContext(attributes=world.levels["Transaction"]))
    world.client.context = EvaluationContext(attributes=world.levels["Client"])
    world.hook.adds = EvaluationContext(attributes=world.levels["Before Hooks"])
    world.type, world.key, world.default = "string", "some-flag", "none"
    world.context = EvaluationContext(attributes=world.levels["Invocation"])
    world.evaluate()
    assert world.details.reason == "SPLIT"


@step(r'the merged context contains an entry with key "(.*)" and value "(.*)"')
def merged(world: World, key: str, value: str) -> None:
    assert world.loop is not None
    (record,) = records(world.loop)  # what the provider got, as abloop logged it
    assert isinstance(record, Decision)
    assert record.unit == "u-17"
    assert dict(zip(("key", *LEVELS), record.features, strict=True))[key] == value


@step(r'an? (\w+)-flag with key "(.*)" and a fallback value "(.*)"')
def flag(world: World, kind: str, key: str, default: str) -> None:
    world.type, world.key, world.default = kind.lower(), key, parsed(kind, default)


@step(r'a context containing a key "(.*)", with type "(\w+)" and with value "(.*)"')
def attribute(world: World, key: str, kind: str, value: str) -> None:
    world.attributes[key] = parsed(kind, value)


@step(r'a context containing a key "(.*)" with null value')
def null_attribute(world: World, key: str) -> None:
    world.attributes[key] = None


@step(r"the flag was evaluated with details")
def evaluate(world: World) -> None:
    world.evaluate()


@step(r"the flag was evaluated with details using the evaluation options")
def evaluate_with_options(world: World) -> None:
    world.evaluate(flag_evaluation_options=world.options)


@step(r"the flag was evaluated with details asynchronously")
def evaluate_async(world: World) -> None:
    before = threading.active_count()
    get = getattr(world.client, f"get_{world.type}_details_async")
    running = get(world.key, world.default, EvaluationContext(attributes=world.attributes))
    with pytest.raises(StopIteration) as found:
        running.send(None)
    world.details = found.value.value
    world.kept = before, threading.active_count()


@step(r"the evaluation should complete without blocking")
def complete(world: World) -> None:
    before, after = world.kept  # it came to its end at the first step, without a thread of its own
    assert before == after


@step(r'the resolved details value should be "(.*)"')
def value(world: World, text: str) -> None:
    wanted = parsed(world.type, text)
    assert world.details.value == wanted
    assert type(world.details.value) is type(wanted)


@step(r'the reason should be "(\w+)"')
def reason(world: World, text: str) -> None:
    assert world.details.reason == text


@step(r'the error-code should be "(\w+)"')
def error_code(world: World, text: str) -> None:
    assert world.details.error_code == text


@step(r'the variant should be "(.*)"')
def variant(world: World, text: str) -> None:
    assert world.details.variant == text


@step(r'the flag key should be "(.*)"')
def flag_key(world: World, text: str) -> None:
    assert world.details.flag_key == text


@step(r"the resolved metadata should contain")
def metadata(world: World, table: Table) -> None:
    for key, kind, text in table[1:]:
        assert world.details.flag_metadata[key] == parsed(kind, text)
        assert type(world.details.flag_metadata[key]) is TYPES[kind.lower()]


@step(r"the resolved metadata is empty")
def no_metadata(world: World) -> None:
    assert world.details.flag_metadata == {}


@step(r'the provider status should be "(\w+)"')
def provider_status(world: World, text: str) -> None:
    assert world.client.get_provider_status().value == text


@step(r"evaluation options containing specific hooks")
def options(world: World) -> None:
    world.options = FlagEvaluationOptions([Recording(world.calls, "first"), Recording(world.calls, "second")])


@step(r"the specified hooks should execute during evaluation")
def hooks_executed(world: World) -> None:
    assert {name for _, name in world.calls} == {"first", "second"}


@step(r"the hook order should be maintained")
def hook_order(world: World) -> None:
    stages = [("before", ("first", "second")), ("after", ("second", "first")), ("finally", ("second", "first"))]
    assert world.calls == [(stage, name) for stage, names in stages for name in names]


@step(r"an evaluation context with modifiable data")
def modifiable(world: World) -> None:
    world.context = EvaluationContext("u-17", {"email": "a@b.c", "list": [1, {"deep": 2}]})
    world.kept = copy.deepcopy(world.context)


@step(r"the original evaluation context should remain unmodified")
def unmodified(world: World) -> None:
    assert world.context == world.kept


@step(r"the evaluation details should be immutable")
def immutable(world: World) -> None:
    told = world.details.flag_metadata
    with pytest.raises(TypeError, match="cannot be changed"):
        told["more"] = 1  # type: ignore[index]
    world.details.value = "changed"  # the SDK's record is the caller's own: no other evaluation sees it
    world.evaluate()
    assert world.details.value is True


@step(r"a client with added hook")
def hooked(world: World) -> None:
    world.client.add_hooks([world.hook])


@step(r'the "(\w+)" hook should have been executed')
def hook_executed(world: World, stage: str) -> None:
    assert (stage, "hook") in world.calls


@step(r'the "(.*)" hooks should be called with evaluation details')
def hook_details(world: World, stages: str, table: Table) -> None:
    for stage in stages.split(", "):
        for kind, key, text in table[1:]:
            assert getattr(world.hook.details[stage], key) == parsed(kind, text)
