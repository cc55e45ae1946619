"""Personalizer's calls on abloop: its names, its semantics, limited choices with exact propensities, and learning."""

from __future__ import annotations

import math
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy.stats import chi2

from abloop import explain, offline
from abloop.adapters.personalizer import (
    PersonalizerClient,
    RankableAction,
    RankedAction,
    RankRequest,
    RankResponse,
    RewardRequest,
)
from abloop.adapters.personalizer import client as client_module
from abloop.adapters.personalizer.among import among
from abloop.adapters.personalizer.terms import flatten, read_request
from abloop.compare import compare
from abloop.decision import decide
from abloop.errors import DataError
from abloop.loop import Loop
from abloop.testing import ManualClock
from tests.adapters.planout.hostile import NAMES, NASTY
from tests.adapters.planout.test_experiment import records
from tests.loops import open_loop

ACTIONS = ["sports", "news", "music"]
BOUND = 0.999  # of each chi-square below; ids are fixed, so it holds once and for all


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    """Yield an installation."""
    found = open_loop(tmp_path)
    yield found
    found.close()


@pytest.fixture
def client(loop: Loop) -> PersonalizerClient:
    """Return a client."""
    return PersonalizerClient("https://x.cognitiveservices.azure.com", object(), loop=loop)


def chances(response: RankResponse) -> dict[str, float]:
    """Return the probability of each action."""
    assert math.isclose(sum(action.probability for action in response.ranking), 1.0)
    assert response.ranking[0].id == response.reward_action_id
    return {action.id: action.probability for action in response.ranking}


def chi_square(counts: Counter[str], shares: dict[str, float]) -> float:
    """Return Pearson's statistic of counts against shares, as a probability of less."""
    total = sum(counts.values())
    assert set(counts) <= set(shares)
    found = sum((counts[key] - total * share) ** 2 / (total * share) for key, share in shares.items())
    return float(chi2.cdf(found, len(shares) - 1))


def serve(loop: Loop, strategy: str, formula: str, **sections: Any) -> None:
    """Serve three actions by a formula, personalised."""
    blueprint = {
        "strategy": strategy,
        "unit": "event_id",
        "arms": [{"name": name} for name in ACTIONS],
        "metrics": [{"name": "reward"}],
        "features": [{"name": "time", "type": "categorical"}],
        "policy": {"formula": formula},
        "experiment": {"explore": 0.3},
        **sections,
    }
    loop.register(blueprint)
    served = loop.catalogue.serving(strategy)
    loop.catalogue.serve(type(served)(strategy, served.version, "personalise", "", 0.0, "test", "test"))
    loop.refresh()


def test_names_of_the_sdk(client: PersonalizerClient, loop: Loop) -> None:
    """Code written for azure-cognitiveservices-personalizer runs: requests, response and events by the same names."""
    request = RankRequest(
        actions=[RankableAction(id=name, features=[{"kind": "article"}]) for name in ACTIONS],
        context_features=[{"timeOfDay": "morning"}, {"device": {"os": "x", "ram": 8, "tags": ["a", "b"]}}],
        event_id="event-1",
    )
    response = client.rank(rank_request=request)
    assert response.event_id == "event-1"
    assert chances(response) == dict.fromkeys(ACTIONS, pytest.approx(1 / 3))
    assert all(isinstance(action, RankedAction) for action in response.ranking)
    client.events.reward(event_id=response.event_id, value=RewardRequest(value=1.0))
    (decision,), (observation,) = records(loop)
    assert (decision.decision_id, decision.unit, decision.arm) == ("event-1", "event-1", response.reward_action_id)
    assert decision.propensity == pytest.approx(1 / 3)
    assert decision.features == ("morning", "x", 8.0, {"a": 1.0, "b": 1.0})
    assert (observation.decision_id, observation.name, observation.value) == ("event-1", "reward", 1.0)
    blueprint = loop.strategy("personalizer").snapshot.blueprint
    assert [arm.name for arm in blueprint.arms] == ACTIONS
    assert [(feature.name, feature.type) for feature in blueprint.features] == [
        ("timeOfDay", "categorical"),
        ("device.os", "categorical"),
        ("device.ram", "numeric"),
        ("device.tags", "sparse"),
    ]
    assert [(metric.name, metric.value, metric.default) for metric in blueprint.metrics] == [("reward", 1.0, 0.0)]
    assert (blueprint.lifecycle.ttl, blueprint.unit, client.errors) == (600.0, "event_id", 0)


