"""Notebooks run as they stand, in a fresh kernel, and are kept without what they printed."""

from __future__ import annotations

import ast
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from traitlets.config import Config

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
VARIABLE = "ABLOOP_NOTEBOOK_DATA"
SECONDS = 240  # for one cell
SAID = {
    "01_readout": "SHIP: 'cash' is clearly better on got (+116.2%, +90.6% to +141.8%)",
    "02_hte": "Ship 'cash': it beats 'nothing'",
    "03_tradeoffs": "its confirmation runs.",
    "04_ranking": "Corrected for position is better: +0.1",
}

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    """Return a notebook as it is kept."""
    return nbformat.read(path, as_version=4)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder for a kernel: its sockets are files, whose names may not be long."""
    with tempfile.TemporaryDirectory(prefix="nb") as folder:
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", folder)
        monkeypatch.setenv("IPYTHONDIR", folder)
        monkeypatch.delenv(VARIABLE, raising=False)
        yield Path(folder)


def run(path: Path, folder: Path) -> list[NotebookNode]:
    """Return all that a notebook puts out, from top to bottom.

    Raises:
        CellExecutionError: A cell raises.
    """
    notebook = read(path)
    files = Config({"ConnectionFileMixin": {"transport": "ipc", "ip": str(folder / "kernel")}})  # no port is opened
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, config=files, kernel_name="python3", timeout=SECONDS, resources=resources).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def printed(outputs: list[NotebookNode], stream: str) -> str:
    """Return what went to standard output or error."""
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == stream)


@each_notebook
def test_runs_on_its_own_data(path: Path, short: Path) -> None:
    """Each notebook runs to its end without a download, says what it must, and its reader sees no warning."""
    outputs = run(path, short)
    assert SAID[path.stem] in printed(outputs, "stdout")
    assert not printed(outputs, "stderr")


@pytest.mark.trial
@pytest.mark.parametrize(
    ("trial", "said"),
    [
        ("cookie_cats", "ROLL BACK: Take 'gate_40' out: it is clearly worse on retention_7 (-4.3%"),
        ("hillstrom", "SHIP: 'Mens E-Mail' is clearly better on spend (+117.9%"),
    ],
)
def test_other_experiments(
    trial: str, said: str, short: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The readout notebook reads others by path: it says what to do, shows two figures, and what it cannot know."""
    monkeypatch.setenv(VARIABLE, str(shared_data / trial / f"{trial}.csv.gz"))
    outputs = run(FOLDER / "01_readout.ipynb", short)
    text = printed(outputs, "stdout")
    assert said in text
    assert not printed(outputs, "stderr")
    shown = [kind for output in outputs for kind in output.get("data", {})]
    assert shown.count("application/vnd.plotly.v1+json") == 2
    assert ("nothing that was known before" in text) == (trial == "cookie_cats")


@pytest.mark.trial
def test_a_trial_that_pays(short: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebook of effects reads others by path: on starbucks it personalises, and shows its three figures."""
    monkeypatch.setenv(VARIABLE, str(shared_data / "starbucks_promo" / "training.csv.gz"))
    outputs = run(FOLDER / "02_hte.ipynb", short)
    assert "PERSONALISE: gain of choosing per person +0.0" in printed(outputs, "stdout")
    assert not printed(outputs, "stderr")
    shown = [kind for output in outputs for kind in output.get("data", {})]
    assert shown.count("application/vnd.plotly.v1+json") == 3


@pytest.mark.trial
def test_graded_lists(short: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebook of rankings reads graded lists by path: what serves is corrected for position, and better.

    The order of today is good already: a ranker that takes clicks as they are foretells them no better than their
    places alone do. How the two rankers compare where both are served is in tests/train/test_real.py.
    """
    monkeypatch.setenv(VARIABLE, str(shared_data / "ltr_lightgbm"))
    outputs = run(FOLDER / "04_ranking.ipynb", short)
    said = printed(outputs, "stdout")
    found = re.findall(r"^(as today|learned from clicks|corrected for position) +([0-9.]+)$", said, re.M)
    quality = {name: float(number) for name, number in found}
    assert "as_clicked: default. Not enough evidence" in said
    assert "corrected: personalise." in said
    assert quality["learned from clicks"] == quality["as today"] < quality["corrected for position"] - 0.03
    assert not printed(outputs, "stderr")
    shown = [kind for output in outputs for kind in output.get("data", {})]
    assert shown.count("application/vnd.plotly.v1+json") == 3


def test_a_file_that_is_not_known(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path to another file is named, with what is allowed."""
    monkeypatch.setenv(VARIABLE, "/data/shop.csv")
    with pytest.raises(CellExecutionError, match=r"DATA is '/data/shop.csv'.*thornton, cookie_cats, hillstrom"):
        run(FOLDER / "01_readout.ipynb", short)


@each_notebook
def test_kept_without_outputs(path: Path) -> None:
    """A notebook is kept without outputs and counts, so that a difference is one of words or code."""
    notebook = read(path)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert [cell.id for cell in code if cell.outputs or cell.execution_count] == []


@each_notebook
def test_public_names_only(path: Path) -> None:
    """A notebook imports abloop, and no module within it: a reader learns names that stay."""
    source = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "code")
    nodes = list(ast.walk(ast.parse(source)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    assert "abloop" in names
    assert [name for name in names if name.startswith("abloop.")] == []
