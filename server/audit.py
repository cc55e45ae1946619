"""How a view tells the log of changes what it did, and the pages that show it."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import msgspec
from flask import Blueprint as Routes
from flask import Response, current_app, g, render_template, request, stream_with_context

from abloop.store.audit import Audit, Entry, told_elsewhere
from server.access import allow, principal
from server.numbers import moment
from server.source import Source

routes = Routes("audit", __name__)
PAGE = 100


def audited(what: str, target: str, why: str, body: Mapping[str, Any] | None = None) -> Entry:
    """Add what was just done to the log, under the name of who asks. Call it once, after it succeeded.

    Args:
        what: The change, e.g. `create token`; the same words for each change of a kind.
        target: What was changed, e.g. a strategy's name.
        why: Why, as the person wrote it.
        body: More of it; no secrets, and nothing that names a unit.

    Raises:
        StoreError: The database refused.
    """
    source: Source = current_app.extensions["abloop"]
    asking = g.get("acting") or principal()
    return source.workspace().audit.append(
        at=time.time(), who=asking.name, kind=asking.kind, what=what, target=target, why=why, body=body
    )


def tell() -> None:
    """Let what a request changes be told by `audited` alone: once, under the name of who asks."""
    stack = ExitStack()
    stack.enter_context(told_elsewhere())
    g.telling = stack


def told(error: BaseException | None = None) -> None:
    """Let changes note themselves again, when a request has ended."""
    del error
    if (stack := g.pop("telling", None)) is not None:
        stack.close()


@routes.get("/audit")
@allow("admin")
def audit() -> str:
    """Show who changed what and why, newest first; and whether the chain holds, where that is asked."""
    wanted, log, now = _wanted(), _log(), time.time()
    found = log.entries(**wanted, before=request.args.get("before", type=_number), most=PAGE + 1)
    rows = [(entry, moment(entry.at, now)) for entry in found[:PAGE]]
    older = {**wanted, "before": found[PAGE - 1].id} if len(found) > PAGE else None
    check = log.check(request.args.get("head", "")[:64].strip()) if "check" in request.args else None
    return render_template("audit.html", rows=rows, wanted=wanted, older=older, check=check)


@routes.get("/audit.csv")
@allow("admin")
def audit_csv() -> Response:
    """Give the log as a table, oldest first; no cell is a formula of a spreadsheet."""
    wanted, log = _wanted(), _log()

    def lines() -> Iterator[str]:
        yield _line(Entry.__struct_fields__)
        for entry in log.walk(**wanted):
            yield _line([_cell(value) for value in msgspec.structs.astuple(entry)])

    return _file(lines(), "text/csv", "audit.csv")


@routes.get("/audit.json")
@allow("admin")
def audit_json() -> Response:
    """Give the log as JSON, oldest first: exactly what the hashes were made of."""
    wanted, log = _wanted(), _log()

    def parts() -> Iterator[str]:
        yield '{"entries":['
        for number, entry in enumerate(log.walk(**wanted)):
            yield ("," if number else "") + msgspec.json.encode(entry).decode()
        yield "]}\n"

    return _file(parts(), "application/json", "audit.json")


def _wanted() -> dict[str, str]:
    return {name: request.args.get(name, "")[:200] for name in ("who", "what", "target")}


def _log() -> Audit:
    source: Source = current_app.extensions["abloop"]
    return source.workspace().audit


def _number(text: str) -> int:
    """Return the number of an entry; one that no database can hold is none."""
    number = int(text)
    if not 0 <= number < 1 << 62:
        raise ValueError(text)
    return number


def _line(values: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(values)
    return text.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _file(parts: Iterator[str], mimetype: str, name: str) -> Response:
    head = {"Content-Disposition": f"attachment; filename={name}"}
    return Response(stream_with_context(parts), mimetype=mimetype, headers=head)
