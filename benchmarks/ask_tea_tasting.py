"""Runs in tea-tasting's own environment: reads the name of a backend from a line, analyses, answers with a line."""

import sys
from collections.abc import Callable
from typing import Any

METRICS = tuple(f"m{place}" for place in range(5))


def backends(path: str) -> dict[str, Callable[[], Any]]:
    """Return the analysis on each backend."""
    import ibis
    import polars as pl
    import pyarrow.parquet as pq
    import tea_tasting as tt

    experiment = tt.Experiment({name: tt.Mean(name, "before") for name in METRICS}, variant="arm")
    connection = ibis.duckdb.connect()
    return {
        "duckdb": lambda: experiment.analyze(connection.read_parquet(path)),
        "polars": lambda: experiment.analyze(pl.scan_parquet(path)),
        "pandas": lambda: experiment.analyze(pq.read_table(path).to_pandas()),
    }


if __name__ == "__main__":
    known = backends(sys.argv[1])
    sys.stdout.write(" ".join(known) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        known[line.strip()]()
        sys.stdout.write("done\n")
        sys.stdout.flush()
