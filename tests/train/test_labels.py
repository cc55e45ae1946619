"""Proxy tasks of every kind, on arrays whose truth is known: what is fitted is what serves, and it predicts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from abloop.blueprint import Blueprint, from_mapping
from abloop.errors import ArtefactError, BlueprintError
from abloop.evaluate.tasks import figures
from abloop.features.encode import Encoder
from abloop.learners.base import Sample
from abloop.models.artefact import Artefact, pack, unpack
from abloop.models.labels import LabelSet
from abloop.records import Column
from abloop.train.held_out import figures_of, held_out, in_words
from abloop.train.labels import Labels, fit_labels
from abloop.train.leak import telling_feature
from abloop.train.refusal import cannot_predict
from abloop.train.search import search
from abloop.train.table import TrainingTable

ROWS = 1_500
COLOURS = ("red", "green", "blue")


def table(labels: list[dict[str, Any]], model: dict[str, Any], rows: int = ROWS) -> TrainingTable:
    """Return rows with a number, a category and a number that is often missing, and labels made of them."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=rows), rng.integers(0, 3, rows), rng.normal(size=rows)])
    x[rng.random(rows) < 0.3, 2] = np.nan
    score = 1.5 * x[:, 0] + np.array([-1.0, 0.0, 1.0])[x[:, 1].astype(int)] + np.nan_to_num(x[:, 2])
    noisy = score + rng.logistic(size=rows)
    metrics = {
        "opened": (noisy > 0).astype(float),
        "spend": np.where(rng.random(rows) < 0.1, np.nan, 100 + 20 * score + rng.normal(0, 5, rows)),
        "seconds": 3 * score + rng.exponential(4, rows),
        "next": np.digitize(noisy, [-1.0, 1.0]).astype(float),
    }
    arms = {"arms": [{"name": "a"}, {"name": "b"}]} if any(label.get("by_arm") for label in labels) else {}
    space = {} if arms else {"space": {"type": "number"}, "policy": {"formula": "x"}}
    raw = {"strategy": "s", "metrics": [{"name": name, "default": None} for name in metrics], "labels": labels}
    raw |= {"features": [{"name": "x"}, {"name": "colour", "type": "categorical"}, {"name": "z"}], "model": model}
    arm = rng.integers(0, 2, rows)
    metrics["opened"] = np.where(arm == 1, 1 - metrics["opened"], metrics["opened"]) if arms else metrics["opened"]
    columns = (Column("x", "numeric"), Column("colour", "categorical", COLOURS), Column("z", "numeric"))
    return TrainingTable(
        version=1,
        blueprint=from_mapping({**raw, **arms, **space}),
        encoder=Encoder(columns),
        sample=Sample(x, arm if arms else np.zeros(rows, dtype=int), metrics["opened"], np.full(2, 0.5), (0, 3, 0)),
        propensity=np.full(rows, 0.5),
        groups=np.arange(rows),
        costs=np.zeros(2),
        unobserved=(),
        dropped=0,
        features=[],
        metrics=metrics,
        firsts=np.ones(rows, dtype=bool),
        time=np.arange(rows, dtype=float),
        lists=np.arange(rows),
        positions=np.full(rows, np.nan),
    )


def served(found: Labels, rows: TrainingTable) -> LabelSet:
    """Return fitted labels after they went through an artefact's bytes."""
    arms = ("a", "b") if any(spec.arms for spec in found.specs) else ()
    made = Artefact(1, "labels", arms, rows.encoder.columns, None, ROWS, found.specs, network=found.network)
    again = unpack(*pack(made))
    return LabelSet(again.labels, again.network)


EVERY = [
    {"name": "opened"},
    {"name": "spend"},
    {"name": "seconds", "task": "quantile", "quantile": 0.9},
    {"name": "next", "task": "multiclass", "classes": 3},
]


