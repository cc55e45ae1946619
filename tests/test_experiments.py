"""Experiments as products meet them: who is in, with which arm, for which reason, over versions and processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import abloop
from abloop import offline
from abloop.cli import main
from abloop.compare import compare
from abloop.details import Details
from abloop.errors import BlueprintError, DataError
from abloop.overlap import overlap
from abloop.rollout.pause import pause, resume
from abloop.rollout.promote import withdraw
from abloop.rollout.versions import rollback
from abloop.testing import ManualClock
from tests.loops import TTL, open_loop, two_arms
from tests.test_online import serve_constant

UNITS = [f"u{i}" for i in range(2_000)]


def details(loop: abloop.loop.Loop, name: str = "checkout", **context: Any) -> list[Details]:
    """Return what every unit gets."""
    handle = loop.strategy(name)
    found = [handle.get_details(f"{name}{unit}{len(context)}", {"user_id": unit, **context}) for unit in UNITS]
    assert handle.errors == 0
    return found


def reasons(found: list[Details]) -> dict[str, int]:
    """Return how many units have each reason."""
    counts: dict[str, int] = {}
    for detail in found:
        counts[detail.reason] = counts.get(detail.reason, 0) + 1
    return counts


@pytest.mark.parametrize(
    ("section", "reason", "low", "high"),
    [
        ({"traffic": 0.25}, "outside", 1_380, 1_620),
        ({"layer": {"name": "top", "low": 0.5, "high": 0.75}}, "outside", 1_380, 1_620),
        ({"holdouts": [{"name": "all", "share": 0.1}, {"name": "team", "share": 0.1}]}, "holdout", 290, 470),
        ({"target": "x > 3"}, "untargeted", 2_000, 2_000),
        ({"target": "x > 1 and not missing(x)"}, "untargeted", 0, 0),
        ({"ramp": [{"at": "2100-01-01", "traffic": 0.5}]}, "outside", 2_000, 2_000),
        ({"force": {"u7": "green", "u8": "blue"}}, "forced", 2, 2),
    ],
    ids=["traffic", "layer", "holdouts", "target", "target-met", "ramp", "force"],
)
def test_who_is_not_in_gets_control_and_a_reason(
    tmp_path: Path, section: dict[str, Any], reason: str, low: int, high: int
) -> None:
    """Those outside get control with certainty, each decision explains itself, and readouts leave them out."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms(experiment=section))
    found = details(loop, x=2.0)
    out = [detail for detail in found if detail.reason == reason]
    assert low <= len(out) <= high
    assert all(detail.propensity == 1.0 for detail in out)
    assert reason == "forced" or {detail.arm for detail in out} <= {"blue"}
    assert all(detail.reason == "randomise" for detail in found if detail not in out)
    assert all(abloop.explain(loop, detail.decision_id).repeated for detail in (*out[:20], *found[:20]))
    clock.advance(TTL + 1)
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    assert sum(abloop.readout(loop, "checkout").units.values()) == len(UNITS) - len(out)
    loop.close()


def test_a_call_can_ask_for_an_arm(tmp_path: Path) -> None:
    """`force` gives an arm by name, before the blueprint's own; no such arm is no force."""
    loop = open_loop(tmp_path)
    loop.register(two_arms(experiment={"force": {"u1": "blue"}}))
    handle = loop.strategy("checkout")
    assert handle.get_decision("d", {"user_id": "u1"}, force="green") == "green"
    assert handle.get_details("e", {"user_id": "u2"}, force="purple").reason == "randomise"
    assert handle.errors == 1
    assert handle.get_details("f", {"user_id": "u2"}, force=["green"]).reason == "randomise"  # type: ignore[arg-type]
    assert abloop.explain(loop, "d").reason.startswith("Unit 'u1' was given 'green' by name")
    assert abloop.explain(loop, "d").repeated
    loop.close()


