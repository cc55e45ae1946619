"""Registration with a server: checked here, in the words of the checks, before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from abloop.blueprint import Blueprint, from_mapping
from abloop.pseudonyms import Pseudonym, require_pseudonym
from abloop.remote.feed import read
from abloop.remote.transport import Transport


class _Registered(msgspec.Struct):
    version: int


def register(
    transport: Transport, pseudonym: Pseudonym | None, blueprint: Blueprint | Mapping[str, Any], why: str
) -> int:
    """Have a server keep a blueprint as the newest version of its strategy and serve it; return its version.

    Raises:
        BlueprintError: With path, value, what is allowed and the fix.
        DataError: It pseudonymises, and the key is not here.
        AwayError: The server does not answer.
        StoreError: It refuses the token.
    """
    checked = from_mapping(blueprint if isinstance(blueprint, Mapping) else msgspec.to_builtins(blueprint))
    if checked.pseudonymise:
        require_pseudonym(pseudonym, checked.strategy)
    body = msgspec.json.encode({"blueprint": msgspec.to_builtins(checked), "why": why})
    answer = transport.request("POST", "/v1/blueprints", body=body)
    found: _Registered = read(answer.body, _Registered)
    return found.version
