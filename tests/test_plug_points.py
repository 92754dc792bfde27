"""Nobody but a technology's own files asks which technology it is: a check that stands elsewhere is found."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "lightloom"
NAMES = {"mesh", "pcm"}
CLASSES = {f"{prefix}{what}" for prefix in ("Mesh", "PCM") for what in ("Chip", "Core")}
OWN = ("mesh", "pcm", "crossbar")
TABLE = PACKAGE / "chips" / "technologies.py"
BENCHES = PACKAGE / "bench" / "__init__.py"
"""Its table is one of benches, and one of them is called `mesh`."""


def own(path: Path) -> bool:
    """Whether a file belongs to one technology, by its name or a folder's, or is a table whose words these are."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return path in (TABLE, BENCHES) or any(part.startswith(OWN) for part in parts)


def named(node: ast.expr) -> bool:
    """Whether an expression is a technology's class or name, or holds one."""
    if isinstance(node, ast.Name):
        return node.id in CLASSES
    if isinstance(node, ast.Attribute):
        return node.attr in CLASSES
    if isinstance(node, ast.Constant):
        return node.value in NAMES
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(named(part) for part in node.elts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return named(node.left) or named(node.right)
    return False


def called(node: ast.Call) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def checks(text: str) -> Iterator[int]:
    """Lines that ask for a technology: by class, by name, by a table, or for its cores alone."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and called(node) in ("isinstance", "issubclass", "cores"):
            found = any(named(argument) for argument in node.args[1:])
        elif isinstance(node, ast.Compare):
            found = any(named(side) for side in (node.left, *node.comparators))
        elif isinstance(node, ast.Dict):
            found = any(key is not None and named(key) for key in node.keys)
        elif isinstance(node, ast.Subscript):
            found = getattr(node.value, "id", "") == "TECHNOLOGIES" and named(node.slice)
        elif isinstance(node, ast.MatchValue):
            found = named(node.value)
        elif isinstance(node, ast.MatchClass):
            found = named(node.cls)
        else:
            continue
        if found:
            yield node.lineno  # type: ignore[attr-defined]


def test_no_file_asks_for_a_technology_but_its_own() -> None:
    places = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not own(path)
        for line in checks(path.read_text())
    ]
    assert not places, "\n".join(places)


@pytest.mark.parametrize(
    "text",
    [
        "isinstance(chip, MeshChip)",
        "isinstance(chip, (Other, PCMChip))",
        "isinstance(chip, MeshChip | PCMChip)",
        "issubclass(kind, nn.MeshCore)",
        "cores(model, PCMCore)",
        "nn.cores(model, MeshCore)",
        "chip.technology == 'mesh'",
        "'pcm' != chip.technology",
        "type(chip) is MeshChip",
        "technology in ('mesh', 'ring')",
        "table = {'mesh': 1, 'ring': 2}",
        "table = {MeshChip: 1}",
        "TECHNOLOGIES['mesh']",
        "match technology:\n    case 'pcm':\n        pass",
        "match chip:\n    case MeshChip():\n        pass",
    ],
)
def test_every_way_to_ask_is_seen(text: str) -> None:
    assert list(checks(text))


@pytest.mark.parametrize(
    "text",
    ["preset('l2ight')", "isinstance(chip, Chip)", "cores(model, TensorCore)", "core == 'mesh core'", "{'a': 1}"],
)
def test_nothing_else_is(text: str) -> None:
    assert not list(checks(text))
