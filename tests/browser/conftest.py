"""A server on a real port, a real browser, and whoever sits before it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from abloop.store.people import People
from server import Config, create_app
from server.source import Source
from tests.browser.chromium import open_browser
from tests.browser.visitor import Site, Visitor


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a browser; skip by name where none is installed."""
    driver = open_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    """Return a running server on an empty database, of SQLite and of Postgres."""
    yield from serve(database_url, tmp_path / "files")


@pytest.fixture
def small_site(tmp_path: Path) -> Iterator[Site]:
    """Return a running server on an empty database of SQLite."""
    yield from serve(f"sqlite:///{tmp_path}/abloop.db", tmp_path / "files")


def serve(url: str, directory: Path) -> Iterator[Site]:
    """Run a server until the test ends."""
    app = create_app(url, directory, Config(rate="", login_rate=""))
    source: Source = app.extensions["abloop"]
    password = People(source.workspace().database).begin(at=time.time())
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Site(f"http://127.0.0.1:{server.server_port}", url, directory, source.workspace(), password or "")
    server.shutdown()
    thread.join()
    server.server_close()
    source.close()


@pytest.fixture
def visitor(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """Return somebody before a browser that nobody was logged in with; afterwards its console must be empty."""
    name = request.node.name.replace("[", "-").replace("]", "")
    chromium.get("about:blank")
    chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})
    someone = Visitor(chromium, name)
    someone.complaints()
    yield someone
    someone.snapshot("last")
    assert someone.complaints() == []
