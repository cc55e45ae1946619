"""Every error abloop raises, one class for each thing the caller can do about it.

    AbloopError
    ├── BlueprintError     change the blueprint
    ├── UnknownNameError   use one of the names that exist
    ├── DataError          repair the data that was handed in
    ├── StoreError         look at the database or the directory, then try again
    │   ├── AwayError      wait: the database does not answer just now
    │   └── ConflictError  run it again: another worker changed the same at the same time
    ├── ArtefactError      the model was refused; train it again
    └── MissingExtraError  install the named extra

None of them ever comes out of `get_decision` or `log_observations`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AbloopError(Exception):
    """Base of all errors of abloop: its text says what came, what is allowed and what to do.

    Attributes:
        place: Where in the input the value stands, e.g. `arms[1].weight`; empty if nowhere.
    """

    def __init__(self, message: str = "", *, place: str = "") -> None:
        """Keep text and place."""
        super().__init__(message)
        self.place = place


class BlueprintError(AbloopError):
    """A blueprint that cannot be registered."""


class UnknownNameError(AbloopError, LookupError):
    """A strategy, arm, metric or trial that does not exist."""


class DataError(AbloopError):
    """Data handed in that cannot be used as it is."""


class StoreError(AbloopError):
    """A database or directory that is locked, corrupt or out of reach."""


class AwayError(StoreError):
    """A database, or a server, that does not answer just now; what was served before goes on.

    Attributes:
        retry_after: Seconds after which to ask again, as it said; 0 where it did not.
    """

    retry_after = 0.0


class ConflictError(StoreError):
    """Another worker changed the same at the same time; nothing was changed."""


class ArtefactError(AbloopError):
    """A stored model that fails its check and is therefore not used."""


class MissingExtraError(AbloopError, ImportError):
    """A feature whose packages are not installed."""


def listed(names: Iterable[object]) -> str:
    """Return names as readable text, at most twelve of them.

    Example:
        >>> listed(["a", "b"])
        "'a', 'b'"
    """
    shown = [repr(str(name)) for name in names]
    if len(shown) > 12:
        shown = [*shown[:12], f"and {len(shown) - 12} more"]
    return ", ".join(shown) if shown else "(none yet)"


def refused(place: str, what: str, fix: str) -> BlueprintError:
    """Return the error of a value in a blueprint: where it stands, what is wrong with it, and what to do.

    Example:
        >>> str(refused("policy.formula", "names no label", "name one, or remove it"))
        'policy.formula names no label; name one, or remove it'
    """
    return BlueprintError(f"{place} {what}; {fix}", place=place)


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """Return the sentence for a name that does not exist, with the nearest one that does.

    Example:
        >>> unknown("arm", "tretment", ["control", "treatment"])
        "unknown arm 'tretment'. Did you mean 'treatment'? There are: 'control', 'treatment'"
    """
    known = list(known)
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"unknown {what} {str(name)!r}. {hint}There are: {listed(known)}"
