"""abloop: from an A/B test to a personalised product, in one loop.

    import abloop

    loop = abloop.connect("sqlite:///abloop.db")
    loop.register(abloop.load("checkout.yaml"))
    checkout = loop.strategy("checkout")

    arm = checkout.get_decision(decision_id, {"user_id": "u1", "country": "FI"})
    checkout.log_observations(decision_id, {"purchase": 1})

Product code needs no more. The cold path is `from abloop import offline`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from abloop.blueprint import Arm, Blueprint, Experiment, Lifecycle, Metric, Model, load
from abloop.errors import (
    AbloopError,
    ArtefactError,
    BlueprintError,
    DataError,
    MissingExtraError,
    StoreError,
    UnknownNameError,
)
from abloop.features.spec import Feature
from abloop.ids import new_decision_id
from abloop.readout import readout

if TYPE_CHECKING:
    from abloop.loop import Loop

__version__ = "0.1.0"
__all__ = [
    "AbloopError",
    "Arm",
    "ArtefactError",
    "Blueprint",
    "BlueprintError",
    "DataError",
    "Experiment",
    "Feature",
    "Lifecycle",
    "Metric",
    "MissingExtraError",
    "Model",
    "StoreError",
    "UnknownNameError",
    "connect",
    "load",
    "new_decision_id",
    "readout",
]


def connect(
    url: str = "sqlite:///abloop.db",
    directory: str | Path | None = None,
    *,
    clock: Callable[[], float] = time.time,
) -> Loop:
    """Open an installation; SQLite files and tables are made if they are not there.

    Args:
        url: SQLAlchemy URL: `sqlite:///file.db` or `postgresql+psycopg://user:password@host/name`.
        directory: Where spool and training tables go; beside an SQLite file by default.
        clock: Gives seconds since 1970; for tests and replays.

    Returns:
        The loop: `register`, `strategy`, `close`.

    Raises:
        StoreError: Database or directory cannot be used.

    Example:
        >>> import tempfile
        >>> loop = connect(f"sqlite:///{tempfile.mkdtemp()}/shop.db")
        >>> loop.close()
    """
    from abloop.loop import Loop  # here, so that `import abloop` loads no database library

    return Loop(url, directory, clock)
