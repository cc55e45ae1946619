"""README.md cannot drift: its Python and YAML run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

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
    (tmp_path / "checkout.yaml").write_text(blocks("yaml")[0])
    names: dict[str, object] = {}
    exec(blocks("python")[0], names)
    loop = names["loop"]
    assert names["arm"] in ("blue", "green")
    assert loop.strategy("checkout").errors == 0  # type: ignore[attr-defined]
    dataframe = pd.DataFrame({"customer": range(400), "variant": ["blue", "green"] * 200})
    dataframe["bought"] = np.random.default_rng(0).integers(0, 2, 400)
    dataframe = dataframe.assign(country="FI", visits=1)
    exec(blocks("python")[1], {"loop": loop, "dataframe": dataframe})
    assert abloop.readout(loop, "checkout").rows == 400  # type: ignore[arg-type]
    loop.close()  # type: ignore[attr-defined]


def test_ten_lines_are_enough() -> None:
    """The first example has at most ten lines of code."""
    lines = [line for line in blocks("python")[0].splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= 10


def test_promised_targets_exist() -> None:
    """Every `make` target that README.md names is in the Makefile."""
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    assert [name for name in re.findall(r"make (\w+)", TEXT) if f"\n{name}:" not in makefile] == []
