"""Where one installation keeps everything: a database URL and a directory beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from abloop.errors import StoreError
from abloop.pseudonyms import compile_pseudonym
from abloop.records import Decision
from abloop.store.audit import Audit
from abloop.store.catalogue import Catalogue
from abloop.store.comparisons import Comparisons
from abloop.store.find import find_decision
from abloop.store.journal import Journal
from abloop.store.manifest import Manifest
from abloop.store.reports import Reports
from abloop.store.rows import Source
from abloop.store.spool import SPOOL_BYTES, Durability, Spool
from abloop.store.sql import Database, sqlite_file
from abloop.store.tunings import Tunings

Clock = Callable[[], float]


class Workspace:
    """Database, spool and training tables of one installation.

    Args:
        url: SQLAlchemy URL of SQLite or Postgres.
        directory: Where spool and training tables go; beside an SQLite file by default (`abloop.db` has
            `abloop.files`), `abloop.files` in the current directory for a server.
        clock: Gives seconds since 1970; tests and replays hand in their own.
        patience: Seconds to wait for a database that does not answer; None waits until it refuses, and raises.
        durability: What records in the spool survive: `process`, `power` or `memory`; see `Spool`.
        spool_bytes: Most that the spool may take on the disk, in bytes.
        pseudonym_key: Secret of 16 to 64 bytes, for blueprints that pseudonymise; ABLOOP_PSEUDONYM_KEY of the
            environment where empty.

    Raises:
        StoreError: Database or directory cannot be used, or `durability` or `spool_bytes` is none that is allowed.
        DataError: The key is too short or too long.

    Attributes:
        audit: Who changed what and why.
        catalogue: Blueprints, servings, artefacts, verdicts.
        comparisons: Versions that are compared in production.
        journal: Decisions and observations on their way to the training tables.
        manifest: Files of the training tables.
        tunings: What is known of tuning.
        reports: Reports that take long to make.
        spool: Where this process writes records.
        clock: As given.
        pseudonym: Gives the pseudonym of a text; None where there is no key.
        sources: Where blueprints read from besides, by name: database URLs, or Python functions of an entity's id.
        spool_directory: Where the segments of all processes are.
        table_directory: Where training tables are.
        served_directory: Where what is served is kept for a time without the database.
    """

    def __init__(
        self,
        url: str,
        directory: str | Path | None = None,
        clock: Clock = time.time,
        *,
        patience: float | None = None,
        durability: Durability = "process",
        spool_bytes: int = SPOOL_BYTES,
        pseudonym_key: bytes | str = b"",
    ) -> None:
        """Open the database and make the directories."""
        self.pseudonym = compile_pseudonym(pseudonym_key)
        self._database = Database(url, patience)
        home = Path(directory) if directory is not None else _beside(url)
        self.audit = Audit(self._database)
        self.catalogue = Catalogue(self._database)
        self.comparisons = Comparisons(self._database)
        self.journal = Journal(self._database)
        self.manifest = Manifest(self._database)
        self.tunings = Tunings(self._database)
        self.reports = Reports(self._database)
        self.clock = clock
        self.sources: Mapping[str, Source] = {}
        self.table_directory = home / "tables"
        self.served_directory = home / "served"
        try:
            self.spool = Spool(home / "spool", durability=durability, spool_bytes=spool_bytes, clock=clock)
        except StoreError:
            self._database.close()
            raise
        except OSError as error:
            self._database.close()
            raise StoreError(
                f"directory {home}: {error.strerror}. Make it writable, or name another: connect(url, directory=...)"
            ) from error
        self.spool_directory = self.spool.directory

    @property
    def database(self) -> Database:
        """The database, for the procedures of this room."""
        return self._database

    def find(self, decision_id: str, strategy: str = "") -> Decision:
        """Return the record of a decision, wherever it is on its way.

        Raises:
            UnknownNameError: There is no such decision.
            DataError: Several strategies have a decision of this id, and none was named.
        """
        return find_decision(
            self._database,
            self.journal,
            self.manifest,
            self.spool_directory,
            self.table_directory,
            decision_id,
            strategy,
        )

    def close(self) -> None:
        """Close spool and database."""
        self.spool.close()
        self._database.close()


def _beside(url: str) -> Path:
    """Return the directory that goes with a database."""
    file = sqlite_file(url)
    return file.with_suffix(".files") if file is not None else Path("abloop.files")
