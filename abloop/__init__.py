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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

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
    import pandas as pd

    from abloop.explanation import Explanation
    from abloop.loop import Loop
    from abloop.remote.loop import RemoteLoop
    from abloop.store.spool import Durability

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
    "read_table",
    "readout",
]


@overload
def connect(
    url: str = ...,
    directory: str | Path | None = ...,
    *,
    sources: Mapping[str, str | Callable[[str], Mapping[str, Any] | None]] | None = ...,
    redis: str = ...,
    durability: Durability = ...,
    spool_bytes: int = ...,
    pseudonym_key: bytes | str = ...,
    clock: Callable[[], float] = ...,
) -> Loop: ...


@overload
def connect(
    url: str,
    directory: str | Path | None = ...,
    *,
    token: str,
    decide: Literal["here", "remote"] = ...,
    deadline: float = ...,
    insecure: bool = ...,
    sources: Mapping[str, Callable[[str], Mapping[str, Any] | None]] | None = ...,
    durability: Durability = ...,
    spool_bytes: int = ...,
    pseudonym_key: bytes | str = ...,
    clock: Callable[[], float] = ...,
) -> RemoteLoop: ...


def connect(
    url: str = "sqlite:///abloop.db",
    directory: str | Path | None = None,
    *,
    sources: Mapping[str, Any] | None = None,
    redis: str = "",
    durability: Durability = "process",
    spool_bytes: int = 1 << 30,
    pseudonym_key: bytes | str = b"",
    clock: Callable[[], float] = time.time,
    token: str = "",
    **remote: Any,
) -> Loop | RemoteLoop:
    """Open an installation by its database, or by its server.

    SQLite files and tables are made if they are not there. With a server, decisions are still made in this process, on
    what is pulled from it, and records are pushed to it; both go on by themselves when it was away.

    Args:
        url: SQLAlchemy URL: `sqlite:///file.db` or `postgresql+psycopg://user:password@host/name`; or a server,
            `https://host`.
        directory: Where spool and training tables go; beside an SQLite file by default, else in the current directory.
        sources: Where feature groups are fetched from, by the name that blueprints use: a database URL, or a
            function of the entity's id that returns its values. With a server, functions alone: it fetches the rest.
        redis: URL of a Redis in which processes share fetched features, e.g. `redis://localhost:6379/0`.
        durability: What a record survives once `get_decision` or `log_observations` returned. `process`: the end of
            the process, by `kill -9` too. `power`: a loss of power as well; each call then waits for the disk, and
            threads share a flush. `memory`, for tests: nothing; only this process can ship such records.
        spool_bytes: Most that records which were not shipped yet may take on the disk, in bytes, from 1 MiB. Beyond
            nine tenths of it no decision is written, beyond all of it no observation; products get their decisions,
            the loss is counted, logged, and told to the database once there is room.
        pseudonym_key: Secret of 16 to 64 bytes, for blueprints that `pseudonymise`: all processes need the same.
            The environment variable ABLOOP_PSEUDONYM_KEY is read where it is empty.
        clock: Gives seconds since 1970; for tests and replays.
        token: Of a server: `abl_...`, as an admin made it, with the grant `ingest` (and `edit` to register).
        remote: Of a server: `decide="remote"` asks it for each decision, within `deadline` seconds (0.05), else the
            product gets the default; `insecure=True` lets `http://` leave this machine.

    Returns:
        The loop: `register`, `strategy`, `close`.

    Raises:
        StoreError: Database, server or directory cannot be used, or an argument is none that is allowed.
        DataError: The pseudonym key is too short or too long.

    Example:
        >>> import tempfile
        >>> loop = connect(f"sqlite:///{tempfile.mkdtemp()}/shop.db")
        >>> loop.close()
    """
    if url.lower().startswith(("https://", "http://")):
        if not token or redis:
            raise StoreError(f"server {url!r:.200}: give its token, connect(url, token='abl_...'), and no redis")
        from abloop.remote.loop import RemoteLoop  # here, so that `import abloop` loads no HTTP library

        kept: Any = {"durability": durability, "spool_bytes": spool_bytes, "pseudonym_key": pseudonym_key}
        functions: Any = sources
        return RemoteLoop(url, token, directory, clock, sources=functions, **kept, **remote)
    if token or remote:
        extra = ", ".join([*(["token"] if token else []), *remote])
        raise StoreError(f"{extra}: allowed with a server alone, connect('https://...')")
    from abloop.loop import Loop  # here, so that `import abloop` loads no database library

    return Loop(
        url,
        directory,
        clock,
        sources=sources,
        redis=redis,
        durability=durability,
        spool_bytes=spool_bytes,
        pseudonym_key=pseudonym_key,
    )


def explain(loop: Loop, decision_id: str, strategy: str = "") -> Explanation:
    """Return why a decision was what it was, computed again from its record; see `abloop.explanation.explain`."""
    from abloop.explanation import (
        explain as explain_decision,
    )  # here, so that `import abloop` loads no database library

    return explain_decision(loop, decision_id, strategy)


def read_table(
    loop: Loop, strategy: str, *, table_version: int | None = None, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return the training table of a strategy as pandas: one row for each decision whose TTL has ended, oldest first.

    It has the decision (`decision_id`, `version`, `unit`, `time`, `arm`, `propensity`, `phase`, `release`), a column
    `x.FEATURE` for each feature, and for each metric `y.METRIC`, its value, `n.METRIC`, the observations behind it (0:
    the default; missing: its window has not ended), and `at.METRIC`, the time of the last. What a model predicted is
    in `effect.ARM` and `label.NAME`. Times are in seconds since 1970.

    Args:
        loop: What `connect` gave.
        strategy: Its name.
        table_version: The table as it was then, where retention has not removed it; as it is now where None. Each
            join, late join and erasure makes a version: `loop.manifest.version(strategy)` is the newest.
        columns: Names of the columns wanted; all where None.

    Raises:
        UnknownNameError: There is no such strategy, table version or column.
        StoreError: Database or table cannot be read.
        MissingExtraError: pandas is not installed.

    Example:
        >>> import tempfile
        >>> loop = connect(f"sqlite:///{tempfile.mkdtemp()}/shop.db")
        >>> arms = (Arm(name="blue"), Arm(name="green"))
        >>> _ = loop.register(Blueprint(strategy="button", arms=arms, metrics=(Metric(name="click"),)))
        >>> read_table(loop, "button", columns=["unit", "arm", "y.click"]).shape
        (0, 3)
        >>> loop.close()
    """
    from abloop.store.frames import read_table as read  # here, so that `import abloop` loads no database library

    return read(loop, strategy, table_version=table_version, columns=columns)
