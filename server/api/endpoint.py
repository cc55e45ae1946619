"""What an endpoint is: one entry of a table, of which the routes and the OpenAPI document are made alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from flask import Blueprint as Routes
from flask import Response, current_app, request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from abloop.errors import DataError
from server.access import allow
from server.config import Config
from server.principal import Rule

routes = Routes("api", __name__, url_prefix="/v1")
JSON, BYTES = "application/json", "application/octet-stream"
RETRY_SECONDS = 5
MOST_TEXT = 1_000
Shape = TypeVar("Shape")
Record = TypeVar("Record", bound=msgspec.Struct)
View = TypeVar("View", bound=Callable[..., Any])
table: list[Endpoint] = []


class Endpoint(msgspec.Struct, frozen=True):
    """One endpoint.

    Attributes:
        method: `GET` or `POST`.
        path: From `/v1` on; parameters as Flask writes them.
        rule: Who may use it.
        summary: What it does, in a sentence.
        answer: What it answers; bytes where None.
        query: Parameters after `?`; None for none.
        body: What it takes; None for nothing, `bytes` for any bytes.
        statuses: Those besides 200 and the ones that every endpoint has.
        headers: Names of request headers it reads, with what they mean.
        name: Of the view.
    """

    method: str
    path: str
    rule: Rule
    summary: str
    answer: Any
    query: type[msgspec.Struct] | None
    body: Any
    statuses: tuple[int, ...]
    headers: Mapping[str, str]
    name: str


class Made(msgspec.Struct, frozen=True):
    """An answer that is not simply 200 with JSON.

    Attributes:
        answer: What is answered; nothing where None, as it is where bytes.
        status: The status.
        headers: By name.
    """

    answer: Any = None
    status: int = 200
    headers: Mapping[str, str] = {}


def endpoint(
    method: str,
    path: str,
    rule: Rule,
    *,
    answer: Any = None,
    query: type[msgspec.Struct] | None = None,
    body: Any = None,
    statuses: tuple[int, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Callable[[View], View]:
    """Enter a view in the table and give it its route.

    The view is called with `query` and `body`, as far as the endpoint has them, and the parameters of its path; what it
    returns is written as JSON. What is wrong is raised as an error of abloop.

    Args:
        method: `GET` or `POST`.
        path: From `/v1` on.
        rule: Who may use it.
        answer: What it answers; bytes where None.
        query: Parameters after `?`.
        body: What it takes.
        statuses: Those besides 200 and the ones that every endpoint has.
        headers: Names of request headers it reads, with what they mean.
    """

    def enter(view: View) -> View:
        summary = (view.__doc__ or "").strip().splitlines()[0]
        made = Endpoint(method, path, rule, summary, answer, query, body, statuses, headers or {}, view.__name__)
        table.append(made)
        decoder = None if body in (None, bytes) else msgspec.json.Decoder(body)

        def run(**parameters: str) -> Response:
            given: dict[str, Any] = dict(parameters)
            if query is not None:
                given["query"] = read_query(query)
            if body is bytes:
                given["body"] = _bytes()
            elif decoder is not None:
                given["body"] = read_body(decoder)
            return reply(view(**given))

        routes.add_url_rule(path, view.__name__, allow(rule)(run), methods=[method])
        return view

    return enter


def read_body(decoder: msgspec.json.Decoder[Shape]) -> Shape:
    """Return the body of the request, decoded strictly.

    Raises:
        UnsupportedMediaType: It is no JSON by its own word.
        BadRequest: It is no JSON.
        DataError: It is JSON, and not what the endpoint takes.
    """
    if request.mimetype != JSON:
        raise UnsupportedMediaType(f"The body is {request.mimetype or 'of no type'!r}; send Content-Type: {JSON}")
    config: Config = current_app.extensions["abloop_config"]
    return decode(decoder, request.get_data(cache=False), config.depth)


def decode(decoder: msgspec.json.Decoder[Shape], payload: bytes, depth: int) -> Shape:
    """Return a body as its type.

    Args:
        decoder: Of the type.
        payload: The bytes.
        depth: Most levels of it.

    Raises:
        BadRequest: It is no JSON.
        DataError: It is JSON, and not what the endpoint takes.
    """
    try:
        if payload.count(b"[") + payload.count(b"{") > depth:
            require_depth(msgspec.json.decode(payload), depth)
        return decoder.decode(payload)
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at `$")
        place = path.strip("`").lstrip(".")
        raise DataError(f"{place or 'the body'}: {said[:1].lower()}{said[1:]}", place=place) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The body is no JSON: {error}. Send one JSON object in UTF-8") from error
    except RecursionError as error:
        raise DataError(f"the body is nested too deeply; allowed: {depth} levels") from error


def require_depth(value: Any, depth: int) -> None:
    """Refuse a value that is nested more deeply than allowed.

    Raises:
        DataError: It is.
    """
    level = [value]
    for _ in range(depth + 1):
        inner = [part.values() if isinstance(part, dict) else part for part in level if isinstance(part, dict | list)]
        level = [item for part in inner for item in part if isinstance(item, dict | list)]
        if not level:
            return
    raise DataError(f"the body is nested too deeply; allowed: {depth} levels")


def read_query(kind: type[Record]) -> Record:
    """Return the parameters after `?` as a record.

    Raises:
        DataError: One is unknown, missing, repeated or of the wrong type.
    """
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        values = request.args.getlist(field.name)
        if isinstance(msgspec.inspect.type_info(field.type), msgspec.inspect.VarTupleType):
            given[field.name] = values
        elif len(values) > 1:
            raise DataError(f"{field.name}: came {len(values)} times; allowed: once", place=field.name)
        elif values:
            given[field.name] = values[0]
    known = {field.name for field in msgspec.structs.fields(kind)}
    if extra := sorted(set(request.args) - known):
        raise DataError(f"unknown parameter {extra[0]!r:.80}; allowed: {', '.join(sorted(known))}", place=extra[0][:80])
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at `$.")
        place = path.strip("`")
        raise DataError(f"{place or 'parameters'}: {said[:1].lower()}{said[1:]}", place=place) from error


def _bytes() -> bytes:
    """Return the bytes of the request."""
    if request.mimetype != BYTES:
        raise UnsupportedMediaType(f"The body is {request.mimetype or 'of no type'!r}; send Content-Type: {BYTES}")
    return request.get_data(cache=False)


def reply(made: Any) -> Response:
    """Return what a view answered as a response."""
    found = made if isinstance(made, Made) else Made(made)
    if isinstance(found.answer, bytes):
        kind = found.headers.get("Content-Type", BYTES)
        return Response(found.answer, found.status, found.headers, content_type=kind)
    if found.answer is None:
        return Response(b"", found.status, found.headers)
    return Response(encode(found.answer), found.status, found.headers, content_type=JSON)


encode = msgspec.json.Encoder(enc_hook=str).encode


@routes.after_request
def _advise(response: Response) -> Response:
    """Say when to come back, where that helps."""
    if response.status_code in (429, 503):
        response.headers.setdefault("Retry-After", str(RETRY_SECONDS))
    return response
