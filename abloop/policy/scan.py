"""The first look at a formula: characters and brackets that must not reach a parser."""

from __future__ import annotations

from abloop.policy.nodes import Spot, mistake

MOST_BRACKETS = 64


def scan(text: str) -> None:
    """Refuse characters, brackets and comments that must not reach a parser.

    Raises:
        BlueprintError: With a caret under the first of them.
    """
    quote, depth = "", 0
    for index, letter in enumerate(text):
        if letter != "\n" and not letter.isprintable():
            raise mistake("", None, f"holds the character U+{ord(letter):04X} at {index + 1}; allowed: printable ones")
        said = _refused(letter, text[index : index + 2], quote)
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter in "([{") - (letter in ")]}")
        if depth > MOST_BRACKETS:
            said = f"brackets are more than {MOST_BRACKETS} deep"
        if said:
            raise mistake(text, Spot(start=index, end=index + 1), said)


def _refused(letter: str, pair: str, quote: str) -> str:
    """Return why a character may not stand where it does; empty where it may."""
    if letter == "\\":
        return "a backslash is not allowed"
    if quote:
        return "a text ends on its line; close the quote" if letter == "\n" else ""
    if not letter.isascii():
        return f"{letter!r} is not allowed outside a text; other names: feature('{letter}')"
    return f"{letter!r} is not allowed" if letter in "#;@`$?!" and pair != "!=" else ""
