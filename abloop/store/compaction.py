"""Compaction: many small files of a training table become a few large ones, with the same rows.

Of all that is small, only what is next to each other in time is merged, and only into a file of at least twice the
largest part: a row is then rewritten at most some twenty times, however long rows come in drops.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import msgspec

from abloop.blueprint import Blueprint
from abloop.store import parquet
from abloop.store.labels import is_filled
from abloop.store.manifest import TableFile
from abloop.store.workspace import Workspace

FEWEST = 8  # files that are worth a new one
MOST_ROWS = 500_000
LEVELS = tuple(4**power for power in range(3, 10))  # from small files to MOST_ROWS / 2
SHARE = 10  # of the time that rows wait, or are kept: the part of it that one file may span


def compact(workspace: Workspace, strategy: str) -> int:
    """Merge small files of the training table that are next to each other in time, in new versions of it.

    Versions before stay readable. Rows are in the order of their files. Run it as often as you like.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.

    Returns:
        Files that were replaced by larger ones.

    Raises:
        UnknownNameError: There is no such strategy.
        StoreError: Database or table cannot be used, or another worker replaced a file first; the merges before stay.
    """
    workspace.catalogue.serving(strategy)
    current = workspace.manifest.files(strategy)
    if len(current) < FEWEST:
        return 0
    blueprints = {found.version: blueprint for found, blueprint in workspace.catalogue.blueprints(strategy)}
    merged = 0

    def merge(run: list[TableFile]) -> TableFile:
        nonlocal merged
        file = _merge(workspace, run)
        workspace.manifest.replace(strategy, [part.name for part in run], [file])
        merged += len(run)
        return file

    for group, span in _alike(workspace, current, blueprints):
        merge_runs(group, span, merge)
    return merged


def merge_runs(group: list[TableFile], span: float, merge: Callable[[list[TableFile]], TableFile]) -> list[TableFile]:
    """Merge what is worth it of some files, the smallest first, and return the files there are then.

    Args:
        group: Files that may become one, in order of time.
        span: Seconds that one file may span.
        merge: Makes one file of several.
    """
    for level in LEVELS:
        group = [file for run in _runs(group, level, span) for file in ([merge(run)] if _worth(run) else run)]
    return group


def _alike(
    workspace: Workspace, current: Sequence[TableFile], blueprints: dict[int, Blueprint]
) -> Iterator[tuple[list[TableFile], float]]:
    """Yield files that may become one, in order of time, and the seconds that one of them may span.

    They are of one blueprint version, have the same metrics and the same columns. What waits for the end of a window
    waits as a whole file, and retention lets whole files go, so that these must not span long.
    """
    found: dict[tuple[int, frozenset[str]], list[TableFile]] = defaultdict(list)
    for file in current:
        if file.oldest is not None and file.newest is not None and file.version in blueprints:
            found[file.version, frozenset(file.observed)].append(file)
    for (version, _), group in found.items():
        if sum(file.rows < MOST_ROWS for file in group) < FEWEST:
            continue
        blueprint = blueprints[version]
        waits = [metric.window for metric in blueprint.metrics if not is_filled(group[0], metric)]
        kept = blueprint.lifecycle.retention
        span = min([*waits, *([kept] if kept else [])], default=math.inf) / SHARE
        if not any(_worth(run) for level in LEVELS for run in _runs(group, level, span)):
            continue  # before any file is opened
        paths = parquet.paths(workspace.table_directory, [file.name for file in group])
        columns: dict[str, list[TableFile]] = defaultdict(list)
        for file, path in zip(group, paths, strict=True):
            columns[parquet.schema_of(path).to_string()].append(file)
        for same in columns.values():
            yield same, span


def _runs(group: Sequence[TableFile], level: int, span: float) -> Iterator[list[TableFile]]:
    """Yield files in runs of neighbours that are of at most so many rows each, and together not too many or long."""
    run: list[TableFile] = []
    rows, oldest, newest = 0, 0.0, 0.0
    for file in group:
        rows, newest = rows + file.rows, max(newest, file.newest or 0.0)
        large = file.rows > level or (bool(run) and run[-1].rows > level)
        if run and (large or rows > MOST_ROWS or newest - oldest > span):
            yield run
            run = []
        if not run:
            rows, oldest, newest = file.rows, file.oldest or 0.0, file.newest or 0.0
        run.append(file)
    if run:
        yield run


def _worth(run: Sequence[TableFile]) -> bool:
    """Return whether a merge takes many files away and makes one of at least twice the largest."""
    rows = [file.rows for file in run]
    return len(run) >= FEWEST and sum(rows) >= 2 * max(rows)


def _merge(workspace: Workspace, run: Sequence[TableFile]) -> TableFile:
    """Write the rows of some files to a new one; the database does not list it yet."""
    paths = parquet.paths(workspace.table_directory, [file.name for file in run])
    schema = parquet.schema_of(paths[0])
    parts = (part for path in paths for part in parquet.read_parts(path))
    first = run[0]
    return msgspec.structs.replace(
        first,
        name=parquet.write_parts(schema, parts, workspace.table_directory, first.strategy, first.version),
        rows=sum(file.rows for file in run),
        observed={name: sum(file.observed[name] for file in run) for name in first.observed},
        at=workspace.clock(),
        oldest=min(file.oldest or 0.0 for file in run),
        newest=max(file.newest or 0.0 for file in run),
    )
