"""What is left of a file of the training table once some of its rows are to go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from abloop.store import parquet
from abloop.store.manifest import TableFile
from abloop.store.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa


def remainder(workspace: Workspace, file: TableFile, keep: Callable[[pa.Table], pa.Table]) -> TableFile:
    """Write a file again without some of its rows, a part at a time; the database does not list it yet.

    Args:
        workspace: What `abloop.connect` gave.
        file: The file.
        keep: Gives the rows of a part that stay.

    Raises:
        StoreError: A file cannot be read or written.
    """
    (path,) = parquet.paths(workspace.table_directory, [file.name])
    observed: Counter[str] = Counter(dict.fromkeys(file.observed, 0))
    times: list[float] = []
    rows = 0

    def kept() -> Iterator[pa.Table]:
        nonlocal rows
        import pyarrow.compute as pc

        for part in parquet.read_parts(path):
            left = keep(part)
            if left.num_rows:
                rows += left.num_rows
                times.extend(pc.min_max(left["time"]).as_py().values())
                observed.update({name: _observed(left, name) for name in file.observed})
            yield left

    schema = parquet.schema_of(path)
    name = parquet.write_parts(schema, kept(), workspace.table_directory, file.strategy, file.version)
    return msgspec.structs.replace(
        file,
        name=name,
        rows=rows,
        observed=dict(observed),
        at=workspace.clock(),
        oldest=min(times, default=None),
        newest=max(times, default=None),
    )


def _observed(table: pa.Table, name: str) -> int:
    """Return on how many rows a metric was observed; those of an early release say only whether it has a value."""
    import pyarrow.compute as pc

    if f"n.{name}" in table.column_names:
        return int(pc.sum(pc.greater(table[f"n.{name}"], 0)).as_py() or 0)
    return int(table.num_rows - table[f"y.{name}"].null_count)
