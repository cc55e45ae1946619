"""The hot path: it decides, it records, it never raises."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop import offline
from abloop.errors import DataError
from abloop.loop import Loop
from abloop.models.artefact import Artefact
from abloop.models.effects import EffectSpec
from abloop.online import Snapshot, Strategy, decide
from abloop.records import Decision, Observation, decode
from abloop.store.serving import Serving
from abloop.store.spool import segments
from tests.loops import open_loop, two_arms


def records(loop: Loop) -> list[Decision | Observation]:
    """Return everything in the spool, in order."""
    loop.spool.seal()
    return [decode(payload) for segment in segments(loop.spool_directory) for _, payload in segment.records()]


def serve_constant(loop: Loop, name: str, base: tuple[float, ...], phase: str = "personalise") -> None:
    """Serve a release that predicts the same effects for everybody."""
    version, blueprint = loop.catalogue.blueprint(name)
    names = tuple(arm.name for arm in blueprint.ordered_arms())
    columns = offline.load_table(loop, name).encoder.columns
    artefact = Artefact(1, "constant", names, columns, EffectSpec(base, len(columns)), 0)
    loop.catalogue.serve(Serving(name, version, phase), artefact)  # type: ignore[arg-type]
    loop.refresh()


def test_decision_is_recorded_whole(tmp_path: Path) -> None:
    """The record holds unit, features, arm, propensity, phase, version and what the product was given."""
    loop = open_loop(tmp_path)
    arms = [{"name": "blue", "value": {"colour": 1}}, {"name": "green", "value": 2, "weight": 0.25}]
    arms[0]["weight"] = 0.75
    loop.register(two_arms(arms=arms))
    given_back = loop.strategy("checkout").get_decision("d1", {"user_id": 7, "x": True, "secret": "s"})
    (found,) = records(loop)
    assert isinstance(found, Decision)
    assert found.unit == "7"
    assert found.features == (1.0,)
    assert found.decision == given_back
    assert (found.arm, found.propensity) in {("blue", 0.75), ("green", 0.25)}
    assert (found.phase, found.version, found.release, found.time) == ("randomise", 1, "", loop.clock())
    assert found.latency > 0
    assert b"secret" not in b"".join(path.read_bytes() for path in loop.spool_directory.iterdir())
    loop.close()


def test_same_unit_same_arm_in_another_process(tmp_path: Path) -> None:
    """The arm depends on salt and unit alone, so that every process gives a unit the same arm."""
    loop, other = open_loop(tmp_path), open_loop(tmp_path)
    loop.register(two_arms())
    first = [loop.strategy("checkout").get_decision(f"a{i}", {"user_id": f"u{i}"}) for i in range(200)]
    again = [other.strategy("checkout").get_decision(f"b{i}", {"user_id": f"u{i}"}) for i in range(200)]
    assert first == again
    assert set(first) == {"blue", "green"}
    loop.close()
    other.close()


def test_explore_share_keeps_its_arms_and_propensities_are_exact(tmp_path: Path) -> None:
    """Personalised, a unit gets the best arm; explorers keep theirs; the propensity is that of the mixture."""
    loop = open_loop(tmp_path)
    loop.register(two_arms(experiment={"explore": 0.2}))
    strategy = loop.strategy("checkout")
    before = [strategy.get_decision(f"a{i}", {"user_id": f"u{i}"}) for i in range(2_000)]
    serve_constant(loop, "checkout", (0.0, 0.3))
    after = [strategy.get_decision(f"b{i}", {"user_id": f"u{i}"}) for i in range(2_000)]
    late = [record for record in records(loop) if isinstance(record, Decision) and record.decision_id[0] == "b"]
    explored = [i for i, record in enumerate(late) if record.phase == "explore"]
    assert 320 < len(explored) < 480  # 2000 x .2, four standard deviations
    assert all(after[i] == before[i] for i in explored)
    assert {after[i] for i in set(range(2_000)) - set(explored)} == {"green"}
    chances = {(record.arm, round(record.propensity, 12)) for record in late}
    assert chances == {("green", 0.9), ("blue", 0.1)}
    assert all(record.predictions == (0.0, 0.3) and record.release for record in late)
    loop.close()


def test_cost_changes_the_choice(tmp_path: Path) -> None:
    """The best arm is the one of greatest effect net of its cost."""
    loop = open_loop(tmp_path)
    loop.register(two_arms(arms=[{"name": "blue"}, {"name": "green", "cost": 0.4}], experiment={"explore": 0.01}))
    strategy = loop.strategy("checkout")
    serve_constant(loop, "checkout", (0.0, 0.3))
    unit = next(f"u{i}" for i in range(100) if not strategy.snapshot.assignment.explores(f"u{i}"))
    assert strategy.get_decision("d", {"user_id": unit}) == "blue"
    loop.close()


def test_holdout_gets_control_for_good(tmp_path: Path) -> None:
    """A held-out unit gets control with certainty, before and after the switch."""
    loop = open_loop(tmp_path)
    loop.register(two_arms(experiment={"holdout": 0.3}))
    strategy = loop.strategy("checkout")
    held = [f"u{i}" for i in range(1_000) if strategy.snapshot.assignment.held_out(f"u{i}")]
    assert 230 < len(held) < 370
    serve_constant(loop, "checkout", (0.0, 0.3))
    assert {strategy.get_decision(unit, {"user_id": unit}) for unit in held} == {"blue"}
    found = [record for record in records(loop) if isinstance(record, Decision)]
    assert {(record.phase, record.propensity) for record in found} == {("holdout", 1.0)}
    loop.close()


@pytest.mark.parametrize(
    ("decision_id", "context", "names"),
    [
        ("d", {}, ["user_id", "missing"]),
        ("d", {"user_id": None}, ["user_id", "missing"]),
        ("d", {"user_id": 1.5}, ["user_id", "1.5"]),
        ("d", {"user_id": True}, ["user_id", "True"]),
        ("", {"user_id": "u"}, ["decision_id"]),
        (5, {"user_id": "u"}, ["decision_id", "5"]),
        ("d", None, ["AttributeError"]),
        ("d", "text", ["AttributeError"]),
    ],
    ids=["no-unit", "unit-none", "unit-float", "unit-bool", "no-id", "id-number", "context-none", "context-text"],
)
def test_bad_calls_get_the_default(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, decision_id: Any, context: Any, names: list[str]
) -> None:
    """A call that cannot be answered gets the default, is counted, and is logged once in a minute with its cause."""
    loop = open_loop(tmp_path)
    loop.register(two_arms(default="fallback"))
    strategy = loop.strategy("checkout")
    with caplog.at_level(logging.ERROR, logger="abloop"):
        assert [strategy.get_decision(decision_id, context) for _ in range(3)] == ["fallback"] * 3
    assert strategy.errors == 3
    assert len(caplog.records) == 1
    assert all(name in caplog.text for name in names)
    assert records(loop) == []
    loop.close()


@pytest.mark.parametrize(
    "observations",
    [{"sold": 1}, {"bought": "yes"}, {"bought": float("nan")}, {"bought": None}, None, 5, {5: 1}],
    ids=["unknown", "text", "nan", "none", "nothing", "number", "key"],
)
def test_bad_observations_are_counted(tmp_path: Path, observations: Any) -> None:
    """An observation that is no finite number of a known metric is counted and not kept."""
    loop = open_loop(tmp_path)
    loop.register(two_arms())
    strategy = loop.strategy("checkout")
    strategy.log_observations("d", observations)
    assert strategy.errors == 1
    assert records(loop) == []
    loop.close()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.builds(object),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def strategy(tmp_path_factory: pytest.TempPathFactory) -> Strategy:
    """Return a handle with features of both types, served by a release."""
    loop = open_loop(tmp_path_factory.mktemp("hostile"))
    loop.register(two_arms(features=[{"name": "x"}, {"name": "c", "type": "categorical"}]))
    handle = loop.strategy("checkout")
    serve_constant(loop, "checkout", (0.0, 0.3))
    return handle


@settings(max_examples=500, deadline=None)
@given(decision_id=anything, unit=anything, x=anything, c=anything, value=anything)
def test_nothing_makes_the_hot_path_raise(
    strategy: Strategy, decision_id: Any, unit: Any, x: Any, c: Any, value: Any
) -> None:
    """Whatever is passed in, an arm comes back and nothing is raised."""
    assert strategy.get_decision(decision_id, {"user_id": unit, "x": x, "c": c}) in ("blue", "green")
    strategy.log_observations(decision_id, {"bought": value})


def test_a_context_that_raises_is_survived(strategy: Strategy) -> None:
    """Not even an object that raises on every look reaches the product."""

    class Hostile(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            raise RuntimeError("no")

    assert strategy.get_decision("d", Hostile()) == "blue"


def test_a_lost_record_still_gives_the_decision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full, the product still gets its assigned arm, and the loss is counted."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    loop = open_loop(tmp_path)
    loop.register(two_arms())
    strategy = loop.strategy("checkout")
    first = [strategy.get_decision(f"d{i}", {"user_id": f"u{i}"}) for i in range(20)]
    loop.spool.seal()
    monkeypatch.setattr("os.posix_fallocate", full)
    assert [strategy.get_decision(f"e{i}", {"user_id": f"u{i}"}) for i in range(20)] == first
    assert (loop.spool.lost, strategy.errors) == (20, 0)
    assert "No space left" in loop.spool.last_error
    loop.close()


def test_decide_is_pure(strategy: Strategy) -> None:
    """The same snapshot and context give the same decision, whatever the time."""
    snapshot: Snapshot = strategy.snapshot
    one = decide(snapshot, "d", {"user_id": "u", "x": 1}, 1.0, 0)
    two = decide(snapshot, "d", {"user_id": "u", "x": 1}, 2.0, 0)
    assert (one.arm, one.propensity, one.predictions) == (two.arm, two.propensity, two.predictions)
    with pytest.raises(DataError, match="user_id"):
        decide(snapshot, "d", {}, 1.0, 0)


def test_an_outcome_of_a_unit_is_recorded_as_such(tmp_path: Path) -> None:
    """It names the unit as decisions do and no decision; what is none is counted, and nothing is recorded."""
    loop = open_loop(tmp_path)
    metrics = [{"name": "bought"}, {"name": "spent", "by": "unit", "window": 100.0}]
    loop.register(two_arms(metrics=metrics))
    strategy = loop.strategy("checkout")
    strategy.log_unit_observations(7, {"spent": 2.5}, key="k")
    strategy.log_unit_observations("u", {"spent": True})
    for unit, observations in [(None, {"spent": 1}), ("", {"spent": 1}), (1.5, {"spent": 1}), ("u", {"other": 1})]:
        strategy.log_unit_observations(unit, observations)  # type: ignore[arg-type]
    strategy.log_unit_observations("u", {"spent": float("nan")})
    assert strategy.errors == 5
    first, second = records(loop)
    assert first == Observation("", "checkout", loop.clock(), "spent", 2.5, "k", "7")
    assert isinstance(second, Observation)
    assert (second.unit, second.decision_id, second.value, bool(second.key)) == ("u", "", 1.0, True)
    loop.close()
