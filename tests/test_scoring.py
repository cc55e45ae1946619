"""Whole files, and files for devices: bit for bit what decisions predict, or to single precision."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import abloop
from abloop import offline
from abloop.adapters.device import to_onnx
from abloop.blueprint import from_mapping
from abloop.cli import main
from abloop.errors import DataError
from abloop.features.encode import Encoder
from abloop.loop import Loop
from abloop.models.artefact import Artefact
from abloop.models.labels import LabelSet, LabelSpec
from abloop.models.network import NetworkSpec
from abloop.testing import ManualClock
from abloop.train.labels import fit_labels
from tests.loops import open_loop
from tests.train.test_labels import table

BLUEPRINT = {
    "strategy": "value",
    "space": {"type": "number"},
    "metrics": [{"name": "spend"}, {"name": "bought"}, {"name": "next"}],
    "features": [
        {"name": "basket"},
        {"name": "source", "type": "categorical"},
        {"name": "log_basket", "transform": "log", "of": ["basket"]},
    ],
    "labels": [{"name": "spend"}, {"name": "bought"}, {"name": "next", "task": "multiclass", "classes": 3}],
    "policy": {"formula": "spend * bought + next_1"},
    "lifecycle": {"ttl": "1h"},
    "experiment": {"explore": 0.01},
}


def context(rng: np.random.Generator, unit: str) -> dict[str, object]:
    """Return a context, its basket missing now and then."""
    basket = None if rng.random() < 0.1 else float(rng.uniform(1, 100))
    return {"user_id": unit, "basket": basket, "source": str(rng.choice(["ad", "search", "mail"]))}


def learned(directory: Path) -> Loop:
    """Return an installation that serves three labels."""
    clock, rng = ManualClock(), np.random.default_rng(0)
    loop = open_loop(directory, clock)
    loop.register(BLUEPRINT)
    for number in range(900):
        given = context(rng, f"u{number}")
        worth = (given["basket"] or 30.0) * (2 if given["source"] == "search" else 1)  # type: ignore[operator]
        loop.strategy("value").get_decision(f"d{number}", given)
        seen = {
            "spend": worth + rng.normal(),
            "bought": rng.random() < worth / 200,
            "next": float(worth > 40) + (worth > 90),
        }
        loop.strategy("value").log_observations(f"d{number}", seen)
    clock.advance(7_200)
    assert offline.cycle(loop, "value", always_valid=False).serving.phase == "personalise"
    loop.refresh()
    return loop


def test_files_are_scored_as_decisions_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every row of a file has the bits of its decision, and the file is there whole or not at all."""
    loop, rng = learned(tmp_path), np.random.default_rng(1)
    rows = [context(rng, f"n{number}") for number in range(200)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    loop.close()
    url = f"sqlite:///{tmp_path}/abloop.db"
    arguments = ["score", "value", str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet"), "--url", url, "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 200
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.column_names == [
        "user_id",
        "label.spend",
        "label.bought",
        "label.next_0",
        "label.next_1",
        "label.next_2",
    ]
    loop = open_loop(tmp_path)
    for number, row in enumerate(rows):
        loop.strategy("value").get_decision(f"n{number}", row)
    for number, scored in enumerate(found.to_pylist()):
        record = abloop.explain(loop, f"n{number}").decision
        assert record.predictions == tuple(list(scored.values())[1:])
    loop.close()
    assert main(["score", "value", str(tmp_path / "abloop.db"), str(tmp_path / "x"), "--url", url]) == 1
    assert "cannot be read as Parquet" in capsys.readouterr().err
    pq.write_table(pa.table({"basket": [1.0]}), tmp_path / "no.parquet")
    assert main(["score", "value", str(tmp_path / "no.parquet"), str(tmp_path / "x"), "--url", url]) == 1
    assert "no column 'user_id'" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_devices_predict_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Onnxruntime reads the file and predicts what serves, to single precision, missing values included."""
    loop, rng = learned(tmp_path), np.random.default_rng(2)
    artefact = loop.catalogue.artefact(loop.catalogue.serving("value").release)
    loop.close()
    encoder, labels = Encoder(artefact.columns), LabelSet(artefact.labels)
    inputs = np.column_stack([rng.uniform(0, 100, 300), rng.integers(0, 3, 300), rng.uniform(0, 5, 300)])
    inputs = inputs.astype(np.float32).astype(np.float64)
    inputs[rng.random(inputs.shape) < 0.2] = np.nan
    assert encoder.width == 3
    expected = labels.frame(inputs)
    for label, width in (("spend", 1), ("bought", 1), ("next", 3)):
        session = onnxruntime.InferenceSession(to_onnx(artefact, label))
        (got,) = session.run(None, {"inputs": inputs.astype(np.float32)})
        names = [label] if width == 1 else [f"{label}_{number}" for number in range(width)]
        want = np.column_stack([expected[name] for name in names])
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)
    url, file = f"sqlite:///{tmp_path}/abloop.db", tmp_path / "spend.onnx"
    assert main(["export", "value", "spend", str(file), "--url", url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == file.stat().st_size < 200_000
    assert main(["export", "value", "spend", str(file), "--url", url, "--most-bytes", "100"]) == 1
    assert "allowed: 100. Use `model.size: small`" in capsys.readouterr().err
    with pytest.raises(DataError, match="label"):
        to_onnx(artefact, "spent")


@pytest.mark.parametrize("kind", ["trees", "linear", "network"])
def test_every_kind_fits_a_device(kind: str) -> None:
    """A file of trees, lines or a network predicts what serves, unseen and missing inputs too, and says its columns."""
    labels = [{"name": "opened"}, {"name": "spend"}, {"name": "next", "task": "multiclass", "classes": 3}]
    rows = table(labels, {"kind": kind, "size": "small"}, 500)
    found = fit_labels(rows, rows.sample.features, np.ones(500, dtype=bool))
    made = Artefact(1, "labels", (), rows.encoder.columns, None, 500, found.specs, network=found.network)
    inputs = rows.sample.features[:60].astype(np.float32).astype(np.float64)
    inputs[:9, 0], inputs[9:20, 1], inputs[20:25, 1] = np.nan, np.nan, 7.0
    expected = LabelSet(found.specs, found.network).frame(inputs)
    for label, names in (("opened", ["opened"]), ("spend", ["spend"]), ("next", ["next_0", "next_1", "next_2"])):
        session = onnxruntime.InferenceSession(to_onnx(made, label, about={"formula": "spend"}))
        (got,) = session.run(None, {"inputs": inputs.astype(np.float32)})
        np.testing.assert_allclose(got, np.column_stack([expected[name] for name in names]), rtol=2e-4, atol=2e-4)
        said = json.loads(session.get_modelmeta().custom_metadata_map["abloop"])
        colour = {
            "name": "colour",
            "type": "categorical",
            "levels": ["red", "green", "blue"],
            "numbers": [],
            "width": 1,
        }
        assert said["columns"][1] == colour
        assert (said["label"], said["formula"]) == (label, "spend")


@pytest.mark.parametrize("kind", ["trees", "linear", "network"])
def test_a_label_by_arm_has_an_output_for_each(kind: str) -> None:
    """A device has what serves: a prediction of each arm, which is told to nobody."""
    rows = table([{"name": "opened", "by_arm": True}], {"kind": kind, "size": "small"}, 500)
    found = fit_labels(rows, rows.sample.features, np.ones(500, dtype=bool))
    made = Artefact(1, "labels", ("a", "b"), rows.encoder.columns, None, 500, found.specs, network=found.network)
    inputs = rows.sample.features[:60].astype(np.float32).astype(np.float64)
    expected = LabelSet(found.specs, found.network).frame(inputs)["opened"]
    assert np.abs(expected[:, 0] - expected[:, 1]).max() > 0.1
    (got,) = onnxruntime.InferenceSession(to_onnx(made, "opened")).run(None, {"inputs": inputs.astype(np.float32)})
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("kind", ["trees", "linear"])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_label_that_knows_positions_is_told_the_first(kind: str, task: str) -> None:
    """A device predicts what serves does: as if every candidate were on top."""
    rows = table([{"name": "opened", "task": task}], {"kind": kind}, 500)
    ordering = {"space": {"type": "ordering"}, "labels": [{"name": "opened", "task": task, "position": True}]}
    ordering |= {"metrics": [{"name": "opened"}], "policy": {"formula": "x"}, "features": [{"name": "x"}]}
    blueprint = from_mapping({"strategy": "s", "model": {"kind": kind}, **ordering})
    rows = replace(rows, blueprint=blueprint, positions=np.arange(500.0) % 7)
    found = fit_labels(rows, rows.sample.features, np.ones(500, dtype=bool))
    made = Artefact(1, "labels", (), rows.encoder.columns, None, 500, found.specs)
    inputs = rows.sample.features[:60].astype(np.float32).astype(np.float64)
    (got,) = onnxruntime.InferenceSession(to_onnx(made, "opened")).run(None, {"inputs": inputs.astype(np.float32)})
    np.testing.assert_allclose(got[:, 0], LabelSet(found.specs).frame(inputs)["opened"], rtol=2e-4, atol=2e-4)


def test_a_squashed_network_is_the_same_everywhere() -> None:
    """Numbers of whatever tail: one row has the bits of a frame, and a device what serves."""
    rows = table([{"name": "opened"}], {"kind": "network", "size": "small"}, 300)
    rows.sample.features[:, 0] = np.exp(4 * rows.sample.features[:, 0])
    rows = replace(rows, options={"network": {"squash": True, "dropout": 0.2}})
    found = fit_labels(rows, rows.sample.features, np.ones(300, dtype=bool))
    assert found.network is not None
    assert found.network.squash
    inputs = rows.sample.features[:60].astype(np.float32).astype(np.float64)
    inputs[0, 0], inputs[1, 0], inputs[2, 0] = np.inf, -np.inf, np.nan
    reader = LabelSet(found.specs, found.network)
    expected = reader.frame(inputs)["opened"]
    assert [reader.row(row)[0] for row in inputs.tolist()] == expected.tolist()
    made = Artefact(1, "labels", (), rows.encoder.columns, None, 300, found.specs, network=found.network)
    (got,) = onnxruntime.InferenceSession(to_onnx(made, "opened")).run(None, {"inputs": inputs.astype(np.float32)})
    np.testing.assert_allclose(got[:, 0], expected, rtol=2e-4, atol=2e-4)


def test_what_no_device_file_holds_is_refused() -> None:
    """A network of sequences is refused, with what to do."""
    network = NetworkSpec((3, 3), 1, 1, b"", ((0, 1),))
    made = Artefact(1, "labels", (), (), None, 300, (LabelSpec("opened", "logistic", (), 2, head=0),), network=network)
    with pytest.raises(DataError, match=r"train it without `model\.sequences`"):
        to_onnx(made, "opened")
