"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from abloop.store.online import GroupCache
from abloop.store.rows import Fetch
from tests import postgres as throwaway

# A busy machine is no failure; where a change is judged, the same examples are drawn each time.
settings.register_profile("abloop", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("abloop")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers of a test run share the cores already
LONGEST = ("tests/notebooks/", "tests/benchmarks/", "tests/hte/", "tests/train/")
SHARED = Path(__file__).parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run first what takes longest: at the end one worker would be at it alone, and the others idle."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture
def patient_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a minute where a blueprint asks for the most it may, a second: a disk that stalls is no failure either."""
    serve = GroupCache.serve

    def patient(cache: GroupCache, fetch: Fetch, budget: float, max_age: float) -> None:
        serve(cache, fetch, 60.0 if budget >= 1.0 else budget, max_age)

    monkeypatch.setattr(GroupCache, "serve", patient)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real trials beside the project; skip by name where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: the real trials are not there")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[throwaway.Databases]:
    """Return a Postgres that gives fresh databases; skip by name where none can be had."""
    if url := os.environ.get(throwaway.GIVEN):
        yield throwaway.Databases(url)
        return
    if reason := throwaway.why_none():
        throwaway.refuse(reason)
    with throwaway.Server(fsync=False) as server:
        yield throwaway.Databases(server.url())


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of an empty database, of SQLite and of Postgres."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/abloop.db"
        return
    databases: throwaway.Databases = request.getfixturevalue("postgres")
    url = databases.make()
    yield url
    databases.drop(url)
