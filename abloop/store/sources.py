"""Where the rows of a feature group come from: a table, a query or a Python function, made ready at start-up.

Everything that can be wrong with a source is said while it is compiled; what is compiled reads one entity's row.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from abloop.errors import BlueprintError, DataError, StoreError, UnknownNameError, unknown
from abloop.features.read import MOST_EMBEDDED_CHARACTERS
from abloop.features.spec import Feature, Group
from abloop.store.outside import SourceDatabase, open_source
from abloop.store.rows import Fetch, Row, Source
from abloop.store.sql import Database, explain_refusal

Convert = Callable[[str], Sequence[Any]]
Plan = Mapping[str, bool]
_WHOLE = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_NOT_AN_ID = ("22P02", "22003")  # SQL states: text that is no value of the type, number out of its range
_WRITES = "25006"  # and SQLite's code 8; 1, and 17 after a schema was read, are for unknown names


def compile_fetch(
    group: Group, features: Sequence[Feature], database: Database, sources: Mapping[str, Source]
) -> Fetch:
    """Return the function that reads one entity's row of a group.

    The entity's id is text. A table compares it as the type of its id column: an id that is no such value is an
    unknown entity. A query gets it as text; where the database cannot tell its type, cast it in the query, e.g.
    `WHERE user_id = CAST(:id AS BIGINT)`. Decimals become floats, bytes are dropped, and text that holds a JSON list
    or object is read for sparse features and embeddings; everything else stays as the database gives it.

    Args:
        group: A checked group that is no group of events.
        features: Its features; their `source` is the column.
        database: abloop's own database, read where the group names no source.
        sources: Name to database URL or Python function of the entity's id.

    Returns:
        Function of the id that gives column to value, None where there is no such entity. It raises what the
        source raises.

    Raises:
        UnknownNameError: A source, table or column that does not exist.
        BlueprintError: A query that cannot be run, or a source that does not go with the group.
        StoreError: A database out of reach.
        MissingExtraError: The package of a database is not installed.

    Example:
        >>> import tempfile
        >>> own = Database(f"sqlite:///{tempfile.mkdtemp()}/demo.db")
        >>> user = Group(name="user", key="user_id", source="crm")
        >>> fetch = compile_fetch(user, [Feature("age", group="user")], own, {"crm": lambda user_id: {"age": 31}})
        >>> fetch("u1")
        {'age': 31}
        >>> own.close()
    """
    read: Database | SourceDatabase = database
    plan = _plan(features)
    if group.source:
        if group.source not in sources:
            hint = "give it to connect(..., sources={NAME: URL or function})"
            raise UnknownNameError(f"group {group.name!r}: {unknown('source', group.source, sources)}; {hint}")
        source = sources[group.source]
        if not isinstance(source, str):
            return _of_function(group, source, plan)
        read = open_source(source)
    if not (group.table or group.query):
        raise BlueprintError(f"group {group.name!r} names nothing in {read.url}; allowed: `table` or `query`")
    try:
        with read.engine.connect().execution_options(begin="BEGIN") as connection:
            compiled = (_table_statement if group.table else _query_statement)(connection, group, plan)
    except DBAPIError as error:
        raise StoreError(f"group {group.name!r}: {explain_refusal(read.url, error)}") from error
    return partial(_fetch_row, read, *compiled, plan)


def _plan(features: Sequence[Feature]) -> Plan:
    """Return the columns that are needed, and whether text of theirs may hold JSON."""
    plan: dict[str, bool] = {}
    for feature in features:
        plan[feature.source] = plan.get(feature.source, True) and feature.type in ("sparse", "embedding")
    return plan


def _of_function(group: Group, function: Any, plan: Plan) -> Fetch:
    """Return the fetch of a Python function."""
    if not callable(function) or inspect.iscoroutinefunction(function):
        came = "an async function" if callable(function) else type(function).__name__
        came = f"group {group.name!r}: source {group.source!r} is {came}"
        raise BlueprintError(f"{came}; allowed: a database URL, or a plain function of the entity's id")
    if group.table or group.query:
        message = f"group {group.name!r} names a table or query, but its source {group.source!r} is a Python function"
        raise BlueprintError(f"{message}; remove `table` and `query`, or give a database URL")

    def fetch(entity: str) -> Row:
        row = function(entity)
        if row is None or isinstance(row, Mapping):
            return None if row is None else {name: _plain(row.get(name), json) for name, json in plan.items()}
        message = f"source {group.source!r} gave {type(row).__name__}; allowed: a mapping of column to value, or None"
        raise DataError(f"{message} where there is no such entity")

    return fetch


def _table_statement(connection: Connection, group: Group, plan: Plan) -> tuple[Any, Convert]:
    """Return the select of one row of a table or view, and what makes its parameter of an id."""
    schema, _, name = group.table.rpartition(".")
    inspector = sa.inspect(connection)
    if schema and schema not in (schemas := inspector.get_schema_names()):
        raise UnknownNameError(f"group {group.name!r}: {unknown('schema', schema, schemas)}")
    if not inspector.has_table(name, schema or None):
        known = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
        known = [f"{schema}.{other}" if schema else other for other in sorted(known)]
        raise UnknownNameError(f"group {group.name!r}: {unknown('table', group.table, known)}")
    types = {column["name"]: column["type"] for column in inspector.get_columns(name, schema or None)}
    key = group.column or group.key
    for column in (key, *plan):
        if column not in types:
            raise UnknownNameError(f"group {group.name!r}: {unknown(f'column of {group.table}', column, types)}")
    compared, convert, bound = _identity(sa.column(key), types[key], connection.dialect.name)
    table = sa.table(name, schema=schema or None)
    selected: Any = sa.select(*(sa.column(column) for column in plan or (key,)))
    statement = selected.select_from(table).where(compared.in_(sa.bindparam("id", type_=bound, expanding=True)))
    connection.execute(statement.limit(0), {"id": []})  # may it be read at all?
    return statement.limit(1), convert


def _identity(column: Any, kind: Any, dialect: str) -> tuple[Any, Convert, Any]:
    """Return what is compared with an id, what makes values of its text, and their type in the database."""
    if isinstance(kind, sa.Integer):
        return column, _wholes, sa.BigInteger()
    if isinstance(kind, sa.String) and not isinstance(kind, sa.Enum):
        return column, _texts, sa.Text()
    if dialect == "sqlite":  # its other types say little of what a column holds
        return column, lambda entity: [*_texts(entity), *_wholes(entity)], sa.types.NullType()
    if isinstance(kind, sa.Uuid):
        return column, _uuids, sa.Uuid()
    return sa.cast(column, sa.Text), _texts, sa.Text()


def _wholes(entity: str) -> list[int]:
    number = int(entity) if _WHOLE.fullmatch(entity) else 2**63
    return [number] if -(2**63) <= number < 2**63 and str(number) == entity else []


def _texts(entity: str) -> list[str]:
    """Return the text, unless no database can hold it."""
    return [] if _NO_TEXT.search(entity) else [entity]


def _uuids(entity: str) -> list[UUID]:
    try:
        return [UUID(entity)]
    except ValueError:
        return []


def _query_statement(connection: Connection, group: Group, plan: Plan) -> tuple[Any, Convert]:
    """Return the query, after it ran once without an entity, and what makes its parameter of an id."""
    statement = sa.text(group.query)
    named = sorted(set(statement.compile().params) - {"id"})
    if named:
        message = f"group {group.name!r}: query has the parameter :{named[0]}; allowed: :id"
        raise BlueprintError(f"{message}; write \\: for a colon that names none")
    statement = statement.bindparams(sa.bindparam("id", type_=sa.types.NullType()))
    try:
        result = connection.execute(statement, {"id": None})
    except DBAPIError as error:
        if not is_wrong_sql(error):
            raise
        said = str(error.orig).strip().splitlines()[0]
        message = f"group {group.name!r}: query cannot be run: {said}; repair it"
        raise BlueprintError(f"{message}, or cast the id where its type is not clear: CAST(:id AS BIGINT)") from error
    if not result.returns_rows:
        raise BlueprintError(f"group {group.name!r}: query gives no rows; allowed: SELECT ... WHERE ... = :id")
    known = list(result.keys())
    for column in plan:
        if column not in known:
            raise UnknownNameError(f"group {group.name!r}: {unknown('column of its query', column, known)}")
    return statement, _texts


def is_wrong_sql(error: DBAPIError) -> bool:
    """Return whether a statement is wrong, and not the database."""
    if error.connection_invalidated:
        return False
    coded = getattr(error.orig, "sqlite_errorcode", 0) in (1, 8, 17) or getattr(error.orig, "sqlstate", "") == _WRITES
    return coded or isinstance(error, sa.exc.ProgrammingError | sa.exc.DataError | sa.exc.NotSupportedError)


def _fetch_row(read: Database | SourceDatabase, statement: Any, convert: Convert, plan: Plan, entity: str) -> Row:
    """Read one entity's row; `read` is held so that its connections stay open."""
    found = convert(entity)
    if not found:
        return None
    bound = found if isinstance(statement, sa.Select) else found[0]
    try:
        with read.engine.connect().execution_options(begin="BEGIN") as connection:
            row = connection.execute(statement, {"id": bound}).mappings().first()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") in _NOT_AN_ID:
            return None
        raise StoreError(explain_refusal(read.url, error)) from error
    return None if row is None else {name: _plain(row[name], json) for name, json in plan.items()}


def _plain(value: Any, json: bool) -> Any:
    """Return a value as the readers of features take it, no longer than they look at."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return None
    if isinstance(value, list | tuple):
        return [_plain(item, json=False) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item, json=False) for key, item in value.items()}
    if json and isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return msgspec.json.decode(value)
        except (ValueError, RecursionError):
            pass  # it is text after all
    return str(value)[:MOST_EMBEDDED_CHARACTERS] if isinstance(value, str | UUID) else value
