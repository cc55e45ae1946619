"""Registration: nobody's change is undone unseen, and no number is given twice."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from abloop.errors import BlueprintError, ConflictError
from abloop.registration import inspect, register
from abloop.rollout.versions import rollback
from abloop.store.workspace import Workspace
from tests.loops import two_arms


@pytest.fixture
def workspace(database_url: str, tmp_path: Path) -> Workspace:
    """Return an installation on SQLite, then on Postgres."""
    return Workspace(database_url, tmp_path / "files")


def test_what_was_not_seen_is_not_undone(workspace: Workspace) -> None:
    """Of two who wrote after one version, the second is refused, named what came between, and changes nothing."""
    assert register(workspace, two_arms(), who="ann", why="new", seen=(0, 0)) == 1
    first = register(workspace, two_arms(experiment={"explore": 0.2}), who="bob", why="more", seen=(1, 1))
    with pytest.raises(ConflictError, match="version 2 is the newest by now, and 'bob' serves version 2"):
        register(workspace, two_arms(experiment={"explore": 0.3}), who="ann", why="less", seen=(1, 1))
    assert [registered.version for registered, _ in workspace.catalogue.blueprints("checkout")] == [1, first]
    rollback(workspace, "checkout", 1, who="bob", why="back")
    with pytest.raises(ConflictError, match="serves version 1"):
        register(workspace, two_arms(experiment={"explore": 0.3}), who="ann", why="less", seen=(2, 2))
    workspace.close()


def test_a_version_may_wait(workspace: Workspace) -> None:
    """A version that is only kept is not served; the first of a strategy always is; an equal one changes nothing."""
    assert register(workspace, two_arms(), why="new", serve=False) == 1
    assert register(workspace, two_arms(unit="visitor"), why="kept", serve=False) == 2
    assert workspace.catalogue.serving("checkout").version == 1
    assert register(workspace, two_arms(), why="again", seen=(0, 0)) == 1
    assert workspace.catalogue.serving("checkout").version == 1
    workspace.close()


def test_many_register_at_once(workspace: Workspace) -> None:
    """Processes that register different blueprints at the same moment all get a number, each its own."""
    got: list[int] = []

    def work(share: float) -> None:
        got.append(register(workspace, two_arms(experiment={"explore": share}), why="race"))

    threads = [threading.Thread(target=work, args=(0.1 + index / 100,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [1, 2, 3, 4]
    workspace.close()


def test_inspection_keeps_nothing(workspace: Workspace) -> None:
    """Looking at a blueprint makes every check that registering makes, also beside its neighbours, and keeps none."""
    layer = {"layer": {"name": "page", "low": 0, "high": 0.6}}
    register(workspace, two_arms(experiment=layer))
    with pytest.raises(BlueprintError, match="page"):
        inspect(workspace, two_arms("other", experiment={"layer": {"name": "page", "low": 0.5, "high": 1}}))
    inspect(workspace, two_arms("other"))
    assert list(workspace.catalogue.servings()) == ["checkout"]
    workspace.close()
