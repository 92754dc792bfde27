"""Nobody but a task's own files and its recipes asks which task a run is of: a check that stands elsewhere is found."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightloom.tasks import TASKS

PACKAGE = Path(__file__).parents[2] / "src" / "lightloom"
OWN = ("tasks", "recipes")
CLASSES = {kind.__name__ for task in TASKS.values() for kind in (type(task), task.config)}


def names_a_task(node: ast.expr) -> bool:
    """Whether an expression is the name of a task, a class of it, the field that says which it is, or holds one."""
    if isinstance(node, ast.Constant):
        return node.value in set(TASKS)
    if isinstance(node, ast.Name | ast.Attribute):
        return getattr(node, "id", getattr(node, "attr", "")) in CLASSES
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(names_a_task(part) for part in node.elts)
    return isinstance(node, ast.BinOp) and (names_a_task(node.left) or names_a_task(node.right))


def is_field(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "task"


def checks(text: str) -> Iterator[int]:
    """Lines that ask for a task: by the field of a config, by name, by class, or by a table."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            asks = any(names_a_task(side) or is_field(side) for side in sides)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
            asks = any(names_a_task(argument) for argument in node.args[1:])
        elif isinstance(node, ast.Dict):
            asks = any(key is not None and names_a_task(key) for key in node.keys)
        elif isinstance(node, ast.MatchValue):
            asks = names_a_task(node.value)
        else:
            continue
        if asks:
            yield node.lineno  # type: ignore[attr-defined]


def test_no_file_asks_for_a_task_but_its_own() -> None:
    places = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in OWN
        for line in checks(path.read_text())
    ]
    assert not places, "\n".join(places)


@pytest.mark.parametrize(
    "text",
    [
        "config.task == 'x'",
        "'language' == name",
        "name in ('detection2d', 'detection3d')",
        "isinstance(config, ClassificationConfig)",
        "{'language': 1}",
        "match name:\n    case 'classification':\n        pass",
    ],
)
def test_every_way_to_ask_is_seen(text: str) -> None:
    assert list(checks(text))
