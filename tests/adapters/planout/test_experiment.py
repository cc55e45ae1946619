"""PlanOut's experiments on abloop: values, exposures in the journal, personalised parameters, and its own log."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abloop import offline
from abloop.adapters.planout import (
    BernoulliTrial,
    DefaultExperiment,
    RandomFloat,
    RandomInteger,
    Sample,
    SimpleExperiment,
    UniformChoice,
    WeightedChoice,
)
from abloop.adapters.planout.experiment import _checksum
from abloop.adapters.planout.placement import Placement, exposures_of
from abloop.errors import DataError
from abloop.loop import Loop
from abloop.records import Decision, Observation, decode
from abloop.store.spool import segments
from abloop.testing import ManualClock
from tests.adapters.planout.hostile import NAMES, NASTY
from tests.loops import TTL, open_loop


class Button(SimpleExperiment):
    """An experiment of several parameters."""

    def assign(self, params: Any, userid: Any, **inputs: Any) -> Any:
        """Draw them."""
        params.color = UniformChoice(choices=["blue", "green"], unit=userid)
        params.size = WeightedChoice(choices=[10, 20], weights=[3, 1], unit=userid)
        params.bold = BernoulliTrial(p=0.5, unit=userid)
        params.margin = RandomFloat(min=0, max=1, unit=userid)
        params.columns = RandomInteger(min=1, max=4, unit=userid)
        params.topics = Sample(choices=["a", "b", "c"], draws=2, unit=userid)
        params.label = UniformChoice(choices=["Buy", "Order"], unit=[userid, inputs.get("page", "home")])


class Chain(SimpleExperiment):
    """An experiment in which one parameter depends on another."""

    ran: ClassVar[int] = 0

    def assign(self, params: Any, userid: Any, **inputs: Any) -> Any:
        """Draw them."""
        type(self).ran += 1
        params.color = UniformChoice(choices=["blue", "green"], unit=userid)
        if params.color == "green":
            params.shade = UniformChoice(choices=["light", "dark"], unit=userid)
        params.bold = BernoulliTrial(p=0.5, unit=userid)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    """Yield an installation."""
    found = open_loop(tmp_path)
    yield found
    found.close()


def records(loop: Loop) -> tuple[list[Decision], list[Observation]]:
    """Return what is in the journal of this process."""
    found = [decode(payload) for segment in segments(loop.spool_directory) for _, payload in segment.records()]
    return (
        [record for record in found if isinstance(record, Decision)],
        [record for record in found if isinstance(record, Observation)],
    )


def by_hand(salt: str, unit: str, choices: list[Any]) -> Any:
    """Return a uniform choice, computed from PlanOut's documentation alone."""
    digest = hashlib.sha1(f"{salt}.{unit}".encode(), usedforsecurity=False).hexdigest()
    return choices[int(digest[:15], 16) % len(choices)]


def serve(loop: Loop, strategy: str, **sections: Any) -> None:
    """Serve a strategy of two colours by a formula, personalised."""
    blueprint = {
        "strategy": strategy,
        "unit": "userid",
        "arms": [{"name": "blue"}, {"name": "green"}],
        "metrics": [{"name": "bought"}],
        "features": [{"name": "country", "type": "categorical"}],
        "policy": {"formula": "arm('green') if country == 'FI' else arm('blue')"},
        "experiment": {"hash": "given", "explore": 0.01},
        **sections,
    }
    loop.register(blueprint)
    served = loop.catalogue.serving(strategy)
    loop.catalogue.serve(type(served)(strategy, served.version, "personalise", "", 0.0, "test", "test"))
    loop.refresh()


def test_without_a_loop_values_are_planouts() -> None:
    """Without a loop every parameter is PlanOut's; salt, name and overrides do what they do there."""
    button = Button(userid=17, page="cart")
    assert button.get("color") == by_hand("Button.color", "17", ["blue", "green"])
    assert button.get("label") == by_hand("Button.label", "17.cart", ["Buy", "Order"])
    assert list(button.get_params()) == ["color", "size", "bold", "margin", "columns", "topics", "label"]
    assert (button.get("nothing"), button.get("nothing", 3), button.in_experiment) == (None, 3, True)

    class Renamed(Button):
        """The same under other names."""

        def setup(self) -> None:
            self.name, self.salt = "my  button", "old"

    renamed = Renamed(userid=17)
    assert (renamed.name, renamed.salt) == ("my-button", "old")
    assert renamed.get("color") == by_hand("old.color", "17", ["blue", "green"])
    renamed.salt = ""
    assert renamed.salt == "my-button"


def test_overrides_and_inputs() -> None:
    """What is overridden stays, as parameter and as input, before and after parameters are drawn."""
    button = Button(userid=17)
    button.set_overrides({"color": "red", "userid": 18})
    assert (button.get("color"), button.get("size")) == ("red", Button(userid=18).get("size"))
    button.set_overrides({"size": 99})
    assert (button.get("size"), button.inputs) == (99, {"userid": 18})


