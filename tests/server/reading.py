"""How the tests read a page: its elements and its text."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from flask.testing import FlaskClient


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text between."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep text."""
        self.text += data


def read(client: FlaskClient, path: str, code: int = 200, **options: Any) -> Elements:
    """Return the elements of a page, after its code was checked."""
    answer = client.get(path, **options)
    assert answer.status_code == code, answer.text
    page = Elements()
    page.feed(answer.text)
    return page


def links(page: Elements) -> list[str]:
    """Return the addresses of the strategies that a page links."""
    addresses = [attributes.get("href") or "" for tag, attributes in page.found if tag == "a"]
    return [address for address in addresses if address.startswith("/strategies/")]