def test_three_ways_to_ask(client: PersonalizerClient, loop: Loop) -> None:
    """A request, its JSON as a mapping, and a context with actions are one; the JSON's names read the response too."""
    plain = client.rank(RankRequest(actions=ACTIONS, event_id="e"))
    body = {"contextFeatures": [], "actions": [{"id": name} for name in ACTIONS], "eventId": "e", "excludedActions": []}
    for other in (
        client.rank(body),
        client.rank({}, ACTIONS, event_id="e"),
        client.rank(context={}, actions=ACTIONS, event_id="e"),
    ):
        assert other == plain
    assert plain["rewardActionId"] == plain.reward_action_id
    assert plain["ranking"][0]["id"] == plain.reward_action_id
    first, second = client.rank({"a": 1}, ACTIONS), client.rank({"a": 1}, ACTIONS)
    assert len({first.event_id, second.event_id, ""}) == 3
    client.reward("e", 1)
    client.reward(event_id=first.event_id, value={"value": 0.5})
    assert [observation.value for observation in records(loop)[1]] == [1.0, 0.5]
    assert read_request({"a": 1}, actions=["b"]).context_features == {"a": 1}
    assert client.errors == 0


def test_events_are_spread_and_repeatable(client: PersonalizerClient, loop: Loop) -> None:
    """The event seeds the draw: the same again, and over 9,000 events each action as often as its probability says."""
    given = {f"e{i}": client.rank({}, ACTIONS, event_id=f"e{i}").reward_action_id for i in range(9_000)}
    assert chi_square(Counter(given.values()), dict.fromkeys(ACTIONS, 1 / 3)) < BOUND
    other = PersonalizerClient(loop=loop)
    assert all(other.rank({}, ACTIONS, event_id=f"e{i}").reward_action_id == given[f"e{i}"] for i in range(200))


def test_a_named_unit(loop: Loop) -> None:
    """With a unit named, it is what is randomised, and no feature; an event without it stands for itself."""
    client = PersonalizerClient(loop=loop, unit="user.id", strategy="named")
    context = [{"user": {"id": 7, "country": "FI"}}]
    assert len({client.rank(context, ACTIONS).reward_action_id for _ in range(50)}) == 1
    assert client.rank({"user": {"id": True}}, ACTIONS, event_id="e9").event_id == "e9"
    decisions, _ = records(loop)
    assert [decision.unit for decision in decisions] == ["7"] * 50 + ["e9"]
    assert [feature.name for feature in loop.strategy("named").snapshot.blueprint.features] == ["user.country"]


def test_excluded_actions(client: PersonalizerClient, loop: Loop) -> None:
    """An excluded action is never chosen and has probability zero; the others share what it had, and that is logged."""
    counts: Counter[str] = Counter()
    for i in range(6_000):
        full = client.rank({}, ACTIONS, event_id=f"e{i}")
        limited = client.rank({}, ACTIONS, event_id=f"e{i}", excluded_actions=["news"])
        assert chances(limited) == {"sports": 0.5, "music": 0.5, "news": 0.0}
        assert limited.ranking[-1].id == "news"
        assert full.reward_action_id in ("news", limited.reward_action_id)
        counts[limited.reward_action_id] += 1
    assert chi_square(counts, {"sports": 0.5, "music": 0.5}) < BOUND
    limited = [decision for decision in records(loop)[0] if decision.phase == "limited"]
    assert len(limited) == 6_000
    assert {decision.propensity for decision in limited} == {0.5}
    client.rank({}, ACTIONS, event_id="limited", excluded_actions=["news"])
    assert "Only some arms were offered" in explain(loop, "limited").reason
    assert client.errors == 0


