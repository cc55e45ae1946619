"""Ids, records and errors: what crosses the rooms keeps its form."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abloop import errors
from abloop.errors import AbloopError, listed, unknown
from abloop.ids import new_decision_id
from abloop.records import Decision, Loss, Observation, Phase, decode, encode

DECISION = Decision(
    "d1", "s", 1, "u", 0.5, (1.0, "web", None), (0.0, 0.25), "a", 0.5, "randomise", {"k": 1}, "", 7
)  # fmt: skip
GOLDEN = (
    b"\x9e\x01\xa2d1\xa1s\x01\xa1u\xcb?\xe0\x00\x00\x00\x00\x00\x00\x93\xcb?\xf0\x00\x00\x00\x00\x00\x00\xa3web\xc0"
    b"\x92\xcb\x00\x00\x00\x00\x00\x00\x00\x00\xcb?\xd0\x00\x00\x00\x00\x00\x00\xa1a\xcb?\xe0\x00\x00\x00\x00\x00\x00"
    b"\xa9randomise\x81\xa1k\x01\xa0\x07"
)
GROUPS = b"\x91\xa1e\x92\xcb?\xe0\x00\x00\x00\x00\x00\x00\xc0"
WITH_GROUPS = b"\xdc\x00\x10" + GOLDEN[1:] + GROUPS
WITH_SHARE = b"\xdc\x00\x11" + GOLDEN[1:] + GROUPS + b"\xc0"
GOLDEN_OBSERVATION = (
    b"\x97\x02\xa2d1\xa1s\xcb?\xe0\x00\x00\x00\x00\x00\x00\xa6bought\xcb?\xf0\x00\x00\x00\x00\x00\x00\xa1k"
)
WITH_UNIT = b"\x98" + GOLDEN_OBSERVATION[1:] + b"\xa0"
names = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.floats(allow_nan=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | numbers | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
sparse = st.dictionaries(names, numbers, max_size=3)
vectors = st.lists(numbers, max_size=3).map(tuple)
decisions = st.builds(
    Decision,
    decision_id=names,
    strategy=names,
    version=st.integers(1, 2**31),
    unit=names,
    time=numbers,
    features=st.lists(st.none() | numbers | names | sparse | vectors, max_size=4).map(tuple),
    predictions=st.lists(numbers, max_size=3).map(tuple),
    arm=names,
    propensity=st.floats(0, 1),
    phase=st.sampled_from(get_args(Phase)),
    decision=plain,
    release=names,
    latency=st.integers(0, 2**40),
    entities=st.lists(names, max_size=2).map(tuple),
    ages=st.lists(st.none() | numbers, max_size=2).map(tuple),
    share=st.none() | st.floats(0, 1),
)
observations = st.builds(Observation, names, names, numbers, names, numbers, names)


@settings(deadline=None)
@given(decisions | observations)
def test_a_record_survives_its_encoding(record: Decision | Observation) -> None:
    """decode(encode(r)) == r, whatever texts and JSON values it holds."""
    assert decode(encode(record)) == record


def test_the_encoding_is_frozen() -> None:
    """Bytes in spools and tables of today are read by every later abloop, and written alike."""
    grouped = msgspec.structs.replace(DECISION, entities=("e",), ages=(0.5, None))
    assert encode(grouped) == WITH_SHARE
    assert decode(WITH_SHARE) == grouped
    assert decode(WITH_GROUPS) == grouped  # from before arms were drawn elsewhere
    assert decode(GOLDEN) == DECISION  # from before there were feature groups
    assert encode(Observation("d1", "s", 0.5, "bought", 1.0, "k")) == WITH_UNIT
    assert decode(WITH_UNIT) == decode(GOLDEN_OBSERVATION)  # from before there were outcomes of units


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.integers(0, len(GOLDEN) - 1).map(lambda cut: GOLDEN[:cut]))
def test_other_bytes_are_refused(payload: bytes) -> None:
    """Bytes that are no whole record raise DecodeError and nothing else."""
    try:
        record = decode(payload)
    except msgspec.DecodeError:
        return
    assert isinstance(record, Decision | Observation | Loss)


def test_ids_are_unique_and_sort_by_time() -> None:
    """Eight threads draw 40,000 ids without a double; later ids sort after earlier ones."""
    with ThreadPoolExecutor(8) as pool:
        drawn = [
            name for part in pool.map(lambda _: [new_decision_id() for _ in range(5_000)], range(8)) for name in part
        ]
    assert len(set(drawn)) == 40_000
    assert {len(name) for name in drawn} == {28}
    time.sleep(0.003)
    assert new_decision_id() > max(drawn)


def test_a_seeded_product_gets_other_ids() -> None:
    """Seeding Python's random numbers does not repeat an id."""
    found = set()
    for _ in range(2):
        random.seed(1)
        found.add(new_decision_id()[12:])
    assert len(found) == 2


def test_a_forked_child_draws_ids_of_its_own() -> None:
    """Parent and child of a fork draw different ids."""
    script = (
        "import os\nfrom abloop.ids import new_decision_id\nnew_decision_id()\npid = os.fork()\n"
        "os.write(1, (''.join(new_decision_id()[12:] + '\\n' for _ in range(50))).encode())\n"
        "os._exit(0) if pid == 0 else os.waitpid(pid, 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    drawn = done.stdout.split()
    assert len(drawn) == len(set(drawn)) == 100


def test_lists_are_short() -> None:
    """At most twelve names are shown, and how many there are more."""
    assert listed([]) == "(none yet)"
    assert listed(["a"] * 12).count("'a'") == 12
    assert listed([f"n{i}" for i in range(20)]).endswith("'n11', and 8 more")


def test_unknown_names_suggest_the_nearest() -> None:
    """A near name is suggested, a far one is not, and all that exist are listed."""
    assert "Did you mean 'checkout'" in unknown("strategy", "chekout", ["checkout", "search"])
    assert unknown("strategy", "zzz", ["checkout"]) == "unknown strategy 'zzz'. There are: 'checkout'"
    assert unknown("strategy", 5, []) == "unknown strategy '5'. There are: (none yet)"


@pytest.mark.parametrize("name", sorted(name for name in vars(errors) if name.endswith("Error")))
def test_errors_are_one_tree(name: str) -> None:
    """Every error is an AbloopError that keeps its text and its place."""
    error = getattr(errors, name)("what came", place="arms[1]")
    assert isinstance(error, AbloopError)
    assert str(error) == "what came"
    assert error.place == "arms[1]"
