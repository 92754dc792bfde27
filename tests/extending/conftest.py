"""Packages of other people, put where Python finds them as if they were installed."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

Install = Callable[[str], None]
Write = Callable[[str, str, Mapping[str, str], str], None]
Call = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages, empty at first."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def register(site: Path, package: str, group: str, points: Mapping[str, str]) -> None:
    """What an installer writes beside a package, as far as entry points go."""
    notes = site / f"{package.replace('-', '_')}-0.1.dist-info"
    notes.mkdir()
    (notes / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1\n")
    lines = [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (notes / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def install(site: Path) -> Install:
    """Install one of the packages beside this file, by the name of its folder."""

    def install(folder: str) -> None:
        source = Path(__file__).parent / folder
        project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
        for package in source.iterdir():
            if package.is_dir() and (package / "__init__.py").is_file():
                shutil.copytree(package, site / package.name, ignore=shutil.ignore_patterns("__pycache__"))
        for group, points in project["entry-points"].items():
            register(site, project["name"], group, points)

    return install


@pytest.fixture
def write_plugin(site: Path) -> Write:
    """Install a module that is given as text: its name, the group, entry points, and the text."""

    def write(module: str, group: str, points: Mapping[str, str], text: str) -> None:
        (site / f"{module}.py").write_text(text)
        register(site, module, group, points)

    return write


@pytest.fixture
def lightloom(site: Path, tmp_path: Path) -> Call:
    """Call the command line in a process of its own, with the packages of `site`."""

    def call(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join([str(site), str(SOURCE)])
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "lightloom", *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)

    return call