@pytest.mark.parametrize("kind", ["trees", "linear", "network", "auto"])
def test_every_task_by_every_kind(kind: str) -> None:
    """A model beats what knows no feature at every task on later rows; its shares and quantile are calibrated."""
    rows = table(EVERY, {"kind": kind, "size": "small"})
    judged = held_out(rows, ("opened", "spend", "seconds", "next"))
    told = figures_of(rows, judged)
    assert told["opened"]["auc"] > 0.75
    assert told["next"]["accuracy"] > 0.5
    assert 0.8 < told["seconds"]["below"] < 0.97
    assert in_words(told).startswith("On later rows: 'opened' AUC 0.")
    for name, each in judged.items():
        model, none = each.model, each.none
        known = ~np.isnan(model)
        assert known.sum() > 0.6 * ROWS, name
        assert model[known].mean() < 0.93 * none[known].mean(), name
    first = np.arange(ROWS) < 1_000
    found = fit_labels(rows, rows.sample.features, first).predict(rows.sample.features[~first])
    assert set(found) == {"opened", "spend", "seconds", "next_0", "next_1", "next_2"}
    assert np.allclose(found["next_0"] + found["next_1"] + found["next_2"], 1.0)
    opened = figures("binary", rows.metrics["opened"][~first], found["opened"])
    assert opened["auc"] > 0.75
    assert opened["calibration"] < 0.11
    assert figures("quantile", rows.metrics["seconds"][~first], found["seconds"])["below"] == pytest.approx(
        0.9, abs=0.06
    )
    known = ~np.isnan(rows.metrics["spend"][~first])
    assert figures("regression", rows.metrics["spend"][~first][known], found["spend"][known])["r2"] > 0.6


@pytest.mark.parametrize("kind", ["trees", "linear", "network"])
@pytest.mark.parametrize("by_arm", [False, True])
def test_one_row_is_the_frame_and_survives_its_bytes(kind: str, by_arm: bool) -> None:
    """What an artefact's bytes predict for one row are the bits of the frame, also for unseen and missing inputs."""
    labels = [{"name": "opened", "by_arm": True}, {"name": "spend"}] if by_arm else EVERY
    rows = table(labels, {"kind": kind, "size": "small"}, 600)
    inputs = rows.sample.features
    found = fit_labels(rows, inputs, np.ones(600, dtype=bool))
    model = served(found, rows)
    new = inputs[:40].copy()
    new[:5], new[5:10, 1], new[10:15, 0] = np.nan, 7.0, 1e9
    frame = model.frame(new)
    columns = [column for each in frame.values() for column in (each.T if each.ndim == 2 else [each])]
    for at, row in enumerate(new.tolist()):
        assert list(model.row(row)) == [float(column[at]) for column in columns]
    assert all(np.isfinite(column).all() for column in columns)
    if by_arm:
        again = found.predict(inputs)["opened"]
        assert np.corrcoef(again[:, 0], again[:, 1])[0, 1] < -0.5


def test_a_network_is_repeatable() -> None:
    """The same rows and seed give the same bytes; another seed others."""
    rows = table(EVERY, {"kind": "network", "size": "small"}, 400)
    everything = np.ones(400, dtype=bool)
    first, second = (fit_labels(rows, rows.sample.features, everything) for _ in range(2))
    assert first == second
    other = table(EVERY, {"kind": "network", "size": "small", "seed": 1}, 400)
    assert fit_labels(other, rows.sample.features, everything) != first


def test_auto_takes_what_predicts_later_rows() -> None:
    """Where the truth is a line, auto is linear; where it is a step, trees."""
    rows = table([{"name": "spend"}], {"kind": "auto", "size": "small"})
    (spec,) = fit_labels(rows, rows.sample.features, np.ones(ROWS, dtype=bool)).specs
    assert spec.linears
    rng = np.random.default_rng(1)
    step = np.where(np.abs(rows.sample.features[:, 0]) > 1, 5.0, 0.0) + rng.normal(0, 0.1, ROWS)
    rows.metrics["spend"] = step
    (spec,) = fit_labels(rows, rows.sample.features, np.ones(ROWS, dtype=bool)).specs
    assert spec.trees


