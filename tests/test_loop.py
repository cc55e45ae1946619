"""Registration, versions, and what reaches a running process."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

import abloop
from abloop import offline
from abloop.errors import BlueprintError, StoreError, UnknownNameError
from abloop.loop import Loop
from abloop.rollout.promote import withdraw
from tests.loops import open_loop, two_arms
from tests.test_online import serve_constant


def test_registering_the_same_blueprint_twice_changes_nothing(tmp_path: Path) -> None:
    """A version is its content: Python and mapping with the same content are one version."""
    loop = open_loop(tmp_path)
    assert loop.register(two_arms()) == 1
    assert loop.register(two_arms()) == 1
    arms = (abloop.Arm(name="blue"), abloop.Arm(name="green", cost=0))
    same = abloop.Blueprint(
        strategy="checkout",
        arms=arms,
        metrics=(abloop.Metric(name="bought"),),
        features=(abloop.Feature("x"),),
        lifecycle=abloop.Lifecycle(ttl=3_600),
    )
    assert loop.register(same) == 1
    assert loop.register(two_arms(unit="visitor"), who="ada", why="visitors now") == 2
    serving = loop.catalogue.serving("checkout")
    assert (serving.version, serving.phase, serving.who, serving.why) == (2, "randomise", "ada", "visitors now")
    loop.close()


def test_a_refused_blueprint_leaves_nothing(tmp_path: Path) -> None:
    """A blueprint that is refused writes no version."""
    loop = open_loop(tmp_path)
    with pytest.raises(BlueprintError, match="weights"):
        loop.register(two_arms(arms=[{"name": "a", "weight": 0.5}, {"name": "b", "weight": 0.4}]))
    assert loop.catalogue.servings() == {}
    loop.close()


def test_unknown_strategy_names_the_known_ones(tmp_path: Path) -> None:
    """Asking for a strategy that is not there says which are, and the nearest."""
    loop = open_loop(tmp_path)
    loop.register(two_arms())
    with pytest.raises(UnknownNameError, match=r"'chekout'\. Did you mean 'checkout'\?.*register"):
        loop.strategy("chekout")
    loop.close()


def test_a_new_version_reaches_a_running_process(tmp_path: Path) -> None:
    """The background thread swaps what another process served, within its period."""
    clock, url = time.time, f"sqlite:///{tmp_path}/abloop.db"
    product, worker = Loop(url, clock=clock, refresh_seconds=0.05), open_loop(tmp_path)
    product.register(two_arms())
    strategy = product.strategy("checkout")
    worker.register(two_arms(unit="visitor"))
    deadline = time.monotonic() + 10
    while strategy.snapshot.version == 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (strategy.snapshot.version, strategy.snapshot.unit_key) == (2, "visitor")
    product.close()
    worker.close()


def test_withdrawing_randomises_again(tmp_path: Path) -> None:
    """A withdrawn release stops serving at the next refresh."""
    loop = open_loop(tmp_path)
    loop.register(two_arms())
    strategy = loop.strategy("checkout")
    serve_constant(loop, "checkout", (0.0, 1.0))
    assert strategy.snapshot.serving.phase == "personalise"
    withdraw(loop, loop.catalogue.serving("checkout"), who="ada", why="tickets")
    loop.refresh()
    assert (strategy.snapshot.serving.phase, strategy.snapshot.effects) == ("randomise", None)
    loop.close()


def test_an_altered_artefact_is_refused_and_the_old_goes_on(tmp_path: Path) -> None:
    """A release whose bytes do not match its hash is not served; what was served before goes on."""
    loop = open_loop(tmp_path)
    loop.register(two_arms())
    strategy = loop.strategy("checkout")
    with loop._database.transaction() as connection:
        connection.exec_driver_sql("INSERT INTO abloop_artefacts VALUES ('abc', x'7b7d', 0)")
        connection.exec_driver_sql(
            "INSERT INTO abloop_servings (strategy, version, phase, release, at, who, why) "
            "VALUES ('checkout', 1, 'personalise', 'abc', 0, '', '')"
        )
    with pytest.raises(abloop.ArtefactError, match="does not match its hash"):
        loop.refresh()
    assert strategy.snapshot.serving.phase == "randomise"
    assert strategy.get_decision("d", {"user_id": "u"}) in ("blue", "green")
    loop.close()


def test_threads_share_a_handle(tmp_path: Path) -> None:
    """Eight threads deciding at once while versions change lose no record and see no mixed state."""
    loop = open_loop(tmp_path)
    loop.register(two_arms())
    strategy = loop.strategy("checkout")

    def work(thread: int) -> None:
        for index in range(500):
            strategy.get_decision(f"{thread}-{index}", {"user_id": f"u{index}"})

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for version in range(5):
        loop.register(two_arms(lifecycle={"ttl": 3_601.0 + version}))
    for thread in threads:
        thread.join()
    assert strategy.errors == 0
    assert offline.ship_spool(loop).records == 4_000
    loop.close()


def test_a_forked_child_decides_and_records(tmp_path: Path) -> None:
    """Parent and child of a fork both decide; every record arrives once."""
    loop = open_loop(tmp_path)
    loop.register(two_arms())
    strategy = loop.strategy("checkout")
    strategy.get_decision("before", {"user_id": "u"})
    child = os.fork()
    if child == 0:
        strategy.get_decision("child", {"user_id": "u"})
        os._exit(0)
    os.waitpid(child, 0)
    strategy.get_decision("parent", {"user_id": "u"})
    loop.spool.seal()
    assert offline.ship_spool(loop).records == 3
    assert offline.ship_spool(loop).records == 0
    loop.close()


def test_a_read_only_directory_says_what_to_do(tmp_path: Path) -> None:
    """A directory that cannot be made is one sentence with its path and the fix."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/inside.*directory="):
        abloop.connect(f"sqlite:///{tmp_path}/x.db", tmp_path / "file" / "inside")


def test_a_forked_child_hears_of_new_versions(tmp_path: Path) -> None:
    """A child that was forked from a serving process goes on refreshing, with connections of its own."""
    parent = Loop(f"sqlite:///{tmp_path}/abloop.db", refresh_seconds=0.05)
    parent.register(two_arms())
    strategy = parent.strategy("checkout")
    child = os.fork()
    if child == 0:
        deadline = time.monotonic() + 10
        while strategy.snapshot.version == 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        os._exit(0 if strategy.snapshot.version == 2 else 1)
    parent.register(two_arms(unit="visitor"))
    assert os.waitpid(child, 0)[1] == 0
    parent.close()


def test_a_database_in_memory_is_refused() -> None:
    """A database that no worker could reach is refused with the reason."""
    with pytest.raises(StoreError, match="lost with its process"):
        abloop.connect("sqlite://")
