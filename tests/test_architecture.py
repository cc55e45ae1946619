"""The house holds: floors, light imports, sizes, one public face."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import abloop

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "abloop").rglob("*.py"), *(ROOT / "server").rglob("*.py")])
HEAVY = ("numpy", "pandas", "sklearn", "torch", "flask", "econml", "sqlalchemy")
COLD = (
    *(name for name in HEAVY if name != "sqlalchemy"),
    "lightgbm",
    "scipy",
    "duckdb",
    "pyarrow",
    "ax",
    "statsmodels",
)

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
MOST_FILE_LINES = 300
MOST_FUNCTION_LINES = 50
MOST_PUBLIC_METHODS = 12
LARGE: dict[str, str] = {}  # "path" or "path:name" to the reason why it may be larger


def loaded_by(code: str, names: tuple[str, ...]) -> set[str]:
    """Return which of some modules a fresh interpreter has loaded after running code."""
    script = f"import sys\n{code}\nprint(*sorted(set({names!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function without its docstring."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_floors() -> None:
    """A room imports only the rooms below it, as import-linter reads the contracts of pyproject.toml."""
    done = subprocess.run([LINT_IMPORTS, "--no-cache"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_import_is_light() -> None:
    """`import abloop` loads none of the heavy libraries."""
    assert loaded_by("import abloop", HEAVY) == set()


def test_product_code_is_light(tmp_path: Path) -> None:
    """Connecting, registering and deciding load the database library and nothing of the cold path."""
    code = f"""
import abloop
loop = abloop.connect("sqlite:///{tmp_path}/x.db")
arms = [{{"name": "a"}}, {{"name": "b"}}]
loop.register({{"strategy": "s", "arms": arms, "metrics": [{{"name": "m"}}], "features": [{{"name": "f"}}]}})
loop.strategy("s").get_decision("d", {{"user_id": "u", "f": 1}})
loop.strategy("s").log_observations("d", {{"m": 1}})
loop.close()
"""
    assert loaded_by(code, COLD) == set()


def test_import_closure_of_online() -> None:
    """The hot path reaches no file of the cold one."""
    cold = ("abloop.offline", "abloop.train", "abloop.learners", "abloop.models.gbdt", "abloop.evaluate.gate")
    assert loaded_by("import abloop.online, abloop.loop", cold) == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sizes(path: Path) -> None:
    """A file is at most 300 lines, a function 50 without its docstring, a class 12 public methods, or has a reason."""
    name, text = str(path.relative_to(ROOT)), path.read_text()
    tree = ast.parse(text)
    too_large = [name] if len(text.splitlines()) > MOST_FILE_LINES else []
    too_large += [f"{name}:{node.name}" for node in functions(tree) if length(node) > MOST_FUNCTION_LINES]
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            public = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name[0] != "_"]
            too_large += [f"{name}:{node.name}"] if len(public) > MOST_PUBLIC_METHODS else []
    assert [item for item in too_large if item not in LARGE] == []


def test_no_pickle() -> None:
    """No source reads or writes a pickle."""
    banned = ("pickle", "joblib", "dill", "cloudpickle")
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] in banned], path


def test_public_names() -> None:
    """`abloop.__all__` is sorted, at most 25 names, all of which exist."""
    assert abloop.__all__ == sorted(abloop.__all__)
    assert len(abloop.__all__) <= 25
    assert all(hasattr(abloop, name) for name in abloop.__all__)


def test_every_package_and_module_says_what_it_is() -> None:
    """Every module has a docstring."""
    assert [str(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))] == []
