"""Where all records are: what was received, what waits, what became of the rest; read in one transaction."""

from __future__ import annotations

from collections import Counter

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from abloop.store.spool import segments
from abloop.store.tables import counts, dead, decisions, files, late, observations
from abloop.store.workspace import Workspace

FATES = ("joined", "waiting", "orphaned", "late", "expired", "duplicates", "erased")


class Custody(msgspec.Struct, frozen=True):
    """Where the records of one strategy are.

    Attributes:
        strategy: Its name.
        decisions: Decisions received, each once.
        waiting: Of these, those that are not in the training table yet.
        rows: Those that are, or were.
        observations: Observations received, each once.
        fates: What became of them; the sum is `observations`.
        observed: Metric to the share of rows in the table on which it was observed.
        oldest: Time of the oldest waiting decision; None where none waits.
        lag: Seconds since the oldest decision should have been joined; 0 where none is late.
        dead: Dead letters there are.
        files: Files of the training table.
        table_rows: Rows in them.
        table_version: Version of the training table.
    """

    strategy: str
    decisions: int
    waiting: int
    rows: int
    observations: int
    fates: dict[str, int]
    observed: dict[str, float]
    oldest: float | None
    lag: float
    dead: int
    files: int
    table_rows: int
    table_version: int

    @property
    def balanced(self) -> bool:
        """Whether every observation that was received is accounted for."""
        return sum(self.fates.values()) == self.observations

    @property
    def joined_share(self) -> float:
        """Share of the observations that did not have to wait any more which are in a row; 1 where there are none."""
        settled = self.observations - self.fates["waiting"] - self.fates["duplicates"]
        return self.fates["joined"] / settled if settled else 1.0


class Status(msgspec.Struct, frozen=True):
    """Where all records of an installation are.

    Attributes:
        at: When this was read, in seconds since 1970.
        strategies: Each strategy.
        segments: Segments in the spool.
        spool_bytes: Bytes of them.
        spool_oldest: When the oldest was opened, in seconds since 1970; None where there are none.
        lost: Records that processes could not write.
        torn: Bytes at the ends of segments that were no whole record.
        dead: Reason to number of dead letters, most frequent first.
    """

    at: float
    strategies: list[Custody]
    segments: int
    spool_bytes: int
    spool_oldest: float | None
    lost: int
    torn: int
    dead: dict[str, int]


def read_status(workspace: Workspace, strategy: str = "") -> Status:
    """Return where all records are.

    What waits is counted by indexes and what is done by counters, so that it stays quick on millions of rows.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Only this one; all where empty.

    Raises:
        UnknownNameError: There is no such strategy.
        StoreError: The database cannot be read.
    """
    names = [strategy] if strategy else sorted(workspace.catalogue.servings())
    workspace.catalogue.serving(strategy) if strategy else None
    ttls = {name: workspace.catalogue.blueprint(name)[1].lifecycle.ttl for name in names}
    now, spooled = workspace.clock(), segments(workspace.spool_directory)
    with workspace.database.reading() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        custodies = [_custody(connection, name, ttls[name], now) for name in names]
        nobody = _counts(connection, "")
        reasons: Counter[str] = Counter()
        for reason, number in connection.execute(sa.select(dead.c.reason, sa.func.count()).group_by(dead.c.reason)):
            reasons[reason.partition(":")[0][:80]] += number
    opened = [segment.opened for segment in spooled if segment.opened is not None]
    return Status(
        at=now,
        strategies=custodies,
        segments=len(spooled),
        spool_bytes=sum(segment.size() for segment in spooled),
        spool_oldest=min(opened, default=None),
        lost=nobody.get("lost", 0),
        torn=nobody.get("torn", 0),
        dead=dict(reasons.most_common()),
    )


def _counts(connection: Connection, strategy: str) -> dict[str, int]:
    query = sa.select(counts.c.name, counts.c["count"]).where(counts.c.strategy == strategy)
    return {name: int(number) for name, number in connection.execute(query)}


def _custody(connection: Connection, name: str, ttl: float, now: float) -> Custody:
    """Return where the records of one strategy are."""
    counted = _counts(connection, name)
    mine = (decisions.c.strategy == name, decisions.c.body.is_not(None))
    waiting, oldest = connection.execute(sa.select(sa.func.count(), sa.func.min(decisions.c.at)).where(*mine)).one()
    seen = observations.c
    there = sa.exists().where(decisions.c.strategy == name, decisions.c.decision_id == seen.decision_id)
    unknown = sa.select(sa.func.count()).where(seen.strategy == name, seen.at < now - ttl, ~there)
    open_ = connection.execute(sa.select(sa.func.count()).where(seen.strategy == name)).scalar_one()
    orphaned = connection.execute(unknown).scalar_one()
    after = connection.execute(sa.select(sa.func.count()).where(late.c.strategy == name)).scalar_one()
    listed = connection.execute(
        sa.select(files.c.rows, files.c.observed).where(files.c.strategy == name, files.c.until.is_(None))
    ).all()
    rows: Counter[str] = Counter()
    observed: Counter[str] = Counter()
    for row in listed:
        for metric, number in msgspec.json.decode(row.observed).items():
            observed[metric] += number
            rows[metric] += row.rows
    letters = connection.execute(sa.select(sa.func.count()).where(dead.c.strategy == name)).scalar_one()
    fates = {"waiting": open_ - orphaned, "orphaned": orphaned, "late": after}
    return Custody(
        strategy=name,
        decisions=counted.get("decisions", 0),
        waiting=waiting,
        rows=counted.get("rows", 0),
        observations=counted.get("observations", 0),
        fates={fate: fates.get(fate, counted.get(fate, 0)) for fate in FATES},
        observed={metric: observed[metric] / rows[metric] if rows[metric] else 0.0 for metric in sorted(observed)},
        oldest=oldest,
        lag=max(0.0, now - ttl - oldest) if oldest is not None else 0.0,
        dead=letters,
        files=len(listed),
        table_rows=sum(row.rows for row in listed),
        table_version=counted.get("table", 0),
    )
