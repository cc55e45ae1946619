"""The experiment section: what is refused, where, and what to do instead; equal sections have equal hashes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.blueprint import Blueprint, content_hash, from_mapping, load, to_json
from abloop.blueprint.diff import diff
from abloop.errors import BlueprintError

HEAD = "strategy: s\nmetrics: [{name: bought}]\narms: [{name: a}, {name: b}]\nfeatures: [{name: x}, {name: c, type: categorical}]\n"  # noqa: E501
NUMBER = "strategy: s\nmetrics: [{name: bought}]\nspace: {type: number}\nlabels: [{name: bought}]\n"

# name: (text, place as line:column, words that the message must hold)
MISTAKES: dict[str, tuple[str, str, list[str]]] = {
    "unknown-key": (HEAD + "experiment: {trafic: 0.5}\n", "5:14", ["'trafic'", "Did you mean 'traffic'"]),
    "traffic-range": (HEAD + "experiment: {traffic: 1.5}\n", "5:14", ["1.5", "[0, 1]"]),
    "traffic-and-ramp": (
        HEAD + "experiment: {traffic: 0.5, ramp: [{at: 2026-01-01, traffic: 1}]}\n",
        "5:14",
        ["experiment.ramp gives it", "remove one"],
    ),
    "ramp-no-date": (HEAD + "experiment: {ramp: [{at: soon, traffic: 1}]}\n", "5:22", ["'soon'", "'2026-12-01'"]),
    "ramp-falls": (
        HEAD + "experiment: {ramp: [{at: 2026-01-01, traffic: 0.5}, {at: 2026-02-01, traffic: 0.1}]}\n",
        "5:53",
        ["does not rise", "0.5", "rising times and traffic"],
    ),
    "ramp-back-in-time": (
        HEAD + "experiment: {ramp: [{at: 2026-02-01, traffic: 0.1}, {at: 2026-01-01, traffic: 0.5}]}\n",
        "5:53",
        ["does not rise"],
    ),
    "ramp-no-traffic": (HEAD + "experiment: {ramp: [{at: 2026-02-01}]}\n", "5:21", ["traffic"]),
    "layer-no-name": (HEAD + "experiment: {layer: {low: 0, high: 0.5}}\n", "5:14", ["name"]),
    "layer-empty": (HEAD + "experiment: {layer: {name: l, low: 0.5, high: 0.5}}\n", "5:41", ["0.5", "(0.5, 1]"]),
    "layer-beyond": (HEAD + "experiment: {layer: {name: l, low: 1}}\n", "5:31", ["[0, 1)"]),
    "layer-key": (HEAD + "experiment: {layer: {name: l, slot: 1}}\n", "5:31", ["'slot'", "'low'"]),
    "holdout-share": (HEAD + "experiment: {holdouts: [{name: h, share: 0.6}]}\n", "5:35", ["0.6", "(0, 0.5]"]),
    "margin-below-zero": (HEAD + "experiment: {margin: -1}\n", "5:14", ["-1", "[0, inf)"]),
    "holdout-twice": (
        HEAD + "experiment: {holdouts: [{name: h, share: 0.1}, {name: h, share: 0.1}]}\n",
        "5:14",
        ["'h' twice"],
    ),
    "force-unknown": (HEAD + "experiment: {force: {u1: c}}\n", "5:22", ["arm", "'c'", "'a', 'b'"]),
    "force-type": (HEAD + "experiment: {force: [u1]}\n", "5:14", ["experiment.force is ['u1']", "allowed: a mapping"]),
    "hash-unknown": (HEAD + "experiment: {hash: md5}\n", "5:14", ["md5"]),
    "hash-of-number": (NUMBER + "experiment: {hash: growthbook-2}\n", "5:14", ["no arms", "remove it"]),
    "sticky-of-number": (NUMBER + "experiment: {sticky: true}\n", "5:14", ["no arms", "remove it"]),
    "margin-of-number": (NUMBER + "experiment: {margin: 1}\n", "5:14", ["choice of the best arm", "remove it"]),
    "calm-and-sticky": (HEAD + "experiment: {calm: 1, sticky: true}\n", "5:14", ["sticky", "remove one"]),
    "target-unknown": (
        HEAD + "experiment: {target: y > 1}\n",
        "5:14",
        ["experiment.target, column 1", "unknown name 'y'"],
    ),
    "target-number": (HEAD + "experiment: {target: x + 1}\n", "5:14", ["gives a number", "a condition"]),
    "target-caret": (HEAD + "experiment: {target: x > 'FI'}\n", "5:14", ["^", "a number"]),
    "target-effect": (HEAD + "experiment: {target: effect > 1}\n", "5:14", ["unknown name 'effect'"]),
    "target-power": (HEAD + "experiment: {target: x ** 9 > 1}\n", "5:14", ["powers are not allowed"]),
    "target-version": (HEAD + "experiment: {target: 'at_least(x, ''2.3'')'}\n", "5:14", ["x is a number", "a text"]),
}


@pytest.mark.parametrize(("text", "place", "words"), MISTAKES.values(), ids=MISTAKES)
def test_every_mistake_is_named_with_its_place(tmp_path: Path, text: str, place: str, words: list[str]) -> None:
    """Each mistake is refused with file, line, column, what came and what is allowed."""
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(BlueprintError) as refused:
        load(path)
    said = str(refused.value)
    assert said.startswith(f"{path}:{place}: ")
    assert [word for word in words if word not in said] == []


shares = st.integers(0, 100).map(lambda part: part / 100)
sections = st.fixed_dictionaries(
    {},
    optional={
        "salt": st.sampled_from(["", "t"]),
        "hash": st.sampled_from(["xxh3", "growthbook-1", "growthbook-2", "given"]),
        "layer": st.none() | st.sampled_from([{"name": "l"}, {"name": "l", "low": 0.2}, {"name": "m", "high": 0.5}]),
        "target": st.sampled_from(["", "x > 1", "c in ('FI', 'SE')", "at_least(c, '2')"]),
        "holdout": st.sampled_from([0.0, 0.1]),
        "holdouts": st.sampled_from([[], [{"name": "h", "share": 0.1}]]),
        "force": st.dictionaries(st.sampled_from(["u", "v"]), st.sampled_from(["a", "b"])),
        "sticky": st.booleans(),
    },
)
traffic = (
    st.just({})
    | shares.map(lambda share: {"traffic": share})
    | st.just({"ramp": [{"at": "2026-01-01", "traffic": 0.5}]})
)


def described(section: dict[str, Any]) -> dict[str, Any]:
    """Return a blueprint with an experiment section."""
    features = [{"name": "x"}, {"name": "c", "type": "categorical"}]
    arms = [{"name": "a"}, {"name": "b"}]
    return {"strategy": "s", "metrics": [{"name": "m"}], "arms": arms, "features": features, "experiment": section}


@settings(deadline=None)
@given(sections, sections, traffic, traffic)
def test_equal_iff_hashes_are(
    one: dict[str, Any], two: dict[str, Any], more: dict[str, Any], other: dict[str, Any]
) -> None:
    """Two blueprints are equal iff their hashes are, iff nothing differs; printing and parsing gives the same."""
    first, second = from_mapping(described(one | more)), from_mapping(described(two | other))
    assert (first == second) == (content_hash(first) == content_hash(second)) == (diff(first, second) == ())
    again = from_mapping(__import__("json").loads(to_json(first)))
    assert again == first


def test_a_section_at_its_default_is_as_none() -> None:
    """A blueprint that says what is the default anyway has the hash of one that does not."""
    plain: Blueprint = from_mapping(described({}))
    said = {"traffic": 1.0, "layer": None, "force": {}, "ramp": [], "sticky": False, "hash": "xxh3", "target": ""}
    assert content_hash(from_mapping(described(said))) == content_hash(plain)
