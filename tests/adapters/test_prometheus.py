"""Prometheus metrics: what the database says, what the process lost, and no error page for a scrape."""

from __future__ import annotations

import json
import socket
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from abloop import offline
from abloop.adapters.prometheus import LoopCollector, StoreCollector, exposition, serve
from abloop.errors import DataError
from abloop.loop import Loop
from abloop.store.status import read_status
from abloop.testing import ManualClock
from abloop.worker import Worker
from server import create_app
from tests.loops import TTL, open_loop, two_arms
from tests.server.people import bearer


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    """Return an installation with three decisions, of which two are observed and one is joined late."""
    clock = ManualClock()
    opened = open_loop(tmp_path, clock)
    opened.register(two_arms())
    strategy = opened.strategy("checkout")
    for index in range(3):
        strategy.get_decision(f"d{index}", {"user_id": "u", "x": 1.0})
    strategy.log_observations("d0", {"bought": 1.0})
    strategy.log_observations("nobody", {"bought": 1.0})
    offline.ship_spool(opened)
    clock.advance(TTL + 60)
    return opened


def samples(text: str) -> dict[str, float]:
    """Return what a Prometheus server would keep of a scrape."""
    return {
        sample.name + json.dumps(sample.labels, sort_keys=True): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_numbers_are_those_of_the_status(loop: Loop) -> None:
    """Counters, gauges and fates are what `abloop store status` says."""
    found = samples(exposition(loop).decode())
    (custody,) = read_status(loop).strategies
    mine = '{"strategy": "checkout"}'
    assert found["abloop_up{}"] == 1
    assert found[f"abloop_decisions_total{mine}"] == custody.decisions == 3
    assert found[f"abloop_observations_total{mine}"] == custody.observations == 2
    assert found[f"abloop_waiting{mine}"] == custody.waiting == 3
    assert found[f"abloop_lag_seconds{mine}"] == pytest.approx(60)
    assert found[f"abloop_oldest_seconds{mine}"] == pytest.approx(TTL + 60)
    for fate, number in custody.fates.items():
        assert found["abloop_fates" + json.dumps({"fate": fate, "strategy": "checkout"})] == number
    assert sum(number for name, number in found.items() if name.startswith("abloop_fates")) == 2
    loop.close()


def test_a_database_that_is_away_is_a_metric(loop: Loop, tmp_path: Path) -> None:
    """A scrape of a broken database says so with one metric, and no error."""
    loop.close()
    (tmp_path / "abloop.db").write_bytes(b"this is not a database" * 100)
    registry = CollectorRegistry()
    registry.register(StoreCollector(loop))
    assert registry.get_sample_value("abloop_up") == 0
    assert registry.get_sample_value("abloop_lost_total") is None


def test_a_process_tells_its_own_errors(loop: Loop) -> None:
    """Calls answered with the default, and records that could not be written, are counted by strategy."""
    loop.strategy("checkout").get_decision("d9", {"user_id": object()})
    registry = CollectorRegistry()
    registry.register(LoopCollector(loop))
    assert registry.get_sample_value("abloop_errors_total", {"strategy": "checkout"}) == 1
    assert registry.get_sample_value("abloop_spool_lost_total") == 0
    assert registry.get_sample_value("abloop_stale") == 0
    loop.close()


def test_a_worker_serves_its_metrics(loop: Loop) -> None:
    """The worker's port answers a scrape; a port that is taken is refused by number."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    worker = Worker(loop)
    worker.turn()
    stop = serve(loop, worker, port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        found = samples(answer.read().decode())
    assert found["abloop_worker_turns_total{}"] == 1
    assert found['abloop_rows_total{"strategy": "checkout"}'] == 3
    with pytest.raises(DataError, match=f"port {port}: .*--metrics-port"):
        serve(loop, worker, port)
    stop()
    loop.close()


def test_the_dashboard_answers_a_scrape(loop: Loop, tmp_path: Path) -> None:
    """`/metrics` of the server is the same text, with Prometheus's content type, for a token that may read."""
    loop.close()
    app = create_app(f"sqlite:///{tmp_path}/abloop.db")
    assert app.test_client().get("/metrics", headers={"Accept": "text/plain"}).status_code in (302, 401)
    answer = app.test_client().get("/metrics", headers=bearer(app, "read"))
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    assert samples(answer.text)['abloop_decisions_total{"strategy": "checkout"}'] == 3
