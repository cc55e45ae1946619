"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]  # fits done, fits in all


def further(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    """Return what tells how far a part is of work that began before it.

    Args:
        progress: Called with fits done and fits in all.
        before: Fits done before the part.
        total: Fits in all.
    """

    def told(done: int) -> None:
        progress(before + done, total)

    return told
