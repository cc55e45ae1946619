"""What earlier releases left in a database: their tables as they made them, and rows of every kind in each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

HERE = Path(__file__).parent
RELEASES = {"0.1.0": 1}  # release to the version of its schema
AWKWARD = ("", "a", "a/b", "%s", "é ü", "'; --", "x.spool:7", "n" * 300)
Table = tuple[list[str], list[tuple[Any, ...]]]


def make(url: str, release: str) -> sa.Engine:
    """Make the tables of a release, and return an engine to be disposed of."""
    engine = sa.create_engine(url)
    script = (HERE / f"{release}.{engine.dialect.name}.sql").read_text()
    with engine.begin() as connection:
        for statement in script.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    return engine


def fill(engine: sa.Engine, number: int, seed: int = 0) -> list[str]:
    """Put rows into every table, and return what the key of each observation was; empty where it had none."""
    rng = np.random.default_rng(seed)
    keys = [f"{AWKWARD[i % 8]}{i}" if i % 3 else "" for i in range(number)]
    metadata = sa.MetaData()
    with engine.begin() as connection:
        metadata.reflect(connection)
        for table in metadata.sorted_tables:
            if table.name == "abloop_schema":
                continue
            rows = [{column.name: _value(column, i, rng) for column in table.columns} for i in range(number)]
            if table.name == "abloop_observations":
                for i, row in enumerate(rows):
                    named = f"{row['decision_id']}/{row['name']}/{keys[i]}"
                    row["record"] = named if keys[i] else f"{i:020d}-17-1.spool:{i}"
            if table.name == "abloop_files":
                for row in rows:
                    row["observed"] = '{"m":3}'
            connection.execute(table.insert(), rows)
    return keys


def _value(column: sa.Column[Any], i: int, rng: np.random.Generator) -> Any:
    """Return a value; a text or number of a key is another one in each row."""
    if isinstance(column.type, sa.LargeBinary):
        return None if column.nullable and i % 3 == 0 else rng.bytes(int(rng.integers(1, 80)))
    if isinstance(column.type, sa.Text):
        return f"{AWKWARD[i % 8]}{i}" if column.primary_key else AWKWARD[int(rng.integers(8))]
    if isinstance(column.type, sa.Integer):
        return i + 1 if column.primary_key else int(rng.integers(-(2**62), 2**62))
    return float(rng.choice([0.0, -1.5, 1e300, 5e-324, rng.normal() * 1e9]))


def rows(engine: sa.Engine) -> dict[str, Table]:
    """Return of every table the names of its columns, and its rows in order."""
    metadata = sa.MetaData()
    found: dict[str, Table] = {}
    with engine.connect() as connection:
        metadata.reflect(connection)
        for table in metadata.sorted_tables:
            names = sorted(table.columns.keys())
            every = connection.execute(sa.select(*(table.c[name] for name in names)))
            found[table.name] = (names, sorted((tuple(row) for row in every), key=repr))
    return found


def shape(engine: sa.Engine) -> dict[str, Any]:
    """Return what can be said of every table but the order of its columns."""
    about = sa.inspect(engine)
    lite = engine.dialect.name == "sqlite"
    indexes = "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = '{}'"
    if not lite:
        indexes = "SELECT indexdef FROM pg_indexes WHERE tablename = '{}'"
    found: dict[str, Any] = {}
    with engine.connect() as connection:
        for table in about.get_table_names():
            made = {" ".join(str(row[0]).split()) for row in connection.exec_driver_sql(indexes.format(table))}
            without = connection.exec_driver_sql(f"PRAGMA table_list({table})").one().wr if lite else 0
            columns = {c["name"]: (str(c["type"]), c["nullable"], c["default"]) for c in about.get_columns(table)}
            key = about.get_pk_constraint(table)
            unique = sorted(map(repr, about.get_unique_constraints(table)))
            found[table] = (columns, key["constrained_columns"], key["name"], made, unique, without)
    return found