def test_exposures_land_in_the_journal(loop: Loop) -> None:
    """Each choice on the primary unit is a strategy with its arms and shares; other operators only give their value."""
    button = Button(loop=loop, userid=17, page="cart")
    assert records(loop) == ([], [])
    plain = Button(userid=17, page="cart").get_params()
    assert button.get_params() == plain
    button.get("color")
    decisions, _ = records(loop)
    assert {decision.strategy: (decision.arm, decision.propensity) for decision in decisions} == {
        "Button.color": (plain["color"], 0.5),
        "Button.size": (str(plain["size"]), {10: 0.75, 20: 0.25}[plain["size"]]),
        "Button.bold": (str(plain["bold"]), 0.5),
    }
    assert {decision.unit for decision in decisions} == {"17"}
    assert len(decisions) == 3
    blueprint = loop.strategy("Button.size").snapshot.blueprint
    assert [(arm.name, arm.weight) for arm in blueprint.arms] == [("10", 0.75), ("20", 0.25)]
    assert blueprint.unit == "userid"


def test_loop_as_class_attribute(loop: Loop) -> None:
    """The swap is the import line and one line: the loop as an attribute of the class."""
    swapped = type("Button", (Button,), {"loop": loop, "primary_unit": ["userid", "page"]})
    assert swapped(userid=17, page="cart").get("label") == Button(userid=17, page="cart").get("label")
    assert [(d.strategy, d.unit) for d in records(loop)[0]] == [("Button.label", "17.cart")]
    assert Button(loop=loop, userid=3).loop is loop


def test_a_metric_of_an_event_is_observed(loop: Loop) -> None:
    """An event is an observation of every strategy that knows the metric, and exposes nobody by itself."""
    Button(loop=loop, userid=17).log_event("conversion", {"value": 2.5})
    assert records(loop)[0] == []
    Button(loop=loop, userid=17).get("color")
    Button(loop=loop, userid=17).log_event("conversion", {"value": 2.5})
    Button(loop=loop, userid=17).log_event("conversion")
    Button(loop=loop, userid=17).log_event("unheard of")
    decisions, observations = records(loop)
    assert len(decisions) == 3
    ids = {decision.decision_id for decision in decisions}
    assert {observation.decision_id for observation in observations[-6:]} == ids
    assert [observation.value for observation in observations[-6:]] == [2.5] * 3 + [1.0] * 3


def test_who_is_turned_away_is_not_exposed(loop: Loop) -> None:
    """Where `assign` returns False nothing is recorded, though parameters may have been drawn before."""

    class Fins(SimpleExperiment):
        """Only for Finland."""

        def assign(self, params: Any, userid: Any, country: str) -> Any:
            """Draw first, look later."""
            params.color = UniformChoice(choices=["blue", "green"], unit=userid)
            return country == "FI"

    away = Fins(loop=loop, userid=1, country="SE")
    assert away.in_experiment is False
    assert away.get("color") == by_hand("Fins.color", "1", ["blue", "green"])
    away.log_exposure()
    away.log_event("conversion")
    assert records(loop) == ([], [])
    assert Fins(loop=loop, userid=1, country="FI").in_experiment is True
    Fins(loop=loop, userid=1, country="FI").get("color")
    assert len(records(loop)[0]) == 1


def test_auto_exposure_logging_off(loop: Loop) -> None:
    """Without automatic logging only `log_exposure` records; with `get_param_names` only the parameters it names."""
    button = Button(loop=loop, userid=17)
    button.set_auto_exposure_logging(False)
    button.get("color")
    button.get_params()
    assert records(loop)[0] == []
    button.log_exposure()
    button.log_exposure()
    assert len(records(loop)[0]) == 3
    picky = type("Picky", (Button,), {"get_param_names": lambda self: ["color"]})(loop=loop, userid=17)
    picky.get("size")
    assert len(records(loop)[0]) == 3
    picky.get("color")
    assert len(records(loop)[0]) == 6


def test_personalised_parameters(loop: Loop) -> None:
    """Once abloop personalises a parameter its value is abloop's, and what depends on it follows."""
    serve(loop, "Chain.color")
    for user in range(200):
        drawn = Chain(userid=user).get_params()
        Chain.ran = 0
        for country, color in (("FI", "green"), ("SE", "blue")):
            given = Chain(loop=loop, userid=f"{user}", country=country)
            params = given.get_params()
            explored = loop.strategy("Chain.color").snapshot.assignment.explores(f"{user}")
            assert params["color"] == (drawn["color"] if explored else color)
            assert ("shade" in params) == (params["color"] == "green")
            assert params["bold"] == drawn["bold"]
        assert Chain.ran <= 3 + explored
    decisions, _ = records(loop)
    assert {decision.strategy for decision in decisions} == {"Chain.color", "Chain.shade", "Chain.bold"}
    shades = {decision.unit for decision in decisions if decision.strategy == "Chain.shade"}
    green = {d.unit for d in decisions if d.strategy == "Chain.color" and d.arm == "green"}
    assert shades == green
    assert Chain.errors == 0