def test_pause_gives_control_and_resume_goes_back(tmp_path: Path) -> None:
    """Paused, every unit gets control, a new version and the gate change nothing; resumed, all is as before."""
    loop = open_loop(tmp_path)
    loop.register(two_arms())
    before = [detail.value for detail in details(loop)]
    serve_constant(loop, "checkout", (0.0, 0.3))
    served = [detail.value for detail in details(loop, x=1.0)]
    pause(loop, "checkout", who="ada", why="support tickets")
    loop.refresh()
    assert reasons(details(loop, y=0, z=0)) == {"paused": len(UNITS)}
    loop.register(two_arms(metrics=[{"name": "bought", "value": 2.0}]))
    assert loop.catalogue.serving("checkout").phase == "paused"
    resume(loop, "checkout", who="ada", why="fixed")
    loop.refresh()
    assert [detail.value for detail in details(loop, x=1.0, y=1, z=1)] == before
    with pytest.raises(DataError, match="not paused"):
        resume(loop, "checkout", who="ada", why="again")
    pause(loop, "checkout", who="ada", why="back")
    for change in (rollback, compare):
        with pytest.raises(DataError, match=r"is paused.*abloop resume checkout"):
            change(loop, "checkout", *([1] if change is rollback else [[1, 2]]), who="ada", why="x")  # type: ignore[operator]
    with pytest.raises(DataError, match="is paused: back"):
        withdraw(loop, loop.catalogue.serving("checkout"), who="ada", why="x")
    resume(loop, "checkout", who="ada", why="go on")
    rollback(loop, "checkout", 1, who="ada", why="the model again")
    loop.refresh()
    assert [detail.value for detail in details(loop, a=1, b=1, c=1, d=1)] == served
    loop.close()


def test_a_pause_outranks_comparisons_and_forced_arms(tmp_path: Path) -> None:
    """While it is paused, no comparison decides and no forced arm is given; resumed, both are back."""
    loop = open_loop(tmp_path)
    force = {"force": {"u1": "green"}}
    loop.register(two_arms(experiment=force))
    loop.register(two_arms(default="x", experiment=force))
    loop.strategy("checkout")
    compare(loop, "checkout", [1, 2], who="ada", why="which")
    loop.refresh()
    assert reasons(details(loop)) == {"randomise": len(UNITS) - 1, "forced": 1}
    pause(loop, "checkout", who="ada", why="bug")
    loop.refresh()
    assert {(d.reason, d.value) for d in details(loop, x=1.0)} == {("paused", "blue")}
    assert loop.strategy("checkout").get_decision("f", {"user_id": "u2"}, force="green") == "blue"
    resume(loop, "checkout", who="ada", why="fixed")
    loop.refresh()
    assert {d.version for d in details(loop, x=1.0, y=1.0)} == {1, 2}
    loop.close()


def test_units_whose_sticky_arm_is_gone_are_drawn_anew(tmp_path: Path) -> None:
    """They fall on the arms that are left by their shares (six standard errors), and are logged with them."""
    loop = open_loop(tmp_path)
    loop.register(two_arms(experiment={"sticky": True}))
    first = details(loop)
    arms = [{"name": "blue", "weight": 0.1}, {"name": "red", "weight": 0.9}]
    loop.register(two_arms(arms=arms, experiment={"sticky": True}))
    later = details(loop, x=1.0)
    moved = [now for before, now in zip(first, later, strict=True) if before.arm == "green"]
    assert all(now.arm == "blue" for before, now in zip(first, later, strict=True) if before.arm == "blue")
    assert abs(sum(now.arm == "red" for now in moved) / len(moved) - 0.9) < 0.06
    assert {(now.arm, now.propensity) for now in moved} == {("blue", 0.1), ("red", 0.9)}
    assert [now.arm for now in details(loop, y=1.0, z=1.0)] == [now.arm for now in later]
    loop.close()


def test_new_versions_move_only_the_units_they_must(tmp_path: Path) -> None:
    """Adding, dropping and weighting arms moves as many units as the shares demand; going back brings all back."""
    loop = open_loop(tmp_path)
    steps = [
        ({"blue": 0.5, "green": 0.5}, 0.0),
        ({"blue": 0.4, "green": 0.4, "red": 0.2}, 0.2),
        ({"blue": 0.2, "green": 0.5, "red": 0.3}, 0.2),
        ({"red": 0.4, "green": 0.6}, 0.2),
        ({"green": 0.6, "red": 0.4}, 0.0),
    ]
    arms: list[list[str]] = []
    for version, (weights, expected) in enumerate(steps):
        loop.register(two_arms(arms=[{"name": name, "weight": weight} for name, weight in weights.items()]))
        arms.append([detail.arm for detail in details(loop, **{f"k{version}": 1 for _ in range(1)}, v=version)])
        share = {name: arms[-1].count(name) / len(UNITS) for name in weights}
        assert all(abs(share[name] - weight) < 0.05 for name, weight in weights.items())  # four standard errors
        if version:
            moved = sum(one != two for one, two in zip(arms[-2], arms[-1], strict=True)) / len(UNITS)
            assert abs(moved - expected) < 0.04
    rollback(loop, "checkout", 1, who="x", why="y")
    loop.refresh()
    handle = loop.strategy("checkout")
    assert [handle.get_decision(f"r{unit}", {"user_id": unit}) for unit in UNITS] == arms[0]
    assert abloop.explain(loop, "ru5").repeated
    loop.close()


