"""What a client needs of its server while it decides: features of groups, arms that units keep, decisions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from abloop.errors import AwayError, DataError
from abloop.records import Decision, decode
from abloop.remote import feed
from abloop.remote.loop import RemoteLoop
from abloop.store.spool import segments
from abloop.store.sticky import CachedSticky, Kept, KeptArm
from tests.loops import two_arms
from tests.remote.serving import Live, broken
from tests.remote.test_faults import hang

pytestmark = pytest.mark.usefixtures("patient_groups")
PATIENT = 5.0  # a busy machine is no reason for a default
GROUPS: dict[str, Any] = {
    "groups": [
        {"name": "person", "key": "user_id", "table": "people", "budget": 1.0},
        {"name": "credit", "key": "user_id", "source": "credit", "budget": 1.0},
    ],
    "features": [
        {"name": "age", "group": "person"},
        {"name": "score", "group": "credit"},
        {"name": "x"},
    ],
}


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """Return a server whose database has a table of people."""
    found = Live(tmp_path / "server")
    with found.workspace.database.transaction() as connection:
        connection.exec_driver_sql("CREATE TABLE people (user_id TEXT PRIMARY KEY, age INTEGER)")
        connection.exec_driver_sql("INSERT INTO people VALUES ('u1', 31)")
    yield found
    found.close()


def records(loop: RemoteLoop) -> list[Decision]:
    """Return the decisions in a client's spool."""
    payloads = [payload for segment in segments(loop.spool.directory) for _, payload in segment.records()]
    return [made for made in map(decode, payloads) if isinstance(made, Decision)]


def test_groups_are_fetched_by_own_functions_and_by_the_server(live: Live, tmp_path: Path) -> None:
    """A row of the installation's database comes from the server, once while it is young; the unknown is missing."""
    only_person = {**GROUPS, "groups": GROUPS["groups"][:1], "features": [GROUPS["features"][0], GROUPS["features"][2]]}
    loop = live.connect(tmp_path / "client")
    loop.register(two_arms(**only_person))
    checkout = loop.strategy("checkout")
    for unit in ("u1", "u1", "nobody"):
        checkout.get_decision("d", {"user_id": unit, "x": 2.0})
    assert [made.features for made in records(loop)] == [(31.0, 2.0), (31.0, 2.0), (None, 2.0)]
    assert live.requests.count("/v1/features") == 2
    loop.close()


def test_a_function_of_the_client_is_asked_here(live: Live, tmp_path: Path) -> None:
    """A source by name is a function of this process; the server never sees it."""
    own = {**GROUPS, "groups": GROUPS["groups"][1:], "features": GROUPS["features"][1:]}
    loop = live.connect(tmp_path / "client", sources={"credit": lambda unit: {"score": float(len(unit))}})
    loop.register(two_arms(**own))
    loop.strategy("checkout").get_decision("d", {"user_id": "u1", "x": 2.0})
    assert records(loop)[0].features == (2.0, 2.0)
    assert "/v1/features" not in live.requests
    loop.close()


def test_a_group_costs_its_budget_at_most(live: Live, tmp_path: Path) -> None:
    """With the server gone, what it would fetch is missing after the budget, and the decision is made."""
    quick = {"name": "person", "key": "user_id", "table": "people", "budget": 0.02}
    loop = live.connect(tmp_path / "client")
    loop.register(two_arms(groups=[quick], features=[{"name": "age", "group": "person"}]))
    checkout = loop.strategy("checkout")
    with broken(hang) as url:
        loop.transport._port = int(url.rsplit(":", 1)[1])
        loop.transport.close()
        took = []
        for index in range(20):
            started = time.perf_counter()
            checkout.get_decision(f"d{index}", {"user_id": f"u{index}"})
            took.append(time.perf_counter() - started)
        loop.close()
    assert sorted(took)[10] < 0.1
    assert checkout.errors == 0