def test_what_was_given_is_never_recorded_otherwise(loop: Loop) -> None:
    """Read before `log_exposure`, a parameter stays PlanOut's and no record says that abloop chose it."""
    serve(loop, "Chain.color")
    for user in range(30):
        early = Chain(loop=loop, userid=f"e{user}", country="FI")
        early.set_auto_exposure_logging(False)
        drawn = early.get("color")
        early.log_exposure()
        assert early.get("color") == drawn == Chain(userid=f"e{user}").get("color")
        late = Chain(loop=loop, userid=f"l{user}", country="FI")
        late.set_auto_exposure_logging(False)
        late.log_exposure()
        explored = loop.strategy("Chain.color").snapshot.assignment.explores(f"l{user}")
        assert late.get("color") == "green" or explored
    units = {decision.unit for decision in records(loop)[0] if decision.strategy == "Chain.color"}
    assert units == {f"l{user}" for user in range(30)}


def test_it_learns(tmp_path: Path) -> None:
    """From exposures and events alone: the gate proves a crossing effect, and experiments give the better colour."""
    clock = ManualClock()
    loop, rng = open_loop(tmp_path, clock), np.random.default_rng(0)
    features = [{"name": "x"}]
    plain = {"unit": "userid", "arms": [{"name": "blue"}, {"name": "green"}], "metrics": [{"name": "bought"}]}
    trial = {"experiment": {"hash": "given"}, "lifecycle": {"ttl": TTL}, "features": features}
    loop.register({"strategy": "Chain.color", **plain, **trial})
    for user, x in enumerate(rng.normal(size=2_000)):
        shown = Chain(loop=loop, userid=user, x=float(x)).get("color")
        chance = 0.4 + (0.35 if x > 0 else -0.35) * (shown == "green")
        Chain(loop=loop, userid=user, x=float(x)).log_event("bought", {"value": int(rng.random() < chance)})
    clock.advance(TTL + 1)
    result = offline.cycle(loop, "Chain.color", always_valid=False)
    loop.refresh()
    assert result.readout.srm > 0.001
    assert result.verdict.verdict == "personalise", result.verdict.reason
    right = sum(
        Chain(loop=loop, userid=f"n{user}", x=x).get("color") == color
        for user in range(300)
        for x, color in ((1.0, "green"), (-1.0, "blue"))
    )
    assert right > 540  # of 600; the explore share is a tenth, and half of it gets the better one too
    loop.close()


