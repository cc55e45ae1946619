"""What an address may hold."""

from __future__ import annotations

from werkzeug.routing import BaseConverter


class Name(BaseConverter):
    """A strategy's name as the rest of an address; it may hold slashes."""

    regex = ".+"
    part_isolating = False
