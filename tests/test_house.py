"""The house keeps its own rules: floors, sizes, no pickle, no torchvision, nothing about where it was written."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "lightloom"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# bottom up; rooms on one line stand side by side and do not import each other
FLOORS = [
    ["common", "physics"],
    ["schemas"],
    ["chips"],
    ["nn", "data"],
    ["lab", "metrics"],
    ["learn"],
    ["cost", "report", "export"],
    ["explore"],
    ["config"],
    ["tasks"],
    ["recipes", "pipeline"],
    ["bench", "commands"],
    ["cli"],
    ["__main__"],
]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Rooms that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively; name the room"
            module = node.module or ""
            names = [f"lightloom.{alias.name}" for alias in node.names] if module == "lightloom" else [module]
        for name in names:
            if name.startswith("lightloom."):
                yield node.lineno, name.split(".")[1]


def test_every_file_belongs_to_a_floor() -> None:
    assert {room(path) for path in SOURCES} - {"__init__"} <= set(LEVEL)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_go_down(path: Path) -> None:
    own = room(path)
    if own == "__init__":
        return
    for line, other in imports(path):
        if other != own:
            assert LEVEL[other] < LEVEL[own], f"{path}:{line}: `{own}` stands below `{other}` and must not import it"


def test_the_rule_catches_an_import_that_goes_up(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def f():\n    from lightloom import learn\n    import lightloom.cli\n")
    assert [other for _, other in imports(wrong)] == ["learn", "cli"]


def test_physics_imports_arrays_and_the_standard_library_alone() -> None:
    allowed = {"torch", "numpy", "scipy", "lightloom", "__future__"} | set(sys.stdlib_module_names)
    for path in (PACKAGE / "physics").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_fit(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 320
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 80, f"{path}: {node.name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_loads_a_pickle(path: Path) -> None:
    assert not re.search(
        r"\bpickle\b|torch\.load\(|allow_pickle=True|joblib|(?<![.\w])eval\(|(?<![.\w])exec\(", path.read_text()
    )


def test_torchvision_is_not_here() -> None:
    assert find_spec("torchvision") is None


def test_importing_the_package_and_asking_for_help_load_nothing_heavy() -> None:
    heavy = "('torch', 'matplotlib', 'sklearn')"
    code = f"import sys, lightloom, lightloom.cli; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_project_speaks_of_itself_alone() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    words = re.compile("/" + r"work/|\.\./shared|" + "clau" + "de|lang" + "uage model|AI " + "assistant", re.IGNORECASE)
    for name in tracked.stdout.split():
        path = ROOT / name
        if path.is_file() and path.suffix not in {".png", ".jpg", ".gif", ".gz"}:
            assert not words.search(path.read_text()), name
