"""The command that turns another product's experiments into blueprints."""

from __future__ import annotations

import argparse
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from abloop.cli.terminal import Add, add_url, open_loop, show
from abloop.errors import BlueprintError, DataError

MOST_BYTES = 50_000_000


def add_importing(add: Add) -> None:
    """Add the command."""
    taken = add("import", import_payload, "Turn another product's experiments into blueprints; units keep their arms.")
    taken.add_argument("product", choices=["growthbook"], help="whose payload it is")
    taken.add_argument("file", type=Path, help="its JSON payload, with `features`")
    taken.add_argument("--metric", action="append", default=[], help="a metric that you will log; once or more")
    taken.add_argument(
        "--feature", action="append", default=[], help="an attribute to learn from, e.g. visits or country:categorical"
    )
    taken.add_argument("--out", type=Path, default=None, help="write JSON blueprints to this folder, register nothing")
    taken.add_argument("--why", default="", help="why")
    add_url(taken)


def import_payload(options: argparse.Namespace) -> int:
    """Register the experiments of a payload, or write them to files."""
    from abloop.adapters.growthbook.payload import blueprints

    if not options.metric:
        raise DataError("--metric is missing; name what you will log and want to raise, e.g. --metric purchase")
    features = [_feature(text) for text in options.feature]
    found = blueprints(_read(options.file), metrics=options.metric, features=features)
    done: list[dict[str, Any]] = []
    skipped = list(found.skipped)
    if options.out is not None:
        done = [_write(options.out, blueprint) for blueprint in found.blueprints]
    else:
        with closing(open_loop(options)) as loop:
            for blueprint in found.blueprints:
                try:
                    version = loop.register(blueprint, why=options.why or f"Imported from {options.file.name}.")
                except BlueprintError as error:
                    skipped.append(f"experiment {blueprint.strategy!r}: {error}")
                    continue
                done.append({"strategy": blueprint.strategy, "version": version})
    show(options, {"imported": done, "skipped": skipped}, lambda: _text(done, skipped))
    return 0 if done or not skipped else 1


def _feature(text: str) -> dict[str, str]:
    name, _, kind = text.partition(":")
    return {"name": name, "type": kind} if kind else {"name": name}


def _read(path: Path) -> Any:
    """Return a JSON file's value.

    Raises:
        DataError: It cannot be read, or is no JSON.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: more than {MOST_BYTES:,} bytes; allowed: a payload of features")
        return msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}. Name a JSON file") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON: {error}") from error


def _write(folder: Path, blueprint: Any) -> dict[str, Any]:
    from abloop.blueprint import to_json

    path = folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', blueprint.strategy)}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(to_json(blueprint).encode(), indent=2) + b"\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}. Name a folder of yours") from error
    return {"strategy": blueprint.strategy, "file": str(path)}


def _text(done: list[dict[str, Any]], skipped: list[str]) -> str:
    lines = [
        f"{item['strategy']}: {item['file']}"
        if "file" in item
        else f"{item['strategy']} serves version {item['version']}."
        for item in done
    ]
    lines += [f"! {sentence}" for sentence in skipped]
    return "\n".join(lines) or "The payload holds no experiments."
