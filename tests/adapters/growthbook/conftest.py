"""Fixtures of the GrowthBook-shaped face."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from abloop.adapters.growthbook.faults import Faults

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "growthbook"


@pytest.fixture(scope="session")
def cases() -> dict[str, list[list[Any]]]:
    """Return GrowthBook's own cases, by kind."""
    if not VECTORS.is_dir():
        pytest.skip(f"{VECTORS} is absent: GrowthBook's cases are not there")
    found: dict[str, list[list[Any]]] = json.loads((VECTORS / "cases_even.json").read_text())
    return found


@pytest.fixture(autouse=True)
def _next_minute() -> Iterator[None]:
    """Let each test see the first error that it makes in the log."""
    Faults.complained = -math.inf
    yield
    Faults.complained = -math.inf
