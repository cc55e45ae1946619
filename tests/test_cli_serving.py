"""The commands of whoever runs the server: user, token, audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from abloop.cli import main
from abloop.store.attempts import Attempts, account
from abloop.store.people import People
from abloop.store.secret import verify_secret
from abloop.store.sql import Database
from abloop.store.tokens import Tokens, split


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of a database that is not there yet."""
    return f"sqlite:///{tmp_path}/abloop.db"


def run(capsys: pytest.CaptureFixture[str], url: str, *words: str, code: int = 0) -> dict[str, Any]:
    """Run a command with `--json` and return what it printed."""
    assert main([*words, "--url", url, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_locked_out_admin_gets_in_again(capsys: pytest.CaptureFixture[str], url: str) -> None:
    """`abloop user reset` prints a password that is right, and ends the lock of the account."""
    first = run(capsys, url, "user", "add", "Admin", "--role", "admin")["password"]
    database = Database(url)
    for second in range(10):
        Attempts(database).begin([account("admin")], float(second))
    again = run(capsys, url, "user", "reset", "admin", "--why", "forgotten")["password"]
    assert first != again
    assert verify_secret(People(database).get("admin").hash, again)
    assert Attempts(database).begin([account("admin")], 10.0) == 0.0
    database.close()


def test_people_are_listed_changed_and_told(capsys: pytest.CaptureFixture[str], url: str) -> None:
    """Role, disable and enable say how the account is now; each change is one entry of a command in the log."""
    run(capsys, url, "user", "add", "admin", "--role", "admin")
    run(capsys, url, "user", "add", "maria")
    assert run(capsys, url, "user", "role", "maria", "--role", "editor")["role"] == "editor"
    assert run(capsys, url, "user", "disable", "maria", "--why", "left")["disabled"]
    assert not run(capsys, url, "user", "enable", "maria")["disabled"]
    assert [user["name"] for user in run(capsys, url, "user", "list")["users"]] == ["admin", "maria"]
    log = run(capsys, url, "audit")["entries"]
    assert [entry["what"] for entry in log] == [
        *("enable user", "disable user", "change role"),
        *("create user", "create user"),
    ]
    assert log[1]["why"] == "left"
    assert {entry["kind"] for entry in log} == {"command"}
    assert main(["user", "list", "--url", url]) == 0
    assert "maria" in capsys.readouterr().out


def test_tokens_are_made_listed_and_revoked(capsys: pytest.CaptureFixture[str], url: str) -> None:
    """A token is printed whole once, is listed without its secret, and is refused after `revoke`."""
    token = run(capsys, url, "token", "add", "shop", "--grants", "ingest,read", "--days", "30")["token"]
    key, secret = split(token)
    listed = run(capsys, url, "token", "list")["tokens"]
    assert [(each["id"], each["grants"]) for each in listed] == [(key, ["ingest", "read"])]
    assert secret not in json.dumps(listed)
    assert "hash" not in listed[0]
    run(capsys, url, "token", "revoke", key)
    database = Database(url)
    found = Tokens(database).find(key)
    assert found is not None
    assert found.revoked is not None
    database.close()
    assert main(["token", "list", "--url", url]) == 0
    assert "revoked" in capsys.readouterr().out


def test_audit_says_whether_the_chain_holds(capsys: pytest.CaptureFixture[str], url: str) -> None:
    """`--check` has exit code 0 where nothing was altered, 1 and the entry's number where something was."""
    for name in ("a", "b", "c"):
        run(capsys, url, "user", "add", name, "--role", "admin")
    head = run(capsys, url, "audit", "--check")["head"]
    run(capsys, url, "user", "disable", "c")
    assert run(capsys, url, "audit", "--check", "--head", head)["altered"] is None
    assert run(capsys, url, "audit", "--head", "0" * 64, code=1)["altered"] == 1
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TRIGGER abloop_audit_no_UPDATE"))
        connection.execute(sa.text("UPDATE abloop_audit SET who = 'nobody' WHERE id = 2"))
    engine.dispose()
    assert run(capsys, url, "audit", "--check", code=1)["altered"] == 2
    assert main(["audit", "--check", "--url", url]) == 1
    assert "Entry 2 is not as it was written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["user", "add"], "needs a name"),
        (["user", "add", "<b>"], "allowed are"),
        (["user", "role", "admin"], "allowed: 'viewer', 'editor', 'admin'"),
        (["user", "reset", "admn"], "Did you mean 'admin'"),
        (["user", "disable", "admin"], "only admin"),
        (["token", "add"], "what it is for"),
        (["token", "add", "x", "--grants", "root"], "allowed: one or more of"),
        (["token", "revoke", "x"], "unknown token"),
    ],
)
def test_mistakes_are_one_sentence(capsys: pytest.CaptureFixture[str], url: str, words: list[str], said: str) -> None:
    """What cannot be done is refused with exit code 1 and what is allowed; nothing of it is in the log."""
    run(capsys, url, "user", "add", "admin", "--role", "admin")
    assert main([*words, "--url", url]) == 1
    assert said in capsys.readouterr().err
    assert len(run(capsys, url, "audit")["entries"]) == 1


def test_a_mistyped_database_is_not_made(capsys: pytest.CaptureFixture[str], url: str, tmp_path: Path) -> None:
    """Listing and resetting name the file that is missing and make none."""
    for words in (["user", "list"], ["user", "reset", "admin"], ["token", "list"], ["audit"]):
        assert main([*words, "--url", url]) == 1
        assert "is not there" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
