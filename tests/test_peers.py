"""Peers that cannot be had are skipped by name, and never silently where a change is judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import peers


def test_a_peer_that_cannot_be_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pins that no index has skip the test with the peer's name; where peers are required, they fail it."""
    pins = tmp_path / "constraints-peers"
    pins.mkdir()
    (pins / "nobody.txt").write_text("nobody @ file:///nowhere/nobody-1.0-py3-none-any.whl\n")
    monkeypatch.setattr(peers, "ROOT", tmp_path)
    monkeypatch.setattr(peers, "PLACE", tmp_path / "venvs")
    monkeypatch.delenv(peers.REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="nobody cannot be installed"):
        peers.environment("nobody")
    monkeypatch.setenv(peers.REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="ABLOOP_REQUIRE_PEERS=1 asks for it"):
        peers.environment("nobody")


def test_ci_requires_peers() -> None:
    """What judges a change asks for the peers."""
    assert "ABLOOP_REQUIRE_PEERS=1" in (Path(__file__).parents[1] / ".ci" / "run").read_text()
