"""README.md cannot drift: its Python and YAML run as they stand."""

from __future__ import annotations

import hashlib
import importlib
import random
import re
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import abloop
from abloop import offline
from abloop.blueprint import from_mapping

TEXT = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_first_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader types first works, with the blueprint beside it, and its arm is one of the blueprint's."""
    monkeypatch.chdir(tmp_path)
    first, ranking, _, _, history = blocks("python")
    checkout, _, feed, *_ = blocks("yaml")
    (tmp_path / "checkout.yaml").write_text(checkout)
    names: dict[str, Any] = {}
    exec(first, names)
    loop = names["loop"]
    assert names["arm"] in ("blue", "green")
    assert loop.strategy("checkout").errors == 0
    (tmp_path / "feed.yaml").write_text(feed)
    loop.register(abloop.load("feed.yaml"))
    contexts = [{"user_id": "u", "topic": "cats", "age_hours": age, "title": "a cat"} for age in (3, 1, 2)]
    feed_order = loop.strategy("feed_order")
    exec(ranking, {"feed": feed_order, "contexts": contexts, "decision_id": abloop.new_decision_id()})
    assert feed_order.errors == 0
    dataframe = pd.DataFrame({"customer": range(400), "variant": ["blue", "green"] * 200})
    dataframe["bought"] = np.random.default_rng(0).integers(0, 2, 400)
    dataframe = dataframe.assign(country="FI", visits=1)
    exec(history, {"loop": loop, "dataframe": dataframe})
    assert abloop.readout(loop, "checkout").rows == 400
    loop.close()


