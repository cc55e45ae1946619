"""One pass over the training table: rows to moments, by DuckDB. Nothing is read into memory as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from abloop.errors import StoreError
from abloop.stats.moments import Moments
from abloop.store.measures import literal, quoted

ONE_THREAD_BYTES = 64 << 20


def reduce(
    files: Sequence[str],
    metrics: Mapping[str, str],
    *,
    phases: Sequence[str],
    traits: Mapping[str, str] | None = None,
    by: str = "arm",
    since: float = 0.0,
) -> dict[str, dict[str, Moments]]:
    """Return the moments of each metric in each group, over units.

    Args:
        files: Paths of Parquet files, one or more.
        metrics: Name to SQL expression over the table's columns; rows where it is null are left out.
        phases: Rows of these phases only.
        traits: Name to SQL expression of what a unit has once, however many its decisions; their mean enters.
        by: Column that makes the groups, `arm` or `phase`.
        since: Rows decided from this time on, in seconds since 1970.

    Returns:
        Group to metric to moments.

    Raises:
        StoreError: A file is damaged.
    """
    import duckdb

    parts, totals = [], []
    traits = traits or {}
    names = [*metrics, *traits]
    for i, name in enumerate(names):
        each = f"sum({metrics[name]}) AS s{i}, count({metrics[name]})::DOUBLE AS m{i}" if name in metrics else ""
        parts.append(each or f"avg({traits[name]}) AS s{i}, 1.0::DOUBLE AS m{i}")
        there = f"FILTER (WHERE m{i} > 0)"
        second = (f"var_pop(s{i})", f"covar_pop(s{i}, m{i})", f"var_pop(m{i})")
        sums = (f"count(*) {there}", f"sum(s{i}) {there}", f"sum(m{i}) {there}")
        totals.append(", ".join([*sums, *(f"count(*) {there} * {moment} {there}" for moment in second)]))
    wanted = f"phase IN ({', '.join(map(literal, phases))})" + f" AND time >= {since!r}"
    query = (  # names and texts are quoted above, numbers are ours: nothing of a user's is taken as SQL
        f"WITH units AS (SELECT unit, {quoted(by)} AS grp, {', '.join(parts)} "  # noqa: S608
        f"FROM read_parquet([{', '.join(map(literal, files))}], union_by_name = true) WHERE {wanted} GROUP BY ALL) "
        f"SELECT grp, {', '.join(totals)} FROM units GROUP BY grp"
    )
    try:
        with duckdb.connect() as connection:
            if sum(Path(file).stat().st_size for file in files) < ONE_THREAD_BYTES:
                connection.execute("SET threads = 1")  # the order of a sum, and so its last digit, is then fixed
            rows = connection.execute(query).fetchall()
    except duckdb.Error as error:
        said = str(error).splitlines()[0]
        raise StoreError(f"training table cannot be read: {said}. Restore the file from a backup") from error
    return {
        row[0]: {
            name: Moments(int(row[1 + 6 * i]), *(float(value or 0.0) for value in row[2 + 6 * i : 7 + 6 * i]))
            for i, name in enumerate(names)
        }
        for row in rows
    }
