"""Who may log in: their names, roles and passwords, and the browsers in which they are logged in."""

from __future__ import annotations

import secrets
import unicodedata
from typing import Literal, get_args

import msgspec
import sqlalchemy as sa

from abloop.errors import DataError, UnknownNameError, listed, unknown
from abloop.store.access_tables import people, sessions
from abloop.store.secret import draw_password, fingerprint, hash_secret, require_password, verify_secret
from abloop.store.sql import Database

Role = Literal["viewer", "editor", "admin"]
Grant = Literal["read", "edit", "ingest", "admin"]
GRANTS: dict[str, frozenset[Grant]] = {
    "viewer": frozenset({"read"}),
    "editor": frozenset({"read", "edit", "ingest"}),
    "admin": frozenset({"read", "edit", "ingest", "admin"}),
}
ONCE_SECONDS = 3 * 86_400.0
IDLE_SECONDS = 30 * 60.0
ABSOLUTE_SECONDS = 12 * 3_600.0
_SEEN_SECONDS = 60.0  # a visit is written down at most that often


class Person(msgspec.Struct, frozen=True):
    """Somebody who may log in.

    Attributes:
        name: What is typed at log-in; lower case.
        role: `viewer`, `editor` or `admin`.
        hash: Of the password.
        once: Where the password is a one-time one, until when it can be used, in seconds since 1970.
        disabled: Whether log-ins are refused.
        at: When the account was made.
        seen: Last log-in, in seconds since 1970; None for never.
    """

    name: str
    role: Role
    hash: str
    once: float | None
    disabled: bool
    at: float
    seen: float | None

    @property
    def grants(self) -> frozenset[Grant]:
        """What the person may do: nothing before the one-time password was changed."""
        return GRANTS[self.role] if self.once is None else frozenset()


class People:
    """The accounts of an installation.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def all(self) -> list[Person]:
        """Return everybody, by name."""
        with self._database.reading() as connection:
            return [_person(row) for row in connection.execute(sa.select(people).order_by(people.c.name))]

    def find(self, name: str) -> Person | None:
        """Return the person of a name as typed; None where there is none."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(people).where(people.c.name == fold(name))).first()
        return _person(row) if row else None

    def get(self, name: str) -> Person:
        """Return the person of a name.

        Raises:
            UnknownNameError: There is none.
        """
        found = self.find(name)
        if found is None:
            raise UnknownNameError(unknown("user", name, [person.name for person in self.all()]))
        return found

    def add(self, name: str, role: str, *, at: float) -> str:
        """Make an account and return its one-time password, which is kept nowhere.

        Args:
            name: 1 to 64 letters, digits and `. _ @ + -`.
            role: `viewer`, `editor` or `admin`.
            at: Seconds since 1970.

        Raises:
            DataError: The name is taken or is none that is allowed, or the role is unknown.
        """
        folded, password = _checked(name), draw_password()
        _require_role(role)
        row = {"name": folded, "role": role, "hash": hash_secret(password), "once": at + ONCE_SECONDS, "at": at}
        with self._database.transaction() as connection:
            insert = self._database.insert_new(people).values(**row, disabled=0)
            made = connection.execute(insert.returning(people.c.name)).first()
        if made is None:
            raise DataError(f"user {folded!r} is there already; choose another name, or reset the password")
        return password

    def begin(self, *, at: float) -> str:
        """Make the account `admin` where there is nobody yet, and return its one-time password; else an empty text."""
        with self._database.reading() as connection:
            if connection.execute(sa.select(people.c.name).limit(1)).first():
                return ""
        try:
            return self.add("admin", "admin", at=at)
        except DataError:  # another process was first
            return ""

    def reset(self, name: str, *, at: float) -> str:
        """Give a person a new one-time password, log every browser out, and return it.

        Raises:
            UnknownNameError: There is no such person.
        """
        password = draw_password()
        self._change(name, {"hash": hash_secret(password), "once": at + ONCE_SECONDS}, leave=True)
        return password

    def choose(self, name: str, password: str) -> None:
        """Keep the password that a person chose, and log every browser of theirs out.

        Raises:
            UnknownNameError: There is no such person.
            DataError: The password is too short or easily guessed.
        """
        person = self.get(name)
        require_password(password, person.name)
        if verify_secret(person.hash, password):
            raise DataError("the new password is the old one; choose another")
        self._change(name, {"hash": hash_secret(password), "once": None}, leave=True)

    def assign(self, name: str, role: str) -> None:
        """Give a person another role.

        Raises:
            UnknownNameError: There is no such person.
            DataError: The role is unknown, or nobody would be admin.
        """
        _require_role(role)
        self._change(name, {"role": role}, leave=False)

    def disable(self, name: str, disabled: bool) -> None:
        """Refuse a person's log-ins from now on, and log every browser out; or allow them again.

        Raises:
            UnknownNameError: There is no such person.
            DataError: Nobody would be admin.
        """
        self._change(name, {"disabled": int(disabled)}, leave=disabled)

    def note_login(self, name: str, at: float) -> None:
        """Keep when a person logged in last."""
        self._change(name, {"seen": at}, leave=False)

    def _change(self, name: str, values: dict[str, object], *, leave: bool) -> None:
        """Change an account all or nothing; the last admin who can log in stays one."""
        folded = fold(name)
        admins = sa.select(sa.func.count()).where(people.c.role == "admin", people.c.disabled == 0)
        with self._database.transaction() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("LOCK TABLE abloop_people IN SHARE ROW EXCLUSIVE MODE")
            before = connection.execute(admins).scalar_one()
            if not connection.execute(people.update().where(people.c.name == folded).values(**values)).rowcount:
                known = [str(row.name) for row in connection.execute(sa.select(people.c.name).order_by(people.c.name))]
                raise UnknownNameError(unknown("user", name, known))
            if before and not connection.execute(admins).scalar_one():
                raise DataError(f"{folded!r} is the only admin who can log in; make another one first")
            if leave:
                connection.execute(sessions.delete().where(sessions.c.name == folded))


