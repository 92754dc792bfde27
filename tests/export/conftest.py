"""Networks on chips, and an independent circuit simulator."""

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from torch import nn

ROOT = Path(__file__).parents[2]
ORACLE = ROOT / "tests" / "oracles" / "sax"

Judge = Callable[[Sequence[Path]], dict[Path, np.ndarray]]


@pytest.fixture
def network() -> Callable[[], nn.Sequential]:
    """Makes a network with other weights at every call: a convolution and two layers, one of them used twice."""

    def make() -> nn.Sequential:
        twice = nn.Linear(10, 10)
        return nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, groups=2),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64, 10),
            twice,
            nn.ReLU(),
            twice,
        )

    return make


@pytest.fixture(scope="session")
def judge() -> Judge:
    """The matrices that SAX makes of netlists."""
    python = Path(os.environ.get("LIGHTLOOM_SAX_ORACLE") or ROOT / ".oracles" / "sax" / "bin" / "python")
    if not python.exists():
        pytest.skip(
            f"no SAX: make an environment with `pip install -r {ORACLE / 'requirements.txt'}` and name its Python in "
            "LIGHTLOOM_SAX_ORACLE"
        )

    def judged(files: Sequence[Path]) -> dict[Path, np.ndarray]:
        run = subprocess.run(
            [str(python), str(ORACLE / "judge.py"), *map(str, files)],
            capture_output=True,
            text=True,
            env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": ""},
        )
        assert run.returncode == 0, run.stderr[-2000:]
        answer = json.loads(run.stdout)
        return {file: np.array(answer[str(file)]["real"]) + 1j * np.array(answer[str(file)]["imag"]) for file in files}

    return judged
