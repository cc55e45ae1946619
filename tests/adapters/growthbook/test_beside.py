"""Random payloads, users and conditions, beside the package `growthbook` 4.0.0: everything it tells is the same."""

from __future__ import annotations

import copy
import importlib
import json
import logging
import os
import random
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.adapters import growthbook as ours
from abloop.adapters.growthbook import core
from tests.adapters.growthbook import beside, worlds

ROUNDS = 10_000 if os.environ.get("ABLOOP_LONG") else 2_000
EACH = 20  # worlds for one seed that hypothesis draws: it is slower than they are
SEEDS = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def theirs() -> Iterator[ModuleType]:
    """Return the package, which says nothing, and whose stored documents no longer change while they are read.

    Where 4.0.0 reads the documents of hash and fallback attribute, it writes buckets of the second into the stored
    document of the first. JavaScript's SDK does not, nor do we.
    """
    package = pytest.importorskip("growthbook", reason="the package growthbook is not installed")
    logging.getLogger("growthbook").setLevel(logging.CRITICAL + 1)
    evaluation: Any = importlib.import_module("growthbook.core")
    reading = evaluation._get_sticky_bucket_assignments

    def unshared(evalContext: Any, **named: Any) -> Any:
        docs = evalContext.user.sticky_bucket_assignment_docs
        evalContext.user.sticky_bucket_assignment_docs = copy.deepcopy(docs)
        try:
            return reading(evalContext=evalContext, **named)
        finally:
            evalContext.user.sticky_bucket_assignment_docs = docs

    evaluation._get_sticky_bucket_assignments = unshared
    yield package
    evaluation._get_sticky_bucket_assignments = reading


def text(value: Any) -> str:
    """Return JSON, in which 1 is neither 1.0 nor true."""
    return json.dumps(value, sort_keys=True, default=repr)


@settings(max_examples=ROUNDS // EACH)
@given(SEEDS)
def test_conditions(theirs: ModuleType, seed: int) -> None:
    """A condition is met here if and only if it is met there."""
    evaluate = importlib.import_module("growthbook.core").evalCondition
    rng = random.Random(seed)
    for _ in range(EACH):
        attributes = worlds.user(rng)
        groups = worlds.saved_groups(rng, attributes)
        condition = worlds.condition(rng, attributes, groups)
        assert core.evalCondition(attributes, condition, groups) is evaluate(attributes, condition, groups)


@settings(max_examples=ROUNDS // EACH)
@given(SEEDS)
def test_clients(theirs: ModuleType, seed: int) -> None:
    """Features, experiments, callbacks, subscriptions and sticky buckets are alike; what raises there is a default."""
    for number in range(seed, seed + EACH):
        world, expected = worlds.world(number), beside.tell(theirs, worlds.world(number))
        found = beside.tell(ours, world)
        raised = {name for name, value in expected.items() if isinstance(value, Exception)}
        for name in raised & {f"feature {key}" for key in world["client"]["features"]}:
            default = world["client"]["features"][name.removeprefix("feature ")]["defaultValue"]
            assert text([found[name]["value"], found[name]["source"]]) == text([default, "defaultValue"])
        if "run" in raised:
            assert not found["run"]["inExperiment"]
        if not raised:
            assert found.pop("errors") == expected.pop("errors") == 0
            assert {name: text(value) for name, value in found.items()} == {
                name: text(value) for name, value in expected.items()
            }


@settings(max_examples=ROUNDS // EACH)
@given(SEEDS)
def test_functions(theirs: ModuleType, seed: int) -> None:
    """Hashes, ranges, versions and addresses are equal to the last bit."""
    rng = random.Random(seed)
    package = importlib.import_module("growthbook.core")
    for _ in range(EACH):
        texts = ["".join(chr(rng.choice([97, 48, 228, 0x65E5, 0x1F600, 0xD83D])) for _ in range(5)) for _ in range(2)]
        version = rng.choice([1, 2, 3])
        assert core.gbhash(*texts, version) == package.gbhash(*texts, version)
        weights = [rng.choice([0.0, 0.1, 0.5, 1 / 3, 1]) for _ in range(rng.randrange(5))]
        bounds = (rng.choice([2, 3, len(weights)]), rng.uniform(-0.2, 1.2), weights)
        assert core.getBucketRanges(*bounds) == package.getBucketRanges(*bounds)
        value = rng.choice(
            [*worlds.VERSIONS, *worlds.NUMBERS, rng.uniform(-1, 1) * 10.0 ** rng.randrange(-30, 30), None]
        )
        assert core.paddedVersionString(value) == package.paddedVersionString(value)
        address = rng.choice(worlds.URLS) + rng.choice(["", "&exp3=1", "&exp3=007", "&exp3=2#x", "#&exp3=1", "?exp3=x"])
        for count in (2, 8):
            assert core.getQueryStringOverride("exp3", address, count) == package.getQueryStringOverride(
                "exp3", address, count
            )
