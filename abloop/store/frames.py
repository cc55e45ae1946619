"""The training table as pandas, for people and their notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from abloop.errors import MissingExtraError, UnknownNameError, unknown
from abloop.store import parquet
from abloop.store.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

INNER = ("record", "keys")  # columns that abloop keeps for itself


def read_table(
    workspace: Workspace, strategy: str, *, table_version: int | None = None, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return the training table of a strategy: one row for each decision whose TTL has ended.

    Args:
        workspace: What `abloop.connect` gave.
        strategy: Its name.
        table_version: The table as it was then; as it is now where None.
        columns: Names of the columns wanted; all but `record` and `keys` where None.

    Raises:
        UnknownNameError: There is no such strategy, table version or column.
        StoreError: Database or table cannot be read.
        MissingExtraError: pandas is not installed.
    """
    import pyarrow as pa

    _, blueprint = workspace.catalogue.blueprint(strategy, workspace.catalogue.serving(strategy).version)
    listed = workspace.manifest.files(strategy, table_version)
    files = parquet.paths(workspace.table_directory, [file.name for file in listed])
    schemas = [parquet.schema_of(path) for path in files] or [parquet.no_rows(blueprint).schema]
    kinds: dict[str, list[Any]] = {}
    for schema in schemas:
        for field in schema:
            if field.type not in kinds.setdefault(field.name, []):
                kinds[field.name].append(field.type)
    wanted = [name for name in kinds if name not in INNER] if columns is None else list(dict.fromkeys(columns))
    for name in wanted:
        if name not in kinds:
            raise UnknownNameError(f"strategy {strategy!r}: {unknown('column of its training table', name, kinds)}")
    mixed = [name for name in wanted if len(kinds[name]) > 1]
    plain = [name for name in wanted if name not in mixed]
    table = parquet.read(files, plain) if files else parquet.no_rows(blueprint).select(plain)
    rows = sum(file.rows for file in listed)
    if not plain:  # then the table knows nothing of its rows
        table = pa.table({"": pa.nulls(rows)})
    frame = to_frame(table)
    del table
    for name in mixed:
        frame[name] = _mixed(files, [schema.names for schema in schemas], [file.rows for file in listed], name)
    return frame[wanted]


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return a table as a frame that may be written to; the table must not be used after.

    Args:
        table: n rows. Its memory is let go of column by column, so that a large table is never there twice.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas  # noqa: F401, ICN001
    except ModuleNotFoundError as error:
        raise MissingExtraError("tables as frames need pandas: pip install 'abloop[learn]'") from error
    once = any(column.num_chunks == 1 for column in table.columns)  # such columns would be views that cannot be written
    frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True, maps_as_pydicts="strict")
    return frame.copy() if once else frame


def _mixed(files: Sequence[str], names: Sequence[Sequence[str]], rows: Sequence[int], name: str) -> pd.Series[Any]:
    """Return a column that is of one type in some blueprint versions, and of another in others, as it was logged."""
    import pandas as pd

    values: list[Any] = []
    for path, there, count in zip(files, names, rows, strict=True):
        values += parquet.read([path], [name])[name].to_pylist(maps_as_pydicts="strict") if name in there else []
        values += [] if name in there else [None] * count
    return pd.Series(values, dtype=object)
