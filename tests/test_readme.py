"""README.md cannot drift: its Python and YAML run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import abloop

TEXT = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_first_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader types first works, with the blueprint beside it, and its arm is one of the blueprint's."""
    monkeypatch.chdir(tmp_path)
    first, ranking, history = blocks("python")
    checkout, feed, _ = blocks("yaml")
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


def test_features_load(tmp_path: Path) -> None:
    """The groups and features that README.md shows are a part of a blueprint as they stand."""
    head = "strategy: page\narms: [{name: a}, {name: b}]\nmetrics: [{name: clicked}]\n"
    (tmp_path / "page.yaml").write_text(head + blocks("yaml")[2])
    assert len(abloop.load(tmp_path / "page.yaml").features) == 6


def test_ten_lines_are_enough() -> None:
    """The first example has at most ten lines of code."""
    lines = [line for line in blocks("python")[0].splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= 10


def test_promised_targets_exist() -> None:
    """Every `make` target that README.md names is in the Makefile."""
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    assert [name for name in re.findall(r"make (\w+)", TEXT) if f"\n{name}:" not in makefile] == []
