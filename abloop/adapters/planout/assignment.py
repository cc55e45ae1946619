"""PlanOut's assignment: the mapping that draws a random operator when it is assigned to a parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from abloop.adapters.planout.base import Operator

Watch = Callable[[str, Operator, Any], Any]
_OWN = frozenset({"experiment_salt", "salt_sep", "_data", "_overrides", "_units", "_watch"})


class Assignment(MutableMapping[str, Any]):
    """The parameters of one unit, read and written as items or as attributes.

    Args:
        experiment_salt: Put before the parameter's name in every hash.
        overrides: Parameters with values that nothing changes.
        watch: Sees every operator that was drawn, with its parameter and its value, and returns the value to keep.

    Example:
        >>> from abloop.adapters.planout import UniformChoice
        >>> params = Assignment("button")
        >>> params.color = UniformChoice(choices=["blue", "green"], unit=17)
        >>> params["color"] == params.color
        True
    """

    def __init__(
        self, experiment_salt: Any, overrides: Mapping[str, Any] | None = None, *, watch: Watch | None = None
    ) -> None:
        """Begin with the overrides alone."""
        self.experiment_salt = experiment_salt
        self.salt_sep = "."
        self._overrides = dict(overrides or {})
        self._data = dict(self._overrides)
        self._units: dict[int, tuple[list[Any], list[Any]]] = {}
        self._watch = watch

    def get_overrides(self) -> dict[str, Any]:
        """Return the parameters that nothing changes.

        Example:
            >>> Assignment("button", {"color": "red"}).get_overrides()
            {'color': 'red'}
        """
        return self._overrides

    def set_overrides(self, overrides: Mapping[str, Any]) -> None:
        """Fix parameters from now on.

        Example:
            >>> params = Assignment("button")
            >>> params.set_overrides({"color": "red"})
            >>> params.color = "blue"
            >>> params.color
            'red'
        """
        self._overrides = dict(overrides)
        self._data.update(self._overrides)

    def __setitem__(self, name: str, value: Any) -> None:
        """Keep a value; draw an operator.

        Raises:
            DataError: An argument of the operator is missing or not what is allowed.
        """
        if name in self._overrides:
            return
        if isinstance(value, Operator):
            operator = value
            value = operator.draw(self.experiment_salt, name, self._parts(operator.unit()), self.salt_sep)
            if self._watch is not None:
                value = self._watch(name, operator, value)
        self._data[name] = value

    def __setattr__(self, name: str, value: Any) -> None:
        """Keep a value as parameter, unless it is the mapping's own."""
        if name in _OWN:
            object.__setattr__(self, name, value)
        else:
            self[name] = value

    def __getitem__(self, name: str) -> Any:
        """Return a parameter."""
        return self._data[name]

    def __getattr__(self, name: str) -> Any:
        """Return a parameter."""
        if name in _OWN or name not in self._data:
            raise AttributeError(f"no parameter {name!r:.80} was assigned; assign it first, or use params.get(name)")
        return self._data[name]

    def __delitem__(self, name: str) -> None:
        """Forget a parameter."""
        del self._data[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._data)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._data)

    def __str__(self) -> str:
        """Return the parameters as text."""
        return str(self._data)

    def _parts(self, unit: Any) -> list[Any]:
        """Return the parts of a unit; a list that operators appended to stays longer for those that follow."""
        if type(unit) is not list:
            return [unit]
        return self._units.setdefault(id(unit), (unit, list(unit)))[1]
