"""Packages of other people, installed as `pip` would leave them, in a place that only a test's own programs look at."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Program(NamedTuple):
    """Runs `lightloom`, or Python, where a package is installed."""

    environment: dict[str, str]

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Any program of Python, by its arguments."""
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=self.environment)

    def __call__(self, *arguments: str | Path) -> dict[str, Any]:
        """A verb of the command line that has to work; gives its answer."""
        result = self.run("-c", "from lightloom.cli import main; main()", *arguments, "--json")
        assert result.returncode == 0, result.stderr[-3000:]
        answer: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
        return answer


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Program]:
    """Gives a function that installs a package of `tests/extending` by the name of its folder."""

    def install(name: str) -> Program:
        source, site = Path(__file__).parent / name, tmp_path_factory.mktemp("site")
        project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
        for package in source.glob("*/__init__.py"):
            shutil.copytree(package.parent, site / package.parent.name, ignore=shutil.ignore_patterns("__pycache__"))
        info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        lines = []
        for group, points in project["entry-points"].items():
            lines += [f"[{group}]", *(f"{key} = {value}" for key, value in points.items())]
        info.joinpath("entry_points.txt").write_text("\n".join(lines) + "\n")
        path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
        return Program({**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"})

    return install
