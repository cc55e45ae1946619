"""Many contexts at once, from Parquet to Parquet: what the served release predicts of each, nothing logged.

A batch goes through the same features and models as a decision does, as columns; equal to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abloop.errors import DataError
from abloop.features.column import to_column
from abloop.features.read import read_from
from abloop.snapshot import Snapshot, load_snapshot
from abloop.store.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH = 65_536


def score(
    workspace: Workspace,
    strategy: str,
    source: str | Path,
    target: str | Path,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write what the served release predicts of every row of a Parquet file, beside the row's unit.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        source: Parquet file with a column for each key of a context.
        target: Parquet file to write: the unit and a column for each prediction, rows in the order of the source.
        progress: Called with rows done and rows in all.

    Returns:
        Rows written.

    Raises:
        UnknownNameError: There is no such strategy.
        DataError: Nothing is served that predicts, or the file lacks the unit or is none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    snapshot = load_snapshot(workspace, workspace.catalogue.serving(strategy))
    if snapshot.encoder is None:
        raise DataError(
            f"strategy {strategy!r} serves no model yet; run `abloop cycle {strategy}` once rows are complete"
        )
    try:
        file = pq.ParquetFile(source)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{source} cannot be read as Parquet: {error}") from error
    names = snapshot.blueprint.outputs()
    if snapshot.unit_key not in file.schema_arrow.names:
        raise DataError(f"{source} has no column {snapshot.unit_key!r}, the unit of {strategy!r}; add it")
    done, total, beside = 0, file.metadata.num_rows, Path(f"{target}.part")
    schema = pa.schema([(snapshot.unit_key, pa.string()), *((name, pa.float64()) for name in names)])
    with file, pq.ParquetWriter(beside, schema) as writer:
        for batch in file.iter_batches(BATCH):
            found = predict_batch(snapshot, batch.to_pylist())
            units = batch.column(snapshot.unit_key).cast(pa.string())
            writer.write_table(pa.table([units, *found.T], schema=schema))
            done += batch.num_rows
            progress(done, total)
    beside.replace(target)
    return done


def predict_batch(snapshot: Snapshot, contexts: list[dict[str, Any]]) -> NDArray[np.float64]:
    """Return the predictions of many contexts, equal to those of a decision each, shape (n, outputs)."""
    import numpy as np

    if snapshot.encoder is None:
        raise DataError(f"strategy {snapshot.strategy!r} serves no model")
    # What a decision fetches from groups is among the columns of the file, under the same names.
    beside = 1 + len(snapshot.blueprint.groups)
    read = [read_from(snapshot.features, snapshot.sources, (context,) * beside) for context in contexts]
    sourced = snapshot.graph.sourced
    columns = [
        to_column(list(values), feature.type, feature.size)
        for values, feature in zip(zip(*read, strict=True), sourced, strict=True)
    ]
    features = snapshot.graph.frame(columns)
    inputs = snapshot.encoder.frame([features[slot] for slot in snapshot.graph.slots])
    parts = list(_parts(snapshot, inputs))
    return np.concatenate(parts, axis=1) if parts else np.empty((len(contexts), 0))


def _parts(snapshot: Snapshot, inputs: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Return effects, then labels, each of shape (n, width)."""
    if snapshot.effects is not None:
        yield snapshot.effects.frame(inputs)
    if snapshot.labels is not None:
        for found in snapshot.labels.frame(inputs).values():
            yield found if found.ndim == 2 else found[:, None]
