"""Peers whose pins clash with ours: each in an environment of its own, asked through one small process.

The environment is made from `constraints-peers/NAME.txt` the first time it is needed, in `.venv-peers/NAME`, and
made again when the pins change. Where it cannot be made the test is skipped by name, or fails where
`ABLOOP_REQUIRE_PEERS=1`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

REQUIRED = "ABLOOP_REQUIRE_PEERS"  # 1: a peer that cannot be had is a failure
ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".venv-peers"
INSTALL_SECONDS = 600.0
ANSWER_SECONDS = 300.0


def ask(name: str, script: Path, jobs: list[dict[str, Any]]) -> list[Any]:
    """Return a peer's answer to each job.

    Args:
        name: The peer: a file of pins in `constraints-peers`.
        script: What runs in its environment: reads a list of jobs (JSON) and writes a list of answers.
        jobs: What is asked; numbers are written in full.
    """
    python = environment(name)
    done = subprocess.run(
        [python, "-W", "ignore", script],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        timeout=ANSWER_SECONDS,
        env={"PATH": os.environ.get("PATH", ""), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    assert len(answers) == len(jobs)
    return answers


def environment(name: str) -> Path:
    """Return the Python of a peer's environment, made if it is not there."""
    pins = ROOT / "constraints-peers" / f"{name}.txt"
    wanted = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()
    home = PLACE / name
    stamp = home / "made-from"
    PLACE.mkdir(exist_ok=True)
    with (PLACE / f"{name}.lock").open("w") as lock:  # two workers of a test run make it once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(home, ignore_errors=True)
            _make(name, home, pins)
            stamp.write_text(wanted)
    return home / "bin" / "python"


def _make(name: str, home: Path, pins: Path) -> None:
    """Make an environment from pins."""
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps")
    for command in (
        [sys.executable, "-m", "venv", home],
        [home / "bin" / "python", "-m", "pip", "install", *quiet, "--requirement", pins],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            refuse(f"{name} is not installed within {INSTALL_SECONDS:.0f} s")
        if done.returncode:
            refuse(f"{name} cannot be installed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")


def refuse(reason: str) -> NoReturn:
    """Skip the test by name; fail it where peers are required."""
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{reason}; {REQUIRED}=1 asks for it")
    pytest.skip(reason)
