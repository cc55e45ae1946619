"""One decision, wherever it is on its way: in the spool, in the database, or in the training table."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from abloop.errors import DataError, UnknownNameError, listed
from abloop.records import Decision, Record, decode
from abloop.store.journal import Journal
from abloop.store.manifest import Manifest
from abloop.store.parquet import find_record, paths
from abloop.store.spool import segments
from abloop.store.sql import Database
from abloop.store.tables import decisions


def find_decision(
    database: Database,
    journal: Journal,
    manifest: Manifest,
    spool: Path,
    tables: Path,
    decision_id: str,
    strategy: str = "",
) -> Decision:
    """Return the record of a decision.

    Args:
        database: Where shipped decisions are.
        journal: Knows what was shipped.
        manifest: Knows the files of the training tables.
        spool: Directory of the spool.
        tables: Directory of the training tables.
        decision_id: Its id.
        strategy: Its strategy; needed only where several have a decision of this id.

    Raises:
        UnknownNameError: There is no such decision.
        DataError: Several strategies have a decision of this id.
    """
    query = sa.select(decisions).where(decisions.c.decision_id == decision_id)
    query = query.where(decisions.c.strategy == strategy) if strategy else query
    with database.reading() as connection:
        rows = connection.execute(query).all()
    found: dict[str, Record | None] = {row.strategy: decode(row.body) if row.body else None for row in rows}
    found = _in_spool(spool, journal, decision_id, strategy) | found
    if not found:
        raise UnknownNameError(f"there is no decision {decision_id!r}; look for its id in your logs")
    if len(found) > 1:
        raise DataError(f"decision {decision_id!r} is in {listed(sorted(found))}; name one: strategy=...")
    ((name, record),) = found.items()
    if record is None:
        (version,) = [row.version for row in rows if row.strategy == name]
        files = [file.name for file in manifest.files(name) if file.version == version]
        record = find_record(paths(tables, files), decision_id)
    if not isinstance(record, Decision):
        raise UnknownNameError(
            f"decision {decision_id!r} was joined before decisions were kept whole; later ones can be explained"
        )
    return record


def _in_spool(spool: Path, journal: Journal, decision_id: str, strategy: str) -> dict[str, Record | None]:
    """Return the decisions of this id that were not shipped yet, by strategy; the first of each counts."""
    found: dict[str, Record | None] = {}
    for segment in segments(spool):
        for _, payload in segment.records(journal.shipped(segment.name)):
            record = decode(payload)
            if isinstance(record, Decision) and record.decision_id == decision_id and strategy in ("", record.strategy):
                found.setdefault(record.strategy, record)
    return found