def test_a_label_of_zero_and_one_is_a_probability() -> None:
    """Auto is binary where every row is 0 or 1, whatever kind learns it, and regression where one is not."""
    rows = table([{"name": "opened"}], {})
    everything = np.ones(ROWS, dtype=bool)
    assert fit_labels(rows, rows.sample.features, everything).specs[0].link == "logistic"
    rows.metrics["opened"][0] = 2.0
    assert fit_labels(rows, rows.sample.features, everything).specs[0].link == "identity"


def ordered(rows: int, model: dict[str, Any]) -> TrainingTable:
    """Return rows of three steps, where the next is the last one if the first two are alike, else the first."""
    rng = np.random.default_rng(4)
    x = rng.integers(0, 3, (rows, 3)).astype(float)
    following = np.where(x[:, 0] == x[:, 1], x[:, 2], x[:, 0])
    raw = {"strategy": "s", "metrics": [{"name": "next"}], "space": {"type": "number"}, "policy": {"formula": "next_0"}}
    names = ("page_3", "page_2", "page_1")
    raw |= {"features": [{"name": name, "type": "categorical"} for name in names], "model": model}
    raw |= {"labels": [{"name": "next", "task": "multiclass", "classes": 3}]}
    found = table([{"name": "spend"}], {}, rows)
    columns = tuple(Column(name, "categorical", COLOURS) for name in names)
    sample = Sample(x, np.zeros(rows, dtype=int), following, np.full(2, 0.5), (3, 3, 3))
    changed = {"blueprint": from_mapping(raw), "encoder": Encoder(columns), "sample": sample}
    return replace(found, **changed, metrics={"next": following})  # type: ignore[arg-type]


def test_a_network_reads_steps_in_time() -> None:
    """What depends on the order of steps is learned; bits survive an artefact, and missing steps are no error."""
    rows = ordered(2_000, {"kind": "network", "size": "small", "sequences": [["page_3", "page_2", "page_1"]]})
    x = rows.sample.features
    first = np.arange(2_000) < 1_500
    found = fit_labels(rows, x, first)
    assert found.network is not None
    assert found.network.sequences == ((0, 1, 2),)
    predicted = found.predict(x[~first])
    chosen = np.argmax(np.column_stack([predicted[f"next_{number}"] for number in range(3)]), axis=1)
    assert (chosen == rows.metrics["next"][~first]).mean() > 0.95
    new = x[:30].copy()
    new[:10, 0], new[5:15, 2] = np.nan, 9.0
    model = served(found, rows)
    frame = np.column_stack(list(model.frame(new).values()))
    assert [list(model.row(row)) for row in new.tolist()] == frame.tolist()


@pytest.mark.parametrize(
    ("sequences", "words"),
    [([["page_1"]], "two steps"), ([["page_1", "x"]], "categorical feature"), ([[]], "two steps")],
)
def test_sequences_that_are_none_are_refused(sequences: list[list[str]], words: str) -> None:
    """Steps are categorical features, two or more."""
    with pytest.raises(BlueprintError, match=words):
        ordered(10, {"kind": "network", "sequences": sequences})
    with pytest.raises(BlueprintError, match="kind: network"):
        ordered(10, {"kind": "trees", "sequences": [["page_2", "page_1"]]})


def test_a_search_never_looks_at_what_judges() -> None:
    """A search ends with its budget; late rows change nothing in what it finds, and early ones judge nothing after."""
    rows = table([{"name": "spend"}], {"budget": 5.0})
    found = search(rows, iter(range(100)).__next__)
    assert found.options["trees"].keys() == {"learning_rate", "num_leaves", "min_data_in_leaf", "lambda_l2", "rounds"}
    late = rows.time >= 0.6 * ROWS
    rows.metrics["spend"][late] = -1e9
    assert search(rows, iter(range(100)).__next__).options == found.options
    losses = held_out(found, ("spend",))["spend"].model
    assert np.isnan(losses[~late]).all()


