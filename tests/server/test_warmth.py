"""What pages need is loaded before anybody looks, and only then is a server ready."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from flask import Flask

from server import Config, create_app, warmth

ROOT = Path(__file__).parents[2]
LOADED = """
import sys, threading
from server import create_app
from server.warmth import load
load(create_app("sqlite://"), threading.Event())
print(*sorted({"plotly.graph_objects", "duckdb", "scipy.stats", "pyarrow.parquet"} & set(sys.modules)))
"""


def test_ready_comes_after_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While something is being loaded the server is alive, answers pages, and is not ready; afterwards it is."""
    go_on = threading.Event()

    def slow(app: Flask, ended: threading.Event) -> None:
        go_on.wait(30)

    monkeypatch.setattr(warmth, "load", slow)
    app = create_app(f"sqlite:///{tmp_path}/abloop.db", config=Config())
    browser, loading = app.test_client(), app.extensions["abloop_warmth"]
    assert browser.get("/readyz").status_code == 200  # nobody asked for it
    loading.begin(app)
    assert (browser.get("/readyz").status_code, browser.get("/healthz").status_code) == (503, 200)
    assert browser.get("/login").status_code == 200
    go_on.set()
    loading.end()
    assert browser.get("/readyz").get_json() == {"status": "ready"}
    app.extensions["abloop"].close()


def test_libraries_are_loaded() -> None:
    """What pages import when first asked is there afterwards, and no warning is printed."""
    command = [sys.executable, "-W", "error", "-c", LOADED]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["duckdb", "plotly.graph_objects", "pyarrow.parquet", "scipy.stats"]


def test_loading_ends_when_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that stops while it loads does not begin with the next library."""
    begun, done = threading.Event(), []

    def slow() -> None:
        begun.set()
        ended.wait(30)

    monkeypatch.setattr(warmth, "_draw", slow)
    monkeypatch.setattr(warmth, "_read", lambda: done.append("read"))
    app = create_app(f"sqlite:///{tmp_path}/abloop.db", config=Config())
    loading = app.extensions["abloop_warmth"]
    ended = loading._ended
    loading.begin(app)
    assert begun.wait(30)
    loading.end()
    assert loading.ready
    assert not done
