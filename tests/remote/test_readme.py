"""What README.md shows of the API and of a client runs as it stands, against a real server."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import abloop
from tests.remote.serving import Live

README = (Path(__file__).parents[2] / "README.md").read_text()
SECTION = README[README.index("## From any language") : README.index("## What product code can rely on")]


@pytest.fixture
def live(tmp_path: Path) -> Any:
    """Return a server that has the blueprint that README.md begins with."""
    found = Live(tmp_path / "server")
    (tmp_path / "checkout.yaml").write_text(re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)[0])
    found.app.extensions["abloop"].loop().register(abloop.load(tmp_path / "checkout.yaml"))
    yield found
    found.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(live: Live) -> None:
    """The lines of the shell are answered as the comments below them say."""
    shell = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)[0].replace("http://127.0.0.1:8765", live.url)
    lines = [line for line in shell.splitlines() if not line.startswith(("abloop serve", "TOKEN="))]
    done = subprocess.run(["bash", "-ec", "\n".join(lines)], env={"TOKEN": live.token}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    arm = re.search(r'"arm":"(\w+)"', done.stdout)
    assert arm
    shown = re.findall(r"^# (\{.*?)(?:,\.\.\.)?\}$", shell, re.MULTILINE)
    assert shown[0].replace("green", arm[1]) in done.stdout
    assert shown[1] in done.stdout


def test_python(live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of Python decide, log, and leave a decision and an observation at the server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", live.token)
    code = re.findall(r"```py\n(.*?)```", SECTION, re.DOTALL)[0].replace("https://abloop.example.com", live.url)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["arm"] in ("blue", "green")
    assert names["checkout"].errors == 0
    backlog = live.workspace.journal.backlog("checkout")
    assert (backlog.waiting, backlog.observations) == (1, 1)
