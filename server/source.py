"""Where the pages read from: one installation, opened when first needed."""

from __future__ import annotations

import threading
from pathlib import Path

from abloop.loop import Loop
from abloop.store.sql import shown_url
from abloop.store.workspace import Workspace
from server.errands import Errands


class Source:
    """One installation, opened once for all requests.

    Args:
        url: SQLAlchemy URL of SQLite or Postgres.
        directory: Where spool and training tables are; beside an SQLite file by default.

    Attributes:
        url: The database as it may be shown: without password and without options.
        directory: As given.
        connect: The arguments with which `abloop.connect` opens the same installation, as Python text.
    """

    def __init__(self, url: str, directory: str | Path | None = None) -> None:
        """Keep where it is; open nothing."""
        self._url = url
        self._lock = threading.Lock()
        self._workspace: Workspace | None = None
        self._loop: Loop | None = None
        self.url = shown_url(url)
        self.directory = directory
        self.connect = repr(self.url) + (f", {str(directory)!r}" if directory else "")

    def workspace(self) -> Workspace:
        """Return the installation; it is opened by the first call, and again after one that failed.

        Raises:
            StoreError: The database or the directory cannot be used.
        """
        with self._lock:
            if self._workspace is None:
                self._workspace = Workspace(self._url, self.directory)
            return self._workspace

    def loop(self) -> Loop:
        """Return the same installation as products open it, for deciding; it goes on while the database is away.

        Raises:
            StoreError: The database or the directory cannot be used.
        """
        with self._lock:
            if self._loop is None:
                self._loop = Loop(self._url, self.directory)
            return self._loop

    def errands(self, home: Path) -> Errands:
        """Return what starts longer work on this installation, in processes of their own.

        Args:
            home: Where the states of errands are kept.
        """
        return Errands(self._url, self.directory, home)

    def close(self) -> None:
        """Close the installation, its spool too; the next request opens it again."""
        with self._lock:
            for opened in (self._workspace, self._loop):
                if opened is not None:
                    opened.close()
            self._workspace = self._loop = None
