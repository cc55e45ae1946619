"""A mistake in a formula is shown where it is, with what came, what is allowed and what to do."""

from __future__ import annotations

import pytest

from abloop.errors import BlueprintError
from abloop.policy.formula import Formula
from abloop.policy.nodes import Kind

ARMS = ("off", "on", "both")
NAMES: dict[str, Kind] = {
    "opened": "number",
    "threshold": "number",
    "country": "text",
    "flag": "truth",
    "effect": "arms",
    "cost": "arms",
}
# The formula, the part under the caret, and words of the message.
MISTAKES = [
    ("opened > thresold", "thresold", "unknown name 'thresold'. Did you mean 'threshold'? There are: 'opened'"),
    ("feature('page views') > 1", "feature('page views')", "unknown name 'page views'"),
    ("arm('one')", "arm('one')", "unknown arm 'one'. Did you mean 'on'? There are: 'off', 'on', 'both'"),
    ("maxx(opened, 1)", "maxx", "unknown function 'maxx'. Did you mean 'max'?"),
    ("effect > 0", "effect", "effect is one number for each arm; allowed in a comparison: a number"),
    ("opened > effect - cost", "effect - cost", "allowed beside a number: a number; use argmax(effect - cost)"),
    ("opened and flag", "opened", "opened is a number; allowed beside and: true or false; write a comparison"),
    ("not opened", "opened", "allowed after not: true or false; write a comparison, e.g. x > 0"),
    ("1 if opened else 2", "opened", "allowed after if: true or false; write a comparison"),
    ("flag + 1", "flag", "flag is true or false; allowed beside +: a number or one number for each arm"),
    ("2 * country", "country", "country is a text; allowed beside *: a number"),
    ("-country", "country", "country is a text; allowed after -: a number"),
    ("country == 1", "1", "1 is a number; allowed beside a text: a text"),
    ("opened == 'a'", "'a'", "'a' is a text; allowed beside a number: a number"),
    ("country < 'FI'", "country < 'FI'", "texts are compared by == and !=, not by <"),
    ("country in (1, 2)", "country", "country is a text; allowed before this list: a number"),
    ("country in 'FI'", "'FI'", "allowed after in: a list, e.g. country in ('FI', 'SE')"),
    ("country in ('FI', 1)", "1", "allowed in a list: numbers, or texts in quotes"),
    ("country in ()", "()", "the list is empty"),
    ("country in ('FI',) in ('SE',)", "country in ('FI',) in ('SE',)", "in stands between one value and one list"),
    ("argmax(opened)", "opened", "opened is a number; allowed in argmax(): one number for each arm"),
    ("best_arm('on')", "'on'", "'on' is a text; allowed in best_arm(): one number for each arm"),
    ("epsilon('on', 0.1)", "'on'", "allowed in epsilon(): an arm; an arm is named by arm('NAME')"),
    ("softmax(effect)", "softmax(effect)", "softmax() has 1 value; allowed: 2 values"),
    ("clip(opened, 1)", "clip(opened, 1)", "clip() has 2 values; allowed: 3 values"),
    ("min(opened)", "min(opened)", "min() has 1 value; allowed: two values or more"),
    ("exp(opened, 1)", "exp(opened, 1)", "exp() has 2 values; allowed: 1 value"),
    ("arm(opened)", "arm(opened)", "arm() takes one name in quotes, e.g. arm('blue')"),
    ("1 if flag else 'a'", "1 if flag else 'a'", "gives a number or else a text; both sides must be of one kind"),
    ("{'a': 1} if flag else {'a': 2}", "{'a': 1} if flag else {'a': 2}", "choose within its fields"),
    ("{'a': effect}", "effect", "allowed in a field: a number or true or false or a text"),
    ("{'a': 1, 'a': 2}", "{'a': 1, 'a': 2}", "fields are named once each, by short texts"),
    ("{}", "{}", "a structured value without fields"),
    ("opened.real", ".", "a dot reads nothing here; a name with a dot is feature('a.b')"),
    ("effect[0]", "effect[0]", "brackets read nothing here"),
    ("opened ** 2", "**", "powers are not allowed; write x * x"),
    ("opened % 2", "%", "% is not allowed; allowed: + - * /"),
    ("opened // 2", "//", "// is not allowed; allowed: + - * /"),
    ("flag & flag", "&", "& is not allowed; write and"),
    ("~flag", "~", "~ is not allowed; write not"),
    ("opened = 1", "=", "= is not allowed: == compares"),
    ("max(opened, default=1)", "=", "functions take their values by position, without names"),
    ("(o := 1)", ":=", "nothing can be assigned here; name a weight in policy.weights"),
    ("opened is None", "is", "is cannot be used here; write ==, or missing(x)"),
    ("opened == None", "None", "missing(x) tells whether a value is missing"),
    ("lambda: 1", "lambda", "functions cannot be made here"),
    ("f'{opened}' == country", "'{opened}'", "texts cannot be built here, use a plain one in quotes"),
    ("country == 'FI", "'", "a text ends on its line; close the quote"),
    ("country == 'F\\x49'", "'", "a text ends on its line; close the quote"),
    ("opened \\ 1", "\\", "a backslash is not allowed"),
    ("öffnet > 1", "ö", "'ö' is not allowed outside a text; write feature('öffnet')"),
    ("flag and naïve > 1", "ï", "'ï' is not allowed outside a text; write feature('naïve')"),
    ("opened − 1", "−", "'−' is not allowed outside a text"),  # noqa: RUF001  # a minus sign that is none
    ("__class__", "__class__", "a name that begins with __ is not allowed"),
    ("opened + ", " ", "cannot be read from here; a value, a sign or a bracket is missing"),
    ("(opened + 1", "(", "'(' was never closed"),
    ("opened threshold", "threshold", "cannot be read from here"),
    ("max(*effect)", "*effect", "a star is not allowed here"),
    ("opened + 1e999", "1e999", "is too large for a number"),
    ("opened + 0x10", "x10", "a number ends where letters begin; allowed: 12, 0.5, 1e-3"),
    ("+opened", "+opened", "+ is not allowed before a value; leave it out"),
    ("(opened, 1)", "(opened, 1)", "a list stands only after in: x in (1, 2)"),
    ("{opened, 1}", "{opened, 1}", "a set is not allowed here; use x in (1, 2)"),
]


