"""What the dashboard says when something is wrong, and how it is served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import server
from abloop import offline
from abloop.errors import DataError, StoreError
from abloop.testing import ManualClock
from server import create_app
from tests.loops import TTL, open_loop, send_traffic, two_arms
from tests.server.people import client_of
from tests.server.reading import links, read

ROOT = Path(__file__).parents[2]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of a database that is not there yet."""
    return f"sqlite:///{tmp_path}/abloop.db"


def test_corrupt_database_is_a_readable_page_that_recovers(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged database is one sentence, the log says the rest; once it is repaired the same server shows pages."""
    file = tmp_path / "abloop.db"
    file.write_bytes(b"this is not a database" * 100)
    app = create_app(url)
    browser = app.test_client()
    page = read(browser, "/login", 503)
    for said in ("restore it from a backup", str(tmp_path), "Traceback", ".py"):
        assert said not in page.text
    assert "server's log says why" in page.text
    assert "restore it from a backup" in caplog.text
    file.unlink()
    assert "Nobody can log in yet" in read(browser, "/login").text
    assert "No strategies yet" in read(client_of(app), "/").text


def test_missing_table_file_is_a_readable_page(tmp_path: Path, url: str) -> None:
    """A training table that is gone is named, with what to do; the list still works."""
    clock = ManualClock()
    loop = open_loop(tmp_path, clock)
    loop.register(two_arms())
    send_traffic(loop, "checkout", 10, np.random.default_rng(0))
    clock.advance(TTL + 1)
    offline.cycle(loop, "checkout")
    loop.close()
    for file in (tmp_path / "abloop.files" / "tables").iterdir():
        file.unlink()
    browser = client_of(create_app(url))
    assert "Restore it from a backup" in read(browser, "/strategies/checkout", 503).text
    assert links(read(browser, "/")) == ["/strategies/checkout"]


def test_unforeseen_error_tells_nothing_of_itself(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error nobody thought of is a page without its text, which may hold a secret."""

    def fail(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr("server.dashboard.strategies.moment", fail)
    answer = client_of(create_app(url)).get("/")
    assert answer.status_code == 500
    assert "Something broke" in answer.text
    assert "hunter2" not in answer.text


def test_secrets_of_the_address_stay_secret() -> None:
    """Neither password nor options of the database's URL stand on a page."""
    app = create_app("postgresql+nodriver://me:hunter2@db/shop?sslpassword=hunter3")
    assert app.extensions["abloop"].url == "postgresql+nodriver://me:***@db/shop"
    answer = app.test_client().get("/login")
    assert answer.status_code == 503
    for said in ("hunter2", "hunter3", "shop"):
        assert said not in answer.text


def test_healthz_asks_no_database(url: str, tmp_path: Path) -> None:
    """The health check answers though the database is damaged."""
    (tmp_path / "abloop.db").write_bytes(b"this is not a database" * 100)
    assert create_app(url).test_client().get("/healthz").get_json() == {"status": "ok"}


def test_run_refuses_at_once(url: str, tmp_path: Path) -> None:
    """A database or an address that cannot be used is refused before anything is served, in one sentence."""
    with pytest.raises(DataError, match="abloop serve --port"):
        server.run(url, None, "203.0.113.7", 8765)
    (tmp_path / "abloop.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match="restore it from a backup"):
        server.run(url, None, "127.0.0.1", 0)