@pytest.mark.parametrize("formula", ["arm('news')", "uniform()", "epsilon(arm('music'), 0.4)"])
@pytest.mark.parametrize("eligible", [ACTIONS, ["sports", "music"], ["news"], ["music", "news"]], ids=",".join)
def test_limited_policies_have_exact_propensities(formula: str, eligible: Sequence[str], loop: Loop) -> None:
    """Of a policy limited to some actions, each comes as often as its logged probability says, for every formula."""
    serve(loop, "limited", formula, experiment={"explore": 0.3})
    snapshot, counts, expected = loop.strategy("limited").snapshot, Counter[str](), None
    for i in range(6_000):
        full = decide(snapshot, f"e{i}", {"event_id": f"e{i}"}, 0.0, 0)
        made, found = among(snapshot, full, eligible)
        assert math.isclose(sum(found), 1.0)
        assert expected is None or found == expected
        expected = found
        counts[made.arm] += 1
        assert math.isclose(made.propensity, found[snapshot.names.index(made.arm)])
        assert made.arm == full.arm or full.arm not in eligible
        assert made == full or len(eligible) < len(ACTIONS)
    assert expected is not None
    shares = {name: share for name, share in zip(snapshot.names, expected, strict=True) if share}
    assert set(shares) <= set(eligible)
    if len(shares) > 1:
        assert chi_square(counts, shares) < BOUND


def test_what_the_policy_may_not_give(loop: Loop) -> None:
    """Where the policy's action is not offered and nothing is predicted, the first that is offered is its choice."""
    serve(loop, "limited", "arm('news')")
    snapshot = loop.strategy("limited").snapshot
    full = decide(snapshot, "e1", {"event_id": "e1"}, 0.0, 0)
    _, found = among(snapshot, full, ["music", "sports"])
    assert dict(zip(snapshot.names, found, strict=True)) == pytest.approx({"sports": 0.15, "music": 0.85, "news": 0})
    with pytest.raises(DataError, match="has arms 'sports', 'news', 'music', not 'films'"):
        among(snapshot, full, ["films"])


def test_who_is_outside_of_the_experiment(loop: Loop) -> None:
    """Who is held out or forced gets that with probability one; where it is not offered, the first that is."""
    serve(loop, "held", "arm('news')", experiment={"force": {"vip": "music"}})
    client = PersonalizerClient(loop=loop, strategy="held")
    assert chances(client.rank({}, ACTIONS, event_id="vip")) == {"music": 1.0, "sports": 0.0, "news": 0.0}
    assert chances(client.rank({}, ["news", "sports"], event_id="vip")) == {"news": 1.0, "sports": 0.0}
    assert [(d.phase, d.arm, d.propensity) for d in records(loop)[0]] == [
        ("forced", "music", 1.0),
        ("forced", "news", 1.0),
    ]


def test_new_actions(client: PersonalizerClient, loop: Loop) -> None:
    """New actions make a new version with the old ones kept; a subset of the known ones makes none."""
    client.rank({"hour": 9}, ["a", "b"])
    client.rank({"hour": 9, "later": 1}, ["c", "a"])
    client.rank({}, ["b", "a"])
    snapshot = loop.strategy("personalizer").snapshot
    assert (snapshot.version, snapshot.names) == (2, ("a", "b", "c"))
    assert [feature.name for feature in snapshot.blueprint.features] == ["hour"]
    assert chances(client.rank({}, ["c", "b"])) == {"c": 0.5, "b": 0.5}
    names = [f"x{i}" for i in range(47)]
    client.rank({}, names)
    assert len(loop.strategy("personalizer").snapshot.names) == 50
    assert client.errors == 0
    full = client.rank({}, ["one more", "a"], event_id="e")
    assert (full.reward_action_id, chances(full)) == ("one more", {"one more": 1.0, "a": 0.0})
    assert (client.errors, loop.strategy("personalizer").snapshot.version) == (1, 3)
    assert "e" not in {decision.decision_id for decision in records(loop)[0]}


