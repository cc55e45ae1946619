"""Benchmarks: abloop beside a named peer and a limit, in one run. Results are ratios, never bare times.

`python -m benchmarks [NAME ...] [--json] [--quick]`. Each benchmark is a module here whose `measure(quick)`
returns plain data; a new one is added to `NAMES`.
"""

from __future__ import annotations

from typing import Final

NAMES: Final = ("assign", "features", "hte", "policy", "predict", "rank", "readout", "serve", "store", "tune")
