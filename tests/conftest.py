"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure; where a change is judged, the same examples are drawn each time.
settings.register_profile("abloop", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("abloop")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers of a test run share the cores already
SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real trials beside the project; skip by name where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: the real trials are not there")
    return folder