def test_the_first_steps_reach_a_readout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blueprint and the traffic of the eight steps give, a minute later, the readout that is promised."""
    monkeypatch.chdir(tmp_path)
    found = [re.findall(rf" ```{kind}\n(.*?)```", TEXT, re.DOTALL) for kind in ("yml", "py")]
    banner, traffic = (textwrap.dedent(text) for (text,) in found)
    (tmp_path / "banner.yaml").write_text(banner)
    loop = abloop.connect("sqlite:///abloop.db", clock=lambda: time.time() + 61)
    loop.register(abloop.load("banner.yaml"))
    random.seed(0)
    exec(traffic, {})
    turned = offline.cycle(loop, "banner")
    assert turned.joined == 2_000
    assert "'new' is clearly better" in abloop.readout(loop, "banner").recommendation.text
    loop.close()


def test_features_load(tmp_path: Path) -> None:
    """The groups and features that README.md shows are a part of a blueprint as they stand."""
    head = "strategy: page\narms: [{name: a}, {name: b}]\nmetrics: [{name: clicked}]\n"
    (tmp_path / "page.yaml").write_text(head + blocks("yaml")[8])
    assert len(abloop.load(tmp_path / "page.yaml").features) == 6


def test_labels_rankings_and_bandits_load() -> None:
    """What README.md says of labels, lists, bandits and the long run are parts of blueprints as they stand."""
    parts = [yaml.safe_load(text) for text in blocks("yaml")[3:8]]
    head: dict[str, Any] = {"strategy": "page", "features": [{"name": "topic", "type": "categorical"}]}
    metrics = [{"name": name} for name in ("bought", "seconds", "next_screen", "clicked", "rating", "seen_at")]
    number = {"space": {"type": "number"}, "policy": {"formula": "seconds"}, "metrics": metrics}
    assert from_mapping(head | number | parts[0]).outputs()[-1] == "label.next_screen_3"
    ordering = {"space": {"type": "ordering"}, "policy": {"formula": "clicked"}, "metrics": metrics}
    parts[1]["labels"].append({"name": "rating"})
    assert from_mapping(head | ordering | parts[1]).ranking.slots == (2, 5)
    arms = {"arms": [{"name": "a"}, {"name": "b"}], "metrics": metrics}
    assert from_mapping(head | arms | parts[2]).model.is_bandit
    assert from_mapping(head | arms | parts[3]).model.learners == ("q",)
    tuned = [{"name": name} for name in ("clicked", "engagement", "compute", "latency")]
    feed = {"space": {"type": "ordering"}, "metrics": tuned, "labels": [{"name": "clicked"}]}
    feed |= {"features": [{"name": "age_hours"}, {"name": "nearby"}, *head["features"]]}
    assert from_mapping(head | feed | parts[4]).tuning.arms == 4


def test_what_is_kept_loads(tmp_path: Path) -> None:
    """Retention, pseudonyms and the metric that a warehouse tells are a part of a blueprint as they stand."""
    head = "strategy: page\narms: [{name: red}, {name: green}]\n"
    (tmp_path / "page.yaml").write_text(head + blocks("yaml")[9])
    found = abloop.load(tmp_path / "page.yaml")
    assert [metric.by for metric in found.metrics] == ["decision", "unit"]
    assert found.lifecycle.retention > found.metrics[1].window > found.lifecycle.ttl


def test_the_readout_of_a_frame_runs() -> None:
    """The example reads its rows, and its reading is a part of a blueprint as it stands."""
    names: dict[str, Any] = {}
    exec(blocks("python")[2], names)
    assert "'new' is clearly better on bought" in names["found"].recommendation.text
    metrics = [{"name": name} for name in ("purchase", "revenue", "wait")]
    features = [{"name": "visits"}, {"name": "country", "type": "categorical"}]
    raw = {**names["shop"], "metrics": metrics, "features": features, **yaml.safe_load(blocks("yaml")[10])}
    assert len(from_mapping(raw).readout.measures) == 6


def test_the_effects_of_arrays_run() -> None:
    """The example learns: its effects follow the feature that makes them, and their mean has its interval."""
    names: dict[str, Any] = {}
    exec(blocks("python")[3], names)
    learner, x = names["learner"], names["x"]
    assert learner.chosen_ == "t_linear"
    assert np.corrcoef(learner.effect(x), x[:, 1])[0, 1] > 0.99
    assert learner.ate_[1].low < 0 < learner.ate_[1].high


def test_ten_lines_are_enough() -> None:
    """The first example has at most ten lines of code."""
    lines = [line for line in blocks("python")[0].splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= 10


def test_promised_targets_exist() -> None:
    """Every `make` target that README.md names is in the Makefile."""
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    assert [name for name in re.findall(r"make (\w+)", TEXT) if f"\n{name}:" not in makefile] == []


def test_the_experiment_section_loads(tmp_path: Path) -> None:
    """The experiment section that README.md shows is a part of a blueprint as it stands."""
    head = "strategy: page\narms: [{name: red}, {name: green}]\nmetrics: [{name: clicked}]\n"
    features = "features: [{name: country, type: categorical}, {name: app_version, type: categorical}]\n"
    (tmp_path / "page.yaml").write_text(head + features + blocks("yaml")[1])
    assert len(abloop.load(tmp_path / "page.yaml").experiment.ramp) == 2


DIFFS = dict(zip(("own", "growthbook", "openfeature", "planout", "personalizer"), blocks("diff"), strict=True))


def side(diff: str, sign: str) -> str:
    """Return the code before (`-`) or after (`+`) a diff."""
    return "\n".join(line[1:] for line in diff.splitlines() if line[:1] in ("", " ", sign))


def given(loop: abloop.loop.Loop, index: int) -> dict[str, Any]:
    """Return what the code of a diff finds in its product."""
    api = importlib.import_module("openfeature.api")
    context = importlib.import_module("openfeature.evaluation_context")
    memory = importlib.import_module("openfeature.provider.in_memory_provider")
    rule = {"key": "checkout", "variations": ["blue", "green"], "meta": [{"key": "blue"}, {"key": "green"}]}
    return {
        "loop": loop,
        "decision_id": f"d{index}",
        "user_id": f"user-{index}",
        "country": "FI",
        "visits": index,
        "hashlib": hashlib,
        "api": api,
        "EvaluationContext": context.EvaluationContext,
        "flags": {"checkout": memory.InMemoryFlag("blue", {"blue": "blue", "green": "green"})},
        "features": {"checkout": {"defaultValue": "blue", "rules": [{**rule, "hashAttribute": "id"}]}},
        "endpoint": "https://example.com",
        "credentials": None,
    }


@pytest.mark.parametrize("name", DIFFS)
def test_each_swap_is_two_lines_and_runs(tmp_path: Path, name: str) -> None:
    """Each swap adds at most two lines, runs, keeps the arm that a unit had, and leaves decisions in the journal."""
    added = [line for line in DIFFS[name].splitlines() if line.startswith("+")]
    removed = [line for line in DIFFS[name].splitlines() if line.startswith("-")]
    assert (len(added) <= 2, len(removed) <= 2) == (True, True)
    (tmp_path / "checkout.yaml").write_text(blocks("yaml")[0])
    loop = abloop.connect(f"sqlite:///{tmp_path}/abloop.db")
    if name in ("own", "openfeature"):
        loop.register(abloop.load(tmp_path / "checkout.yaml"))
    arms = []
    for index in range(40):
        names = given(loop, index)
        exec(side(DIFFS[name], "+"), names)
        arms.append(names["arm"])
        if name in ("own", "growthbook"):
            names = given(loop, index)
            exec(side(DIFFS[name], "-"), names)
            assert arms[-1] == names["arm"]
    assert set(arms) == {"blue", "green"}
    loop.spool.seal()
    offline.ship_spool(loop)
    strategies = [strategy for strategy in loop.catalogue.servings() if loop.journal.backlog(strategy).waiting == 40]
    assert strategies == [{"planout": "Checkout.colour", "personalizer": "personalizer"}.get(name, "checkout")]
    loop.close()