class Sessions:
    """The browsers that are logged in; each can be logged out from here.

    Args:
        database: Where they are kept.
        idle: Seconds without a visit after which one ends.
        absolute: Seconds after log-in after which it ends.
    """

    def __init__(self, database: Database, idle: float = IDLE_SECONDS, absolute: float = ABSOLUTE_SECONDS) -> None:
        """Keep them."""
        self._database, self._idle, self._absolute = database, idle, absolute

    def open(self, name: str, at: float) -> str:
        """Begin a session and return its secret id, of 256 bits; those that ended are removed."""
        secret = secrets.token_urlsafe(32)
        ended = sa.or_(sessions.c.at <= at - self._absolute, sessions.c.seen <= at - self._idle)
        with self._database.transaction() as connection:
            connection.execute(sessions.delete().where(ended))
            connection.execute(sessions.insert().values(key=fingerprint(secret), name=fold(name), at=at, seen=at))
        return secret

    def person(self, secret: str, at: float) -> Person | None:
        """Return whose session it is; None where it ended or its person is disabled. The visit is written down."""
        query = sa.select(people, sessions.c.at.label("begun"), sessions.c.seen.label("visit"))
        query = query.join(sessions, sessions.c.name == people.c.name).where(sessions.c.key == fingerprint(secret))
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        if row is None or row.disabled or at >= row.begun + self._absolute or at >= row.visit + self._idle:
            return None
        if at >= row.visit + _SEEN_SECONDS:
            with self._database.transaction() as connection:
                mine = sessions.c.key == fingerprint(secret)
                connection.execute(sessions.update().where(mine).values(seen=at))
        return _person(row)

    def close(self, secret: str) -> None:
        """End a session."""
        with self._database.transaction() as connection:
            connection.execute(sessions.delete().where(sessions.c.key == fingerprint(secret)))

    def close_all(self, name: str) -> int:
        """End every session of a person and return how many there were."""
        with self._database.transaction() as connection:
            return connection.execute(sessions.delete().where(sessions.c.name == fold(name))).rowcount


def fold(name: str) -> str:
    """Return a name as accounts are looked up by it.

    Example:
        >>> fold(" Maria ")
        'maria'
    """
    return unicodedata.normalize("NFKC", name.encode("utf-8", "replace").decode()).strip().casefold()[:200]


def _checked(name: str) -> str:
    """Return the folded name, after its signs were checked."""
    folded = fold(name)
    if not 1 <= len(folded) <= 64 or not all(sign.isalnum() or sign in "._@+-" for sign in folded):
        raise DataError(f"user name {name!r}: allowed are 1 to 64 letters, digits and . _ @ + -")
    return folded


def _require_role(role: str) -> None:
    if role not in get_args(Role):
        raise DataError(f"role {role!r}; allowed: {listed(get_args(Role))}")


def _person(row: sa.Row[tuple[object, ...]]) -> Person:
    return Person(row.name, row.role, row.hash, row.once, bool(row.disabled), row.at, row.seen)
