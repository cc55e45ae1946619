"""Every scenario of OpenFeature's specification, through the SDK's client, each example by its name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from abloop.adapters.openfeature import AbloopProvider
from abloop.loop import Loop
from tests.adapters.openfeature.flags import OwnMetadata, register
from tests.adapters.openfeature.gherkin import Scenario, read_feature
from tests.adapters.openfeature.steps import step
from tests.adapters.openfeature.world import World
from tests.conftest import SHARED
from tests.loops import open_loop

FOLDER = SHARED / "vectors" / "openfeature"
SCENARIOS = [(path.stem, scenario) for path in sorted(FOLDER.glob("*.feature")) for scenario in read_feature(path)]
COUNTS = {"contextMerging": 29, "evaluation_v2": 82, "hooks": 3, "metadata": 5}
ABSENT = pytest.mark.skipif(not SCENARIOS, reason=f"{FOLDER} is absent: the specification's scenarios are not there")


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """Return an installation that has the specification's flags."""
    loop = open_loop(tmp_path_factory.mktemp("flags"))
    register(loop, json.loads((FOLDER / "test-flags.json").read_text()))
    yield loop
    loop.close()


@ABSENT
@pytest.mark.parametrize(
    "scenario", [item for _, item in SCENARIOS], ids=[f"{stem}: {item.name}" for stem, item in SCENARIOS]
)
def test_scenario(scenario: Scenario, loop: Loop, tmp_path: Path) -> None:
    """The steps of a scenario hold, one after the other; every provider has a cache and the flags' own metadata."""
    told = OwnMetadata(json.loads((FOLDER / "test-flags.json").read_text()))
    world = World(tmp_path, lambda: AbloopProvider(loop, cache=100, metadata=told))
    try:
        step.run(world, scenario)
    finally:
        world.close()


@ABSENT
def test_all_scenarios_are_there() -> None:
    """No example of the four files was passed over."""
    found = [stem for stem, _ in SCENARIOS]
    assert {stem: found.count(stem) for stem in found} == COUNTS