def heavy(model: dict[str, Any]) -> TrainingTable:
    """Return rows whose label is a step of a number, which is one of a very long tail."""
    rows = table([{"name": "opened"}], model)
    rng = np.random.default_rng(1)
    z = rng.normal(size=ROWS)
    rows.sample.features[:, 0] = np.exp(4 * z)
    rows.metrics["opened"][:] = rng.random(ROWS) < np.where(np.abs(z) < 0.7, 0.9, 0.1)
    return rows


@pytest.mark.parametrize(("kind", "trials"), [("network", 6), ("linear", 6), ("auto", 4)])
def test_a_search_chooses_how_numbers_enter(kind: str, trials: int) -> None:
    """Where a number has a long tail, a search squashes or cuts it: late rows are predicted better than without."""
    rows = heavy({"kind": kind, "size": "small", "budget": float(trials)})
    found = search(rows, iter(range(1_000)).__next__)
    if kind == "network":
        assert found.options["network"]["squash"] is True
    loss = {
        name: float(np.nanmean(held_out(each, ("opened",))["opened"].model[int(0.6 * ROWS) :]))
        for name, each in {"plain": rows, "searched": found}.items()
    }
    if kind == "auto":  # which tries to cut them already
        assert loss["searched"] <= 1.05 * loss["plain"]
    else:
        assert loss["searched"] < 0.8 * loss["plain"]


@pytest.mark.parametrize("kind", ["line", "category", "noise", "many levels"])
def test_a_feature_that_is_the_label_is_named(kind: str) -> None:
    """A feature that says exactly what is predicted was not known before it; one with a little noise may have been."""
    rows = table([{"name": "opened"}, {"name": "spend"}], {})
    x = rows.sample.features
    told = {
        "line": lambda: x.__setitem__((slice(None), 0), 3 - 2 * rows.metrics["spend"]),
        "category": lambda: x.__setitem__((slice(None), 1), rows.metrics["opened"]),
        "noise": lambda: x.__setitem__((slice(None), 0), np.nan_to_num(rows.metrics["spend"]) + 1e-2 * x[:, 2]),
        "many levels": lambda: x.__setitem__((slice(None), 1), np.arange(ROWS) % 3),
    }[kind]
    told()
    assert telling_feature(rows, "spend") == ("x" if kind == "line" else "")
    assert telling_feature(rows, "opened") == ("colour" if kind == "category" else "")
    if kind == "line":
        assert "Feature 'x' is label 'spend' in other words" in cannot_predict(replace(rows, blueprint=both()))


def both() -> Blueprint:
    """Return a blueprint whose formula reads both labels."""
    raw = {"strategy": "s", "space": {"type": "number"}, "metrics": [{"name": "opened"}, {"name": "spend"}]}
    return from_mapping(
        raw | {"labels": [{"name": "opened"}, {"name": "spend"}], "policy": {"formula": "opened * spend"}}
    )


def test_mixed_specs_are_refused() -> None:
    """A label model that is of two kinds at once, or reads beyond its network, is no model."""
    rows = table(EVERY, {"kind": "network", "size": "small"}, 300)
    found = fit_labels(rows, rows.sample.features, np.ones(300, dtype=bool))
    bad = msgspec.structs.replace(found.specs[0], head=99)
    with pytest.raises(ArtefactError, match="reads a network that has 6 outputs"):
        LabelSet((bad,), found.network)
    with pytest.raises(ArtefactError, match="mixes kinds"):
        LabelSet((msgspec.structs.replace(found.specs[0], classes=1),), found.network)
