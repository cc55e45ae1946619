"""Regular expressions in linear time only: RE2, which a payload cannot make slow. Without it no pattern is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

from abloop.adapters.growthbook.limits import Budget
from abloop.errors import DataError

LONGEST_PATTERN = 1_000
LONGEST_SUBJECT = 20_000
MEMORY = 64 * 1024  # bytes for a pattern's program and automaton; larger patterns are refused
STATES_A_STEP = 500  # states of a program, for each character of a text, that are looked at for one step


class _Refused(str):
    """Why a pattern is not used."""

    __slots__ = ()


@lru_cache(maxsize=256)
def _compiled(pattern: str, insensitive: bool) -> tuple[Callable[[str], Any], int] | _Refused:
    """Return the search of a pattern and how many states it has, or why there is none."""
    if len(pattern) > LONGEST_PATTERN:
        return _Refused(f"a regular expression has {len(pattern)} characters; allowed: {LONGEST_PATTERN}")
    try:
        re2 = import_module("re2")  # optional, and loaded only where a condition has a regular expression
    except ImportError:
        return _Refused("regular expressions need the package google-re2, which is not installed")
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = MEMORY
    options.case_sensitive = not insensitive
    try:
        program = re2.compile(pattern, options)
        return program.search, program.programsize
    except Exception as error:  # re2.error, or a text that is no Unicode
        return _Refused(f"regular expression {pattern[:60]!r}: {error} (lookaround and backreferences are not linear)")


def found(pattern: str, text: str, budget: Budget, *, insensitive: bool = False) -> bool:
    """Return whether a pattern occurs in a text.

    Raises:
        DataError: The pattern is refused, RE2 is not installed, or the text is too long to be searched.

    Example:
        >>> found("^(a+)+$", "a" * 1000, Budget()), found("b", "aaa", Budget())
        (True, False)
    """
    budget.spend(min(len(pattern), LONGEST_PATTERN))  # what compiling costs, where it was not done before
    compiled = _compiled(pattern, insensitive)
    if isinstance(compiled, _Refused):
        raise DataError(compiled)
    search, states = compiled
    if len(text) > LONGEST_SUBJECT:
        raise DataError(f"a text has {len(text)} characters; searched are at most {LONGEST_SUBJECT}")
    budget.spend(len(text) * states // STATES_A_STEP)
    return search(text.encode("utf-8", "replace").decode()) is not None