def test_log_in_planouts_shape(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Without a loop an exposure is one JSON line to `planout.NAME`, once; an event is one each time."""

    class Logged(Button):
        """Written to a file too."""

        def setup(self) -> None:
            self.set_log_file(tmp_path / "logged.log")

    logger = logging.getLogger("planout.Logged")
    with caplog.at_level(logging.INFO, "planout.Logged"):
        logged = Logged(userid=17)
        logged.get("color")
        logged.get("size")
        logged.log_event("click", {"value": 3})
        Logged(userid=18)
    lines = [json.loads(record.message) for record in caplog.records]
    assert [line["event"] for line in lines] == ["exposure", "click"]
    assert (lines[0]["name"], lines[0]["salt"], lines[0]["inputs"]) == ("Logged", "Logged", {"userid": 17})
    assert lines[0]["params"] == logged.get_params()
    assert (lines[1]["extra_data"], len(lines[1]["checksum"])) == ({"value": 3}, 8)
    assert [json.loads(line) for line in (tmp_path / "logged.log").read_text().splitlines()] == lines
    for handler in list(logger.handlers):
        handler.close()
        logger.removeHandler(handler)


def test_own_log(loop: Loop) -> None:
    """An overridden `log` gets everything, with a loop and without; one that raises is counted."""
    seen: list[dict[str, Any]] = []
    own = type("Own", (Button,), {"log": lambda self, data: seen.append(data)})
    own(loop=loop, userid=1).get("color")
    own(userid=1).get("color")
    assert [data["event"] for data in seen] == ["exposure", "exposure"]
    broken = type("Broken", (Button,), {"log": lambda self, data: 1 / 0})
    assert broken(userid=1).get("color") in ("blue", "green")
    assert broken.errors == 1


def test_default_experiment() -> None:
    """A default experiment gives fixed parameters and logs nothing."""
    usual = type("Usual", (DefaultExperiment,), {"get_default_params": lambda self: {"color": "blue"}})
    assert (usual(userid=1).get("color"), DefaultExperiment(userid=1).get_params()) == ("blue", {})


def test_mistakes_give_defaults(caplog: pytest.LogCaptureFixture) -> None:
    """An experiment that raises gives defaults and its overrides, is counted, and said at most once a minute."""

    class Wrong(SimpleExperiment):
        """Its last operator is wrong."""

        def assign(self, params: Any, **inputs: Any) -> Any:
            params.color = UniformChoice(choices=["blue"], unit=1)
            params.size = UniformChoice(choices=7, unit=1)

    for _ in range(3):
        wrong = Wrong(userid=1)
        wrong.set_overrides({"shape": "round"})
        assert (wrong.get("color", "grey"), wrong.get("shape"), wrong.in_experiment) == ("grey", "round", False)
    assert Wrong.errors == 3
    (said,) = [record.message for record in caplog.records if record.name == "abloop"]
    assert said.startswith("PlanOut experiment Wrong gave defaults (1 errors so far): UniformChoice: ")
    assert said.endswith("choices is 7; allowed: a list. Change the argument")
    assert SimpleExperiment(userid=1).get("x", 3) == 3
    with pytest.raises(DataError, match="name of Unnamed is 7; allowed: a text"):
        type("Unnamed", (SimpleExperiment,), {"setup": lambda self: setattr(self, "name", 7)})()


def test_what_the_log_needs(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """`configure_logger` runs before parameters are drawn; what goes wrong around the log costs no value."""
    ran: list[str] = []
    own = type(
        "Own", (Button,), {"configure_logger": lambda self: ran.append("configure"), "log": lambda self, data: None}
    )
    assert own(userid=1).get("color") in ("blue", "green")
    assert ran == ["configure"]
    broken = type("Broken", (Button,), {"configure_logger": lambda self: 1 / 0})
    assert (broken(userid=1).in_experiment, broken.errors) == (True, 1)
    missing = f"sqlite:///{tmp_path}/nowhere/abloop.db"
    for _ in range(2):
        assert Button(loop=missing, userid=1).get("color") == Button(userid=1).get("color")
    (said,) = [record.message for record in caplog.records if "are not recorded" in record.message]
    assert "unable to open database file" in said
    usable = f"sqlite:///{tmp_path}/abloop.db"
    assert Button(loop=usable, userid=1).get("color") == Button(userid=1).get("color")
    opened = exposures_of(usable).loop
    assert opened is not None
    assert len(records(opened)[0]) == 3
    opened.close()
    assert _checksum(len) == ""
    monkeypatch.setattr(Placement, "watch", lambda *args: 1 / 0)
    assert Button(loop=usable, userid=1).get("color") == Button(userid=1).get("color")
    monkeypatch.setattr(Placement, "expose", lambda *args, **more: 1 / 0)
    assert Button(loop=usable, userid=1).get_params() == Button(userid=1).get_params()
    torn = type("Torn", (Button,), {"get_param_names": lambda self: 1 / 0})
    assert (torn(userid=1).get("color", "grey"), torn(userid=1).errors) == ("grey", 1)


@pytest.mark.parametrize("value", NASTY, ids=NAMES)
def test_nothing_raises(value: Any, loop: Loop) -> None:
    """Whatever is handed in as unit, input, choice, weight, extra or override: no call raises."""

    class Any1(SimpleExperiment):
        """Hands everything to every operator."""

        def assign(self, params: Any, **inputs: Any) -> Any:
            params.a = UniformChoice(choices=["a", "b"], unit=inputs["x"])
            params.b = UniformChoice(choices=[inputs["x"], "b"], unit=1)
            params.c = WeightedChoice(choices=["a", "b"], weights=inputs["x"], unit=1)
            return inputs["x"]

    for where in (loop, None):
        for kind in (Any1, Button):
            found = kind(loop=where, userid=value, x=value)
            found.get("a", None)
            found.get_params()
            found.log_event("conversion", value)
            found.log_event(value, {"value": value})
            found.log_exposure(value)
            found.set_overrides(value)
            found.set_overrides({"a": value})
            assert found.in_experiment in (True, False)
    odd = type("Odd", (Button,), {"assign": lambda self, params, **inputs: value, "primary_unit": "x"})
    assert odd(loop=loop, userid=1, x=value).get("color", "grey") == "grey"
    Button(loop=loop, userid=1).get(value)


@given(st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.binary(), st.lists(st.integers())), st.text())
def test_any_input(unit: Any, key: str) -> None:
    """An experiment answers with one of its choices, or not at all, whatever its unit and inputs are."""
    assert Button(userid=unit, **({key: unit} if key not in ("loop", "self") else {})).get("color") in ("blue", "green")
    assert not math.isnan(Button(userid=unit).get("margin"))
