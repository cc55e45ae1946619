"""Decision spaces, feature groups, transforms, labels and policies: what is refused, where, and what to do instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.blueprint import Blueprint, content_hash, from_mapping, load, to_json
from abloop.blueprint.diff import cannot_train_on, diff
from abloop.errors import BlueprintError

TOP = "strategy: s\nmetrics: [{name: bought}, {name: opened}]\n"
ARMS = TOP + "arms: [{name: a}, {name: b}]\n"

# name: (text, place as line:column, words that the message must hold)
MISTAKES: dict[str, tuple[str, str, list[str]]] = {
    "space-unknown": (TOP + "space: {type: list}\n", "3:9", ["list"]),
    "space-low-of-choice": (ARMS + "space: {low: 1}\n", "4:9", ["belongs to a number", "'choice'", "remove"]),
    "space-low-above-high": (TOP + "space: {type: number, low: 5, high: 2}\n", "3:1", ["low 5 and high 2"]),
    "space-no-fields": (TOP + "space: {type: structured}\n", "3:1", ["is empty", "name one"]),
    "space-fields-of-number": (TOP + "space: {type: number, fields: [{name: x}]}\n", "3:23", ["structured", "remove"]),
    "field-text-anything": (
        TOP + "space: {type: structured, fields: [{name: x, type: text}]}\n",
        "3:36",
        ["choices", "what the text may be"],
    ),
    "field-choices-of-number": (
        TOP + "space: {type: structured, fields: [{name: x, choices: [a]}]}\n",
        "3:46",
        ["belong to a text"],
    ),
    "field-bound-of-text": (
        TOP + "space: {type: structured, fields: [{name: x, type: text, choices: [a], low: 1}]}\n",
        "3:72",
        ["belongs to a number"],
    ),
    "field-twice": (TOP + "space: {type: structured, fields: [{name: x}, {name: x}]}\n", "3:27", ["'x' twice"]),
    "boolean-arms": (ARMS + "space: {type: boolean}\n", "3:1", ["'a', 'b'", "'false' and 'true'"]),
    "arms-of-number": (ARMS + "space: {type: number}\n", "3:1", ["belong to a choice"]),
    "control-of-number": (TOP + "space: {type: number}\ncontrol: a\nlabels: [{name: opened}]\n", "4:1", ["arm", "'a'"]),
    "feature-circle": (
        ARMS + "features: [{name: x, transform: log, of: [y]}, {name: y, transform: log, of: [x]}]\n",
        "4:38",
        ["circle", "'x' <- 'y' <- 'x'"],
    ),
    "feature-of-unknown": (
        ARMS + "features: [{name: age}, {name: x, transform: log, of: [agee]}]\n",
        "4:51",
        ["'agee'", "Did you mean 'age'"],
    ),
    "feature-of-wrong-type": (
        ARMS + "features: [{name: c, type: categorical}, {name: x, transform: log, of: [c]}]\n",
        "4:68",
        ["log of 'c'", "categorical", "allowed: numeric"],
    ),
    "feature-of-fitted": (
        ARMS
        + "features: [{name: a}, {name: s, transform: standardise, of: [a]}, {name: x, transform: log, of: [s]}]\n",
        "4:93",
        ["learned from the training rows", "of 'a'"],
    ),
    "transform-unknown": (ARMS + "features: [{name: x, transform: sin, of: [y]}]\n", "4:22", ["sin"]),
    "transform-of-nothing": (ARMS + "features: [{name: x, transform: log}]\n", "4:12", ["of nothing", "of: [NAME]"]),
    "of-without-transform": (ARMS + "features: [{name: y}, {name: x, of: [y]}]\n", "4:23", ["has no transform"]),
    "transform-and-group": (
        ARMS + "features: [{name: y}, {name: x, transform: log, of: [y], key: z}]\n",
        "4:23",
        ["made of other features and fetched"],
    ),
    "log-of-two": (
        ARMS + "features: [{name: y}, {name: z}, {name: x, transform: log, of: [y, z]}]\n",
        "4:34",
        ["2 features", "name one"],
    ),
    "edges-falling": (
        ARMS + "features: [{name: y}, {name: x, transform: bucketise, of: [y], edges: [2, 1]}]\n",
        "4:23",
        ["[2.0, 1.0]", "rising"],
    ),
    "size-range": (ARMS + "features: [{name: x, type: embedding, size: 9999}]\n", "4:39", ["9999", "[1, 512]"]),
    "group-unknown": (
        ARMS + "groups: [{name: user, key: user_id, table: users}]\nfeatures: [{name: x, group: usr}]\n",
        "5:22",
        ["'usr'", "Did you mean 'user'"],
    ),
    "group-no-source": (
        ARMS + "groups: [{name: user, key: user_id}]\nfeatures: [{name: x, group: user}]\n",
        "4:10",
        ["no source", "table, query, events"],
    ),
    "group-two-sources": (
        ARMS + "groups: [{name: u, key: k, table: t, events: true}]\nfeatures: [{name: x, group: u}]\n",
        "4:10",
        ["table and events", "one of"],
    ),
    "group-query-without-id": (
        ARMS + "groups: [{name: u, key: k, query: 'SELECT 1'}]\nfeatures: [{name: x, group: u}]\n",
        "4:28",
        [":id"],
    ),
    "group-budget": (
        ARMS + "groups: [{name: u, key: k, table: t, budget: 5m}]\nfeatures: [{name: x, group: u}]\n",
        "4:38",
        ["300", "(0, 1]"],
    ),
    "group-unused": (ARMS + "groups: [{name: u, key: k, table: t}]\n", "4:10", ["'u' has no feature"]),
    "group-duration": (
        ARMS + "groups: [{name: u, key: k, table: t, max_age: soon}]\nfeatures: [{name: x, group: u}]\n",
        "4:38",
        ["'soon'", "'5ms'"],
    ),
    "tally-without-events": (
        ARMS + "groups: [{name: u, key: k, table: t}]\nfeatures: [{name: x, group: u, metric: opened, window: 1h}]\n",
        "5:12",
        ["events: true"],
    ),
    "tally-without-window": (
        ARMS + "groups: [{name: u, key: k, events: true}]\nfeatures: [{name: x, group: u, metric: opened}]\n",
        "5:12",
        ["window, e.g. 24h"],
    ),
    "tally-unknown-metric": (
        ARMS + "groups: [{name: u, key: k, events: true}]\nfeatures: [{name: x, group: u, metric: open, window: 1h}]\n",
        "5:32",
        ["'open'", "Did you mean 'opened'"],
    ),
    "tally-long-window": (
        ARMS
        + "groups: [{name: u, key: k, events: true}]\nfeatures: [{name: x, group: u, metric: opened, window: 90d}]\n",
        "5:48",
        ["5.184e+06"],
    ),
    "events-without-metric": (
        ARMS + "groups: [{name: u, key: k, events: true}]\nfeatures: [{name: x, group: u}]\n",
        "5:12",
        ["add metric and window"],
    ),
    "label-unknown": (ARMS + "labels: [{name: open}]\n", "4:11", ["'open'", "Did you mean 'opened'"]),
    "label-twice": (ARMS + "labels: [{name: opened}, {name: opened}]\n", "4:1", ["'opened' twice"]),
    "label-is-feature": (ARMS + "labels: [{name: x}]\nfeatures: [{name: x}]\n", "4:11", ["'x' is also a feature"]),
    "label-by-arm-of-number": (
        TOP + "space: {type: number}\nlabels: [{name: opened, by_arm: true}]\n",
        "4:25",
        ["needs arms"],
    ),
    "weight-range": (
        ARMS + "policy: {weights: [{name: w, value: 2, low: 0, high: 1}]}\n",
        "4:30",
        ["is 2", "[0, 1]", "move"],
    ),
    "weight-name": (ARMS + "policy: {weights: [{name: a b, value: 2}]}\n", "4:21", ["'a b'", "letters"]),
    "weight-twice": (
        ARMS + "policy: {weights: [{name: w, value: 2}, {name: w, value: 1}]}\n",
        "4:10",
        ["'w' twice"],
    ),
    "weight-hides-feature": (
        ARMS + "policy: {weights: [{name: x, value: 2}]}\nfeatures: [{name: x}]\n",
        "4:21",
        ["hides", "rename"],
    ),
    "weight-hides-word": (ARMS + "policy: {weights: [{name: cost, value: 2}]}\n", "4:21", ["hides", "rename"]),
    "feature-hides-word": (
        ARMS + "policy: {formula: 'best_arm(effect, cost)'}\nfeatures: [{name: cost}]\n",
        "4:10",
        ["'cost'", "rename yours"],
    ),
    "formula-unknown-name": (
        ARMS + "policy: {formula: 'best_arm(efect, cost)'}\n",
        "4:10",
        ["'efect'", "Did you mean 'effect'", "^^^^^"],
    ),
    "formula-wrong-kind": (ARMS + "policy: {formula: 'effect'}\n", "4:10", ["one number for each arm"]),
    "formula-number-for-choice": (
        ARMS + "policy: {formula: '1 + 1'}\n",
        "4:10",
        ["a number", "best_arm(effect, cost)"],
    ),
    "formula-missing": (TOP + "space: {type: number}\n", "1:1", ["policy.formula is missing"]),
    "formula-broken": (ARMS + "policy: {formula: 'best_arm(effect'}\n", "4:10", ["policy.formula"]),
    "formula-arm": (ARMS + "policy: {formula: \"arm('c')\"}\n", "4:10", ["'c'", "'a', 'b'"]),
    "formula-record": (
        TOP + "space: {type: structured, fields: [{name: x}, {name: y}]}\npolicy: {formula: \"{'x': 1}\"}\n",
        "4:10",
        ["'y'"],
    ),
    "formula-record-extra": (
        TOP + "space: {type: structured, fields: [{name: x}]}\npolicy: {formula: \"{'x': 1, 'z': 2}\"}\n",
        "4:10",
        ["'z'"],
    ),
    "formula-record-kind": (
        TOP + "space: {type: structured, fields: [{name: x}]}\npolicy: {formula: \"{'x': 1 > 2}\"}\n",
        "4:10",
        ["'x'", "number"],
    ),
    "formula-fitted": (
        ARMS + "features: [{name: n}, {name: t, transform: standardise, of: [n]}]\n"
        "policy: {formula: \"arm('a') if t > 0 else arm('b')\"}\n",
        "5:10",
        ["'t'"],
    ),
}


@pytest.mark.parametrize(("text", "place", "words"), MISTAKES.values(), ids=MISTAKES)
def test_every_mistake_is_named_with_its_place(tmp_path: Path, text: str, place: str, words: list[str]) -> None:
    """A wrong blueprint is refused with file, line, column, what came and what is allowed."""
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(BlueprintError) as refused:
        load(file)
    said = str(refused.value)
    assert [word for word in words if word not in said] == [], said
    assert said.startswith(f"{file}:{place}: "), said
    assert len(said) < 900


BLUEPRINTS = sorted(Path(__file__).parents[1].joinpath("blueprints").glob("*.yaml"))
NUMBERS = st.floats(-5, 5)


@st.composite
def mappings(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a valid blueprint of any decision space, with groups, transforms, labels and a formula."""
    kind = draw(st.sampled_from(["choice", "boolean", "number", "structured", "ordering"]))
    space: dict[str, Any] = {"type": kind}
    formula = {
        "choice": "best_arm(effect * w, cost)",
        "boolean": "opened > w",
        "structured": "{'x': opened, 'on': w > 0}",
    }.get(kind, "opened * w")
    raw: dict[str, Any] = {
        "strategy": "s",
        "metrics": [{"name": "bought"}, {"name": "opened"}],
        "labels": [{"name": "opened"}],
        "space": space,
        "policy": {"formula": formula, "weights": [{"name": "w", "value": draw(NUMBERS), "low": -5, "high": 5.0}]},
    }
    if kind == "choice":
        raw["arms"] = [{"name": "a"}, {"name": "b", "cost": draw(NUMBERS)}]
    if kind == "structured":
        space["fields"] = [{"name": "x", "low": 0}, {"name": "on", "type": "boolean"}]
    if kind == "number" and draw(st.booleans()):
        space["low"] = draw(NUMBERS)
    if draw(st.booleans()):
        raw["groups"] = [{"name": "g", "key": "k", "events": True, "max_age": draw(st.sampled_from(["5s", 5, 60.0]))}]
        raw["features"] = [
            {"name": "n", "group": "g", "metric": "opened", "window": draw(st.sampled_from(["1h", 3600]))}
        ]
    else:
        raw["features"] = [{"name": "n", "size": draw(st.integers(1, 512))}]
    if draw(st.booleans()):
        raw["features"].append({"name": "d", "transform": "log", "of": ["n"]})
    return raw


