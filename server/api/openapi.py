"""The OpenAPI 3.1 document, made of the table of endpoints and the records they take and give."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from flask import Blueprint as Routes
from flask import Response

import abloop
from server.access import allow
from server.api.endpoint import BYTES, JSON, Endpoint, encode, table

documents = Routes("openapi", __name__)
REFERENCE = "#/components/schemas/{name}"
DESCRIPTION = (
    "Decisions, observations and all that belongs to them, from any language. Every request shows a token: "
    "`Authorization: Bearer abl_...`. What is wrong with a request is said as JSON, with the path of the value and "
    "what to do. Requests may be repeated: nothing counts twice."
)
TITLES = {
    200: "Done.",
    201: "Made.",
    304: "What the caller has is still so.",
    400: "The body is no JSON, or the request is none.",
    401: "The token is missing, wrong, expired or revoked.",
    403: "The token has not the grant that this needs.",
    404: "There is nothing of this name.",
    409: "Somebody else changed it; nothing was changed.",
    413: "The body is too large.",
    415: "The body is of another type.",
    422: "A value is none that is allowed; nothing was changed.",
    429: "Too many requests.",
    503: "The database does not answer just now.",
}
EVERYWHERE = (400, 401, 403, 422, 429, 503)
WITH_BODY = (413, 415)
RETRIED = {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds after which to ask again."}}


class Failure(msgspec.Struct, frozen=True):
    """What went wrong.

    Attributes:
        error: In a few words.
        detail: What came, what is allowed and what to do.
        path: Where in the request the value stands; empty if nowhere.
        fix: What to do.
    """

    error: str
    detail: str
    path: str
    fix: str


@documents.get("/openapi.json")
@allow("read")
def openapi() -> Response:
    """Give the description of the API."""
    return Response(encode(document()), content_type=JSON)


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    answers = [entry.answer for entry in table if entry.answer is not None]
    bodies = [entry.body for entry in table if entry.body not in (None, bytes)]
    queries = [entry.query for entry in table if entry.query is not None]
    asked, shapes = len(bodies) + len(queries), [*bodies, *queries, *answers, Failure]
    schemas, components = msgspec.json.schema_components(shapes, ref_template=REFERENCE)
    taken = _reached(schemas[:asked], components)
    found = {name: schema if name in taken else _nullable(schema) for name, schema in components.items()}
    made = dict(zip(map(id, shapes), schemas, strict=True))
    described = {name: _described(schema) for name, schema in found.items()}
    paths: dict[str, Any] = {}
    for entry in table:
        path = "/v1" + re.sub(r"<(\w+)>", r"{\1}", entry.path)
        paths.setdefault(path, {})[entry.method.lower()] = _operation(entry, made, described)
    token = {"type": "http", "scheme": "bearer", "description": "A token of an admin's page of tokens, `abl_...`."}
    return {
        "openapi": "3.1.0",
        "info": {"title": "abloop", "version": abloop.__version__, "description": DESCRIPTION},
        "paths": paths,
        "components": {"schemas": described, "securitySchemes": {"token": token}},
        "security": [{"token": []}],
    }


def _operation(entry: Endpoint, made: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    """Return one endpoint's description."""
    found: dict[str, Any] = {
        "operationId": entry.name,
        "summary": entry.summary,
        "description": f"Needs a token with the grant `{entry.rule}`.",
        "parameters": _parameters(entry, made, components),
        "responses": {},
    }
    if entry.body is bytes:
        shape: Any = {"type": "string", "format": "binary"}
        found["requestBody"] = {"required": True, "content": {BYTES: {"schema": shape}}}
    elif entry.body is not None:
        found["requestBody"] = {"required": True, "content": {JSON: {"schema": made[id(entry.body)]}}}
    body = WITH_BODY if entry.body is not None else ()
    for status in sorted({200, *entry.statuses, *EVERYWHERE, *body}):
        found["responses"][str(status)] = _response(entry, status, made)
    return found


def _response(entry: Endpoint, status: int, made: dict[int, Any]) -> dict[str, Any]:
    """Return the description of one status."""
    found: dict[str, Any] = {"description": TITLES[status]}
    if status in (429, 503):
        found["headers"] = RETRIED
    if status >= 400:
        found["content"] = {JSON: {"schema": {"$ref": REFERENCE.format(name="Failure")}}}
    elif status != 304 and entry.answer is None:
        found["content"] = {BYTES: {"schema": {"type": "string", "format": "binary"}}}
    elif status != 304:
        found["content"] = {JSON: {"schema": made[id(entry.answer)]}}
    return found


def _parameters(entry: Endpoint, made: dict[int, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters of the path, of the query and of the headers."""
    texts = {"type": "string"}
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": texts} for name in re.findall(r"<(\w+)>", entry.path)
    ]
    if entry.query is not None:
        shape = components[made[id(entry.query)]["$ref"].rsplit("/", 1)[1]]
        for name, schema in shape["properties"].items():
            said = {"name": name, "in": "query", "required": name in shape.get("required", ()), "schema": schema}
            found.append({**said, "description": schema.get("description", "")})
    for name, text in entry.headers.items():
        found.append({"name": name, "in": "header", "required": False, "schema": texts, "description": text})
    return found


def _reached(schemas: Sequence[Any], components: dict[str, Any]) -> set[str]:
    """Return the names of all components that schemas refer to, directly or not."""
    found: set[str] = set()
    waiting: list[Any] = list(schemas)
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).rsplit("/", 1)[-1]
            if name in components and name not in found:
                found.add(name)
                waiting.append(components[name])
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return found


def _nullable(schema: Any) -> Any:
    """Return a schema in which every number may be null: JSON has no word for one that could not be estimated."""
    if isinstance(schema, list):
        return [_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _nullable(value) for key, value in schema.items() if key != "default"}
    if found.get("type") == "number":
        found["type"] = ["number", "null"]
    return found


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a record's schema with the descriptions that its docstring gives to its fields."""
    text = inspect.cleandoc(schema.get("description", ""))
    fields = dict(re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)$", text, re.MULTILINE))
    for name, part in schema.get("properties", {}).items():
        if name in fields:
            part["description"] = " ".join(fields[name].split())
    return {**schema, "description": text.splitlines()[0]} if text else schema
