"""The sets that the official evaluation judged, what it said of them, and the official evaluation itself."""

import importlib.util
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "oracles" / "nuscenes"

Judge = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def sets() -> ModuleType:
    """The module `sets.py` beside the oracle."""
    spec = importlib.util.spec_from_file_location("nuscenes_oracle_sets", FOLDER / "sets.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """What the official evaluation said of each set, written by `golden.py`."""
    return json.loads((FOLDER / "golden.json").read_text())


@pytest.fixture(scope="session")
def judge() -> Judge:
    """The official evaluation, with the arguments of `judge.py`."""
    python = Path(os.environ.get("LIGHTLOOM_NUSCENES_ORACLE") or ROOT / ".oracles" / "nuscenes" / "bin" / "python")
    if not python.exists():
        pytest.skip(
            f"no nuScenes devkit: make an environment with `pip install --no-deps -r {FOLDER / 'requirements.txt'}` "
            "and name its Python in LIGHTLOOM_NUSCENES_ORACLE"
        )

    def judged(*arguments: str | Path) -> dict[str, Any]:
        command = [str(python), str(FOLDER / "judge.py"), *map(str, arguments)]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    return judged
