"""PlanOut's namespaces: segments recomputed by hand, exclusion, defaults, and the loop of their experiments."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import chi2

from abloop.adapters.planout import DefaultExperiment, SimpleExperiment, SimpleNamespace, UniformChoice
from abloop.adapters.planout.namespace import _sampled
from abloop.errors import DataError
from abloop.loop import Loop
from tests.adapters.planout.hostile import NAMES, NASTY
from tests.adapters.planout.test_experiment import records
from tests.loops import open_loop

SEGMENTS = 100


class Colour(SimpleExperiment):
    """One parameter."""

    def assign(self, params: Any, **inputs: Any) -> Any:
        """Draw it, but not for robots."""
        params.color = UniformChoice(choices=["blue", "green"], unit=inputs.get("userid"))
        return inputs.get("agent") != "robot"


class Size(SimpleExperiment):
    """Another parameter."""

    def assign(self, params: Any, **inputs: Any) -> Any:
        """Draw it."""
        params.size = UniformChoice(choices=[1, 2, 3], unit=inputs["userid"])


class Usual(DefaultExperiment):
    """What everybody else gets."""

    def get_default_params(self) -> dict[str, Any]:
        """Return it."""
        return {"color": "red", "size": 0}


class Page(SimpleNamespace):
    """A namespace of two experiments and some free segments."""

    def setup(self) -> None:
        """Name it."""
        self.name = "page"
        self.primary_unit = "userid"
        self.num_segments = SEGMENTS
        self.default_experiment_class = Usual

    def setup_experiments(self) -> None:
        """Share the segments out."""
        self.add_experiment("first colours", Colour, 40)
        self.add_experiment("sizes", Size, 30)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    """Yield an installation."""
    found = open_loop(tmp_path)
    yield found
    found.close()


def sha1(text: str) -> int:
    """Return the integer behind every PlanOut draw."""
    return int(hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:15], 16)


def sampled(available: list[int], draws: int, name: str) -> list[int]:
    """Return the segments of an experiment: a Fisher-Yates shuffle from the end, computed by hand."""
    found = list(available)
    for place in range(len(found) - 1, 0, -1):
        other = sha1(f"page.sampled_segments.{name}.{place}") % (place + 1)
        found[place], found[other] = found[other], found[place]
    return found[:draws]


def sampled_fast(available: list[int], draws: int, name: str) -> list[int]:
    """Return the same by the shuffle that stops after so many draws."""
    found = list(available)
    for place in range(len(found) - 1, len(found) - draws - 1, -1):
        other = sha1(f"page.sampled_segments.{name}.{place}") % (place + 1)
        found[place], found[other] = found[other], found[place]
    return found[len(found) - draws :]


@pytest.mark.parametrize("fast", [False, True], ids=["Sample", "FastSample"])
def test_segments_are_planouts(fast: bool) -> None:
    """Each experiment gets the segments that PlanOut's sample over those still free gives, recomputed by hand."""
    page = Page(userid=1, **({"use_fast_sample": True} if fast else {}))
    draw, free, expected = sampled_fast if fast else sampled, list(range(SEGMENTS)), {}
    for name, count in (("first colours", 40), ("sizes", 30)):
        for segment in draw(free, count, name):
            expected[segment] = name
        free = [segment for segment in free if segment not in expected]
    assert page.segment_allocations == expected
    assert page.available_segments == set(free)


def test_units_are_planouts() -> None:
    """A unit's segment is a random integer under the namespace's salt; its values have salt NAMESPACE.EXPERIMENT."""
    for user in range(300):
        page = Page(userid=user)
        assert page.get_segment() == sha1(f"page.segment.{user}") % SEGMENTS
        owner = page.segment_allocations.get(page.get_segment())
        assert page.in_experiment == (owner is not None)
        colour = ["blue", "green"][sha1(f"page.first colours.color.{user}") % 2]
        size = [1, 2, 3][sha1(f"page.sizes.size.{user}") % 3]
        expected = {None: ("red", 0), "first colours": (colour, 0), "sizes": ("red", size)}[owner]
        assert (page.get("color"), page.get("size"), page.get("shape", "round")) == (*expected, "round")


def test_several_primary_units() -> None:
    """Several primary units are hashed as PlanOut hashes them: as the text of a tuple."""
    both = type("Both", (Page,), {"setup": lambda self: (Page.setup(self), setattr(self, "primary_unit", ["a", "b"]))})
    assert both(a=1, b="x").get_segment() == sha1("page.segment.(1, 'x')") % SEGMENTS
    assert both(a=1, b="x").primary_unit == ["a", "b"]


def test_frequencies() -> None:
    """Units fall into experiments by their share of segments: chi-square over 20,000 units below the 99.9 % bound."""
    allocation = Page(userid=0).segment_allocations
    counts = Counter(allocation.get(sha1(f"page.segment.{user}") % SEGMENTS) for user in range(20_000))
    shares = {"first colours": 0.4, "sizes": 0.3, None: 0.3}
    found = sum((counts[name] - 20_000 * share) ** 2 / (20_000 * share) for name, share in shares.items())
    assert chi2.cdf(found, 2) < 0.999


