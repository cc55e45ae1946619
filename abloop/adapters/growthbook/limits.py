"""How much work one evaluation may do: what comes from a payload or a context is never trusted to be small."""

from __future__ import annotations

from abloop.errors import DataError

DEEPEST = 100  # levels of a condition, of a value compared with another, of prerequisites
LONGEST_HASHED = 8_192  # characters of seed and unit together: the hash is a loop over them
LONGEST_VERSION = 256  # characters of a version
LONGEST_NUMBER = 400  # characters of a text that is read as a number
LONGEST_URL = 8_192  # characters of an address that is searched for forced variations
STEPS = 20_000  # parts of conditions and rules that one evaluation looks at, a few hundred nanoseconds each
QUICK, SLOW = 50, 4  # values of a list that are looked through for one step: by C code, by Python code
CHARACTERS_A_STEP = 500  # characters of a text that are compared or folded for one step


class Budget:
    """The steps that one evaluation has left.

    Attributes:
        left: Steps left.
    """

    __slots__ = ("left",)

    def __init__(self, left: int = STEPS) -> None:
        """Start with all steps."""
        self.left = left

    def spend(self, steps: int = 1) -> None:
        """Take steps.

        Raises:
            DataError: There are none left.
        """
        self.left -= steps
        if self.left < 0:
            raise DataError(f"it needs more than {STEPS} steps; make it smaller")

    def look(self, size: int, *, each: int = QUICK) -> None:
        """Take the steps for looking through a list, one for so many values.

        Raises:
            DataError: There are none left.
        """
        self.spend(1 + size // each)

    def read(self, *texts: object) -> None:
        """Take the steps for texts that are long.

        Raises:
            DataError: There are none left.
        """
        for text in texts:
            if isinstance(text, str) and len(text) > CHARACTERS_A_STEP:
                self.spend(len(text) // CHARACTERS_A_STEP)


def deeper(depth: int) -> int:
    """Return the next depth.

    Raises:
        DataError: It is too deep.
    """
    if depth >= DEEPEST:
        raise DataError(f"it is nested deeper than {DEEPEST} levels")
    return depth + 1
