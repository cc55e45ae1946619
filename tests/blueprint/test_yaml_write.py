"""What is written as YAML is read back as the same values, whatever they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abloop.blueprint import from_mapping, load
from abloop.blueprint.yaml_text import parse
from abloop.blueprint.yaml_write import readable, write

TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["no", "on", "1e3", "1.5", "~", "", "null", "true", ".inf", "-", "a: b", "#x", "'", "a\nb\n", "=", "<<"]
    ),
)
LEAVES = st.one_of(TEXTS, st.booleans(), st.none(), st.integers(-(10**18), 10**18), st.floats(allow_nan=False))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)
BLUEPRINTS = sorted((Path(__file__).parents[1] / "blueprints").glob("*.yaml"))


@given(VALUES)
def test_round_trip(value: Any) -> None:
    """Any plain value comes back: texts that look like numbers, hostile texts, nested lists, empty things."""
    assert parse(write({"it": value})).value == {"it": value}


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_blueprints_are_written_shortly(path: Path) -> None:
    """Each common blueprint is written in few lines, and is the same blueprint."""
    blueprint = load(path)
    text = write(readable(blueprint))
    assert from_mapping(parse(text).value) == blueprint
    assert len(text.splitlines()) <= 40
    assert max(map(len, text.splitlines())) <= 250