def test_segments_come_and_go(caplog: pytest.LogCaptureFixture) -> None:
    """Too many segments, a name twice and an unknown name are refused with a sentence; removing gives segments back."""
    page = Page(userid=1)
    assert page.add_experiment("sizes", Size, 1) is False
    assert page.add_experiment("more", Size, 31) is False
    assert page.remove_experiment("other") is False
    assert page.remove_experiment("first colours") is True
    assert len(page.available_segments) == 70
    assert page.add_experiment("more", Size, 70) is True
    assert Counter(page.segment_allocations.values()) == {"sizes": 30, "more": 70}
    assert [record.message for record in caplog.records] == [
        "namespace page: there is an experiment 'sizes' already; give this one another name",
        "namespace page: 31 segments for 'more', but 30 are left",
        "namespace page: there is no experiment 'other'",
    ]


def test_namespaces_in_the_loop(loop: Loop) -> None:
    """Experiments take the namespace's loop and primary unit; strategies are named after both; no unit is in two."""
    users = 60
    for user in range(users):
        page = Page(loop=loop, userid=user)
        page.get("color")
        page.log_event("conversion")
    decisions, observations = records(loop)
    owners = {
        f"{user}": Page(userid=user).segment_allocations.get(Page(userid=user).get_segment()) for user in range(users)
    }
    named = {"page-first-colours.color": "first colours", "page-sizes.size": "sizes"}
    assert {decision.unit: named[decision.strategy] for decision in decisions} == {
        unit: owner for unit, owner in owners.items() if owner
    }
    assert len(decisions) == len(observations)


def test_loop_of_an_experiment_goes_before(loop: Loop, tmp_path: Path) -> None:
    """An experiment that names a loop keeps it."""
    (tmp_path / "other").mkdir()
    other = open_loop(tmp_path / "other")
    own = type("Own", (Colour,), {"loop": other})
    page = type("Own", (Page,), {"loop": loop, "setup_experiments": lambda self: self.add_experiment("a", own, 100)})
    page(userid=1).get("color")
    assert (len(records(loop)[0]), len(records(other)[0])) == (0, 1)
    other.close()


def test_robots_get_the_default(loop: Loop) -> None:
    """Who an experiment turns away is in none, and logged nowhere."""
    user = next(user for user in range(99) if Page(userid=user).get("color") != "red")
    robot = Page(loop=loop, userid=user, agent="robot")
    assert robot.in_experiment is False
    robot.get("color")
    robot.log_exposure()
    robot.log_event("conversion")
    assert records(loop) == ([], [])


def test_auto_exposure_logging_off(loop: Loop) -> None:
    """The namespace passes the switch on; without an experiment nothing happens."""
    for user in range(20):
        page = Page(loop=loop, userid=user)
        page.set_auto_exposure_logging(False)
        page.get("color")
    assert records(loop)[0] == []
    for user in range(20):
        Page(loop=loop, userid=user).log_exposure()
    assert len(records(loop)[0]) == sum(Page(userid=user).in_experiment for user in range(20))


def test_setup_says_what_is_missing() -> None:
    """A namespace that is not set up says what to set; one without a name has PlanOut's, the text of its class."""
    with pytest.raises(DataError, match="num_segments of SimpleNamespace is 0; allowed: a whole number of at least 1"):
        SimpleNamespace(userid=1)
    with pytest.raises(DataError, match="has no primary_unit; set it to the name of an input"):
        type("Half", (SimpleNamespace,), {"setup": lambda self: setattr(self, "num_segments", 3)})()

    class Unnamed(Page):
        """Has no name of its own."""

        def setup(self) -> None:
            self.primary_unit, self.num_segments = "userid", SEGMENTS

    assert Unnamed(userid=1).get_segment() == sha1(f"{Unnamed}.segment.1") % SEGMENTS


def test_mistakes_give_defaults() -> None:
    """A missing primary unit, an experiment or a default that raises: the next best answer, counted."""

    class Lost(Page):
        """A namespace of its own count."""

    assert Lost(other=1).get("color", "grey") == "red"
    assert (Lost(other=1).in_experiment, Lost.errors) == (False, 2)
    Lost(other=1).log_event("conversion")
    broken = type("Broken", (Page,), {})
    broken.setup = lambda self: (Page.setup(self), setattr(self, "default_experiment_class", 7))  # type: ignore[attr-defined]
    assert broken(userid=None).get("shape", "grey") == "grey"
    assert broken.errors == 1


def test_sampling_is_kept() -> None:
    """Segments are sampled once in a process, not for each request."""
    Page(userid=1)
    before = _sampled.cache_info().misses
    for user in range(10):
        Page(userid=user)
    assert _sampled.cache_info().misses == before


@pytest.mark.parametrize("value", NASTY, ids=NAMES)
def test_nothing_raises(value: Any, loop: Loop) -> None:
    """Whatever the unit and the other inputs are, no call raises."""
    for where in (loop, None):
        page = Page(loop=where, userid=value, agent=value, use_fast_sample=value)
        page.get("color", value)
        page.get("size")
        page.log_exposure(value)
        page.log_event(value, value)
        page.set_auto_exposure_logging(False)
        assert page.in_experiment in (True, False)
        Page(loop=where, userid=1).get(value)
