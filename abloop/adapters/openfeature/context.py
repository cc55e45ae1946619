"""What a call brings: unit, features and decision id out of an evaluation context that may be anything."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import InvalidContextError

DECISION_ID: Final = "decision_id"
LONGEST: Final = 10_000
MOST_ATTRIBUTES: Final = 10_000
Asked = tuple[str, dict[str, Any], str]


def read_context(given: object) -> Asked:
    """Return unit and decision id, each empty where there is none, and between them the attributes.

    Args:
        given: An evaluation context, or None.

    Raises:
        InvalidContextError: It is none, or targeting key, attributes or decision id are not usable.

    Example:
        >>> read_context(EvaluationContext("u-17", {"country": "FI"}))
        ('u-17', {'country': 'FI'}, '')
    """
    if given is None:
        return "", {}, ""
    if not isinstance(given, EvaluationContext):
        raise InvalidContextError(f"evaluation_context is of type {type_name(given)}; allowed: an EvaluationContext")
    unit, attributes = read_unit(given.targeting_key), copied(given.attributes)
    named = read_id(attributes[DECISION_ID]) if DECISION_ID in attributes else ""
    return unit, attributes, named


def read_unit(key: object) -> str:
    """Return a targeting key as text; empty where there is none.

    Raises:
        InvalidContextError: It is neither a text nor a whole number, or a very long one.

    Example:
        >>> read_unit(17), read_unit(None)
        ('17', '')
    """
    if key is None:
        return ""
    if isinstance(key, str):
        if str.__len__(key) > LONGEST:
            raise InvalidContextError(f"targeting_key has {str.__len__(key):,} characters; allowed: {LONGEST:,}")
        return str.__str__(key)
    if isinstance(key, int) and not isinstance(key, bool) and abs(key) < 1 << 128:
        return int.__repr__(key)
    raise InvalidContextError(
        f"targeting_key is of type {type_name(key)}; allowed: a text, or a whole number below 2**128"
    )


def read_id(given: object) -> str:
    """Return a decision id that a caller named; empty for None.

    Raises:
        InvalidContextError: It is no text, or a very long one.
    """
    if given is None:
        return ""
    if type(given) is not str or len(given) > LONGEST:
        raise InvalidContextError(
            f"{DECISION_ID} is of type {type_name(given)}; allowed: a text of at most {LONGEST:,} characters"
        )
    return given


def type_name(value: object) -> str:
    """Return the name of a value's type, which a stranger's metaclass may refuse to tell."""
    try:
        return str(type(value).__name__)[:80]
    except Exception:
        return "unknown"


def copied(attributes: Any) -> dict[str, Any]:
    """Return attributes as a dictionary of our own, at most 10,000 of them.

    Raises:
        InvalidContextError: They cannot be read.
    """
    if type(attributes) is dict:
        return {**attributes}
    try:
        return dict(islice(attributes.items(), MOST_ATTRIBUTES))
    except Exception as error:
        raise InvalidContextError(
            f"attributes are of type {type_name(attributes)}; allowed: a readable mapping"
        ) from error
