"""Who asks, and the rules that say who may."""

from __future__ import annotations

from typing import Literal

import msgspec

from abloop.store.people import Grant, Person

Rule = Literal["anyone", "person", "read", "edit", "ingest", "admin"]
Kind = Literal["user", "token", "nobody"]


class Principal(msgspec.Struct, frozen=True):
    """Who asks.

    Attributes:
        name: Name of the person, or of the token with its id.
        kind: `user`, `token` or `nobody`.
        grants: What they may do.
        key: Id of the token; secret id of the session, which is never shown.
        person: The account, of a user.
    """

    name: str
    kind: Kind
    grants: frozenset[Grant] = frozenset()
    key: str = ""
    person: Person | None = None

    def may(self, rule: Rule) -> bool:
        """Return whether a rule lets them in; `person` is anybody who is logged in.

        Example:
            >>> NOBODY.may("anyone"), NOBODY.may("read")
            (True, False)
        """
        return rule == "anyone" or (self.kind == "user" if rule == "person" else rule in self.grants)


NOBODY = Principal("nobody", "nobody")
