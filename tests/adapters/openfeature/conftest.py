"""Fixtures of the provider's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from openfeature import api

from abloop.loop import Loop
from tests.adapters.openfeature.providers import shut_down
from tests.loops import open_loop


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    """Return an installation; after the test, no provider is left in the SDK, whose API is one for the process."""
    loop = open_loop(tmp_path)
    yield loop
    shut_down()
    api.shutdown()
    loop.close()
