"""Decision spaces: what each gives, when, with which propensity, and what happens where a formula is undefined."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import abloop
from abloop.blueprint import from_mapping
from abloop.blueprint.policy import Policy
from abloop.errors import ArtefactError
from abloop.features.column import to_column
from abloop.loop import Loop
from abloop.models.artefact import Artefact
from abloop.models.labels import LabelSpec
from abloop.models.trees import Tree
from abloop.records import Column, Decision
from abloop.store.catalogue import Serving
from tests.loops import open_loop, two_arms
from tests.test_online import records, serve_constant


def of_space(space: dict[str, Any], formula: str, **sections: Any) -> dict[str, Any]:
    """Return a rule in a space without arms."""
    return {
        "strategy": "s",
        "space": space,
        "metrics": [{"name": "m"}],
        "features": [{"name": "x"}, {"name": "c", "type": "categorical"}],
        "policy": {"formula": formula},
        "experiment": {"explore": 0.2},
        **sections,
    }


def decided(loop: Loop, contexts: list[dict[str, Any]]) -> list[Decision]:
    """Decide for each context, a unit each, and return the records."""
    for index, context in enumerate(contexts):
        loop.strategy("s").get_decision(f"d{index}", {"user_id": f"u{index}", **context})
    assert loop.strategy("s").errors == 0
    return [record for record in records(loop) if isinstance(record, Decision)]


def test_a_rule_decides_at_once_beside_its_default(tmp_path: Path) -> None:
    """A number is the formula's, within its bounds; half of the explore share and the holdout get the default."""
    loop = open_loop(tmp_path)
    raw = of_space({"type": "number", "low": 0, "high": 10}, "2 * x", default=-1)
    loop.register({**raw, "experiment": {"explore": 0.2, "holdout": 0.1}})
    found = decided(loop, [{"x": float(i % 8)} for i in range(2_000)])
    by_phase = {phase: [d for d in found if d.phase == phase] for phase in ("personalise", "explore", "holdout")}
    assert sum(map(len, by_phase.values())) == len(found)
    assert all(d.decision == min(2 * d.features[0], 10.0) for d in by_phase["personalise"])  # type: ignore[operator, type-var]
    assert {(d.arm, d.decision == -1) for d in by_phase["explore"]} == {("default", True), ("policy", False)}
    assert {(d.arm, d.decision, d.propensity) for d in by_phase["holdout"]} == {("default", -1, 1.0)}
    assert {d.propensity for d in found if d.arm == "policy"} == {0.9}
    assert {d.propensity for d in by_phase["explore"] if d.arm == "default"} == {0.1}
    assert abs(len(by_phase["explore"]) / 1_800 - 0.2) < 0.05
    loop.close()


@pytest.mark.parametrize("context", [{"x": None}, {}, {"x": 0.0}], ids=["none", "missing", "zero"])
def test_where_a_formula_is_undefined_the_default_is_given(tmp_path: Path, context: dict[str, Any]) -> None:
    """A missing value or a division by zero is no error: the product gets its default, and explain says so."""
    loop = open_loop(tmp_path)
    loop.register(of_space({"type": "number"}, "1 / x", default=7, experiment={"explore": 0.01}))
    found = decided(loop, [context] * 50)
    assert {d.decision for d in found} == {7}
    told = [abloop.explain(loop, d.decision_id) for d in found if d.phase == "personalise"]
    assert told
    assert all(explained.repeated and "undefined" in explained.reason for explained in told)
    loop.close()


def test_a_release_of_another_blueprint_is_refused(tmp_path: Path) -> None:
    """A model that predicts fewer numbers than the formula was compiled for is not swapped in; what served goes on."""
    loop = open_loop(tmp_path)
    loop.register(of_space({"type": "number"}, "m + 1", labels=[{"name": "m"}], default=7))
    handle = loop.strategy("s")
    leaf = (Tree((), (), (), (), (), (2.0,)),)
    columns = (Column("x", "numeric"), Column("c", "categorical", ("a",)))
    for count, served in ((2, False), (1, True)):
        specs = tuple(LabelSpec(f"m{at}", "identity", leaf, 2) for at in range(count))
        model = Artefact(1, "labels", (), columns, None, 1, specs)
        loop.catalogue.serve(Serving("s", 1, "personalise", "", 0.0, "test", "test"), model)
        if served:
            loop.refresh()
        else:
            with pytest.raises(ArtefactError, match=r"predicts 2 numbers; version 1 reads label\.m\."):
                loop.refresh()
        answers = {handle.get_decision(f"{count}{at}", {"user_id": f"u{at}", "x": 1.0}) for at in range(60)}
        assert answers == ({7, 3.0} if served else {7})
    loop.close()


def test_structured_values(tmp_path: Path) -> None:
    """Every field is there, numbers within their bounds; a text that is no choice makes the whole undefined."""
    loop = open_loop(tmp_path)
    fields = [
        {"name": "bitrate", "low": 100, "high": 800},
        {"name": "hd", "type": "boolean"},
        {"name": "codec", "type": "text", "choices": ["h264", "vp9"]},
    ]
    formula = "{'bitrate': 100 * x, 'hd': x > 4, 'codec': c}"
    loop.register(of_space({"type": "structured", "fields": fields}, formula, experiment={"explore": 0.01}))
    found = decided(loop, [{"x": float(i), "c": ["vp9", "mp3"][i % 2]} for i in range(40)])
    for d in found:
        if d.phase == "personalise":
            x = float(d.features[0])  # type: ignore[arg-type]
            even = d.features[1] == "vp9"
            assert d.decision == (
                {"bitrate": min(max(100 * x, 100), 800), "hd": x > 4, "codec": "vp9"} if even else None
            )
    loop.close()


