"""The throwaway Postgres of the tests: it survives being killed, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.postgres import REQUIRED, Databases, Server, alive, refuse, why_none

HELD = "import sys, time; from tests.postgres import Server; s = Server(); s.start(); print(s.directory, flush=True); "


@pytest.fixture
def killable() -> Iterator[Server]:
    """Return a server of the test's own."""
    if reason := why_none():
        refuse(reason)
    with Server() as server:
        yield server


def test_a_killed_server_comes_back_with_all_it_said_is_kept(killable: Server) -> None:
    """After SIGKILL to every process of it, in the middle of a transaction, what was committed is there."""
    engine = sa.create_engine(killable.url())
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS x")
    with engine.connect() as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES (0)")
        killable.kill()
        assert not killable.running
        with pytest.raises(sa.exc.OperationalError):
            connection.exec_driver_sql("SELECT 1")
    killable.start()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 1_000
    engine.dispose()
    killable.restart()
    assert killable.running


def test_nothing_is_left_of_a_run_that_was_killed(killable: Server) -> None:
    """The server of a process that gets SIGKILL ends, and the next one removes its files."""
    owner = subprocess.Popen(
        [sys.executable, "-c", HELD + "time.sleep(60)"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert owner.stdout is not None
    left = Path(owner.stdout.readline().strip())
    postmaster = int((left / "data" / "postmaster.pid").read_text().split()[0])
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    until = time.monotonic() + 10
    while alive(postmaster) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(postmaster)
    assert left.exists()
    Server().stop()
    assert not left.exists()
    assert killable.directory.exists()


def test_every_database_is_fresh(postgres: Databases) -> None:
    """Each database is empty and has a name of its own."""
    first, second = postgres.make(), postgres.make()
    assert first != second
    assert f"_{os.getpid()}_" in first
    for url in (first, second):
        engine = sa.create_engine(url)
        assert sa.inspect(engine).get_table_names() == []
        engine.dispose()
        postgres.drop(url)


@pytest.mark.parametrize(("asked", "outcome"), [("1", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_where_postgres_is_required_nothing_is_skipped(
    monkeypatch: pytest.MonkeyPatch, asked: str, outcome: type[BaseException]
) -> None:
    """CI fails where Postgres is missing; elsewhere its tests are skipped, and say why."""
    monkeypatch.setenv(REQUIRED, asked)
    with pytest.raises(outcome, match="no server"):
        refuse("no server")
