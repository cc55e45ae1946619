"""How many threads may work on a fit. Those of numeric libraries wait by turning in circles, and steal what they want.

On small tables they wait longer than they work; where other processes work too, tens of times longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

CROWD = 4_000_000  # numbers of a table from which on several threads are worth it


def crew(rows: int, columns: int) -> int:
    """Return how many threads may work on so many numbers: 1, or 0 for one a core."""
    return 1 if rows * columns < CROWD else 0


@contextmanager
def torch_alone(rows: int, columns: int) -> Iterator[None]:
    """Let torch use one thread for a while, where a table is small.

    Args:
        rows: Of the table.
        columns: Of the table.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(crew(rows, columns) or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
