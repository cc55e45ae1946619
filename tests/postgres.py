"""A throwaway Postgres for tests: a server that can be killed, and fresh databases in it."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import pytest

GIVEN = "ABLOOP_TEST_POSTGRES"  # URL of a server whose user may make databases
REQUIRED = "ABLOOP_REQUIRE_POSTGRES"  # 1: no Postgres is a failure
_PREFIX = "abloop-pg-"
_PLACE = "/tmp"  # noqa: S108 - every user gets there, and the path of a socket must be short
_START_SECONDS = 60.0
_number = count(1)


def binaries() -> Path | None:
    """Return the directory of the newest Postgres on this machine; None where there is none."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    found = str(installed[-1]) if installed else shutil.which("initdb")
    return Path(found).resolve().parent if found and Path(found).resolve().with_name("postgres").exists() else None


def why_none() -> str:
    """Return why no server can be started here; empty where one can."""
    if binaries() is None:
        return "Postgres is not installed: no /usr/lib/postgresql/*/bin/initdb and none in PATH"
    if os.getuid() == 0 and _user() is None:
        return "Postgres refuses to run as root, and there is no user postgres or nobody"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed: pip install 'abloop[postgres]'"
    return ""


def refuse(reason: str) -> NoReturn:
    """Skip the test by name; fail it where Postgres is required."""
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{reason}; {REQUIRED}=1 asks for it")
    pytest.skip(reason)


class Server:
    """A Postgres of this process's own, which ends with it at the latest.

    Start it in the main thread: it ends with the thread that started it.

    Args:
        directory: Where its files go; the user postgres must get there, so a new one in /tmp where None.
        fsync: Whether what is committed is forced to the disk, as in production.
    """

    def __init__(self, directory: Path | None = None, *, fsync: bool = True) -> None:
        """Choose the place; `start` makes the rest."""
        self._fsync = fsync
        self._owner = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        if directory is None:
            _remove_orphans()
            directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_PLACE))
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        user = _user()
        if os.getuid() == 0 and user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        atexit.register(self.stop)

    def __enter__(self) -> Server:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and remove its files."""
        self.stop()

    @property
    def running(self) -> bool:
        """Whether its first process lives."""
        return self._process is not None and self._process.poll() is None

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of its databases, for SQLAlchemy."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.directory}"

    def start(self) -> None:
        """Start it and wait until it answers; its files are made at the first start."""
        if self.running:
            return
        programs = binaries()
        assert programs is not None, why_none()
        data = self.directory / "data"
        if not (data / "PG_VERSION").exists():
            made = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"]
            subprocess.run(_command(*made, "--no-sync"), check=True, stdout=subprocess.DEVNULL, cwd="/")
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.directory,
            "shared_buffers": "32MB",
            "fsync": "on" if self._fsync else "off",
            "full_page_writes": "on" if self._fsync else "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                _command(programs / "postgres", "-D", data, *options), stdout=log, stderr=log, cwd="/"
            )
        self._wait()

    def kill(self) -> None:
        """Kill every process of it with SIGKILL, at once."""
        if self._process is None:
            return
        os.kill(self._process.pid, signal.SIGSTOP)  # it starts no other meanwhile
        family = _children(self._process.pid)
        for pid in (*family, self._process.pid):
            _kill(pid)
        self._process.wait()
        while any(alive(pid) for pid in family):
            time.sleep(0.005)

    def halt(self) -> None:
        """End it as an administrator does, who waits for nobody's transaction; its files stay."""
        if self.running and self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()

    def restart(self) -> None:
        """Start it again, after it was killed or while it runs."""
        self.halt()
        self.start()

    def stop(self) -> None:
        """End it and remove its files."""
        if os.getpid() != self._owner:
            return  # a forked child, which leaves by way of atexit
        atexit.unregister(self.stop)
        if self.running and self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _wait(self) -> None:
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                _connect(self.url()).close()
            except Exception as error:  # not there yet, starting up, recovering
                if not self.running or time.monotonic() > until:
                    log = (self.directory / "log").read_text()[-2_000:]
                    raise RuntimeError(f"Postgres did not start: {error}\n{log}") from error
                time.sleep(0.02)
            else:
                return


class Databases:
    """Fresh databases in one server.

    Args:
        url: URL of the database that others are made from.
    """

    def __init__(self, url: str) -> None:
        """Keep the URL."""
        self._url = url

    def make(self) -> str:
        """Make an empty database and return its URL."""
        name = f"abloop_test_{os.getpid()}_{next(_number)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE template0")
        head, tail = self._url.split("?", 1) if "?" in self._url else (self._url, "")
        return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{tail}" if tail else "")

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self._execute(f"DROP DATABASE IF EXISTS {url.split('?', 1)[0].rsplit('/', 1)[1]} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        with _connect(self._url) as connection:
            connection.execute(statement)


def _connect(url: str) -> Any:
    import psycopg

    return psycopg.connect(url.replace("postgresql+psycopg:", "postgresql:", 1), autocommit=True, connect_timeout=10)


def _user() -> pwd.struct_passwd | None:
    """Return the user that Postgres runs as where this process is root's."""
    users = {user.pw_name: user for user in pwd.getpwall()}
    return users.get("postgres") or users.get("nobody")


def _command(*words: object) -> list[str]:
    """Return a command that is not root's, and ends with this process where the machine can do that."""
    prefix: list[str] = []
    if (setpriv := shutil.which("setpriv")) is not None:
        prefix = [setpriv, "--pdeathsig", "QUIT"]
        user = _user()
        if os.getuid() == 0 and user is not None:
            prefix += ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    elif os.getuid() == 0:
        refuse("Postgres refuses to run as root, and there is no setpriv")
    return [*prefix, *map(str, words)]


def _children(parent: int) -> list[int]:
    """Return the processes that a process started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            state = _state(int(entry.name))
            if state is not None and int(state[1]) == parent:
                found.append(int(entry.name))
    return found


def _state(pid: int) -> list[str] | None:
    """Return state letter and parent of a process; None where there is none."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None


def alive(pid: int) -> bool:
    """Return whether a process runs; one that ended and was not asked for its status does not."""
    state = _state(pid)
    return state is not None and state[0] not in "ZX"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _remove_orphans() -> None:
    """Remove what a test run left that was itself killed."""
    for left in Path(_PLACE).glob(f"{_PREFIX}*"):
        owner = left.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
