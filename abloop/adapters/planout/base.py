"""What PlanOut's random operators are made of: the hash of salts and unit, and the reading of arguments."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

from abloop.errors import DataError

SCALE: Final = float(16**15 - 1)
DIGITS: Final = 15


class Hash:
    """The hash of one operator: of its salts and its unit, and of what is appended to them.

    Args:
        salt: Everything before the unit, e.g. `experiment.variable.`.
        parts: The unit, part by part.
        grows: Whether what is appended stays appended, as it does in PlanOut for a unit given as a list.

    Example:
        >>> Hash("button.color.", ["u1"]).integer() == int(hashlib.sha1(b"button.color.u1").hexdigest()[:15], 16)
        True
    """

    def __init__(self, salt: str, parts: list[Any], *, grows: bool = False) -> None:
        """Keep what is hashed."""
        self._salt = salt
        self._parts = parts
        self._grows = grows

    def integer(self, more: Any = None) -> int:
        """Return an integer in [0, 16**15), of the unit with something appended unless it is None."""
        parts = self._parts
        if more is not None:
            if self._grows:
                parts.append(more)
            else:
                parts = [*parts, more]
        text = self._salt + ".".join(map(str, parts))
        digest = hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
        return int(digest[:DIGITS], 16)

    def uniform(self, low: float = 0.0, high: float = 1.0, more: Any = None) -> float:
        """Return a number in [low, high]."""
        return low + (high - low) * (self.integer(more) / SCALE)


class Operator(ABC):
    """One random value of an experiment; it is drawn when it is assigned to a parameter.

    Args:
        args: By name: `unit` (a value, or a list of them), those of the operator, `salt` in place of the parameter's
            name, or `full_salt` in place of the experiment's salt too.
    """

    def __init__(self, **args: Any) -> None:
        """Keep the arguments."""
        self.args = args

    def draw(self, experiment_salt: str, variable: str, parts: list[Any], separator: str = ".") -> Any:
        """Return the value.

        Args:
            experiment_salt: Salt of the experiment.
            variable: Name of the parameter: the salt where the operator has none of its own.
            parts: The unit, part by part; it grows where the operator's unit is a list.
            separator: Stands between salts and unit.

        Raises:
            DataError: An argument is missing or not what is allowed.

        Example:
            >>> from abloop.adapters.planout import RandomInteger
            >>> RandomInteger(min=1, max=6).draw("dice", "roll", ["u1"]) in range(1, 7)
            True
        """
        self.args.setdefault("salt", variable)  # for good, as in PlanOut, should it be assigned again
        salt = f"{experiment_salt}.{self._text('salt')}{separator}"
        if "full_salt" in self.args:
            salt = self._text("full_salt") + "."
        return self.value(Hash(salt, parts, grows=type(self.args.get("unit")) is list))

    def unit(self) -> Any:
        """Return the unit as it was given.

        Raises:
            DataError: There is none.
        """
        return self._given("unit")

    @abstractmethod
    def value(self, hashed: Hash) -> Any:
        """Return the value that belongs to a hash."""

    def choices(self) -> tuple[Sequence[Any], Sequence[float]] | None:
        """Return what may be chosen and its weights, both shape (k,); None where it is no single choice."""
        return None

    def _number(self, name: str) -> float:
        value = self._given(name)
        if not isinstance(value, int | float):
            raise self._refused(name, "a number")
        return value

    def _integer(self, name: str) -> int:
        value = self._given(name)
        if not isinstance(value, int):
            raise self._refused(name, "a whole number")
        return value

    def _share(self, name: str) -> float:
        value = self._number(name)
        if not 0 <= value <= 1:
            raise self._refused(name, "a number in [0, 1]")
        return value

    def _list(self, name: str) -> list[Any]:
        value = self._given(name)
        if not isinstance(value, list | tuple):
            raise self._refused(name, "a list")
        return list(value)

    def _text(self, name: str) -> str:
        value = self._given(name)
        if not isinstance(value, str):
            raise self._refused(name, "a text")
        return value

    def _given(self, name: str) -> Any:
        if name not in self.args:
            named = ", ".join(sorted(self.args)) or "nothing"
            raise DataError(f"{type(self).__name__} has no argument {name!r}, only {named}; pass {name}=...")
        return self.args[name]

    def _refused(self, name: str, allowed: str) -> DataError:
        came = f"{type(self).__name__}: {name} is {self.args.get(name)!r:.80}"
        return DataError(f"{came}; allowed: {allowed}. Change the argument")
