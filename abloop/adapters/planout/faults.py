"""What goes wrong in a request: counted for the class that a user wrote."""

from __future__ import annotations

from typing import ClassVar

from abloop.faults import Faults as Count


class Faults:
    """Base of what is made anew for each request and must not raise in it.

    Attributes:
        errors: Requests of this class that got a default because something raised.
    """

    errors: ClassVar[int] = 0
    _count: ClassVar[Count] = Count()

    def __init_subclass__(cls) -> None:
        """Let every class count for itself."""
        super().__init_subclass__()
        cls.errors, cls._count = 0, Count()

    @classmethod
    def _complain(cls, did: str, error: Exception) -> None:
        """Count an error, and log at most one a minute."""
        cls._count.note(f"PlanOut experiment {cls.__name__} {did}", error)
        cls.errors = cls._count.count
