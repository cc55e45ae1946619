"""The client beyond evaluation: callbacks, subscriptions, settings, and exposures in abloop's journal."""

from __future__ import annotations

import inspect
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import abloop
from abloop.adapters.growthbook import Experiment, Feature, FeatureRule, GrowthBook, InMemoryStickyBucketService
from abloop.adapters.growthbook import client as client_file

RULE = {"key": "exp", "variations": ["blue", "green"], "meta": [{"key": "b"}, {"key": "g", "name": "Green"}]}
FEATURES = {"button": {"defaultValue": "grey", "rules": [RULE]}}


class Journal:
    """Remembers exposures, and gives the arm it is told to."""

    def __init__(self, answer: int | None = None) -> None:
        self.answer = answer
        self.placed: list[Any] = []
        self.observed: list[Any] = []

    def place(
        self,
        strategy: str,
        unit: str,
        context: Mapping[str, Any],
        arms: Sequence[str],
        drawn: int,
        shares: Sequence[float],
        *,
        unit_key: str = "user_id",
    ) -> int:
        """Remember an exposure."""
        self.placed.append((strategy, unit, dict(context), list(arms), drawn, list(shares), unit_key))
        return drawn if self.answer is None else self.answer

    def observe(self, unit: str, observations: Mapping[str, float], strategies: Iterable[str]) -> None:
        """Remember an observation."""
        self.observed.append((unit, dict(observations), sorted(strategies)))


def client(journal: Journal | None = None, **more: Any) -> GrowthBook:
    """Return a client with one experiment."""
    gb = GrowthBook(**{"attributes": {"id": "u1", "country": "FI"}, "features": FEATURES, **more})
    gb._state.reports.journal = journal
    return gb


def test_an_exposure_is_placed_once() -> None:
    """An exposure is placed once for experiment, unit and drawn arm, with names, shares and attributes."""
    journal = Journal()
    gb = client(journal)
    drawn = client().eval_feature("button").experimentResult
    assert drawn is not None
    for _ in range(3):
        assert gb.get_feature_value("button", None) == drawn.value
    context = {"id": "u1", "country": "FI"}
    assert journal.placed == [("exp", "u1", context, ["b", "g"], drawn.variationId, [0.5, 0.5], "id")]
    gb.set_attributes({"id": "u2"})
    gb.eval_feature("button")
    assert [placed[1] for placed in journal.placed] == ["u1", "u2"]


@pytest.mark.parametrize("answer", [0, 1])
def test_the_policy_gives_the_arm(answer: int) -> None:
    """Where the journal answers another arm, value, index, key and name are those of it; the draw stays recorded."""
    journal, seen = Journal(answer), []
    service = InMemoryStickyBucketService()
    gb = client(journal, on_experiment_viewed=lambda **known: seen.append(known), sticky_bucket_service=service)
    for _ in range(2):
        found = gb.eval_feature("button")
        result = found.experimentResult
        assert result is not None
        assert (found.value, result.variationId, result.key) == [("blue", 0, "b"), ("green", 1, "g")][answer]
        assert (result.hashUsed, result.inExperiment, result.name) == (True, True, ["", "Green"][answer])
    ran = gb.run(Experiment(**RULE))  # the same experiment in code
    assert ran.variationId == answer
    assert len(seen) == len(journal.placed) == 1
    assert seen[0]["result"].variationId == answer
    drawn = client().eval_feature("button").experimentResult
    assert drawn is not None
    assert service.docs["id||u1"]["assignments"] == {"exp__0": drawn.key}


@pytest.mark.parametrize(
    "more",
    [
        {"forced_variations": {"exp": 1}},
        {"url": "https://shop.example/?exp=1"},
        {"qa_mode": True},
        {"enabled": False},
        {"skip_all_experiments": True},
        {"attributes": {}},
    ],
    ids=str,
)
def test_what_is_not_drawn_is_not_placed(more: dict[str, Any]) -> None:
    """Forced arms and users outside of the experiment are no exposures."""
    journal = Journal(0)
    client(journal, **more).eval_feature("button")
    assert journal.placed == []


