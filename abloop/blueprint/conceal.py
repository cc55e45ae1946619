"""Pseudonyms in a context: what a blueprint names is replaced before anything behind it sees the context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abloop.blueprint.spec import Blueprint
from abloop.features.read import read_categorical
from abloop.pseudonyms import Pseudonym, require_pseudonym


def conceal(blueprint: Blueprint, context: Mapping[str, Any], pseudonym: Pseudonym | None) -> dict[str, Any]:
    """Return a context with pseudonyms in the place of the unit and the categories that the blueprint names.

    Args:
        blueprint: Says which.
        context: The application context.
        pseudonym: Gives the pseudonym of a text; None where there is no key.

    Raises:
        DataError: There is no key.

    Example:
        >>> from abloop.blueprint import from_mapping
        >>> raw = {"strategy": "s", "arms": [{"name": "a"}, {"name": "b"}], "metrics": [{"name": "y"}]}
        >>> blueprint = from_mapping({**raw, "pseudonymise": ["user_id"]})
        >>> conceal(blueprint, {"user_id": 7, "x": 1}, lambda text: f"<{text}>")
        {'user_id': '<7>', 'x': 1}
    """
    give, hidden = require_pseudonym(pseudonym, blueprint.strategy), dict(context)
    for name in blueprint.pseudonymise:
        value = hidden.get(name)
        if name != blueprint.unit:
            value = read_categorical(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            value = int.__repr__(value)
        hidden[name] = give(value) if isinstance(value, str) else None  # no unit is refused where it is read
    return hidden
