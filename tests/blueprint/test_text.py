"""Blueprints as text: one content, one hash; every mistake is named with file, line, column and fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop.blueprint import content_hash, from_mapping, load, to_json
from abloop.blueprint.diff import cannot_train_on, diff
from abloop.blueprint.schema import json_schema
from abloop.errors import BlueprintError

HEAD = "strategy: checkout\n"
ARMS = "arms:\n  - {name: blue}\n  - {name: green}\n"
METRICS = "metrics: [{name: bought}]\n"

# name: (text, place as line:column, words that the message must hold)
MISTAKES: dict[str, tuple[str, str, list[str]]] = {
    "typo-top": (HEAD + ARMS + METRICS + "experment: {}\n", "6:1", ["'experment'", "Did you mean 'experiment'"]),
    "typo-arm": (HEAD + "arms: [{name: a}, {name: b, wieght: 1}]\n" + METRICS, "2:29", ["'wieght'", "'weight'"]),
    "typo-metric": (HEAD + ARMS + "metrics: [{name: m, rol: goal}]\n", "5:21", ["'rol'", "'role'"]),
    "typo-feature": (HEAD + ARMS + METRICS + "features: [{nam: x}]\n", "6:13", ["'nam'", "'name'"]),
    "typo-lifecycle": (HEAD + ARMS + METRICS + "lifecycle: {tll: 1h}\n", "6:13", ["'tll'", "'ttl'"]),
    "typo-model": (HEAD + ARMS + METRICS + "model: {fold: 3}\n", "6:9", ["'fold'", "'folds'"]),
    "no-strategy": (ARMS + METRICS, "1:1", ["required", "strategy"]),
    "no-arms": (HEAD + METRICS, "1:1", ["0 entries", "two or more"]),
    "no-metrics": (HEAD + ARMS, "1:1", ["required", "metrics"]),
    "arm-without-name": (HEAD + "arms: [{name: a}, {weight: 1}]\n" + METRICS, "2:19", ["required", "name"]),
    "weight-text": (
        HEAD + "arms: [{name: a, weight: half}, {name: b}]\n" + METRICS,
        "2:18",
        ["'half'", "a number or null"],
    ),
    "weight-quoted": (
        HEAD + "arms: [{name: a, weight: '.5'}, {name: b}]\n" + METRICS,
        "2:18",
        ["'.5'", "allowed: a number or null", "without quotes"],
    ),
    "limit-percent": (
        HEAD + ARMS + METRICS + "tuning: {limits: [{metric: bought, most: +5%}]}\n",
        "6:36",
        ["tuning.limits[0].most is '+5%'", "allowed: a number or null", "Write 0.05"],
    ),
    "sum-text": (
        HEAD + ARMS + METRICS + "tuning: {sums: [{weights: {a: x}, most: 1}]}\n",
        "6:18",
        ["tuning.sums[0].weights holds 'x'", "allowed: a number"],
    ),
    "weight-negative": (
        HEAD + "arms: [{name: a, weight: -1}, {name: b, weight: 2}]\n" + METRICS,
        "2:18",
        ["-1", "(0, 1]"],
    ),
    "weight-zero": (HEAD + "arms: [{name: a, weight: 0}, {name: b, weight: 1}]\n" + METRICS, "2:18", ["(0, 1]"]),
    "weight-nan": (
        HEAD + "arms: [{name: a, weight: .nan}, {name: b, weight: 1}]\n" + METRICS,
        "2:18",
        ["nan", "(0, 1]"],
    ),
    "weights-sum": (
        HEAD + "arms: [{name: a, weight: .5}, {name: b, weight: .4}]\n" + METRICS,
        "2:1",
        ["0.9", "exactly 1"],
    ),
    "weight-missing": (HEAD + "arms: [{name: a, weight: .5}, {name: b}]\n" + METRICS, "2:1", ["'b'", "every arm"]),
    "one-arm": (HEAD + "arms: [{name: a}]\n" + METRICS, "2:1", ["1 entries", "two or more"]),
    "arms-mapping": (HEAD + "arms: {a: 1}\n" + METRICS, "2:1", ["{'a': 1}", "allowed: a list"]),
    "arm-twice": (HEAD + "arms: [{name: a}, {name: a}]\n" + METRICS, "2:1", ["'a' twice"]),
    "arm-empty-name": (HEAD + "arms: [{name: ''}, {name: b}]\n" + METRICS, "2:9", ["''", "1 to 200"]),
    "arm-number-name": (
        HEAD + "arms: [{name: 1}, {name: b}]\n" + METRICS,
        "2:9",
        ["is 1", "allowed: a text", "in quotes"],
    ),
    "cost-infinite": (HEAD + "arms: [{name: a}, {name: b, cost: .inf}]\n" + METRICS, "2:29", ["inf", "allowed"]),
    "control-unknown": (HEAD + ARMS + METRICS + "control: gren\n", "6:1", ["'gren'", "Did you mean 'green'"]),
    "role-unknown": (HEAD + ARMS + "metrics: [{name: m, role: gaol}]\n", "5:21", ["gaol"]),
    "no-goal": (HEAD + ARMS + "metrics: [{name: m, role: guardrail}]\n", "5:1", ["no goal"]),
    "no-metric": (HEAD + ARMS + "metrics: []\n", "5:1", ["no goal"]),
    "metric-twice": (HEAD + ARMS + "metrics: [{name: m}, {name: m}]\n", "5:1", ["'m' twice"]),
    "combine-unknown": (HEAD + ARMS + "metrics: [{name: m, combine: mean}]\n", "5:21", ["mean"]),
    "default-nan": (HEAD + ARMS + "metrics: [{name: m, default: .nan}]\n", "5:21", ["nan"]),
    "feature-is-metric": (
        HEAD + ARMS + METRICS + "features: [{name: bought}]\n",
        "6:1",
        ["both a feature and a metric"],
    ),
    "feature-is-unit": (HEAD + ARMS + METRICS + "features: [{name: user_id}]\n", "6:1", ["the unit 'user_id'"]),
    "feature-type": (HEAD + ARMS + METRICS + "features: [{name: x, type: number}]\n", "6:22", ["number"]),
    "feature-twice": (HEAD + ARMS + METRICS + "features: [{name: x}, {name: x}]\n", "6:1", ["'x' twice"]),
    "holdout-range": (HEAD + ARMS + METRICS + "experiment: {holdout: .9}\n", "6:14", ["0.9", "[0, 0.5]"]),
    "explore-zero": (HEAD + ARMS + METRICS + "experiment: {explore: 0}\n", "6:14", ["[0.01, 1]"]),
    "explore-boolean": (
        HEAD + ARMS + METRICS + "experiment: {explore: true}\n",
        "6:14",
        ["is true", "allowed: a number"],
    ),
    "folds-range": (HEAD + ARMS + METRICS + "model: {folds: 1}\n", "6:9", ["[2, 20]"]),
    "learner-unknown": (HEAD + ARMS + METRICS + "model: {learners: [s, z]}\n", "6:23", ["'z'"]),
    "learners-none": (HEAD + ARMS + METRICS + "model: {learners: []}\n", "6:9", ["'s', 't', 'x'"]),
    "ttl-text": (HEAD + ARMS + METRICS + "lifecycle: {ttl: 3 weeks}\n", "6:13", ["'3 weeks'", "'7d'"]),
    "ttl-negative": (HEAD + ARMS + METRICS + "lifecycle: {ttl: -5}\n", "6:13", ["-5"]),
    "alpha-range": (HEAD + ARMS + METRICS + "lifecycle: {alpha: .5}\n", "6:13", ["(0, 0.5)"]),
    "switch-unknown": (HEAD + ARMS + METRICS + "lifecycle: {switch: never}\n", "6:13", ["never"]),
    "strategy-dots": ("strategy: ..\n" + ARMS + METRICS, "1:1", ["'..'"]),
    "strategy-long": ("strategy: " + "x" * 300 + "\n" + ARMS + METRICS, "1:1", ["1 to 200"]),
    "unprintable": ('strategy: "a\\u0007b"\n' + ARMS + METRICS, "1:1", ["printable"]),
    "zero": ('strategy: "a\\u0000b"\n' + ARMS + METRICS, "1:1", ["zero character"]),
    "list-at-top": ("- a\n", "1:1", ["is ['a']", "allowed: a mapping"]),
    "broken": ("strategy: [a\n", "2:1", ["not YAML"]),
    "tab": ("strategy:\n\t- a\n", "2:1", ["not YAML"]),
    "alias": ("unit: &u a\nstrategy: *u\n", "2:11", ["alias"]),
    "bomb": ("a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "2:8", ["alias"]),
    "key-twice": (HEAD + "unit: a\nunit: b\n", "3:1", ["'unit' stands twice"]),
    "key-number": (HEAD + "5: a\n", "2:1", ["'5' is not a text"]),
    "deep": ("a: " + "[" * 10_000, "1:35", ["32 levels"]),
    "python-object": ("strategy: !!python/object/apply:os.system [ls]\n", "1:11", ["no tags"]),
}


@pytest.mark.parametrize(("text", "place", "words"), MISTAKES.values(), ids=MISTAKES)
def test_every_mistake_is_named_with_its_place(tmp_path: Path, text: str, place: str, words: list[str]) -> None:
    """A wrong blueprint is refused with file, line, column, what came and what is allowed."""
    file = tmp_path / "checkout.yaml"
    file.write_text(text)
    with pytest.raises(BlueprintError) as refused:
        load(file)
    said = str(refused.value)
    assert said.startswith(f"{file}:{place}: "), said
    assert [word for word in words if word not in said] == [], said
    assert len(said) < 700


def test_there_are_enough_mistakes() -> None:
    """The corpus of mistakes does not shrink."""
    assert len(MISTAKES) >= 40


@pytest.mark.parametrize("value", [2**64, object()], ids=["huge", "object"])
def test_arm_values_must_fit_a_record(value: Any) -> None:
    """What a decision could not log is refused at registration, not at the first decision."""
    arms = [{"name": "a"}, {"name": "b", "value": value}]
    with pytest.raises(BlueprintError, match="cannot be logged"):
        from_mapping({"strategy": "s", "arms": arms, "metrics": [{"name": "m"}]})


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, and ten megabytes, are refused at once."""
    (tmp_path / "a").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b").write_text("a" * 10_000_000)
    with pytest.raises(BlueprintError, match="UTF-8"):
        load(tmp_path / "a")
    with pytest.raises(BlueprintError, match="64,000 characters"):
        load(tmp_path / "b")


