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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abloop.blueprint import (
    Arm,
    Blueprint,
    Experiment,
    Label,
    Lifecycle,
    Metric,
    Model,
    Policy,
    Space,
    Weight,
    load,
)
from abloop.errors import (
    AbloopError,
    ArtefactError,
    BlueprintError,
    DataError,
    MissingExtraError,
    StoreError,
    UnknownNameError,
)
from abloop.features.spec import Feature, Group
from abloop.ids import new_decision_id
from abloop.readout import readout

if TYPE_CHECKING:
    from abloop.explanation import Explanation
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
    "Group",
    "Label",
    "Lifecycle",
    "Metric",
    "MissingExtraError",
    "Model",
    "Policy",
    "Space",
    "StoreError",
    "UnknownNameError",
    "Weight",
    "connect",
    "explain",
    "load",
    "new_decision_id",
    "readout",
]


def connect(
    url: str = "sqlite:///abloop.db",
    directory: str | Path | None = None,
    *,
    sources: Mapping[str, str | Callable[[str], Mapping[str, Any]]] | None = None,
    redis: str = "",
    clock: Callable[[], float] = time.time,
) -> Loop:
    """Open an installation; SQLite files and tables are made if they are not there.

    Args:
        url: SQLAlchemy URL: `sqlite:///file.db` or `postgresql+psycopg://user:password@host/name`.
        directory: Where spool and training tables go; beside an SQLite file by default.
        sources: Where feature groups are fetched from, by the name that blueprints use: a database URL, or a
            function of the entity's id that returns its values.
        redis: URL of a Redis in which processes share fetched features, e.g. `redis://localhost:6379/0`.
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

    return Loop(url, directory, clock, sources=sources, redis=redis)


def explain(loop: Loop, decision_id: str, strategy: str = "") -> Explanation:
    """Return why a decision was what it was, computed again from its record; see `abloop.explanation.explain`."""
    from abloop.explanation import (
        explain as explain_decision,
    )  # here, so that `import abloop` loads no database library

    return explain_decision(loop, decision_id, strategy)