def test_a_registered_blueprint_rules(loop: Loop) -> None:
    """Features, metric and weights of a registered blueprint stay; a new action takes an equal share of all."""
    loop.register(
        {
            "strategy": "mine",
            "unit": "who",
            "arms": [{"name": "a", "weight": 0.75, "cost": 1.0}, {"name": "b", "weight": 0.25}],
            "metrics": [{"name": "clicked"}],
            "features": [{"name": "hour"}],
        }
    )
    client = PersonalizerClient(loop=loop, strategy="mine", unit="ignored")
    assert chances(client.rank({"who": "u1", "hour": 3}, ["a", "b"])) == {"a": 0.75, "b": 0.25}
    client.reward("e", 1)
    (decision,), (observation,) = records(loop)
    assert (decision.version, decision.unit, decision.features, observation.name) == (1, "u1", (3.0,), "clicked")
    client.rank({"other": 1}, ["a", "b", "c"])
    arms = {arm.name: (arm.weight, arm.cost) for arm in loop.strategy("mine").snapshot.blueprint.arms}
    assert arms == {"a": (0.5, 1.0), "b": (pytest.approx(1 / 6), 0.0), "c": (pytest.approx(1 / 3), 0.0)}
    price = {"space": {"type": "number"}, "policy": {"formula": "hour"}, "features": [{"name": "hour"}]}
    loop.register({"strategy": "price", "metrics": [{"name": "m"}], **price})
    wrong = PersonalizerClient(loop=loop, strategy="price")
    assert (wrong.rank({}, ACTIONS).reward_action_id, wrong.errors) == ("sports", 1)


def test_versions_side_by_side(loop: Loop) -> None:
    """While versions are compared, each unit is ranked by its own one."""
    serve(loop, "two", "arm('news')")
    serve(loop, "two", "arm('music')")
    compare(loop, "two", [1, 2], who="me", why="to see")
    loop.refresh()
    client = PersonalizerClient(loop=loop, strategy="two")
    for i in range(200):
        client.rank({}, ACTIONS, event_id=f"e{i}")
    chosen = {(d.version, d.arm) for d in records(loop)[0] if d.phase == "personalise"}
    assert chosen == {(1, "news"), (2, "music")}
    assert client.errors == 0


def test_fetched_features(tmp_path: Path) -> None:
    """A registered blueprint's feature groups are fetched, and tallied events see what was ranked."""
    loop = Loop(f"sqlite:///{tmp_path}/abloop.db", clock=ManualClock(), sources={"crm": lambda key: {"country": "FI"}})
    groups = [{"name": "person", "key": "who", "source": "crm", "budget": "1s"}]
    features = [{"name": "country", "type": "categorical", "group": "person"}]
    serve(loop, "fetched", "arm('news')", unit="who", groups=groups, features=features)
    client = PersonalizerClient(loop=loop, strategy="fetched")
    client.rank({"who": "u1"}, ACTIONS)
    assert [(decision.features, decision.entities) for decision in records(loop)[0]] == [(("FI",), ("u1",))]
    loop.close()


def test_one_action(client: PersonalizerClient, loop: Loop) -> None:
    """A single action is given; while there is no second one there is nothing to decide and nothing is recorded."""
    for _ in range(3):
        assert chances(client.rank({}, ["only"])) == {"only": 1.0}
    assert chances(client.rank({}, ["only", "none"], excluded_actions=["none"], event_id="e"))["only"] == 1.0
    assert (records(loop)[0], client.errors) == ([], 1)  # asked again within a second: not registered yet
    client._retry = -math.inf
    client.rank({}, ["only", "other"])
    assert chances(client.rank({}, ["only"])) == {"only": 1.0}
    assert [decision.propensity for decision in records(loop)[0]] == [0.5, 1.0]