def test_random_policies_are_drawn_as_they_say(tmp_path: Path) -> None:
    """Arms come as often as their propensities, which mix the policy's shares with the explore share."""
    loop = open_loop(tmp_path)
    policy = {"formula": "softmax(effect, 0.1)"}
    loop.register(two_arms("s", policy=policy, experiment={"explore": 0.2}))
    loop.strategy("s")
    serve_constant(loop, "s", (0.0, 0.1))
    found = decided(loop, [{"x": 1.0}] * 8_000)
    green = math.e / (1 + math.e)
    expected = {"green": 0.1 + 0.8 * green, "blue": 0.1 + 0.8 * (1 - green)}
    assert {d.arm: d.propensity for d in found} == {arm: pytest.approx(share) for arm, share in expected.items()}
    for arm, share in expected.items():
        count = sum(d.arm == arm for d in found)
        assert abs(count / 8_000 - share) < 4 * (share * (1 - share) / 8_000) ** 0.5
    again = [loop.strategy("s").get_decision(f"again{i}", {"user_id": f"u{i}", "x": 1.0}) for i in range(200)]
    assert again == [d.decision for d in found[:200]]
    loop.close()


def test_a_policy_of_the_user_serves_where_one_arm_is_shipped(tmp_path: Path) -> None:
    """A shipped arm is for everybody, whatever the formula says."""
    loop = open_loop(tmp_path)
    loop.register(two_arms("s", policy={"formula": "arm('blue') if x > 0 else arm('green')"}))
    loop.strategy("s")
    serve_constant(loop, "s", (0.0, 0.1), phase="ship")
    assert {d.arm for d in decided(loop, [{"x": 1.0}] * 50) if d.phase == "ship"} == {"green"}
    loop.close()


FEATURES = [{"name": "x"}, {"name": "c", "type": "categorical"}, {"name": "l", "transform": "log", "of": ["x"]}]
ROWS = st.lists(
    st.tuples(
        st.none() | st.floats(-5, 5),
        st.none() | st.sampled_from(["FI", "SE"]),
        st.tuples(*[st.floats(-2, 2)] * 2),
        st.floats(0, 1),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize(
    "formula",
    [
        "best_arm(effect * w, cost)",
        "best_arm(effect, cost) if c == 'FI' or l > 0.5 else arm('a')",
        "softmax(effect - cost, p)",
        "epsilon(best_arm(effect), x / 5)",
        "thompson(effect, sd)",
    ],
)
def test_a_policy_is_one_for_a_decision_and_a_frame(formula: str) -> None:
    """What serves and what the gate and tuning score are the same shares of the arms."""
    blueprint = from_mapping(
        {
            "strategy": "s",
            "arms": [{"name": "a"}, {"name": "b", "cost": 0.2}],
            "metrics": [{"name": "m"}, {"name": "p"}],
            "labels": [{"name": "p"}],
            "features": FEATURES,
            "policy": {"formula": formula, "weights": [{"name": "w", "value": 0.7}]},
        }
    )
    policy = Policy(blueprint, sd=(0.1, 0.3))

    @settings(max_examples=100)
    @given(ROWS)
    def law(rows: list[tuple[Any, ...]]) -> None:
        from abloop.features.graph import Graph

        graph = Graph(blueprint.features)
        columns = graph.frame(
            [to_column([r[0] for r in rows], "numeric"), to_column([r[1] for r in rows], "categorical")]
        )
        predictions = {"effect": np.array([r[2] for r in rows]), "p": np.array([r[3] for r in rows])}
        frame = policy.frame(columns, predictions, len(rows))
        for index, (x, c, effect, p) in enumerate(rows):
            said = policy.row(graph.row((x, c)), (*effect, p))
            alone = said if isinstance(said, tuple) else tuple(float(arm == (said or 0)) for arm in range(2))
            assert frame[index].tolist() == list(alone)

    law()


JUNK = (
    st.none()
    | st.integers()
    | st.text(max_size=3)
    | st.floats()
    | st.lists(st.integers(), max_size=2)
    | st.binary(max_size=2)
)


@settings(max_examples=200)
@given(st.lists(st.dictionaries(st.sampled_from(["user_id", "x", "c"]), JUNK, max_size=3), max_size=4) | JUNK, JUNK)
def test_a_ranking_never_raises(ranker: Loop, contexts: Any, decision_id: Any) -> None:
    """Whatever is passed for the list or the id, the answer is an order of as many items."""
    order = ranker.strategy("s").get_ranking(decision_id, contexts)
    assert sorted(order) == list(range(len(contexts) if hasattr(contexts, "__len__") else 0))


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """Return an installation with a rule that orders."""
    loop = open_loop(tmp_path_factory.mktemp("ranker"))
    loop.register(of_space({"type": "ordering"}, "x", experiment={"explore": 0.01}))
    return loop


def test_a_ranking_is_by_score_and_stable(ranker: Loop) -> None:
    """Greatest first, equals and items without a score in the order given."""
    contexts = [{"user_id": "u", "x": x} for x in (1.0, None, 3.0, 1.0, None)]
    assert ranker.strategy("s").get_ranking("r", contexts) == [2, 0, 3, 1, 4]
    assert ranker.strategy("s").get_ranking("empty", []) == []
    assert ranker.strategy("s").get_decision("one", contexts[2]) == 3.0
