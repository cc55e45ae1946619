"""What has a name and a salt: PlanOut's rule that one stands for the other."""

from __future__ import annotations

import re

from abloop.adapters.planout.faults import Faults
from abloop.errors import DataError


class Named(Faults):
    """What has a name and a salt, both of which `setup` may set.

    Example:
        >>> named = Named()
        >>> named.name = "first page"
        >>> named.name, named.salt
        ('first-page', 'first-page')
    """

    def __init__(self) -> None:
        """Take the name of the class."""
        self._name = type(self).__name__
        self._salt: str | None = None

    @property
    def name(self) -> str:
        """Name of the experiment; white space becomes a hyphen."""
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        if not isinstance(value, str):
            raise DataError(f"name of {type(self).__name__} is {value!r:.80}; allowed: a text. Set it in setup()")
        self._name = re.sub(r"\s+", "-", value)

    @property
    def salt(self) -> str:
        """Salt of every parameter; the name where none was set."""
        return self._salt or self._name

    @salt.setter
    def salt(self, value: str) -> None:
        self._salt = value

    def setup(self) -> None:
        """Set name, salt and other attributes; override it."""
