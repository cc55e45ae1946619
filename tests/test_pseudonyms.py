"""Pseudonyms: what a blueprint names is on no disk, and everything else works as if it were."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import abloop
from abloop import offline
from abloop.blueprint import from_mapping
from abloop.errors import BlueprintError, DataError
from abloop.explanation import explain
from abloop.loop import Loop
from abloop.pseudonyms import VARIABLE, compile_pseudonym
from abloop.store.late import join_late
from abloop.testing import ManualClock
from tests.loops import TTL, two_arms

KEY = "0123456789abcdef0123"
UNIT, CITY = "unit-7f3a9c", "city-of-secrets"
WEEK = 7 * 86_400.0
HELD = {"name": "h", "share": 0.1}
SPEND = {"name": "spend", "by": "unit", "window": WEEK, "combine": "sum"}
PAID = {
    **SPEND,
    "name": "paid",
    "source": "shop",
    "query": "SELECT unit, at AS time, amount AS value FROM paid WHERE at >= :start AND at < :end",
}
HIDDEN: dict[str, Any] = {
    "features": [{"name": "x"}, {"name": "city", "type": "categorical"}],
    "metrics": [{"name": "bought"}, SPEND, PAID],
    "pseudonymise": ["user_id", "city"],
    "experiment": {"sticky": True},
}


def open_hidden(directory: Path, clock: ManualClock, key: str = KEY) -> Loop:
    """Return an installation that knows the key, and a shop beside it."""
    with sqlite3.connect(directory / "shop.sqlite") as shop:
        shop.execute("CREATE TABLE IF NOT EXISTS paid (unit TEXT, at REAL, amount REAL)")
    shop.close()
    home = directory / "home"
    home.mkdir(exist_ok=True)
    sources = {"shop": f"sqlite:///{directory}/shop.sqlite"}
    url = f"sqlite:///{home}/abloop.db"
    return Loop(url, clock=clock, refresh_seconds=3_600.0, sources=sources, pseudonym_key=key)


def holding(directory: Path, text: str) -> list[str]:
    """Return the files that hold a text anywhere in their bytes."""
    return [str(path) for path in directory.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_no_byte_holds_the_unit_on_the_whole_way(tmp_path: Path) -> None:
    """Decided, observed, shipped, joined, joined late: no file holds unit or city, and every outcome is found."""
    clock = ManualClock()
    loop = open_hidden(tmp_path, clock)
    loop.register(two_arms(**HIDDEN))
    strategy = loop.strategy("checkout")
    context = {"user_id": UNIT, "x": 1.0, "city": CITY}
    arms = {strategy.get_decision(f"d{index}", context) for index in range(5)}
    strategy.log_observations("d0", {"bought": 1.0})
    strategy.log_unit_observations(UNIT, {"spend": 2.5})
    clock.advance(60)
    strategy.log_unit_observations(UNIT, {"spend": 1.5})
    with sqlite3.connect(tmp_path / "shop.sqlite") as shop:
        shop.execute("INSERT INTO paid VALUES (?, ?, 9.0)", (UNIT, clock()))
    shop.close()
    assert (strategy.errors, len(arms)) == (0, 1)
    places = [holding(tmp_path / "home", text) for text in (UNIT, CITY)]
    offline.ship_spool(loop)
    places += [holding(tmp_path / "home", text) for text in (UNIT, CITY)]
    clock.advance(TTL + 1)
    assert offline.join_rows(loop, "checkout") == 5
    clock.advance(WEEK)
    assert join_late(loop, "checkout").rows == 5
    loop.refresh()
    table = abloop.read_table(loop, "checkout")
    loop.close()
    assert places + [holding(tmp_path / "home", text) for text in (UNIT, CITY)] == [[]] * 6
    hide = compile_pseudonym(KEY)
    assert hide is not None
    assert set(table["unit"]) == {hide(UNIT)}
    assert set(table["x.city"].astype(str)) == {hide(CITY)}
    assert table["y.spend"].tolist() == [4.0] * 5
    assert table["y.paid"].tolist() == [9.0] * 5


def test_the_arm_is_that_of_the_pseudonym(tmp_path: Path) -> None:
    """A decision can be explained from its record alone; numbers and texts of the same unit are one unit."""
    loop = open_hidden(tmp_path, ManualClock())
    loop.register(two_arms(pseudonymise=["user_id"]))
    strategy = loop.strategy("checkout")
    for index in range(20):
        made = strategy.get_details(f"d{index}", {"user_id": index})
        assert made.value == strategy.get_decision(f"e{index}", {"user_id": str(index)})
        found = explain(loop, f"d{index}")
        assert (found.repeated, found.decision.decision) == (True, made.value)
    assert strategy.get_decision("f", {}) == "blue"
    assert strategy.errors == 1
    loop.close()


def test_an_imported_trial_is_hidden_too(tmp_path: Path) -> None:
    """History that is imported holds pseudonyms, so that it is of the same units as what comes."""
    loop = open_hidden(tmp_path, ManualClock())
    loop.register(two_arms(**{**HIDDEN, "metrics": [{"name": "bought"}]}))
    frame = pd.DataFrame({"arm": ["blue", "green"] * 40, "bought": 1.0, "x": 1.0, "city": CITY})
    frame["user"] = [f"{UNIT}-{index}" for index in range(80)]
    offline.import_trial(loop, "checkout", frame, arm="arm", outcomes=["bought"], features=["x", "city"], unit="user")
    offline.ship_spool(loop)
    offline.join_rows(loop, "checkout")
    table = abloop.read_table(loop, "checkout")
    loop.close()
    assert [holding(tmp_path / "home", text) for text in (UNIT, CITY)] == [[], []]
    hide = compile_pseudonym(KEY)
    assert hide is not None
    assert set(table["unit"]) == {hide(name) for name in frame["user"]}


def test_without_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the key neither register nor strategy go on, and a running process gives its default; others do."""
    monkeypatch.delenv(VARIABLE, raising=False)
    clock = ManualClock()
    loop, plain = open_hidden(tmp_path, clock), open_hidden(tmp_path, clock, key="")
    plain.register(two_arms("open"))
    plain.register(two_arms("later"))
    later = plain.strategy("later")
    loop.register(two_arms(pseudonymise=["user_id"]))
    loop.register(two_arms("later", pseudonymise=["user_id"]))
    with pytest.raises(DataError, match="pseudonym_key"):
        plain.register(two_arms("other", pseudonymise=["user_id"]))
    with pytest.raises(DataError, match="'checkout' writes pseudonyms, but their key is not here"):
        plain.strategy("checkout")
    plain.refresh()
    assert later.get_decision("d", {"user_id": UNIT}) == "blue"
    assert later.errors == 1
    assert plain.strategy("open").get_decision("d", {"user_id": "u"}) in ("blue", "green")
    plain.close()
    loop.close()
    monkeypatch.setenv(VARIABLE, KEY)
    again = open_hidden(tmp_path, clock, key="")
    assert again.strategy("checkout").get_decision("d", {"user_id": UNIT}) in ("blue", "green")
    again.close()
    assert holding(tmp_path / "home", UNIT) == []


