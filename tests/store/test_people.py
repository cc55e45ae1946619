"""Accounts, sessions, tokens and failed log-ins, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from abloop.errors import DataError, UnknownNameError
from abloop.store.attempts import MOST, WINDOW_SECONDS, Attempts, account
from abloop.store.people import ABSOLUTE_SECONDS, IDLE_SECONDS, People, Sessions
from abloop.store.secret import fingerprint, installation_secret, verify_secret
from abloop.store.sql import Database
from abloop.store.tokens import Tokens, split

GOOD = "nine violet herons"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Return an empty database."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def people(database: Database) -> People:
    """Return accounts: one admin, whose password is chosen."""
    people = People(database)
    people.add("Admin", "admin", at=0.0)
    people.choose("admin", GOOD)
    return people


def dump(database: Database) -> str:
    """Return all that the database holds, as text."""
    with database.reading() as connection:
        names = sa.inspect(connection).get_table_names()
        return repr([connection.execute(sa.text(f"SELECT * FROM {name}")).all() for name in names])  # noqa: S608


def test_only_the_first_start_makes_an_admin(database: Database) -> None:
    """Several processes that start at once make one account between them; later ones none."""
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(People(database).begin(at=0.0))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([password for password in found if password]) == 1
    assert [(person.name, person.role) for person in People(database).all()] == [("admin", "admin")]
    assert People(database).begin(at=1.0) == ""


def test_a_one_time_password_gives_no_grant(people: People) -> None:
    """Who came with a one-time password may do nothing before another one is chosen."""
    password = people.add("maria", "editor", at=0.0)
    maria = people.get("MARIA ")
    assert verify_secret(maria.hash, password)
    assert maria.grants == frozenset()
    people.choose("maria", GOOD)
    assert people.get("maria").grants == {"read", "edit", "ingest"}
    assert not verify_secret(people.get("maria").hash, password)


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaa", "my name is maria!", "x" * 300, GOOD])
def test_bad_passwords_are_refused(people: People, password: str) -> None:
    """Short, long, monotonous, telling and unchanged passwords are refused; the old one stays."""
    people.add("maria", "viewer", at=0.0)
    people.choose("maria", GOOD)
    with pytest.raises(DataError, match="password"):
        people.choose("maria", password)
    assert verify_secret(people.get("maria").hash, GOOD)


@pytest.mark.parametrize("name", ["", " ", "<script>alert(1)</script>", "a/b", "a b", "../x", "x" * 65, "a'--", "\0"])
def test_bad_names_are_refused(people: People, name: str) -> None:
    """A name is letters, digits and five signs, nothing that could mean something else somewhere."""
    with pytest.raises(DataError, match="allowed"):
        people.add(name, "viewer", at=0.0)


def test_names_are_one_whatever_their_case(people: People) -> None:
    """Case, compatible forms and spaces around make no second account."""
    for name in ("ADMIN", " admin ", "\uff41dmin"):
        with pytest.raises(DataError, match="there already"):
            people.add(name, "viewer", at=0.0)


def test_there_is_always_an_admin(people: People) -> None:
    """The only admin can be neither disabled nor made less; with a second one both can be."""
    for change in (lambda: people.disable("admin", True), lambda: people.assign("admin", "viewer")):
        with pytest.raises(DataError, match="only admin"):
            change()
    people.add("maria", "admin", at=0.0)
    people.assign("admin", "viewer")
    assert people.get("admin").role == "viewer"
    with pytest.raises(UnknownNameError, match="Did you mean 'maria'"):
        people.disable("mario", True)
    with pytest.raises(DataError, match="'viewer', 'editor', 'admin'"):
        people.assign("maria", "owner")


def test_sessions_end(database: Database, people: People) -> None:
    """A session ends half an hour after the last visit, twelve hours after log-in, and when its person is disabled."""
    people.add("maria", "admin", at=0.0)
    sessions = Sessions(database)
    secret = sessions.open("maria", 0.0)
    assert sessions.person(secret, IDLE_SECONDS - 1).name == "maria"  # type: ignore[union-attr]
    assert sessions.person(secret, 2 * IDLE_SECONDS - 2) is not None
    assert sessions.person(secret, 3 * IDLE_SECONDS) is None
    secret, at = sessions.open("maria", 0.0), 0.0
    while at < ABSOLUTE_SECONDS - IDLE_SECONDS:
        at += IDLE_SECONDS - 1
        assert sessions.person(secret, at) is not None
    assert sessions.person(secret, ABSOLUTE_SECONDS) is None
    opened: list[str] = []
    for end in (
        lambda: people.disable("maria", True),
        lambda: people.reset("maria", at=0.0),
        lambda: sessions.close(opened[-1]),
        lambda: sessions.close_all("maria"),
    ):
        people.disable("maria", False)
        opened.append(sessions.open("maria", 0.0))
        assert sessions.person(opened[-1], 1.0) is not None
        end()
        assert sessions.person(opened[-1], 1.0) is None


def test_no_secret_is_kept(database: Database, people: People) -> None:
    """Neither passwords nor session ids nor tokens are in the database; only the secret that signs cookies is."""
    secrets = [GOOD, people.add("maria", "viewer", at=0.0), Sessions(database).open("maria", 0.0)]
    token = Tokens(database).add("shop", ["read"], who="x", at=0.0)
    text = dump(database)
    assert not [secret for secret in (*secrets, token, split(token)[1]) if secret in text]
    assert installation_secret(database) == installation_secret(database)
    assert len(bytes.fromhex(installation_secret(database))) == 32


def test_tokens_have_256_bits_and_what_was_chosen(database: Database) -> None:
    """A token is known by its prefix, holds 256 random bits, has its grants, expires and is revoked once."""
    tokens = Tokens(database)
    made = [tokens.add("shop", ["read", "ingest", "read"], who="x", at=0.0, days=1) for _ in range(2)]
    assert all(token.startswith("abl_") and len(split(token)[1]) == 43 for token in made)
    assert len({fingerprint(token) for token in made}) == 2
    key, secret = split(made[0])
    token = tokens.find(key)
    assert token is not None
    assert verify_secret(token.hash, secret)
    assert token.grants == ("ingest", "read")
    assert token.valid(86_399.0)
    assert not token.valid(86_400.0)
    assert tokens.revoke(key, 5.0).revoked == 5.0
    with pytest.raises(UnknownNameError, match="unknown token"):
        tokens.revoke(key, 6.0)


@pytest.mark.parametrize(
    ("name", "grants", "days"),
    [("", ["read"], None), ("x", [], None), ("x", ["root"], None), ("x", ["read"], 0.0), ("\n", ["read"], None)],
)
def test_bad_tokens_are_refused(database: Database, name: str, grants: list[str], days: float | None) -> None:
    """A token needs a name, grants that there are, and days above zero."""
    with pytest.raises(DataError, match="allowed"):
        Tokens(database).add(name, grants, who="x", at=0.0, days=days)
    assert Tokens(database).all() == []


def test_ten_failures_lock_for_a_quarter_of_an_hour(database: Database) -> None:
    """The eleventh attempt waits until the first of the ten is fifteen minutes old; other accounts do not."""
    attempts = Attempts(database)
    for second in range(MOST):
        assert attempts.begin([account("maria")], float(second)) == 0.0
    assert attempts.begin([account("Maria")], 10.0) == WINDOW_SECONDS - 10.0
    assert attempts.begin([account("oskar")], 10.0) == 0.0
    assert attempts.begin([account("maria")], WINDOW_SECONDS) == 0.0
    assert attempts.begin([account("maria")], WINDOW_SECONDS) > 0.0
    attempts.forget(account("maria"))
    assert attempts.begin([account("maria")], WINDOW_SECONDS) == 0.0


def test_what_succeeds_was_no_failure(database: Database) -> None:
    """Any number of attempts that succeed lock nobody."""
    attempts = Attempts(database)
    for second in range(3 * MOST):
        assert attempts.begin(["address 1"], float(second)) == 0.0
        attempts.succeed(["address 1"], float(second))


def test_attempts_at_once_are_counted_one_by_one(database: Database) -> None:
    """Of thirty attempts at the same moment ten are let through."""
    found: list[float] = []
    work = [threading.Thread(target=lambda: found.append(Attempts(database).begin(["k"], 1.0))) for _ in range(30)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert sum(wait == 0.0 for wait in found) == MOST
