# ruff: noqa: E501, RUF001  # the corpus is easier to read in long lines, and its odd letters are the point
"""Hostile formulas: written by hand, made from templates, and generated without end.

`python -m tests.policy.hostile 1000000` runs the generated ones and prints what became of them.
"""

from __future__ import annotations

import builtins
import keyword
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator

from abloop.errors import BlueprintError
from abloop.policy.formula import Formula
from tests.policy.formulas import ARMS, GROWN, NAMES, grown

NORMAL = {
    "x": 0.5,
    "y": -2.0,
    "w": 3.0,
    "page views": 1.0,
    "flag": True,
    "country": "FI",
    "device": None,
    "effect": (0.0, 1.0, 2.0),
    "cost": (0.0, 0.1, 0.2),
}
MISSING = {
    "x": None,
    "y": None,
    "w": 0.0,
    "page views": None,
    "flag": False,
    "country": None,
    "device": None,
    "effect": (float("nan"),) * 3,
    "cost": (0.0,) * 3,
}

HAND = [
    # reaching for objects
    "__class__", "x.__class__", "().__class__.__bases__", "(1).__class__", "''.__class__.__mro__[1].__subclasses__()",
    "x.real", "country.upper()", "country.format(x)", "'{0.__class__}'.format(x)", "effect[0]", "effect[0:1]", "effect[::]",
    "cost.__getitem__(0)", "best_arm.__globals__", "exp.__code__", "min.__self__", "feature.__doc__", "nan.__class__",
    "formula.__defaults__", "v0", "t1", "nan", "__builtins__", "__import__('os')", "__import__('os').system('true')",
    "globals()", "locals()", "vars()", "dir()", "getattr(x, 'real')", "setattr(x, 'a', 1)", "eval('1')", "exec('1')",
    "compile('1', '', 'eval')", "open('/etc/passwd')", "input()", "print(1)", "breakpoint()", "exit()", "quit()", "help()",
    "type(x)", "object()", "super()", "id(x)", "hash(x)", "memoryview(b'')", "range(10)", "list(effect)", "sum(effect)",
    "tuple(effect)", "zip(effect)", "map(exp, effect)", "sorted(effect)", "len(effect)", "pow(2, 999999)", "int('9' * 9)",
    "str(x)", "repr(x)", "chr(65)", "ord('A')", "bytes(9)", "bytearray(9)", "iter(effect)", "next(effect)", "any(effect)",
    # calls in disguise
    "exp(*effect)", "exp(**{})", "exp(x=1)", "min(key=x)", "min(*[1, 2])", "max(x, default=1)", "(exp)(x)(x)", "exp(x)(x)",
    "(lambda: 1)()", "(lambda x: x)(1)", "[exp][0](x)", "{'a': exp}['a'](x)", "exp.__call__(x)", "feature(x)", "feature()",
    "feature('x', 'y')", "feature('x' if x else 'y')", "feature(b'x')", "feature(1)", "feature(name='x')", "arm()", "arm(x)",
    "arm('nobody')", "arm('off')('on')", "arm(arm('off'))", "argmax()", "argmax(x)", "argmax(effect, cost)", "best_arm()",
    "best_arm(effect, cost, cost)", "softmax(effect)", "softmax(x, 1)", "thompson(effect)", "epsilon(effect, 1)",
    "epsilon(1, 0.5)", "missing()", "missing(effect)", "clip(x)", "clip(x, 1)", "min(x)", "min()", "exp()", "exp(x, y)",
    "uniform(1)", "log('a')", "sqrt(True)", "abs(country)", "exp", "min", "feature", "arm", "argmax",
    # statements and other grammar
    "x = 1", "x == (y := 1)", "(y := 1)", "import os", "from os import path", "def f(): pass", "class A: pass", "pass",
    "return x", "yield x", "(yield)", "(yield from effect)", "await x", "async def f(): pass", "raise x", "assert x",
    "del x", "global x", "nonlocal x", "with x: pass", "for i in effect: pass", "while True: pass", "try: x", "if x: y",
    "@x", "x: int", "x; y", "x\ny", "x,", "x, y", "(x, y)", "[x, y]", "{x, y}", "{}", "{**{}}", "{'a': 1, **{}}", "{1: x}",
    "{x: 1}", "{'a': 1, 'a': 2}", "{'a': {'b': 1}}", "[i for i in effect]", "(i for i in effect)", "{i for i in effect}",
    "{i: i for i in effect}", "[*effect]", "(*effect,)", "*effect", "**x", "x if y", "if x", "x else y", "not", "and x", "x or",
    "lambda: x", "lambda x: x", "...", "Ellipsis", "None", "NotImplemented", "print", "x is y", "x is not None", "x in y",
    "x in effect", "x in ()", "x in (y,)", "x in (1, 'a')", "x not in 'abc'", "country in 'FI'", "'a' in ('a', b'a')",
    "x in {1, 2}", "x in (1, (2, 3))", "x in range(3)", "match x: pass", "type X = int", "print x", "exec 'x'", "`x`", "x <> y",
    # operators
    "x ** y", "2 ** 999999999", "9 ** 9 ** 9", "x // y", "x % y", "'%s' % x", "'%d' % 1", "x @ y", "x << 1", "1 << 999999",
    "x >> 1", "x & y", "x | y", "x ^ y", "~x", "country * 3", "'a' * 1000000000", "'a' + 'b'", "country + 'a'", "-country",
    "+country", "-'a'", "not x", "not country", "not effect", "x and y", "x or 1", "1 and 2", "True + 1", "-True", "x + True",
    "country < 'FI'", "country > device", "country == 1", "x == 'a'", "x == True", "effect == cost", "effect > 0", "effect < x",
    "True == True", "x < y < country", "arm('on') == arm('off')", "argmax(effect) + 1", "uniform() * 2", "effect and cost",
    "x if x else y", "x if country else y", "x if effect > 0 else y", "x if True else country", "x if True else effect == 1",
    "arm('on') if True else x", "{'a': effect}", "{'a': arm('on')}", "{'a': uniform()}", "1 if {'a': 1} else 2",
    # texts
    "f'{x}'", "f''", "rf'{x}'", "f'{__import__(\"os\")}'", "b'x'", "rb'x'", "br''", "'a' 'b' 'c' + x",
    "'unclosed", '"unclosed', "'a\nb'", "'a\\n'", "'\\x41'", "'\\N{BULLET}'", "'\\u0041'", "country == 'a\\'", "\\", "x\\", "\\\n",
    "''' ' ''' == country # x", "''' ' ''' == country and ｘ > 0", "''' ' ''' == country and " + "(" * 99 + "x", "'a''b' == country",
    "u'FI' == country", "country == r'FI'", '"""FI""" == country', "'FI'.x", "country == 'FI'x", "t'{x}'",
    # numbers
    "1_000.5j", "1j", "1e999", "-1e999", "9" * 400, "0x" + "f" * 300, "0b" + "1" * 2000, "0o" + "7" * 500, "1e", "1..2", "1.2.3",
    "0777", "1__0", "1_", "inf", "-inf", "infinity", "NaN", "1if x else 2e", "0xZ", "1e+", "5" * 4095,
    # letters that look like others, or cannot be seen
    "ехр(x)", "х", "x\u200b", "\u200bx", "x\u00a0+ y", "ｅｘｐ(x)", "ｘ", "𝐱", "𝒆𝒙𝒑(x)", "x\u202e", "\u202ex + y", "x \u2066+ y", "\ufeffx",
    "x \u2212 y", "x \u00d7 y", "x \u2264 y", "\u201cFI\u201d == country", "country == \u2018FI\u2019", "ｆｅａｔｕｒｅ('x')", "_\u0332_class__", "x\u0301",
    "ﬁ", "ª", "x\u00ad", "ℯ", "\ud800", "'\ud800'", "x + '\udfff'", "\udc80x", "x\x00", "\x00", "'\x00' == country", "x\x07", "x\x1b[31m",
    "x\x7f", "x\t+ y", "x\r+ y", "x\x0b+ y", "x\x0c+ y", "x\u2028+ y", "x\u2029", "x\x85", "'\u202e' == country", "'\u2069' == country",
    # comments, encodings, continuations
    "# x", "x # y", "# coding: utf-7\nx", "#!/bin/sh", "x #\\\n", "# -*- coding: rot13 -*-", "x;#", "$x", "x$", "?", "x?", "x!", "!x",
    "x ! y", "%x", "x;;y", ";", ":", "x:y", "->", "x -> y", "=>", ":=", "x := 1", "==", "= x", "()", "(", ")", "[", "]", "{", "}", "x)",
    "(x", "((x)", "x]", "{'a': x", "{'a' x}", "{'a':}", "(]", "[)", "",  " ", "\n", "\t", ",", ".", "'", '"', "x y", "1 2", "x 'a'",
]  # fmt: skip