def test_deferred_activation(client: PersonalizerClient, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deferred event is recorded when it is activated, with that time, once; never activated, it never was."""
    deferred = [client.rank(RankRequest(actions=ACTIONS, event_id=f"e{i}", defer_activation=True)) for i in range(3)]
    assert records(loop)[0] == []
    loop.clock.advance(5.0)  # type: ignore[attr-defined]
    client.events.activate("e1")
    (decision,) = records(loop)[0]
    assert (decision.decision_id, decision.arm) == ("e1", deferred[1].reward_action_id)
    assert decision.time == ManualClock()() + 5.0
    client.activate("e1")
    client.activate(event_id="unheard of")
    assert (len(records(loop)[0]), client.errors) == (1, 2)
    monkeypatch.setattr(client_module, "MOST_DEFERRED", 2)
    for event in ("f1", "f2", "f3"):
        client.rank({}, ACTIONS, event_id=event, defer_activation=True)
    client.activate("f1")
    client.activate("f3")
    assert [decision.decision_id for decision in records(loop)[0]] == ["e1", "f3"]


def test_ids(client: PersonalizerClient, loop: Loop) -> None:
    """Whole numbers and UUIDs name actions and events too, and come back as they came; a bad action is left out."""
    event = uuid.UUID(int=5)
    response = client.rank({}, [7, event, None, 7], event_id=event)
    assert response.event_id == str(event)
    assert {action.id for action in response.ranking} == {7, event}
    assert client.errors == 1
    client.reward(event, 1)
    assert records(loop)[1][0].decision_id == str(event)


def test_the_first_action_is_the_baseline(client: PersonalizerClient) -> None:
    """Whatever is wrong with a request, its first action is given, for sure; without actions, none."""
    for wrong in (
        {"excluded_actions": ACTIONS},
        {"excluded_actions": "news"},
        {"event_id": 1.5},
        {"event_id": ""},
        {"event_id": "\ud800"},
    ):
        before = client.errors
        response = client.rank({}, ACTIONS, **wrong)
        assert (response.reward_action_id, chances(response)["sports"], client.errors) == ("sports", 1.0, before + 1)
    nothing = client.rank({}, [])
    assert (nothing.reward_action_id, nothing.ranking, bool(nothing.event_id)) == (None, [], True)
    assert client.rank(RankRequest(actions="sports")).reward_action_id is None


def test_registering_is_not_tried_at_every_call(
    client: PersonalizerClient, loop: Loop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the strategy cannot be registered the first action is given; it is tried again after a second."""
    tried = []

    def refuse(*args: Any, **more: Any) -> int:
        tried.append(args)
        raise OSError("away")

    with monkeypatch.context() as patched:
        patched.setattr(loop, "register", refuse)
        given = [client.rank({}, ACTIONS).reward_action_id for _ in range(20)]
    assert (given, len(tried), client.errors) == (["sports"] * 20, 1, 20)
    assert [record.message for record in caplog.records] == [
        "Personalizer's call was answered with its default (1 errors so far): OSError: away"
    ]
    client._retry = -math.inf
    client.rank({}, ACTIONS)
    assert client.errors == 20


def test_threads_register_once(loop: Loop) -> None:
    """Many threads that see the first actions at once make one version, and all are answered."""
    client = PersonalizerClient(loop=loop)
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda i: client.rank({"a": 1}, ACTIONS, event_id=f"e{i}").reward_action_id, range(200)))
    assert set(given) == set(ACTIONS)
    assert (loop.strategy("personalizer").snapshot.version, client.errors) == (1, 0)
    assert len(records(loop)[0]) == 200


def best(action: str, x: float) -> float:
    """Return the chance of a reward: news pays for positive x, sports for negative, music a little always."""
    return {"sports": 0.2 if x > 0 else 0.7, "news": 0.7 if x > 0 else 0.2, "music": 0.3}[action]