@settings(max_examples=150)
@given(mappings(), mappings())
def test_equal_iff_hashes_are(one: dict[str, Any], two: dict[str, Any]) -> None:
    """Two blueprints are equal exactly when their hashes are, and when nothing differs."""
    first, second = from_mapping(one), from_mapping(two)
    assert (first == second) == (content_hash(first) == content_hash(second)) == (diff(first, second) == ())


@settings(max_examples=150)
@given(mappings())
def test_printing_and_parsing_gives_the_same(raw: dict[str, Any]) -> None:
    """parse(print(b)) == b, with one hash, through the text."""
    from abloop.blueprint.text import from_source
    from abloop.blueprint.yaml_text import parse

    blueprint = from_mapping(raw)
    again = from_source(parse(to_json(blueprint)))
    assert again == blueprint
    assert content_hash(again) == content_hash(blueprint)


@pytest.mark.parametrize("file", BLUEPRINTS, ids=lambda file: file.stem)
def test_the_five_categories_fit_on_a_page(file: Path) -> None:
    """Each category of the paper is a file of at most 25 lines, and says the same as JSON."""
    assert len(file.read_text().splitlines()) <= 25
    blueprint = load(file)
    assert from_mapping(__import__("json").loads(to_json(blueprint))) == blueprint


def changed(blueprint: Blueprint, **sections: Any) -> Blueprint:
    """Return the blueprint with sections of its mapping replaced."""
    import msgspec

    return from_mapping({**msgspec.to_builtins(blueprint), **sections})


