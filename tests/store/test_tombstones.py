"""Tombstones: what is of an erased unit, and from before, is taken out of a part and counted; nothing else is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from abloop.records import Decision, Observation, encode
from abloop.store.dead import Dead
from abloop.store.journal import Journal, Part
from abloop.store.sql import Database
from abloop.store.tables import erased
from abloop.store.tombstones import bury_decisions, bury_units, hash_decision, hash_unit, sieve

AT = 100.0


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Return an empty database."""
    found = Database(database_url)
    yield found
    found.close()


def decision(name: str, unit: str, time: float, strategy: str = "s") -> Decision:
    """Return a decision of a unit."""
    return Decision(name, strategy, 1, unit, time, (), (), "a", 0.5, "randomise", "a")


def part_of(*records: Decision | Observation) -> Part:
    """Return what is shipped of some records."""
    part = Part("segment", 0, len(records))
    for offset, record in enumerate(records):
        if isinstance(record, Decision):
            part.decisions.append((offset, encode(record), record))
        else:
            part.observations.append((offset, record))
    return part


def sifted(database: Database, part: Part) -> tuple[list[str], list[str], Counter[tuple[str, str]]]:
    """Return the decisions and the keys of the observations that stay, and what was counted."""
    with database.transaction() as connection:
        counted = sieve(connection, part)
    stay = [made.decision_id for _, _, made in part.decisions]
    return stay, [seen.key for _, seen in part.observations], +counted


def test_only_what_is_from_before(database: Database) -> None:
    """Until the erasure a unit's records go, with those of its decisions; later ones and others' stay."""
    with database.transaction() as connection:
        bury_units(connection, [hash_unit("u")], AT, "me", "asked")
    part = part_of(
        decision("old", "u", AT),
        decision("new", "u", AT + 1),
        decision("other", "u2", AT),
        Observation("old", "s", AT + 5, "m", 1.0, "of old"),
        Observation("new", "s", AT + 5, "m", 1.0, "of new"),
        Observation("other", "s", AT, "m", 1.0, "of other"),
        Observation("", "s", AT, "spend", 1.0, "before", "u"),
        Observation("", "s", AT + 1, "spend", 1.0, "after", "u"),
    )
    stay, seen, counted = sifted(database, part)
    assert (stay, seen) == (["new", "other"], ["of new", "of other", "after"])
    assert counted == {
        ("s", "decisions"): 1,
        ("s", "erased_decisions"): 1,
        ("s", "observations"): 2,
        ("s", "erased"): 2,
    }


def test_one_strategy_alone(database: Database) -> None:
    """A tombstone of one strategy takes nothing from another."""
    with database.transaction() as connection:
        bury_units(connection, [hash_unit("u", "s")], AT, "me", "")
    part = part_of(decision("a", "u", AT), decision("b", "u", AT, "t"))
    assert sifted(database, part)[0] == ["b"]


def test_an_observation_of_an_erased_decision(database: Database) -> None:
    """It is dropped whenever it happened, unless a decision of that id is there or comes with it."""
    with database.transaction() as connection:
        bury_decisions(connection, "s", ["d", "e"], AT)
    seen = Observation("d", "s", AT + 50, "m", 1.0, "k")
    assert sifted(database, part_of(seen))[1:] == ([], Counter({("s", "observations"): 1, ("s", "erased"): 1}))
    assert sifted(database, part_of(decision("d", "u", AT + 1), seen))[1] == ["k"]
    assert Journal(database).ship(part_of(decision("e", "u", AT + 1)))
    assert sifted(database, part_of(Observation("e", "s", AT + 2, "m", 1.0, "k")))[1] == ["k"]


def test_dead_letters(database: Database) -> None:
    """A dead letter of an erased unit or decision from before is no letter; one that cannot be read stays."""
    with database.transaction() as connection:
        bury_units(connection, [hash_unit("u")], AT, "me", "")
        bury_decisions(connection, "s", ["d"], AT)
    records = [decision("x", "u", AT), decision("y", "u", AT + 1), Observation("d", "s", AT, "m", 1.0, "k")]
    part = Part("segment", 0, 9)
    for offset, payload in enumerate([*map(encode, records), b"\xc1"]):
        part.dead.append(Dead("segment", offset, "s", "wrong", AT, payload))
    sifted(database, part)
    assert [letter.offset for letter in part.dead] == [1, 3]


def test_a_newer_tombstone_takes_the_place_of_an_older_one(database: Database) -> None:
    """Who erases twice drops until the second time, in whatever order they are kept; no name is kept."""
    for at in (AT, AT + 2, AT + 1):
        with database.transaction() as connection:
            bury_units(connection, [hash_unit("secret-unit")], at, "me", f"at {at:g}")
    with database.reading() as connection:
        (row,) = connection.execute(sa.select(erased)).all()
    assert (row.at, row.why) == (AT + 2, "at 102")
    assert "secret-unit" not in repr(row)


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), min_size=2, max_size=2, unique=True))
def test_no_two_names_have_one_hash(names: list[tuple[str, str]]) -> None:
    """Where strategy ends and name begins is in the hash, and a unit is no decision."""
    (one, two), (three, four) = names
    assert hash_unit(two, one) != hash_unit(four, three)
    assert hash_decision(one, two) != hash_decision(three, four)
    assert hash_unit(two, one) != hash_decision(one, two)
