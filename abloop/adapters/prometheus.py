"""Prometheus metrics of an installation, of a worker and of a product's process.

from prometheus_client import REGISTRY

REGISTRY.register(StoreCollector(loop))  # where all records are; read from the database at each scrape
REGISTRY.register(LoopCollector(loop))  # what this process could not answer or write
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from abloop.errors import AbloopError, DataError, MissingExtraError
from abloop.store.status import Custody, read_status
from abloop.store.workspace import Workspace

try:
    from prometheus_client import CollectorRegistry, generate_latest, start_http_server
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    if str(error.name).partition(".")[0] != "prometheus_client":
        raise
    raise MissingExtraError("metrics need the package prometheus-client: pip install 'abloop[metrics]'") from error

if TYPE_CHECKING:
    from abloop.loop import Loop
    from abloop.worker import Worker

log = logging.getLogger("abloop")


class StoreCollector(Collector):
    """Where all records of an installation are.

    Args:
        workspace: What `abloop.connect` gave.
    """

    def __init__(self, workspace: Workspace) -> None:
        """Keep it."""
        self._workspace = workspace

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; only `abloop_up` 0 where the database does not answer."""
        try:
            status = read_status(self._workspace)
        except AbloopError as error:
            log.warning("abloop's metrics are missing: %s", error)
            yield GaugeMetricFamily("abloop_up", "Whether the database answers.", value=0)
            return
        yield GaugeMetricFamily("abloop_up", "Whether the database answers.", value=1)
        yield CounterMetricFamily("abloop_lost", "Records that processes could not write.", value=status.lost)
        yield CounterMetricFamily("abloop_torn_bytes", "Bytes that were no whole record.", value=status.torn)
        yield GaugeMetricFamily("abloop_spool_bytes", "Bytes in the spool.", value=status.spool_bytes)
        yield GaugeMetricFamily("abloop_spool_segments", "Segments in the spool.", value=status.segments)
        yield from _custody_metrics(status.strategies, status.at)


def _custody_metrics(custodies: list[Custody], now: float) -> Iterator[Metric]:
    """Yield the metrics of each strategy."""
    counters: dict[str, CounterMetricFamily] = {
        "decisions": CounterMetricFamily("abloop_decisions", "Decisions received.", labels=["strategy"]),
        "rows": CounterMetricFamily("abloop_rows", "Decisions joined.", labels=["strategy"]),
        "observations": CounterMetricFamily("abloop_observations", "Observations received.", labels=["strategy"]),
    }
    gauges: dict[str, GaugeMetricFamily] = {
        "waiting": GaugeMetricFamily("abloop_waiting", "Decisions that wait to be joined.", labels=["strategy"]),
        "lag": GaugeMetricFamily("abloop_lag_seconds", "Seconds behind the TTL.", labels=["strategy"]),
        "dead": GaugeMetricFamily("abloop_dead_letters", "Dead letters there are.", labels=["strategy"]),
        "files": GaugeMetricFamily("abloop_table_files", "Files of the training table.", labels=["strategy"]),
        "table_rows": GaugeMetricFamily("abloop_table_rows", "Rows of the training table.", labels=["strategy"]),
    }
    fates = GaugeMetricFamily("abloop_fates", "Observations by what became of them.", labels=["strategy", "fate"])
    oldest = GaugeMetricFamily("abloop_oldest_seconds", "Age of the oldest waiting decision.", labels=["strategy"])
    for custody in custodies:
        for name, counter in counters.items():
            counter.add_metric([custody.strategy], getattr(custody, name))
        for name, gauge in gauges.items():
            gauge.add_metric([custody.strategy], getattr(custody, name))
        for fate, number in custody.fates.items():
            fates.add_metric([custody.strategy, fate], number)
        oldest.add_metric([custody.strategy], 0.0 if custody.oldest is None else now - custody.oldest)
    yield from (*counters.values(), *gauges.values(), fates, oldest)


class LoopCollector(Collector):
    """What a product's process could not answer or write.

    Args:
        loop: What `abloop.connect` gave.
    """

    def __init__(self, loop: Loop) -> None:
        """Keep it."""
        self._loop = loop

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        errors = CounterMetricFamily("abloop_errors", "Calls answered with the default.", labels=["strategy"])
        for name, strategy in self._loop.handles.items():
            errors.add_metric([name], strategy.errors)
        yield errors
        yield CounterMetricFamily(
            "abloop_spool_lost", "Records that could not be written.", value=self._loop.spool.lost
        )
        yield GaugeMetricFamily("abloop_stale", "Whether what is served may be old.", value=int(self._loop.stale))


class WorkerCollector(Collector):
    """How a worker does.

    Args:
        worker: It.
    """

    def __init__(self, worker: Worker) -> None:
        """Keep it."""
        self._worker = worker

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield CounterMetricFamily("abloop_worker_turns", "Turns of the cold path.", value=self._worker.turns)
        yield CounterMetricFamily("abloop_worker_errors", "Steps that failed.", value=self._worker.errors)


def exposition(workspace: Workspace) -> bytes:
    """Return the metrics of an installation in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(StoreCollector(workspace))
    return generate_latest(registry)


def serve(workspace: Workspace, worker: Worker, port: int) -> Callable[[], None]:
    """Serve the metrics of an installation and its worker, in a background thread.

    Args:
        workspace: What `abloop.connect` gave.
        worker: The worker.
        port: Where, on every address of this machine.

    Returns:
        What stops it.

    Raises:
        DataError: The port is taken.
    """
    registry = CollectorRegistry()
    registry.register(StoreCollector(workspace))
    registry.register(WorkerCollector(worker))
    try:
        server, thread = start_http_server(port, registry=registry)
    except OSError as error:
        raise DataError(f"port {port}: {error.strerror}. Name another: --metrics-port") from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