@pytest.mark.parametrize(("key", "words"), [("short", "of 5 bytes; allowed: 16 to 64"), (7, "is a int; allowed")])
def test_bad_keys(tmp_path: Path, key: Any, words: str) -> None:
    """A key that is no key is refused with how to make one."""
    with pytest.raises(DataError, match=words):
        open_hidden(tmp_path, ManualClock(), key)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"pseudonymise": ["x"]}, "'x'.*user_id"),
        ({"pseudonymise": ["user_id"], "experiment": {"force": {"u": "blue"}}}, "experiment.force"),
        (
            {
                "pseudonymise": ["user_id"],
                "groups": [{"name": "g", "key": "user_id", "source": "shop", "table": "paid"}],
            },
            "groups.0..key.*only a pseudonym is known",
        ),
    ],
)
def test_what_needs_the_unit_is_refused(sections: dict[str, Any], words: str) -> None:
    """A blueprint that hides the unit cannot ask a source for it, or force units by their names."""
    with pytest.raises(BlueprintError, match=words):
        from_mapping(two_arms(**sections))


@pytest.mark.parametrize("shared", [{"layer": {"name": "l", "low": 0.5, "high": 1.0}}, {"holdouts": [HELD]}])
def test_what_is_shared_hashes_the_same(tmp_path: Path, shared: dict[str, Any]) -> None:
    """A layer or a holdout of strategies of which one hides the unit would hold other units for each: it is refused."""
    loop = open_hidden(tmp_path, ManualClock())
    first = {**shared, **({"layer": {"name": "l", "low": 0.0, "high": 0.5}} if "layer" in shared else {})}
    loop.register(two_arms("one", experiment=first, pseudonymise=["user_id"]))
    with pytest.raises(BlueprintError, match="hashes units as they are, but pseudonyms in strategy 'one'"):
        loop.register(two_arms("two", experiment=shared))
    assert loop.register(two_arms("two", experiment=shared, pseudonymise=["user_id"])) == 1
    loop.close()