@pytest.mark.parametrize("varying", [False, True], ids=["all actions", "varying actions"])
def test_it_learns(varying: bool, tmp_path: Path) -> None:
    """After a cycle the action that is better in its context comes first, also where the actions offered vary."""
    clock = ManualClock()
    loop, rng = open_loop(tmp_path, clock), np.random.default_rng(1)
    client = PersonalizerClient(loop=loop, reward_wait=600)
    client.rank({"mood": {"x": 0.0}}, ACTIONS)
    for i in range(3_000):
        x = float(rng.normal())
        offered = list(rng.permutation(ACTIONS)[: int(rng.integers(2, 4))]) if varying else ACTIONS
        response = client.rank([{"mood": {"x": x}}], [str(name) for name in offered], event_id=f"h{i}")
        if rng.random() < best(response.reward_action_id, x):
            client.reward(response.event_id, 1.0)  # no reward is a reward of 0
    clock.advance(601.0)
    result = offline.cycle(loop, "personalizer", always_valid=False)
    loop.refresh()
    assert result.readout.srm > 0.001
    assert result.verdict.verdict == "personalise", result.verdict.reason
    counts: Counter[str] = Counter()
    for i in range(400):
        for x, wanted, other in ((1.5, "news", "sports"), (-1.5, "sports", "news")):
            response = client.rank({"mood": {"x": x}}, ACTIONS, event_id=f"n{i}{x}")
            assert chances(response)[wanted] == pytest.approx(0.9 + 0.1 / 3)
            counts["all"] += response.reward_action_id == wanted
            without = client.rank({"mood": {"x": x}}, [wanted, other], event_id=f"w{i}{x}")
            assert chances(without)[wanted] == pytest.approx(0.95)
            counts["two"] += without.reward_action_id == wanted
            second = client.rank({"mood": {"x": x}}, ACTIONS, event_id=f"s{i}{x}", excluded_actions=[wanted])
            assert chances(second)[other] in (pytest.approx(0.95), pytest.approx(0.05))
    assert counts["all"] > 700  # of 800, expected 747 with a deviation of 7
    assert counts["two"] > 720  # of 800, expected 760 with a deviation of 6
    loop.catalogue.serve(replace(loop.catalogue.serving("personalizer"), phase="paused"))
    loop.refresh()
    assert chances(client.rank({"mood": {"x": 1.0}}, ACTIONS))["sports"] == 1.0  # the model is there, but not asked
    assert client.errors == 0
    loop.close()


def test_flatten() -> None:
    """Names are joined by dots; what is too deep, too much, or has no usable name is left out."""
    assert flatten([{"a": {"b": [{"c": 1}]}}, {"d": [1, 2]}, {3: 4}, "x"]) == {"a.b.c": 1, "d": [1, 2]}
    assert len(flatten({f"k{i}": i for i in range(999)})) == 200
    assert flatten({"a\n": 1, "b" * 201: 2}) == {}
    wide: dict[str, Any] = {}
    for _ in range(20):
        wide = {f"k{i}": wide for i in range(50)}
    assert flatten(wide) == {}  # at once, though it holds 50**20 mappings


@pytest.mark.parametrize("value", NASTY, ids=NAMES)
def test_nothing_raises(value: Any, client: PersonalizerClient, loop: Loop) -> None:
    """Whatever is handed in as request, context, action, id or reward: no call raises, and a good action is given."""
    for context in (value, [value], {"x": value}, [{"x": {"y": value}}], {"x": [value]}):
        assert client.rank(context, ACTIONS).reward_action_id in ACTIONS
    for asked in (value, RankRequest(actions=value), {"actions": value}, {"actions": [value]}):
        assert isinstance(client.rank(asked), RankResponse)
    for more in ("event_id", "excluded_actions", "defer_activation"):
        assert client.rank({}, ACTIONS, **{more: value}).reward_action_id in ACTIONS
    for actions in ([value], [value, "sports"], [{"id": value}], [RankableAction(id=value, features=value)], value):
        assert isinstance(client.rank({}, actions), RankResponse)
    assert client.rank(RankRequest(actions=["sports", value], context_features=value, event_id="e")).ranking
    for event, reward in ((value, 1.0), ("e", value), ("e", RewardRequest(value=value)), ("e", {"value": value})):
        client.reward(event, reward)
        client.events.reward(event_id=event, value=reward)
    client.activate(value)
    odd = PersonalizerClient(value, value, loop=loop, credential=value)
    assert odd.rank({}, ACTIONS).reward_action_id in ACTIONS


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


@given(JSON, st.lists(st.text(max_size=5), max_size=4), st.text(max_size=5))
def test_any_request(tmp_path_factory: pytest.TempPathFactory, context: Any, actions: list[str], event: str) -> None:
    """For any JSON the probabilities sum to one, the chosen action is one of those offered and stands first."""
    loop = open_loop(tmp_path_factory.mktemp("any"))
    client = PersonalizerClient(loop=loop)
    client.rank(context, actions)
    response = client.rank(context, actions, event_id=event)
    if any(actions):
        assert sum(action.probability for action in response.ranking) == pytest.approx(1.0)
        assert response.ranking[0].id == response.reward_action_id
        assert response.reward_action_id in actions
    client.reward(event, 1)
    loop.close()
