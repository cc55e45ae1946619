"""The terminal: where an installation is, what is printed, bars for what takes long."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from abloop.errors import StoreError

if TYPE_CHECKING:
    from abloop.loop import Loop

DEFAULT_URL = "sqlite:///abloop.db"
BEGINNERS = ("apply", "import_payload")  # may begin an installation
Command = Callable[[argparse.Namespace], int]
Add = Callable[[str, Command, str], argparse.ArgumentParser]


def add_url(sub: argparse.ArgumentParser) -> None:
    """Add the options that say where an installation is."""
    sub.add_argument("--url", default=DEFAULT_URL, help=f"database (default: {DEFAULT_URL})")
    sub.add_argument("--directory", default=None, help="where spool and tables are (default: beside the database)")


def open_loop(options: argparse.Namespace) -> Loop:
    """Open an installation that is there, or begin one."""
    from abloop.loop import Loop
    from abloop.store.sql import sqlite_file

    file = sqlite_file(options.url)
    if file is not None and options.command.__name__ not in BEGINNERS and not file.exists():
        raise StoreError(
            f"database {file} is not there. Name yours with --url, or register a blueprint: abloop apply FILE"
        )
    return Loop(options.url, options.directory)


def show(options: argparse.Namespace, data: dict[str, Any], text: Callable[[], str]) -> None:
    """Print the object or the text; msgspec writes numbers that could not be estimated as null."""
    print(msgspec.json.format(msgspec.json.encode(data), indent=2).decode() if options.json else text())


class Progress:
    """A bar on standard error for each step, where that is a terminal."""

    def __init__(self) -> None:
        """Open none yet."""
        self._bar: Any = None
        self._step = ""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show that `done` of `total` parts of a step are done."""
        if not sys.stderr.isatty():
            return
        if step != self._step:
            from tqdm import tqdm

            self.__exit__()
            self._bar, self._step = tqdm(total=total, desc=step, leave=False), step
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> Progress:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the bar that is open."""
        if self._bar is not None:
            self._bar.close()
