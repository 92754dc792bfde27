"""Packages that bring technologies of their own, as if they were installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from lightloom.chips import TECHNOLOGIES
from lightloom.common import plugins

TOY = Path(__file__).parents[1] / "extending" / "toy_technology"


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Gives a function that takes entry points by name; the module `lightloom_toy` can be imported meanwhile."""
    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(**values: str) -> None:
        points = [EntryPoint(name, value, TECHNOLOGIES.group) for name, value in values.items()]
        monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == TECHNOLOGIES.group else [])
        TECHNOLOGIES.reload()

    yield put
    monkeypatch.undo()
    TECHNOLOGIES.reload()
    for name in [name for name in sys.modules if name.startswith("brought_")]:
        del sys.modules[name]
