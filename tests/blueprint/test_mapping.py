"""Blueprints from mappings and Python objects: defaults suffice, texts of time, immutability."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from abloop.blueprint import Arm, Blueprint, Metric, content_hash, from_mapping, load
from abloop.errors import BlueprintError

SHORT: dict[str, Any] = {
    "strategy": "checkout",
    "arms": [{"name": "blue"}, {"name": "green"}],
    "metrics": [{"name": "bought"}],
}


def test_defaults_suffice() -> None:
    """A name, two arms and a metric make a whole blueprint."""
    blueprint = from_mapping(SHORT)
    assert blueprint.weights() == (0.5, 0.5)
    assert blueprint.values() == ("blue", "green")
    assert blueprint.goals() == blueprint.metrics
    assert (blueprint.unit, blueprint.salt(), blueprint.features) == ("user_id", "checkout", ())
    assert (blueprint.experiment.explore, blueprint.experiment.holdout) == (0.1, 0.0)
    assert (blueprint.lifecycle.ttl, blueprint.lifecycle.switch) == (86_400.0, "auto")


def test_a_mapping_and_objects_are_one_thing() -> None:
    """Python objects, a mapping and their conversion back have one hash."""
    built = Blueprint(strategy="checkout", arms=(Arm(name="blue"), Arm(name="green")), metrics=(Metric(name="bought"),))
    assert from_mapping(SHORT) == built
    assert from_mapping(msgspec.to_builtins(built)) == built
    assert content_hash(from_mapping(SHORT)) == content_hash(built)


def test_control_comes_first() -> None:
    """Arms, weights and values are ordered with control first, the others as written."""
    arms = [
        {"name": "a", "weight": 0.2},
        {"name": "b", "weight": 0.5, "value": {"colour": 1}},
        {"name": "c", "weight": 0.3, "value": 0},
    ]
    blueprint = from_mapping({**SHORT, "arms": arms, "control": "b"})
    assert [arm.name for arm in blueprint.ordered_arms()] == ["b", "a", "c"]
    assert blueprint.weights() == (0.5, 0.2, 0.3)
    assert blueprint.values() == ({"colour": 1}, "a", 0)


@pytest.mark.parametrize("field", ["strategy", "arms", "lifecycle"])
def test_a_blueprint_cannot_be_changed(field: str) -> None:
    """Every section is immutable."""
    with pytest.raises(AttributeError):
        setattr(from_mapping(SHORT), field, "other")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90.0), ("30m", 1_800.0), ("24h", 86_400.0), ("7d", 604_800.0), ("1.5h", 5_400.0), (" 2d ", 172_800.0)],
    ids=str,
)
def test_texts_of_time(text: str, seconds: float) -> None:
    """A TTL may be written in seconds, minutes, hours and days."""
    assert from_mapping({**SHORT, "lifecycle": {"ttl": text}}).lifecycle.ttl == seconds


@pytest.mark.parametrize("text", ["", "h", "90", "7 weeks", "-5s", "1e3s", "1.2.3s", "²s", "9" * 400 + "s"], ids=ascii)
def test_what_is_no_time(text: str) -> None:
    """Other texts are refused with the path and examples."""
    with pytest.raises(BlueprintError) as refused:
        from_mapping({**SHORT, "lifecycle": {"ttl": text}})
    assert "lifecycle.ttl" in str(refused.value)
    assert refused.value.place == "lifecycle.ttl"


REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unknown-key": ({"metric": []}, ["metric: unknown key 'metric'", "Did you mean 'metrics'"]),
    "unknown-inner-key": ({"arms": [{"name": "a"}, {"nam": "b"}]}, ["arms[1].nam", "Did you mean 'name'"]),
    "wrong-type": ({"arms": [{"name": "a"}, {"name": 5}]}, ["arms[1].name is 5", "allowed: a text", "in quotes"]),
    "not-a-list": ({"metrics": {"name": "bought"}}, ["metrics is {'name': 'bought'}", "allowed: a list"]),
    "weights": (
        {"arms": [{"name": "a", "weight": 0.5}, {"name": "b", "weight": 0.6}]},
        ["arms", "0.5, 0.6 sum to 1.1", "exactly 1", "equal shares"],
    ),
    "one-arm": ({"arms": [{"name": "a"}]}, ["arms has 1", "two or more"]),
    "twice": ({"arms": [{"name": "a"}, {"name": "a"}]}, ["arms has 'a' twice", "each name once", "Rename"]),
    "feature-metric": ({"features": [{"name": "bought"}]}, ["'bought'", "feature and a metric", "Remove"]),
    "feature-unit": ({"features": [{"name": "user_id"}]}, ["'user_id'", "single units", "Remove"]),
    "no-goal": ({"metrics": [{"name": "m", "role": "secondary"}]}, ["no goal", "role: goal"]),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_refusals_name_path_value_and_fix(change: dict[str, Any], words: list[str]) -> None:
    """A refused mapping is answered with where it is wrong, what came, what is allowed and what to do."""
    with pytest.raises(BlueprintError) as refused:
        from_mapping({**SHORT, **change}, "given")
    said = str(refused.value)
    assert said.startswith("given: ")
    assert [word for word in words if word not in said] == [], said
    assert refused.value.place


@pytest.mark.parametrize("raw", [None, [], "text", 5, {5: "a"}, {}], ids=str)
def test_what_is_no_mapping_is_refused(raw: object) -> None:
    """Anything but a mapping with its keys is a BlueprintError too."""
    with pytest.raises(BlueprintError):
        from_mapping(raw)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is refused with its path and what to name."""
    with pytest.raises(BlueprintError, match=r"nowhere\.yaml: cannot be read: No such file.*Name a YAML or JSON file"):
        load(tmp_path / "nowhere.yaml")
    with pytest.raises(BlueprintError, match="cannot be read: Is a directory"):
        load(tmp_path)
