"""The command that erases a unit."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from abloop.cli.terminal import Add, add_url, open_loop, show
from abloop.ids import user

if TYPE_CHECKING:
    from abloop.store.erasure import Erasure

TEXT = "Erase a unit from spool, database and training table, and prove it; exit code 1 where that fails."


def add_keeping(add: Add) -> None:
    """Add the command."""
    sub = add("erase", erase_unit, TEXT)
    sub.add_argument("--unit", required=True, help="the unit, as the contexts of its decisions name it")
    sub.add_argument("--strategy", default="", help="only from this one")
    sub.add_argument("--why", default="", help="kept with a hash of the unit")
    add_url(sub)


def erase_unit(options: argparse.Namespace) -> int:
    """Erase a unit."""
    from abloop.store.erasure import erase

    with closing(open_loop(options)) as loop:
        done = erase(loop, options.unit, options.strategy, who=user(), why=options.why)
    data = {**msgspec.to_builtins(done), "proven": done.proven}
    show(options, data, lambda: _text(options.unit, done))
    return 0 if done.proven else 1


def _text(unit: str, done: Erasure) -> str:
    """Return what was erased, place by place."""
    from abloop.readout.text import table

    rows = [[place, f"{number:,}", f"{done.left[place]:,}"] for place, number in done.found.items()]
    lines = [table(["records in", "found", "left"], rows), ""]
    if done.proven:
        lines.append(f"Nothing of unit {unit!r} is left. What it did before and comes late is dropped.")
    else:
        lines.append(f"Something of unit {unit!r} is left: it was active, or a worker ran. Run it again.")
    if done.mentions:
        lines.append(f"{done.mentions:,} rows of other units have {unit!r} as the value of a feature; they stay.")
    return "\n".join(lines)