def made() -> Iterator[str]:
    """Yield hostile formulas from templates: deep, long, wide, and every builtin and keyword as a name and a call."""
    for count in (100, 240, 1_000, 10_000, 20_000):
        yield "(" * count + "x" + ")" * count
        yield "(" * count
        yield "[" * count + "]" * count
        yield "{'a':" * count + "1" + "}" * count
        yield "-" * count + "x"
        yield "not " * count + "True"
        yield "x if True else " * count + "y"
        yield "exp(" * count + "x" + ")" * count
        yield "x + " * count + "x"
        yield "x < " * count + "x"
        yield "True and " * count + "True"
        yield "min(" + "x, " * count + "x)"
        yield "x in (" + "1, " * count + ")"
        yield "'" + "a" * count + "' == country"
        yield "x" * count
        yield "9" * count
        yield "f'" + "{" * count + "x" + "}" * count + "'"
        yield "(x" + ")(x" * count + ")"
        yield "x" + ".a" * count
        yield "x1" + ".a1" * count
        yield "~" * count + "1"
        yield "+-" * count + "1"
        yield "1" + "**1" * count
        yield "x" + "()" * count
        yield "x if " * count
        yield " / ".join(["x"] * count)
        yield "argmax(" + " / ".join(["effect"] * count) + ")"
        yield "argmax(max(" + ", ".join(["effect"] * count) + "))"
        yield "x" + "[0]" * count
        yield "lambda: " * count + "x"
        yield "{" + ", ".join(f"'a{index}': 1" for index in range(count)) + "}"
        yield " + ".join(f"name{index}" for index in range(count))
    for size in (1_000_000, 10_000_000):
        yield "x" * size
        yield "(" * size
        yield "x+" * (size // 2)
        yield "\n" * size
    for name in (*dir(builtins), *keyword.kwlist, *keyword.softkwlist):
        if name not in ("True", "False", "min", "max", "abs"):
            yield name
            yield f"{name}(x)"


def refused(text: str, frame: bool = True) -> bool:
    """Return whether a formula is refused; what is accepted is evaluated on one decision and in a frame."""
    try:
        formula = Formula(text, NAMES, ARMS)
    except BlueprintError:
        return True
    names, function = formula.scalar()
    for values in (NORMAL, MISSING):
        function(*[values[name] for name in names])
    columns = {
        name: value if kind == "arms" else [value]
        for (name, kind), value in zip(NAMES.items(), NORMAL.values(), strict=True)
    }
    if frame:
        formula.frame(columns, 1)
    return False


TOKENS = [
    *NAMES, *ARMS, "exp", "log", "min", "max", "clip", "arm", "feature", "argmax", "best_arm", "softmax", "epsilon", "thompson",
    "missing", "(", ")", "(", ")", "[", "]", "{", "}", ",", ",", ".", ":", ":=", "+", "-", "*", "/", "**", "//", "%", "@", "<", ">",
    "<=", "==", "!=", "~", "&", "|", "^", "<<", "if", "else", "and", "or", "not", "in", "is", "lambda", "for", "await", "yield",
    "0", "1", "2.5", "1e308", "9" * 30, "1j", "'FI'", "'on'", "b'a'", "f'{x}'", "None", "True", "__class__", "__import__", "eval",
    "...", "*", "\\", "#", "\n", "\u202e", "х", "'", '"',
]  # fmt: skip


def generated(seed: int) -> Iterator[str]:
    """Yield formulas without end: soups of tokens, good formulas, and good ones with parts cut, doubled and swapped."""
    rng = random.Random(seed)
    kinds = list(GROWN)
    while True:
        way = rng.random()
        if way < 0.4:
            yield " ".join(rng.choices(TOKENS, k=rng.randint(1, 25)))
            continue
        text = grown(rng, rng.choice(kinds), rng.randint(1, 3))
        if way < 0.9:
            for _ in range(rng.randint(1, 3)):
                start = rng.randrange(len(text) + 1)
                end = min(len(text), start + rng.randint(0, 6))
                text = text[:start] + rng.choice(["", text[start:end] * 2, rng.choice(TOKENS)]) + text[end:]
        yield text


def run(count: int, seed: int) -> dict[str, float]:
    """Try so many generated formulas; return how many were refused and how long the slowest took, in ms of the processor.

    One that takes long is tried again, for what hangs does so each time and the collector of garbage does not.
    """
    refused("thompson(exp(effect), abs(log(effect)))")  # compiles what arrays need, once in a process
    slowest, became = 0.0, Counter[bool]()
    for _, text in zip(range(count), generated(seed), strict=False):
        took = []
        while not took or (took[-1] > 0.02 and len(took) < 3):
            started = time.process_time()
            outcome = refused(text)
            took.append(time.process_time() - started)
        became[outcome] += 1
        slowest = max(slowest, min(took))
    return {"formulas": count, "refused": became[True], "accepted": became[False], "slowest_ms": slowest * 1e3}


if __name__ == "__main__":
    sys.stdout.write(f"{run(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, seed=0)}\n")