def test_units_keep_their_arm_through_the_server(live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that was given an arm keeps it, in every client, when the weights become others."""
    monkeypatch.setattr(feed, "STICKY_BUDGET", PATIENT)
    shares = [{"name": "blue", "weight": 0.999}, {"name": "green", "weight": 0.001}]
    sticky = {"sticky": True}
    first = live.connect(tmp_path / "first")
    first.register(two_arms(arms=shares, experiment=sticky))
    units = [f"u{index}" for index in range(30)]
    before = [first.strategy("checkout").get_decision("d", {"user_id": unit}) for unit in units]
    first.refresh()
    first.register(two_arms(arms=[{**shares[0], "weight": 0.001}, {**shares[1], "weight": 0.999}], experiment=sticky))
    second = live.connect(tmp_path / "second")
    checkout = second.strategy("checkout")
    assert [checkout.get_decision("d", {"user_id": unit}) for unit in units] == before
    first.close()
    second.close()


def test_an_arm_given_in_doubt_takes_no_other_place() -> None:
    """While nobody can tell which arm a unit keeps, it gets one, which is not kept; then it has the one it kept."""
    there, written = {"u1": ("blue", 0.5)}, list[KeptArm]()
    away = [True]

    def look(strategy: str, unit: str) -> Kept | None:
        if away[0]:
            raise AwayError("away")
        return there.get(unit)

    sticky = CachedSticky(look, written.extend)
    assert sticky.get("checkout", "u1") is None
    sticky.put("checkout", "u1", "green", 0.5)
    away[0] = False
    assert sticky.get("checkout", "u1") == ("blue", 0.5)
    assert sticky.get("checkout", "u2") is None
    sticky.put("checkout", "u2", "green", 0.5)
    sticky.flush()
    assert written == [KeptArm("checkout", "u2", "green", 0.5)]


def test_a_decision_of_the_server_is_written_by_who_got_it(live: Live, tmp_path: Path) -> None:
    """It is the server's, reaches it once through the spool, and carries only keys that the blueprint names."""
    loop = live.connect(tmp_path / "client", decide="remote", deadline=PATIENT)
    loop.register(two_arms())
    checkout = loop.strategy("checkout")
    asked: list[bytes] = []
    request = loop.transport.request

    def watch(*arguments: Any, **given: Any) -> Any:
        asked.append(given.get("body", b""))
        return request(*arguments, **given)

    loop.transport.request = watch  # type: ignore[method-assign]
    found = checkout.get_details("d1", {"user_id": "u1", "x": 1.5, "password": "hunter2"})
    assert (found.reason, found.value in ("blue", "green")) == ("randomise", True)
    assert found.value == live.app.extensions["abloop"].loop().strategy("checkout").get_decision("y", {"user_id": "u1"})
    assert all(b"hunter2" not in body for body in asked)
    assert live.workspace.journal.backlog("checkout").waiting == 0
    assert loop.push()
    assert live.workspace.journal.backlog("checkout").waiting == 1
    assert records(loop)[0].features == (1.5,)
    loop.close()


def test_a_late_decision_is_none(live: Live, tmp_path: Path) -> None:
    """A server that hangs costs the deadline, soon not even that; the product gets the default, nothing is written."""
    loop = live.connect(tmp_path / "client", decide="remote", deadline=0.03)
    loop.register(two_arms(default="green"))
    checkout = loop.strategy("checkout")
    with broken(hang) as url:
        loop.transport._port = int(url.rsplit(":", 1)[1])
        loop.transport.close()
        took = []
        for index in range(30):
            started = time.perf_counter()
            assert checkout.get_decision(f"d{index}", {"user_id": "u1"}) == "green"
            took.append(time.perf_counter() - started)
        loop.close()
    assert sorted(took)[15] < 0.05
    assert checkout.errors == 30
    assert records(loop) == []


def test_a_ranking_of_the_server(live: Live, tmp_path: Path) -> None:
    """A list is ordered by the server, and each item's record is written here."""
    raw: dict[str, Any] = {"strategy": "feed", "space": {"type": "ordering"}, "metrics": [{"name": "click"}]}
    raw |= {"features": [{"name": "age"}], "policy": {"formula": "-age"}, "experiment": {"explore": 0.01}}
    loop = live.connect(tmp_path / "client", decide="remote", deadline=PATIENT)
    loop.register(raw)
    contexts = [{"user_id": "u", "age": age} for age in (3, 1, 2)]
    assert loop.strategy("feed").get_ranking("d1", contexts) == [1, 2, 0]
    assert sorted(made.decision_id for made in records(loop)) == ["d1/0", "d1/1", "d1/2"]
    loop.close()


def test_pseudonyms_are_made_before_anything_is_sent(live: Live, tmp_path: Path) -> None:
    """The key stays here: the server keeps a hash of the unit, and a client without the key is refused at the start."""
    secret = "0123456789abcdef"  # noqa: S105
    concealed = two_arms(pseudonymise=["user_id"])
    loop = live.connect(tmp_path / "client", pseudonym_key=secret)
    loop.register(concealed)
    loop.strategy("checkout").get_decision("d1", {"user_id": "maria"})
    assert loop.push()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "server").rglob("*") if path.is_file())
    assert b"maria" not in kept
    without = live.connect(tmp_path / "other")
    with pytest.raises(DataError, match="pseudonym"):
        without.strategy("checkout")
    without.close()
    loop.close()
