"""How many threads may work on a fit. Those of numeric libraries wait by turning in circles, and steal what they want.

On small tables they wait longer than they work; where other processes work too, tens of times longer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager

CROWD = 4_000_000  # numbers of a table from which on several threads are worth it


def crew(rows: int, columns: int) -> int:
    """Return how many threads may work on so many numbers: 1, or 0 for one a core."""
    return 1 if rows * columns < CROWD else 0


def hands() -> int:
    """Return how many small fits may run side by side: the cores of this process, or what OMP_NUM_THREADS says."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdecimal():
        return max(1, int(said))
    # Not every system tells which cores a process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def side_by_side(tasks: Sequence[Callable[[], None]], most: int, done: Callable[[int], None]) -> None:
    """Run tasks that do not touch each other, some at a time; the first that raises ends the rest.

    Args:
        tasks: What to do.
        most: At a time, from 1.
        done: Called with how many are done, after each.

    Raises:
        Exception: Whatever a task raises.

    Example:
        >>> found = []
        >>> side_by_side([lambda: found.append(1), lambda: found.append(2)], 1, lambda count: None)
        >>> found
        [1, 2]
    """
    with ThreadPoolExecutor(most) as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            for count, future in enumerate(as_completed(futures), start=1):
                future.result()
                done(count)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


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