def test_shares_are_those_of_the_draw() -> None:
    """Shares are the weights, or the widths of the ranges where the first range wins."""
    journal = Journal()
    gb = client(journal)
    gb.run(Experiment("w", ["a", "b"], weights=[0.9, 0.1], coverage=1))
    gb.run(Experiment("r", ["a", "b", "c"], ranges=[(0, 0.6), (0.5, 0.9), (0.9, 1)]))
    assert [placed[5] for placed in journal.placed] == [[0.9, 0.1], pytest.approx([0.6, 0.3, 0.1])]
    assert journal.placed[0][3] == ["0", "1"]


def test_a_strange_answer_means_the_drawn_arm() -> None:
    """A journal that raises or answers nonsense changes nothing."""
    usual = client().get_feature_value("button", None)
    for answer in (-1, 2, "x", None):
        assert client(Journal(answer)).get_feature_value("button", None) == usual  # type: ignore[arg-type]
    broken = Journal()
    broken.place = None  # type: ignore[assignment, method-assign]
    gb = client(broken)
    assert gb.get_feature_value("button", None) == usual
    assert gb.errors == 1


def test_events_are_observations() -> None:
    """An event is an observation of the strategies that this user was exposed to, and goes to the event logger."""
    journal, logged = Journal(), []
    gb = client(journal)
    gb.log_event("early")
    gb.eval_feature("button")
    gb.run(Experiment("other", [0, 1]))
    gb.log_event("purchase", {"value": 12.5})
    gb.set_attributes({"id": "u2"})
    gb.eval_feature("button")
    gb.set_event_logger(lambda name, properties, user: logged.append((name, properties, user.attributes)))
    gb.log_event("click")
    assert journal.observed == [("u1", {"purchase": 12.5}, ["exp", "other"]), ("u2", {"click": 1}, ["exp"])]
    assert logged == [("click", {}, {"id": "u2"})]
    assert gb.errors == 0


def test_exposures_reach_the_journal(tmp_path: Path) -> None:
    """With a loop, exposures are decisions of a strategy with the experiment's arms, and events their observations."""
    loop = abloop.connect(f"sqlite:///{tmp_path}/x.db")
    arms = [{"name": "b"}, {"name": "g"}]
    raw = {"strategy": "exp", "unit": "id", "arms": arms, "metrics": [{"name": "purchase"}]}
    loop.register({**raw, "experiment": {"hash": "given"}, "lifecycle": {"ttl": "1s"}})
    given: Counter[str] = Counter()
    for number in range(200):
        gb = GrowthBook(attributes={"id": f"u{number}"}, features=FEATURES, loop=loop)
        arm = gb.eval_feature("button").experimentResult
        assert arm is not None
        given[arm.key] += 1
        gb.log_event("purchase", {"value": 2})
        assert gb.errors == 0
    assert min(given.values()) > 60
    details = loop.strategy("exp").get_details
    assert details("d", {"id": "u1"}, drawn=(1, (0.5, 0.5))).arm == "g"
    loop.close()


def test_signature_is_growthbooks() -> None:
    """The constructor takes what GrowthBook's takes, in its order; the objects and methods do as well."""
    theirs = pytest.importorskip("growthbook", reason="the package growthbook is not installed")
    from abloop.adapters import growthbook as ours

    expected = list(inspect.signature(theirs.GrowthBook.__init__).parameters)
    assert list(inspect.signature(GrowthBook.__init__).parameters) == [*expected, "loop"]
    for name in ("Experiment", "Feature", "FeatureRule", "Result", "FeatureResult", "UserContext"):
        assert list(inspect.signature(getattr(ours, name)).parameters) == list(
            inspect.signature(getattr(theirs, name)).parameters
        ), name
    wanted = "run evalFeature eval_feature getFeatureValue get_feature_value isOn is_on isOff is_off setAttributes "
    wanted += "set_attributes getAttributes get_attributes setFeatures set_features getFeatures get_features destroy "
    wanted += "set_payload set_url set_forced_features set_forced_variations get_all_results getAllResults subscribe "
    wanted += "log_event set_event_logger refresh_sticky_buckets load_features"
    for name in wanted.split():
        ours_, theirs_ = getattr(GrowthBook, name), getattr(theirs.GrowthBook, name)
        assert list(inspect.signature(ours_).parameters) == list(inspect.signature(theirs_).parameters), name


