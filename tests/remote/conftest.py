"""Patience for a busy machine."""

from __future__ import annotations

import pytest

from abloop.remote import loop


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first start of a client wait for the server of the test, however busy the machine is."""
    monkeypatch.setattr(loop, "FIRST_SECONDS", 30.0)