def test_sticky_units_keep_their_first_arm(tmp_path: Path) -> None:
    """Whatever weights and traffic become, in this process and the next; the first share stays the propensity."""
    loop = open_loop(tmp_path)
    loop.register(two_arms(experiment={"sticky": True}))
    first = details(loop)
    loop.refresh()
    heavy = [{"name": "blue", "weight": 0.95}, {"name": "green", "weight": 0.05}]
    loop.register(two_arms(arms=heavy, experiment={"sticky": True, "traffic": 0.1}))
    assert [detail.arm for detail in details(loop, x=1.0)] == [detail.arm for detail in first]
    loop.close()
    again = open_loop(tmp_path)
    later = details(again, x=1.0, y=1.0)
    assert [detail.arm for detail in later] == [detail.arm for detail in first]
    assert {detail.propensity for detail in later} == {0.5}
    assert all(abloop.explain(again, detail.decision_id).repeated for detail in later[:50])
    handle = again.strategy("checkout")
    fresh = [handle.get_details(f"n{i}", {"user_id": f"n{i}"}).reason for i in range(500)]
    assert 380 < fresh.count("outside") < 500
    again.close()


def test_layers_exclude_and_overlap_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No unit is in two parts of a layer; parts that overlap are refused; the matrix tells shares as they are."""
    loop = open_loop(tmp_path)
    loop.register(two_arms("one", experiment={"layer": {"name": "page", "low": 0, "high": 0.5}}))
    loop.register(two_arms("two", experiment={"layer": {"name": "page", "low": 0.5, "high": 0.9}}))
    loop.register(two_arms("three", experiment={"traffic": 0.3, "holdouts": [{"name": "all", "share": 0.1}]}))
    inside = {
        name: {unit for unit, d in zip(UNITS, details(loop, name), strict=True) if d.reason == "randomise"}
        for name in ("one", "two", "three")
    }
    assert not inside["one"] & inside["two"]
    planned = {(pair.first, pair.second): pair for pair in overlap(loop)}
    assert planned["one", "two"].share == 0.0
    assert planned["one", "three"].share == pytest.approx(0.5 * 0.3 * 0.9)
    assert abs(len(inside["one"] & inside["three"]) / len(UNITS) - 0.135) < 0.03
    with pytest.raises(BlueprintError, match=r"0.4 to 0.6 of layer 'page'.*'one' has 0 to 0.5"):
        loop.register(two_arms("four", experiment={"layer": {"name": "page", "low": 0.4, "high": 0.6}}))
    with pytest.raises(BlueprintError, match="unit 'user_id'"):
        loop.register(two_arms("four", unit="visitor", experiment={"layer": {"name": "page", "low": 0.9, "high": 1}}))
    with pytest.raises(BlueprintError, match=r"is 0.2, but strategy 'three' has 0.1"):
        loop.register(two_arms("four", experiment={"holdouts": [{"name": "all", "share": 0.2}]}))
    loop.close()
    assert main(["overlap", "--url", f"sqlite:///{tmp_path}/abloop.db"]) == 0
    assert "exclude each other in layer 'page'" in capsys.readouterr().out


def test_arms_drawn_elsewhere_are_kept_until_the_policy_takes_over(tmp_path: Path) -> None:
    """The product's own draw is given and logged with its share; personalised, only the explore share keeps it."""
    loop = open_loop(tmp_path)
    loop.register(two_arms(experiment={"hash": "given", "explore": 0.2}))
    handle = loop.strategy("checkout")
    found = [handle.get_details(f"a{u}", {"user_id": u}, drawn=(int(u[1:]) % 2, (0.5, 0.5))) for u in UNITS]
    assert [detail.arm for detail in found] == ["blue", "green"] * (len(UNITS) // 2)
    assert handle.get_decision("named", {"user_id": "u"}, drawn="green") == "green"
    assert handle.get_decision("unnamed", {"user_id": "u"}, drawn="purple") == "blue"  # the default, and an error
    assert handle.errors == 1
    serve_constant(loop, "checkout", (0.0, 0.3))
    later = [handle.get_details(f"b{u}", {"user_id": u}, drawn=(0, (0.9, 0.1))) for u in UNITS]
    assert {(d.reason, d.arm) for d in later} == {("explore", "blue"), ("personalise", "green")}
    explored = [detail for detail in later if detail.reason == "explore"]
    assert {detail.propensity for detail in explored} == {0.2 * 0.9}
    assert all(abloop.explain(loop, detail.decision_id).repeated for detail in (*found[:10], *later[:30]))
    loop.close()
