"""The commands that predict beyond the two calls: whole files, and files for devices."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from abloop.cli.terminal import Add, Progress, add_url, open_loop, show
from abloop.errors import DataError


def add_predicting(add: Add) -> None:
    """Add the commands."""
    scored = add("score", score, "Predict every row of a Parquet file by what is served; nothing is logged.")
    scored.add_argument("strategy", help="its name")
    scored.add_argument("source", type=Path, help="Parquet file with a column for each key of a context")
    scored.add_argument("target", type=Path, help="Parquet file to write")
    add_url(scored)
    exported = add("export", export, "Write a label's model as an ONNX file, for devices without Python.")
    exported.add_argument("strategy", help="its name")
    exported.add_argument("label", help="its label")
    exported.add_argument("target", type=Path, help="file to write")
    exported.add_argument("--most-bytes", type=int, default=1_000_000, help="its largest size (default: 1000000)")
    add_url(exported)


def score(options: argparse.Namespace) -> int:
    """Predict a file."""
    from abloop.scoring import score as write

    with closing(open_loop(options)) as loop, Progress() as progress:
        rows = write(
            loop,
            options.strategy,
            options.source,
            options.target,
            progress=lambda done, total: progress("score", done, total),
        )
    show(options, {"rows": rows, "target": str(options.target)}, lambda: f"{rows:,} rows are in {options.target}.")
    return 0


def export(options: argparse.Namespace) -> int:
    """Write a file for devices."""
    from abloop.adapters.device import to_onnx

    with closing(open_loop(options)) as loop:
        serving = loop.catalogue.serving(options.strategy)
        if not serving.release:
            raise DataError(f"strategy {options.strategy!r} serves no model yet")
        _, blueprint = loop.catalogue.blueprint(options.strategy, serving.version)
        about = {"strategy": options.strategy, "version": serving.version, "release": serving.release}
        about |= {"formula": blueprint.policy.formula}
        about |= {"weights": {weight.name: weight.value for weight in blueprint.policy.weights}}
        model = loop.catalogue.artefact(serving.release)
        payload = to_onnx(model, options.label, most_bytes=options.most_bytes, about=about)
    options.target.write_bytes(payload)
    data = {"target": str(options.target), "bytes": len(payload)}
    show(options, data, lambda: f"{options.target} has {len(payload):,} bytes.")
    return 0
