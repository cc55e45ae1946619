"""A mapping that nobody can change, as flag metadata must be; it can be copied and written as JSON."""

from __future__ import annotations

from typing import Any, NoReturn

Value = bool | int | float | str


class Fixed(dict[str, Value]):
    """A dictionary that refuses every change; a copy of it is a plain one.

    Example:
        >>> Fixed({"version": 3})["version"]
        3
    """

    __slots__ = ()

    def _refuse(self, *args: Any, **more: Any) -> NoReturn:
        raise TypeError("flag metadata cannot be changed; copy it: dict(details.flag_metadata)")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __copy__(self) -> dict[str, Value]:
        return dict(self)

    def __deepcopy__(self, memo: Any) -> dict[str, Value]:
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)
