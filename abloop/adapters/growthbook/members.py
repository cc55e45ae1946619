"""Whether a value, or any of a list of values, stands in a list; and the lists that saved groups are."""

from __future__ import annotations

from typing import Any

from abloop.adapters.growthbook.limits import SLOW, Budget
from abloop.adapters.growthbook.values import kind, same

FEW = 64  # pairs that are compared one by one


def contains(values: list[Any], value: Any, budget: Budget, *, fold: bool = False) -> bool:
    """Return whether a value, or any element of a list, stands in a list. True is not 1; objects are never found.

    Args:
        values: The list.
        value: A value, or a list of them.
        budget: What the evaluation may cost.
        fold: Whether texts are compared without regard to case.

    Example:
        >>> contains([1, "a"], True, Budget()), contains(["A"], ["b", "a"], Budget(), fold=True)
        (False, True)
    """
    if isinstance(value, list):
        budget.look(len(values) + len(value), each=SLOW)
        if len(values) * len(value) <= FEW:
            right = [_fold(other, fold, budget) for other in values]
            return any(same(_fold(one, fold, budget), other) for one in value for other in right)
        return not _simple(values, fold, budget).isdisjoint(_simple(value, fold, budget))
    if isinstance(value, dict):
        return False
    if not fold and value not in (0, 1):
        budget.look(len(values))
        return value in values
    budget.look(len(values), each=SLOW)
    value = _fold(value, fold, budget)
    return any(same(value, _fold(other, fold, budget)) for other in values)


def _fold(value: Any, fold: bool, budget: Budget) -> Any:
    """Return a text in lower case, if so wanted."""
    if not fold or not isinstance(value, str):
        return value
    budget.read(value)
    return value.lower()


def _simple(values: list[Any], fold: bool, budget: Budget) -> set[tuple[str, Any]]:
    """Return the simple values of a list, each with its type."""
    typed = ((kind(value), _fold(value, fold, budget)) for value in values)
    return {(name, value) for name, value in typed if name in ("string", "number", "boolean", "null")}


def group_values(groups: Any, name: Any) -> list[Any] | bool | None:
    """Return the values of a saved group: none where it is absent, False for a malformed, None for an unknown one."""
    if not isinstance(name, str):
        return False
    if groups is None or name not in groups:
        return []
    group = groups[name]
    if isinstance(group, list):
        return group
    if isinstance(group, dict) and group.get("type") not in ("list", "condition"):
        return None
    values = group.get("values") if isinstance(group, dict) and group.get("type") == "list" else None
    return values if isinstance(values, list) else False
