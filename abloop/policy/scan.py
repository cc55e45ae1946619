"""The first look at a formula: only words, numbers, texts and signs of the language reach a parser.

Python's own parser leaves the C stack on long runs of `-` or `.a` in a thread with a small one, reads look-alike
letters as ASCII, and knows comments and prefixes of texts. None of these gets that far.
"""

from __future__ import annotations

import keyword
import re

from abloop.policy.nodes import Spot, mistake

MOST_BRACKETS = 40
MOST_SIGNS_IN_A_ROW = 32
MOST_TOKENS = 1_500
SHOWN = 40  # characters of a word that a sentence repeats
_TOKEN = re.compile(
    r"(?P<space>[ \n]+)"
    r"|(?P<number>(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?)"
    r"|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<text>'[^'\n\\]*'|\"[^\"\n\\]*\")"
    r"|(?P<sign>\*\*|//|<<|>>|->|:=|==|!=|<=|>=|<>|.)",
    re.ASCII,
)
_ANY_WORD = re.compile(r"\w+")
_SIGNS = frozenset(("+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!=", "(", ")", "[", "]", "{", "}", ",", ":"))
_WORDS = frozenset(("and", "or", "not", "in", "if", "else", "True", "False"))
_PREFIXES = frozenset(("r", "u", "b", "f", "t", "br", "rb", "fr", "rf", "tr", "rt"))
_ADVICE = {
    "**": "powers are not allowed; write x * x, or exp(y * log(x))",
    "//": "// is not allowed; allowed: + - * /",
    "%": "% is not allowed; allowed: + - * /",
    "=": "= is not allowed: == compares, and functions take their values by position, without names",
    ":=": "nothing can be assigned here; name a weight in policy.weights",
    ".": "a dot reads nothing here; a name with a dot is feature('a.b')",
    "&": "& is not allowed; write and",
    "|": "| is not allowed; write or",
    "~": "~ is not allowed; write not",
    "<>": "<> is not allowed; write !=",
    "!": "! is not allowed; write not, or !=",
    "\\": "a backslash is not allowed",
    "'": "a text ends on its line; close the quote",
    '"': "a text ends on its line; close the quote",
    "is": "is cannot be used here; write ==, or missing(x)",
    "None": "None is not allowed; missing(x) tells whether a value is missing",
    "lambda": "functions cannot be made here",
}


def scan(text: str) -> None:
    """Refuse what must not reach a parser.

    Raises:
        BlueprintError: With a caret under the first of it.

    Example:
        >>> scan("x > 0 and country == 'naïve'")
    """
    if not text.replace("\n", "").isprintable():
        index = next(index for index, letter in enumerate(text) if letter != "\n" and not letter.isprintable())
        code = f"U+{ord(text[index]):04X}"
        raise mistake("", None, f"holds the character {code} at {index + 1}; allowed: printable ones")
    depth = run = count = 0
    last: re.Match[str] | None = None
    for token in _TOKEN.finditer(text):
        kind, said = token.lastgroup, token.group()
        if kind == "space":
            continue
        count += 1
        depth += (said in "([{") - (said in ")]}") if kind == "sign" else 0
        run = run + 1 if said in ("+", "-", "not") else 0
        why = _refused(token, last)
        if depth > MOST_BRACKETS:
            why = f"brackets are more than {MOST_BRACKETS} deep"
        elif run > MOST_SIGNS_IN_A_ROW:
            why = f"more than {MOST_SIGNS_IN_A_ROW} signs in a row"
        elif count > MOST_TOKENS:
            why = f"the formula has more than {MOST_TOKENS:,} words and signs; make it simpler"
        if why:
            raise mistake(text, Spot(start=token.start(), end=token.end()), why)
        last = token


def _refused(token: re.Match[str], last: re.Match[str] | None) -> str:
    """Return why a token may not stand after the one before it; empty where it may."""
    kind, said = token.lastgroup, token.group()
    touches = last is not None and last.end() == token.start()
    if kind == "sign" and said not in _SIGNS:
        if not said.isascii():
            whole = next((word for word in _ANY_WORD.finditer(token.string) if token.start() < word.end()), None)
            hint = f"; write feature({whole.group()[:SHOWN]!r})" if whole and whole.start() <= token.start() else ""
            return f"{said!r} is not allowed outside a text{hint}"
        return _ADVICE.get(said, f"{said} is not allowed")
    if kind == "word":
        if said.startswith("__"):
            return "a name that begins with __ is not allowed"
        if keyword.iskeyword(said) and said not in _WORDS:
            return _ADVICE.get(said, f"the word {said} is not allowed")
        return "a number ends where letters begin; allowed: 12, 0.5, 1e-3" if touches and _is(last, "number") else ""
    if kind == "text" and last is not None and touches:
        if _is(last, "word") and last.group().lower() in _PREFIXES:
            return "letters before a text are not allowed; texts cannot be built here, use a plain one in quotes"
        if _is(last, "text"):
            return "quotes touch; a text stands in one pair of quotes"
    return ""


def _is(token: re.Match[str] | None, kind: str) -> bool:
    return token is not None and token.lastgroup == kind
