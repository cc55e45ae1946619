"""The training table on disk: immutable Parquet files, one column for each feature, label and prediction.

A file is written beside its place and renamed into it, so that it is there whole or not at all; it counts
once the manifest in the database lists it. Columns are named `x.FEATURE`, `y.METRIC`, `effect.ARM` and
`label.NAME`; `n.METRIC` counts the observations behind a label (0: the default, null: its window has not ended),
`at.METRIC` is the time of the last; `keys` has a hash of each; `record` is the whole decision as it was logged.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abloop.blueprint import Blueprint
from abloop.errors import StoreError
from abloop.join import Column, Joined, Seen, join
from abloop.records import Decision, Record, decode, encode

GROUP_ROWS = 65_536  # rows that are in memory at once where files are rewritten

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def to_table(
    decisions: Sequence[Decision], joined: Joined, blueprint: Blueprint, bodies: Sequence[bytes] = ()
) -> pa.Table:
    """Return rows as an Arrow table.

    Args:
        decisions: Decisions of one blueprint version, length n.
        joined: Their labels; a metric that is not there waits for the end of its window.
        blueprint: That version.
        bodies: Their records, where these are at hand.

    Returns:
        n rows.
    """
    import pyarrow as pa

    columns: dict[str, Any] = {
        "decision_id": pa.array([d.decision_id for d in decisions], pa.string()),
        "version": pa.array([d.version for d in decisions], pa.int32()),
        "unit": pa.array([d.unit for d in decisions], pa.string()),
        "time": pa.array([d.time for d in decisions], pa.float64()),
        "arm": pa.array([d.arm for d in decisions], pa.string()),
        "propensity": pa.array([d.propensity for d in decisions], pa.float64()),
        "phase": pa.array([d.phase for d in decisions], pa.string()),
        "release": pa.array([d.release for d in decisions], pa.string()),
        "record": pa.array(bodies or [encode(d) for d in decisions], pa.binary()),
    }
    columns["keys"] = key_column(joined.hashes, joined.ends)
    kinds = {"categorical": pa.string(), "sparse": pa.map_(pa.string(), pa.float64())}
    kinds["embedding"] = pa.list_(pa.float64())
    by_feature = list(zip(*[d.features for d in decisions], strict=True)) or [()] * len(blueprint.sourced())
    for given, feature in zip(by_feature, blueprint.sourced(), strict=True):
        values: Sequence[Any] = given
        if feature.type == "sparse":
            values = [None if value is None else list(value.items()) for value in given]
        columns[f"x.{feature.name}"] = pa.array(values, kinds.get(feature.type, pa.float64()))
    for metric in blueprint.metrics:
        columns |= label_columns(joined.labels.get(metric.name), metric.name, len(decisions))
    for position, name in enumerate(blueprint.outputs()):
        predicted = [d.predictions[position] if d.predictions else None for d in decisions]
        columns[name] = pa.array(predicted, pa.float64())
    return pa.table(columns)


def no_rows(blueprint: Blueprint) -> pa.Table:
    """Return the table that a blueprint version begins with."""
    return to_table([], join([], Seen(), [], 0.0), blueprint)


def key_column(hashes: NDArray[np.uint64], ends: NDArray[np.int64]) -> pa.Array:
    """Return what rows keep of their observations.

    Args:
        hashes: Hashes of the observations, row by row and rising, length u.
        ends: Where each row's hashes end, shape (n,).
    """
    import numpy as np
    import pyarrow as pa

    offsets = 8 * np.r_[0, ends].astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(hashes.astype(">u8"))]
    return pa.Array.from_buffers(pa.binary(), len(ends), buffers)


def label_columns(column: Column | None, name: str, n: int) -> dict[str, Any]:
    """Return the columns of a metric by name; null where its window has not ended yet.

    Args:
        column: Its label of n rows; None where its window has not ended.
        name: The metric.
        n: Number of rows.
    """
    import pyarrow as pa

    if column is None:
        empty = pa.nulls(n, pa.float64())
        return {f"y.{name}": empty, f"n.{name}": pa.nulls(n, pa.int32()), f"at.{name}": empty}
    return {
        f"y.{name}": pa.array(column.values, from_pandas=True),
        f"n.{name}": pa.array(column.counts),
        f"at.{name}": pa.array(column.times, from_pandas=True),
    }


def write(table: pa.Table, directory: Path, strategy: str, version: int) -> str:
    """Write a table to a new file and return its name, which holds a hash of its bytes.

    Args:
        table: The rows.
        directory: Where training tables are; made if it is not there.
        strategy: Named at the beginning of the file's name, as far as file systems allow.
        version: Blueprint version, named after it.

    Raises:
        StoreError: The directory cannot be written.
    """
    return write_parts(table.schema, [table], directory, strategy, version)


def write_parts(schema: pa.Schema, parts: Iterable[pa.Table], directory: Path, strategy: str, version: int) -> str:
    """Write tables to one new file, a part at a time, and return its name as `write` does.

    Args:
        schema: That of each part.
        parts: The rows, in order; only some `GROUP_ROWS` of them are in memory at once.
        directory: As for `write`.
        strategy: As for `write`.
        version: As for `write`.

    Raises:
        StoreError: The directory cannot be written.
    """
    import pyarrow.parquet as pq

    few = [field.name for field in schema if field.type == "string" and field.name != "decision_id"]
    stem = stem_of(strategy)
    beside = directory / f".{stem}-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("w+b") as file:
                with pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=few) as writer:
                    for group in _grouped(parts):
                        writer.write_table(group, row_group_size=GROUP_ROWS)
                file.flush()
                os.fsync(file.fileno())
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            name = f"{stem}-v{version}-{digest[:16]}.parquet"
            beside.replace(directory / name)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"training table in {directory}: {error.strerror}. Make room or fix the rights") from error
    return name


def stem_of(strategy: str) -> str:
    """Return how the names of a strategy's files begin; other strategies' may begin so too.

    Example:
        >>> stem_of("search/top")
        'search_top'
    """
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in strategy[:80])


def _grouped(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield small tables as larger ones, so that each can be a row group."""
    import pyarrow as pa

    held: list[pa.Table] = []
    rows = 0
    for part in parts:
        rows += part.num_rows
        if held and rows > GROUP_ROWS:
            yield pa.concat_tables(held)
            held, rows = [], part.num_rows
        held.append(part)
    if held:
        yield pa.concat_tables(held)