def test_rows_are_shared_where_what_was_logged_is_the_same() -> None:
    """Another transform, weight or formula may train on old rows; another source or kind of feature may not."""
    raw = {
        "strategy": "s",
        "metrics": [{"name": "m"}],
        "space": {"type": "number"},
        "labels": [{"name": "m"}],
        "groups": [{"name": "g", "key": "k", "table": "t"}],
        "features": [{"name": "x"}, {"name": "y", "group": "g"}, {"name": "l", "transform": "log", "of": ["x"]}],
    }
    old = from_mapping(raw)
    fewer = changed(old, features=raw["features"][1:2])
    other_transform = changed(
        old, features=[*raw["features"][:2], {"name": "b", "transform": "bucketise", "of": ["y"], "edges": [1]}]
    )
    patient = changed(old, groups=[{"name": "g", "key": "k", "table": "t", "budget": 0.5}])
    for new in (fewer, other_transform, patient, changed(old, policy={"formula": "m * 2"})):
        assert cannot_train_on(new, old) == ""
    assert "'y'" in cannot_train_on(old, changed(old, features=raw["features"][:1], groups=[]))
    assert "'y' came from elsewhere" in cannot_train_on(
        changed(old, groups=[{"name": "g", "key": "k", "table": "t2"}]), old
    )
    assert "decision was a number" in cannot_train_on(changed(old, space={"type": "ordering"}), old)
