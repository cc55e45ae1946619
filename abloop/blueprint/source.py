"""Plain values with the place each has in the text they were read from. Knows no blueprint and no YAML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Mark = tuple[int, int]


@dataclass(frozen=True)
class Source:
    """A parsed text.

    Attributes:
        name: File name, for messages.
        value: What the text says.
        marks: Path (`arms[1].weight`) to line and column, both from 1.
    """

    name: str
    value: Any
    marks: dict[str, Mark] = field(default_factory=dict, repr=False)

    def at(self, path: str) -> str:
        """Return `file:line:column` of a path, or of its nearest parent in the text; the name alone without marks."""
        while path and path not in self.marks:
            cut = max(path.rfind("."), path.rfind("["))
            path = path[:cut] if cut > 0 else ""
        return "{}:{}:{}".format(self.name, *self.marks[path]) if path in self.marks else self.name
