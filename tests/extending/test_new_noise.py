"""A new noise on meshes is written in three places, and is then everywhere where phases are realised."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lightloom

PACKAGE = Path(lightloom.__file__).parent
CHECK = Path(__file__).parent / "new_noise" / "check.py"

NEW_NOISE: dict[str, list[tuple[str, str]]] = {
    "physics/phases.py": [  # the function, its place in the chain, what it takes
        (
            "def truncated_noise(",
            '''def curved(heat: Tensor, curvature: Tensor) -> Tensor:
    """Heaters [..., n] in rad whose phase bends away from the drive between none and a full turn."""
    return heat * (1 + curvature * (1 - heat / TWO_PI))


def truncated_noise(''',
        ),
        (
            '    bias: Tensor | None = None\n    """Static phase error in rad."""\n',
            '    bias: Tensor | None = None\n    """Static phase error in rad."""\n'
            '    curvature: Tensor | None = None\n    """Share by which a heater bends."""\n',
        ),
        (
            "    return nominal if imperfections.gamma is None else nominal * ordinary(imperfections.gamma)\n",
            "    own = nominal if imperfections.gamma is None else nominal * ordinary(imperfections.gamma)\n"
            "    return own if imperfections.curvature is None else curved(own, imperfections.curvature)\n",
        ),
    ],
    "chips/mesh/chip.py": [  # the knob
        (
            "    crosstalk: float = Field(",
            '    curvature_std: float = Field(0.0, ge=0)\n    """Spread of the bend."""\n    crosstalk: float = Field(',
        ),
        ("            crosstalk=0.0,\n", "            crosstalk=0.0,\n            curvature_std=0.0,\n"),
    ],
    "chips/mesh/errors.py": [  # the drawn error
        (
            '    """Static phases of V\'s phase shifters in rad."""\n',
            '    """Static phases of V\'s phase shifters in rad."""\n'
            "    u_curvature: Tensor | None = None\n    v_curvature: Tensor | None = None\n",
        ),
        (
            '    HiddenError(\n        "bias",\n',
            '    HiddenError("curvature", ("u", "v"), "curvature_std", _curvature),\n'
            '    HiddenError(\n        "bias",\n',
        ),
        (
            "HIDDEN_ERRORS: tuple",
            "def _curvature(draws: Draws, place: Place, shape: tuple[int, ...], chip: Any) -> Tensor:\n"
            "    return draws.deviations(place, shape, chip.curvature_std).sub_(1)\n\n\nHIDDEN_ERRORS: tuple",
        ),
    ],
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package with the noise in it."""
    target = tmp_path / "source" / "lightloom"
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__"))
    for name, changes in NEW_NOISE.items():
        text = (target / name).read_text()
        for before, after in changes:
            assert text.count(before) == 1, f"{name}: {before}"
            text = text.replace(before, after)
        (target / name).write_text(text)
    return target.parent


def check(source: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, str(CHECK), str(tmp_path / "phases.csv")]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_a_noise_in_four_places_at_most_is_everywhere(copy: Path, tmp_path: Path) -> None:
    assert len(NEW_NOISE) <= 4
    result = check(copy, tmp_path)
    assert result.returncode == 0, result.stderr
    assert "found in training, in many specimens, on the bench, in the netlist and in the table" in result.stdout


def test_the_check_fails_where_the_noise_is_not_applied(copy: Path, tmp_path: Path) -> None:
    path = copy / "lightloom" / "physics" / "phases.py"
    path.write_text(path.read_text().replace("heat * (1 + curvature * (1 - heat / TWO_PI))", "heat"))
    assert check(copy, tmp_path).returncode != 0