@pytest.mark.parametrize(("text", "under", "words"), MISTAKES, ids=[text for text, *_ in MISTAKES])
def test_the_caret_is_under_the_mistake(text: str, under: str, words: str) -> None:
    """Each mistake is named in words, and the caret is under the part that has to change."""
    with pytest.raises(BlueprintError) as refused:
        Formula(text, NAMES, ARMS)
    said, line, carets = str(refused.value).split("\n")
    column = carets.index("^") - 2
    assert words in said
    assert said.startswith(f"policy.formula, column {column + 1}: ")
    assert line == f"  {text}"
    assert f"{text} "[column : column + len(under)] == under
    assert carets.count("^") in (len(under), 1)
    assert refused.value.place == "policy.formula"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; allowed: an expression, e.g. best_arm(effect, cost)"),
        ("1" * 5_000, "has 5,000 characters; allowed: 4,096"),
        ("opened\t+ 1", "holds the character U+0009 at 7; allowed: printable ones"),
        ("'\u202e' == country", "holds the character U+202E at 2"),
        (" + ".join(["opened"] * 260), "the formula has more than 500 parts; make it simpler"),
        ("(" * 41 + "1" + ")" * 41, "brackets are more than 40 deep"),
        ("exp(" * 33 + "1" + ")" * 33, "the formula is more than 32 levels deep; make it simpler"),
        ("- " * 33 + "1", "more than 32 signs in a row"),
        ("1 " * 1_501, "the formula has more than 1,500 words and signs; make it simpler"),
        (" + ".join(f"n{index}" for index in range(65)), "the formula reads more than 64 names"),
        (f"country == '{'a' * 201}'", "a text of 201 characters; allowed: 200"),
    ],
)
def test_limits_are_named(text: str, words: str) -> None:
    """What is too long, too deep or not printable is refused with its limit."""
    with pytest.raises(BlueprintError, match=r"policy\.formula") as refused:
        Formula(text, NAMES, ARMS)
    assert words in str(refused.value)


def test_a_formula_of_several_lines() -> None:
    """The line of the mistake is shown, by its number."""
    with pytest.raises(BlueprintError) as refused:
        Formula("opened > 1\n  and tresh > 2\n  and flag", NAMES, ARMS)
    said, line, carets = str(refused.value).split("\n")
    assert said.startswith("policy.formula, line 2, column 7: unknown name 'tresh'. Did you mean 'threshold'?")
    assert line == "    and tresh > 2"
    assert carets == "        ^^^^^"


def test_a_long_line_is_cut_around_the_mistake() -> None:
    """Of a long line, a hundred characters around the mistake are shown."""
    with pytest.raises(BlueprintError) as refused:
        Formula("opened + " * 100 + "zz" + " + opened" * 100, NAMES, ARMS)
    _, line, carets = str(refused.value).split("\n")
    assert len(line) <= 102
    assert line[carets.index("^") :].startswith("zz ")


def test_arms_only_where_there_are_some() -> None:
    """A decision without arms says so."""
    with pytest.raises(BlueprintError, match=r"uniform\(\) needs arms, and this decision space has none"):
        Formula("uniform()", NAMES)