def test_words_and_numbers_are_read_as_json_reads_them(tmp_path: Path) -> None:
    """Arms may be called `on`, `no` or `2024-01-01`, and 1e-3 is a number."""
    file = tmp_path / "b.yaml"
    file.write_text("strategy: no\narms: [{name: on}, {name: 2024-01-01, cost: 1e-3}]\nmetrics: [{name: 'yes'}]\n")
    blueprint = load(file)
    assert (blueprint.strategy, blueprint.arms[0].name, blueprint.arms[1].name) == ("no", "on", "2024-01-01")
    assert (blueprint.arms[1].cost, blueprint.metrics[0].name) == (0.001, "yes")


names = st.text("abcdefghij_ é", min_size=1, max_size=8).filter(lambda name: name not in ("user_id", "."))
shares = st.integers(1, 5)


@st.composite
def mappings(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a valid blueprint as a mapping, with a random choice of fields written out."""
    arms = [{"name": name} for name in draw(st.lists(names, min_size=2, max_size=4, unique=True))]
    if draw(st.booleans()):
        parts = [draw(shares) for _ in arms]
        for arm, part in zip(arms, parts, strict=True):
            arm["weight"] = part / sum(parts)
    for arm in arms:
        arm |= draw(
            st.fixed_dictionaries(
                {}, optional={"cost": st.floats(-5, 5), "value": st.none() | st.integers(-(2**63), 2**63)}
            )
        )
    metric = st.fixed_dictionaries({}, optional={"value": st.floats(-3, 3), "default": st.none() | st.floats(0, 1)})
    metrics = [{"name": f"m{index}", **draw(metric)} for index in range(draw(st.integers(1, 3)))]
    optional = {
        "unit": st.sampled_from(["user_id", "visitor"]),
        "experiment": st.fixed_dictionaries({}, optional={"explore": st.floats(0.01, 1), "salt": names}),
        "lifecycle": st.fixed_dictionaries({}, optional={"ttl": st.sampled_from([5, 5.0, "5s", "1h", 3600])}),
        "features": st.lists(st.sampled_from([{"name": "x"}, {"name": "x", "type": "numeric"}]), max_size=1),
    }
    return {
        "strategy": draw(names),
        "arms": arms,
        "metrics": metrics,
        **draw(st.fixed_dictionaries({}, optional=optional)),
    }


@settings(max_examples=150, deadline=None)
@given(mappings(), mappings())
def test_equal_iff_hashes_are(one: dict[str, Any], two: dict[str, Any]) -> None:
    """Two blueprints are equal exactly when their hashes are, and when nothing differs."""
    first, second = from_mapping(one), from_mapping(two)
    assert (first == second) == (content_hash(first) == content_hash(second)) == (diff(first, second) == ())


@settings(max_examples=150, deadline=None)
@given(mappings())
def test_printing_and_parsing_gives_the_same(raw: dict[str, Any]) -> None:
    """parse(print(b)) == b, with one hash, also through a file."""
    from abloop.blueprint.text import from_source
    from abloop.blueprint.yaml_text import parse

    blueprint = from_mapping(raw)
    again = from_source(parse(to_json(blueprint)))
    assert again == blueprint
    assert content_hash(again) == content_hash(blueprint)
    assert cannot_train_on(blueprint, again) == ""


def test_the_same_content_has_one_hash() -> None:
    """Order of keys, defaults written out, whole numbers and units of time do not change the content."""
    arms = [{"name": "a"}, {"name": "b"}]
    short = {"strategy": "s", "arms": arms, "metrics": [{"name": "m"}], "lifecycle": {"ttl": "1h"}}
    long = {
        "lifecycle": {"alpha": 0.05, "ttl": 3600, "switch": "auto"},
        "metrics": [{"default": 0, "name": "m", "value": 1}],
        "experiment": {"explore": 0.1},
        "unit": "user_id",
        "arms": [{"cost": 0, "name": "a", "weight": None}, {"name": "b"}],
        "strategy": "s",
    }
    assert content_hash(from_mapping(short)) == content_hash(from_mapping(long))


def test_golden_hash() -> None:
    """The canonical text and its hash do not change between releases of abloop."""
    raw = {"strategy": "s", "arms": [{"name": "b"}, {"name": "a", "cost": 1}], "metrics": [{"name": "m"}]}
    blueprint = from_mapping(raw)
    assert (
        to_json(blueprint) == '{"arms":[{"name":"b"},{"cost":1.0,"name":"a"}],"metrics":[{"name":"m"}],"strategy":"s"}'
    )
    assert content_hash(blueprint) == "90a720580d47f1d3c1f1a2e59890d8f5fa5fb67a272b419e88d70a9a08b58410"


def test_schema_describes_every_field() -> None:
    """The JSON Schema has every section and a description of every field."""
    schema = json_schema()
    sections = [schema, *schema["$defs"].values()]
    assert {"Arm", "Metric", "Feature", "Experiment", "Model", "Lifecycle"} <= set(schema["$defs"])
    assert all(field["description"] for section in sections for field in section["properties"].values())
    assert all(section["additionalProperties"] is False for section in sections)


WHOLE = ("folds", "repeats", "arms", "units", "size", "most", "within", "least_units")


def bounds() -> list[tuple[str, str, float, int, bool]]:
    """Return section, field, an end of its range, the direction out of it, and whether the end itself is allowed."""
    found = []
    ends = {
        "minimum": (-1, True),
        "maximum": (1, True),
        "exclusiveMinimum": (-1, False),
        "exclusiveMaximum": (1, False),
    }
    for section, schema in json_schema()["$defs"].items():
        for field, properties in schema["properties"].items():
            kinds = properties.get("anyOf", [properties])
            if any("pattern" in kind for kind in kinds):
                continue  # a duration
            for end, (out, inside) in ends.items():
                found += [(section, field, kind[end], out, inside) for kind in kinds if end in kind]
    return found


def holding(section: str, field: str, value: float) -> dict[str, Any]:
    """Return a blueprint with one field of one section at a value, and what that field asks for besides."""
    raw: dict[str, Any] = {"strategy": "s", "arms": [{"name": "a"}, {"name": "b"}], "metrics": [{"name": "m"}]}
    item = {field: value}
    places = {
        "Arm": {"arms": [{"name": "a", **item}, {"name": "b", field: 1 - value}]},
        "Label": {"labels": [{"name": "m", "task": "quantile", **item}]},
        "Layer": {"experiment": {"layer": {"name": "l", **item}}},
        "Holdout": {"experiment": {"holdouts": [{"name": "h", **item}]}},
        "Step": {"experiment": {"ramp": [{"at": "2030-01-01", **item}]}},
        "Feature": {"features": [{"name": "x", "type": "embedding", **item}]},
        "Measure": {"readout": {"measures": [{"name": "n", "of": "m", "role": "guardrail", **item}]}},
        "Ranking": {"space": {"type": "ordering"}, "arms": [], "labels": [{"name": "m"}]},
        "Reading": {"readout": item},
        "Tuning": {"tuning": item},
    }
    if section == "Ranking":
        raw["ranking"] = {"slots": [0], "diverse": "x", **item}
        raw["features"] = [{"name": "x", "type": "categorical"}]
    if section == "Model" and field == "discount":
        item["learners"], raw["experiment"] = ["q"], {"redraw": "1h"}
    return raw | places.get(section, {section.lower(): item})


@pytest.mark.parametrize(("section", "field", "end", "out", "inside"), bounds())
def test_schema_bounds_are_those_of_the_check(section: str, field: str, end: float, out: int, inside: bool) -> None:
    """Where the schema says that a number's range ends, the check refuses what is beyond, and allows what is not."""
    kind: type = int if field in WHOLE else float
    step = out if kind is int else out * 0.01
    if section != "Layer":  # whose ends are checked against each other first
        with pytest.raises(BlueprintError, match=field):
            from_mapping(holding(section, field, kind(end + step)))
    if inside and section not in ("Layer", "Arm"):  # another arm could have no weight then
        from_mapping(holding(section, field, kind(end)))
    if not inside:
        with pytest.raises(BlueprintError):
            from_mapping(holding(section, field, kind(end)))
