"""What pages need and no decision does: libraries of figures and tables, templates. Loaded once, before anybody looks.

Loading takes seconds where the disk is cold; without this, whoever looks at a strategy first would wait for it.
"""

from __future__ import annotations

import logging
import threading
import time

from flask import Flask

log = logging.getLogger("abloop")


class Warmth:
    """Whether one process has loaded what its pages need.

    Example:
        >>> Warmth().ready  # nobody asked it to load anything, so nobody has to wait
        True
    """

    def __init__(self) -> None:
        """Load nothing."""
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    @property
    def ready(self) -> bool:
        """Whether nothing is being loaded."""
        return self._thread is None or not self._thread.is_alive()

    def begin(self, app: Flask) -> None:
        """Begin to load in a thread of its own.

        Args:
            app: Whose templates are loaded.
        """
        self._thread = threading.Thread(target=load, args=(app, self._ended), name="abloop-warmth", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop loading, once what is being loaded is there: native code in mid-load would crash a process that ends."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()


def load(app: Flask, ended: threading.Event) -> None:
    """Load libraries and templates, and use each once: much of them is loaded when it is first used.

    Args:
        app: Whose templates are loaded.
        ended: Set where the rest is not wanted any more.
    """
    started = time.perf_counter()
    for step in (_draw, _read, lambda: _compile(app)):
        if ended.is_set():
            return
        try:
            step()
        except ModuleNotFoundError as error:  # the page that needs it says so, in its own words
            log.warning("pages cannot show everything: package %r is not installed", error.name)
    log.info("what pages need was loaded in %.1f s", time.perf_counter() - started)


def _compile(app: Flask) -> None:
    """Compile the templates."""
    for name in app.jinja_env.list_templates(extensions=["html"]):
        app.jinja_env.get_template(name)


def _draw() -> None:
    """Draw a figure like those of the pages."""
    import plotly.graph_objects as go

    error = {"type": "data", "symmetric": False, "array": [1], "arrayminus": [1]}
    dots = go.Scatter(x=["a"], y=[0], error_x=error, error_y=error, marker={"color": "#000000", "size": 9})
    figure = go.Figure([dots, go.Bar(x=["a"], y=[1], name="a", marker_color="#000000")])
    figure.update_layout(title="a", template="plotly_white", xaxis_title="a", yaxis_title="a", legend_title="a")
    figure.update_xaxes(type="category", tickformat=".1%")
    figure.add_hline(y=0, line_color="#000000", line_dash="dot")
    figure.add_vline(x=0, line_color="#000000", line_dash="dot")
    figure.to_json()


def _read() -> None:
    """Ask a table, and use what tests are made of."""
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet
    import scipy.stats

    table = pa.table({"n": [1.0, 2.0], "a": ["a", "b"]})
    sink = pa.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    with duckdb.connect() as connection:
        connection.register("rows", table)
        connection.execute("SELECT a, count(*), avg(n), var_samp(n) FROM rows GROUP BY a").fetchall()
    scipy.stats.norm.ppf(0.975), scipy.stats.t.ppf(0.975, 9), scipy.stats.chi2.sf(1.0, 1)
