"""The commands of whoever runs the server: serve, user, token, audit."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from abloop.cli.terminal import Add, add_url, show
from abloop.errors import DataError, MissingExtraError, StoreError
from abloop.ids import user as whoami
from abloop.store.attempts import Attempts, account
from abloop.store.audit import Audit
from abloop.store.people import GRANTS, People
from abloop.store.sql import Database, sqlite_file
from abloop.store.tokens import Tokens

USER_ACTIONS = ("list", "add", "reset", "role", "disable", "enable")
TOKEN_ACTIONS = ("list", "add", "revoke")
ONCE = "It works once, within three days; a new one is chosen at log-in. It is shown only now."


def add_serving(add: Add) -> None:
    """Add the commands."""
    served = add("serve", serve, "Serve dashboard and API; the first start prints how to log in.")
    served.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    served.add_argument("--port", type=int, default=8765, help="port (default: 8765)")
    served.add_argument("--workers", type=int, default=1, help="processes; more than 1 needs gunicorn (default: 1)")
    served.add_argument("--https", action="store_true", help="browsers reach it by https, through a proxy")
    served.add_argument("--proxies", type=int, help="reverse proxies before it, whose X-Forwarded-For is believed")
    served.add_argument("--log", choices=["text", "json"], help="json: one object a line for each request")
    add_url(served)
    people = add("user", user, "Say who may log in: list, add, reset a password, change a role, disable, enable.")
    people.add_argument("action", choices=USER_ACTIONS, help="what to do")
    people.add_argument("name", nargs="?", default="", help="whom")
    people.add_argument("--role", choices=list(GRANTS), help="add, role: viewer reads, editor changes, admin all")
    people.add_argument("--why", default="", help="kept in the audit log")
    add_url(people)
    tokens = add("token", token, "Say what programs may do: list, add, revoke.")
    tokens.add_argument("action", choices=TOKEN_ACTIONS, help="what to do")
    tokens.add_argument("name", nargs="?", default="", help="add: what it is for; revoke: its id")
    tokens.add_argument("--grants", default="ingest", help="add: some of ingest,read,edit,admin (default: ingest)")
    tokens.add_argument("--days", type=float, help="add: expires after (default: never)")
    tokens.add_argument("--why", default="", help="kept in the audit log")
    add_url(tokens)
    log = add(
        "audit", audit, "Print who changed what and why; --check computes the chain again, exit code 1 if altered."
    )
    log.add_argument("--check", action="store_true", help="compute every entry's hash again")
    log.add_argument("--head", default="", help="check: the hash of an entry, noted earlier, that has to be there")
    log.add_argument("--who", default="", help="only of this user or token")
    log.add_argument("--what", default="", help="only changes with this in their name")
    log.add_argument("--target", default="", help="only of targets with this in their name")
    log.add_argument("--most", type=int, default=100, help="entries at most, newest first (default: 100)")
    add_url(log)


def serve(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    try:
        import server
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"the server needs {error.name!r}: pip install 'abloop[server]'") from error
    given = {"https": options.https or None, "proxies": options.proxies, "log": options.log}
    config = msgspec.structs.replace(server.current_config(), **{k: v for k, v in given.items() if v is not None})
    server.run(options.url, options.directory, options.host, options.port, workers=options.workers, config=config)
    return 0


def user(options: argparse.Namespace) -> int:
    """Say who may log in."""
    action, name, now = options.action, options.name, time.time()
    if action != "list" and not name:
        raise DataError(f"abloop user {action} needs a name, e.g. abloop user {action} maria")
    with _database(options, begins=action == "add") as database:
        people, password = People(database), ""
        if action == "list":
            return _list_people(options, people)
        if action == "add":
            password = people.add(name, options.role or "viewer", at=now)
        elif action == "reset":
            password = people.reset(name, at=now)
            Attempts(database).forget(account(name))
        elif action == "role":
            people.assign(name, options.role or "")
        else:
            people.disable(name, action == "disable")
        words = {"add": "create user", "reset": "reset password", "role": "change role"}
        body = {"role": options.role or "viewer"} if action in ("add", "role") else {}
        _note(database, words.get(action, f"{action} user"), name, options.why, body)
        found = people.get(name)
    data = {"name": found.name, "role": found.role, "disabled": found.disabled}
    text = f"{found.name} is {found.role}{', disabled' if found.disabled else ''}."
    if password:
        data["password"], text = password, f"{text} One-time password: {password}\n{ONCE}"
    show(options, data, lambda: text)
    return 0


def token(options: argparse.Namespace) -> int:
    """Say what programs may do."""
    action, name, now = options.action, options.name, time.time()
    if action != "list" and not name:
        raise DataError(f"abloop token {action} needs {'its id' if action == 'revoke' else 'what it is for'}")
    with _database(options, begins=action == "add") as database:
        tokens = Tokens(database)
        if action == "list":
            return _list_tokens(options, tokens, now)
        if action == "revoke":
            gone = tokens.revoke(name, now)
            _note(database, "revoke token", f"{gone.name} ({gone.id})", options.why, {})
            show(options, {"id": gone.id, "revoked": now}, lambda: f"{gone.name} ({gone.id}) is refused from now on.")
            return 0
        grants = [grant.strip() for grant in options.grants.split(",") if grant.strip()]
        made = tokens.add(name, grants, who=whoami(), at=now, days=options.days)
        body = {"grants": sorted(set(grants)), "days": options.days}
        _note(database, "create token", f"{name.strip()} ({made.split('_')[1]})", options.why, body)
    show(options, {"token": made, "grants": sorted(set(grants))}, lambda: f"{made}\nIt is shown only now.")
    return 0


def audit(options: argparse.Namespace) -> int:
    """Print or check the log of changes."""
    from abloop.readout.text import table

    with _database(options) as database:
        log = Audit(database)
        if options.check or options.head:
            found = log.check(options.head)
            text = f"{found.said[0].upper()}{found.said[1:]}. Newest: {found.head}"
            show(options, msgspec.to_builtins(found), lambda: text)
            return 0 if found.altered is None else 1
        wanted = {"who": options.who, "what": options.what, "target": options.target}
        entries = log.entries(**wanted, most=max(1, options.most))
    heads = ["no.", "when", "who", "change", "target", "why"]
    rows = [[str(e.id), _time(e.at), f"{e.who} ({e.kind})", e.what, e.target, e.why] for e in entries]
    show(options, {"entries": msgspec.to_builtins(entries)}, lambda: table(heads, rows) if rows else "No changes.")
    return 0


def _list_people(options: argparse.Namespace, people: People) -> int:
    from abloop.readout.text import table

    found = people.all()
    data = [{"name": p.name, "role": p.role, "disabled": p.disabled, "seen": p.seen} for p in found]
    rows = [[p.name, p.role, "disabled" if p.disabled else "", _time(p.seen) if p.seen else "never"] for p in found]
    none = "Nobody may log in yet: abloop user add admin --role admin"
    show(options, {"users": data}, lambda: table(["name", "role", "", "last log-in"], rows) if rows else none)
    return 0


def _list_tokens(options: argparse.Namespace, tokens: Tokens, now: float) -> int:
    from abloop.readout.text import table

    found = tokens.all()
    data: list[dict[str, Any]] = [msgspec.to_builtins(each) for each in found]
    for each in data:
        del each["hash"]
    states = ["valid" if t.valid(now) else "revoked" if t.revoked else "expired" for t in found]
    rows = [
        [t.id, t.name, ",".join(t.grants), state, _time(t.used) if t.used else "never"]
        for t, state in zip(found, states, strict=True)
    ]
    heads = ["id", "for", "may", "", "last used"]
    show(options, {"tokens": data}, lambda: table(heads, rows) if rows else "No tokens yet.")
    return 0


def _note(database: Database, what: str, target: str, why: str, body: dict[str, Any]) -> None:
    """Add what was done here to the log of changes."""
    Audit(database).append(at=time.time(), who=whoami(), kind="command", what=what, target=target, why=why, body=body)


@contextmanager
def _database(options: argparse.Namespace, *, begins: bool = False) -> Iterator[Database]:
    """Open the database; one that is not there is made only where that is meant."""
    file = sqlite_file(options.url)
    if file is not None and not begins and not file.exists():
        raise StoreError(f"database {file} is not there. Name yours with --url, or begin one: abloop serve")
    database = Database(options.url)
    try:
        yield database
    finally:
        database.close()


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
