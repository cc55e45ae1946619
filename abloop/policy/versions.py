"""Version texts in order, as https://semver.org orders them: numbers as numbers, a pre-release before its release."""

from __future__ import annotations

import re
from functools import lru_cache

MOST_CHARACTERS = 200
MOST_DIGITS = 18
Key = tuple[tuple[int, int, str], ...]


def at_least(version: str | None, least: str | None) -> bool:
    """Return whether a version is another one or a later one; missing is not.

    Example:
        >>> at_least("2.10.0", "2.9"), at_least("2.0.0-beta.1", "2.0.0"), at_least("v3", "2.9.9"), at_least(None, "1")
        (True, False, True, False)
    """
    return version is not None and least is not None and version_key(version) >= version_key(least)


@lru_cache(maxsize=1_024)
def version_key(text: str) -> Key:
    """Return what orders a version text: its numbers, three at least, then its pre-release, if it is one.

    Example:
        >>> version_key("1.2") == version_key("v1.2.0+build5")
        True
    """
    plain = text[:MOST_CHARACTERS].strip().removeprefix("v").split("+", 1)[0]
    numbers, dash, early = plain.partition("-")
    release = [_part(part) for part in numbers.split(".")]
    release += [(1, 0, "")] * (3 - len(release))
    while len(release) > 3 and release[-1] == (1, 0, ""):
        del release[-1]
    end = [(0, 0, "")] if dash else [(0, 1, "")]  # below any further number; an early one below its release
    return (*release, *end, *(_part(part, early=True) for part in early.split(".") if dash))


def _part(part: str, *, early: bool = False) -> tuple[int, int, str]:
    """Return a part in order: of a release, words below numbers; of a pre-release, numbers below words."""
    if re.fullmatch(rf"[0-9]{{1,{MOST_DIGITS}}}", part):
        return 1, int(part), ""
    return (2 if early else 0), 2, part
