"""Proxy tasks of every kind, on arrays whose truth is known: what is fitted is what serves, and it predicts."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from abloop.blueprint import from_mapping
from abloop.evaluate.tasks import figures
from abloop.features.encode import Encoder
from abloop.learners.base import Sample
from abloop.models.artefact import Artefact, pack, unpack
from abloop.models.labels import LabelSet
from abloop.records import Column
from abloop.train.labels import Labels, fit_labels, label_losses
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
    losses = label_losses(rows, ("opened", "spend", "seconds", "next"))
    for name, (model, none) in losses.items():
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


def test_a_search_never_looks_at_what_judges() -> None:
    """A search ends with its budget; late rows change nothing in what it finds, and early ones judge nothing after."""
    rows = table([{"name": "spend"}], {"budget": 5.0})
    found = search(rows, iter(range(100)).__next__)
    assert dict(found.options).keys() == {"learning_rate", "num_leaves", "min_data_in_leaf", "lambda_l2", "rounds"}
    late = rows.time >= 0.6 * ROWS
    rows.metrics["spend"][late] = -1e9
    assert search(rows, iter(range(100)).__next__).options == found.options
    losses, _ = label_losses(found, ("spend",))["spend"]
    assert np.isnan(losses[~late]).all()


def test_mixed_specs_are_refused() -> None:
    """A label model that is of two kinds at once, or reads beyond its network, is no model."""
    from abloop.errors import ArtefactError

    rows = table(EVERY, {"kind": "network", "size": "small"}, 300)
    found = fit_labels(rows, rows.sample.features, np.ones(300, dtype=bool))
    bad = msgspec.structs.replace(found.specs[0], head=99)
    with pytest.raises(ArtefactError, match="reads a network that has 6 outputs"):
        LabelSet((bad,), found.network)
    with pytest.raises(ArtefactError, match="mixes kinds"):
        LabelSet((msgspec.structs.replace(found.specs[0], classes=1),), found.network)