def read_parts(path: str) -> Iterator[pa.Table]:
    """Yield the rows of a file, a row group at a time.

    Raises:
        StoreError: The file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for place in range(file.num_row_groups):
                yield file.read_row_group(place)
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error


def schema_of(path: str) -> pa.Schema:
    """Return the columns of a file.

    Raises:
        StoreError: The file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error


def damaged(path: str, error: Exception) -> StoreError:
    """Return what is said of a file that cannot be read."""
    return StoreError(f"training table {path} is damaged: {error}. Restore it from a backup")


def paths(directory: Path, names: Sequence[str]) -> list[str]:
    """Return the paths of listed files.

    Raises:
        StoreError: A file that the manifest lists is not there.
    """
    found = [directory / name for name in names]
    for path in found:
        if not path.exists():
            raise StoreError(
                f"training table {path}: the manifest lists it, but it is missing. Restore it from a backup"
            )
    return [str(path) for path in found]


def read(files: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
    """Return some columns of all files, rows in order; a column that a file lacks is null there.

    Args:
        files: Paths.
        columns: Column names; all where None.

    Raises:
        StoreError: A file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = []
    for path in files:
        try:
            there = pq.read_schema(path).names
            wanted = there if columns is None else [name for name in columns if name in there]
            parts.append(pq.read_table(path, columns=wanted, partitioning=None))
        except (pa.ArrowException, OSError) as error:
            raise damaged(path, error) from error
    return pa.concat_tables(parts, promote_options="default") if parts else pa.table({})


def find_record(files: Sequence[str], decision_id: str) -> Record | None:
    """Return the record of a decision in some files; None where it is in none of them.

    Raises:
        StoreError: A file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in files:
        if "record" not in schema_of(path).names:
            continue
        try:
            its = [("decision_id", "==", decision_id)]
            here = pq.read_table(path, columns=["record"], filters=its, partitioning=None)
        except (pa.ArrowException, OSError) as error:
            raise damaged(path, error) from error
        if here.num_rows:
            return decode(here["record"][0].as_py())
    return None