def test_ignored_arguments_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    """Arguments for fetching are accepted, and named in one line of the log of the process."""
    client_file._say_ignored.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            GrowthBook(api_host="https://cdn.growthbook.io", client_key="sdk-abc", streaming=True, plugins=[object()])
        GrowthBook()
    assert [line.partition(": ")[2] for line in caplog.messages] == [
        "ignored, because abloop fetches nothing: api_host, client_key, streaming, plugins"
    ]


def test_camel_case_means_the_same() -> None:
    """The deprecated spellings mean what the others mean."""
    seen: list[Any] = []
    gb = GrowthBook(
        attributes={"id": "u1"},
        features=FEATURES,
        trackingCallback=lambda **known: seen.append(known["result"].key),
        forcedVariations={"other": 1},
        savedGroups={"g": ["u1"]},
        qaMode=False,
    )
    assert gb.evalFeature("button").value == gb.getFeatureValue("button", None)
    assert gb.isOn("button") is not gb.isOff("button")
    assert gb.run(Experiment("other", [0, 1])).value == 1
    assert gb.run(Experiment("third", [0, 1], condition={"id": {"$inGroup": "g"}})).inExperiment
    assert len(seen) == 2  # the forced arm is no exposure
    assert gb.getAllResults().keys() == {"exp", "other", "third"}


def test_subscriptions_end() -> None:
    """A subscriber hears of a result that changed, until it ends its subscription."""
    heard: list[Any] = []
    gb = client()
    end = gb.subscribe(lambda experiment, result: heard.append((experiment.key, result.variationId)))
    gb.eval_feature("button")
    gb.eval_feature("button")
    assert len(heard) == 1
    end()
    end()
    gb.run(Experiment("other", [0, 1]))
    assert len(heard) == 1


def test_destroy_forgets() -> None:
    """A destroyed client serves nothing and tells nobody; the mappings that were given stay whole."""
    attributes = {"id": "u1"}
    gb = client(attributes=attributes)
    gb.eval_feature("button")
    gb.destroy()
    assert gb.get_features() == gb.get_attributes() == gb.get_all_results() == {}
    assert gb.eval_feature("button").source == "unknownFeature"
    assert attributes == {"id": "u1"}


def test_objects_are_payloads() -> None:
    """Features as objects and as payloads are the same, and `set_payload` keeps sections that are not in it."""
    gb = client(features={"button": Feature("grey", [FeatureRule(**RULE)])})
    assert gb.get_features()["button"].to_dict() == client().get_features()["button"].to_dict()
    gb.set_payload({"savedGroups": {"g": ["u1"]}})
    assert gb.run(Experiment("third", [0, 1], condition={"id": {"$inGroup": "g"}})).inExperiment
    assert "button" in gb.get_features()
    gb.set_payload({"features": {"other": {"defaultValue": 1}}})
    assert gb.get_feature_value("other", 0) == 1
    assert gb.run(Experiment("third", [0, 1], condition={"id": {"$inGroup": "g"}})).inExperiment


def test_exposures_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that serves many users forgets the oldest exposures."""
    monkeypatch.setattr("abloop.adapters.growthbook.reports.MOST_REMEMBERED", 10)
    journal = Journal()
    gb = client(journal, on_experiment_viewed=lambda **_: None)
    for number in range(100):
        gb.set_attributes({"id": f"u{number}"})
        gb.eval_feature("button")
    assert len(gb._state.reports._placed) == len(gb._state.reports._told) == 10
