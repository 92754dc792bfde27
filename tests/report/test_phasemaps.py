from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import colormaps
from safetensors.numpy import save_file

from lightloom.common.errors import RequestError
from lightloom.report import write_report
from lightloom.report.plots.phase_maps import phase_error, tiles


def test_phase_error_goes_the_short_way_round() -> None:
    commanded = np.array([0.1, math.pi, 6.2])
    assert phase_error(commanded, commanded + 2 * math.pi) == pytest.approx(0, abs=1e-12)
    assert phase_error(np.array([0.1]), np.array([2 * math.pi - 0.1])) == pytest.approx(0.2)
    assert phase_error(np.zeros(2), np.array([0.3, -0.4])) == pytest.approx(math.sqrt((0.09 + 0.16) / 2))


def test_tiles_stand_where_the_heaters_are() -> None:
    positions = np.array([[0, 0], [2, 0], [1, 1]])
    picture = tiles(np.array([0.0, math.pi, 1.0 + 2 * math.pi]), positions)
    assert picture.shape == (3 * 16, 2 * 16, 4)
    centres = picture[8::16, 8::16]
    assert (centres[..., 3] > 0).tolist() == [[True, False], [False, True], [True, False]]
    colours = 255 * np.array(colormaps["twilight"]([0.0, 0.5, 1 / (2 * math.pi)]))
    for (row, column), colour in zip(positions, colours, strict=True):
        np.testing.assert_allclose(centres[row, column, :3], colour[:3], atol=1)


def test_the_map_is_cyclic() -> None:
    positions = np.array([[0, 0]])
    np.testing.assert_array_equal(tiles(np.array([0.7]), positions), tiles(np.array([0.7 - 6 * math.pi]), positions))


def test_a_large_mesh_stays_a_small_picture() -> None:
    draw = np.random.default_rng(0)
    positions = np.argwhere(draw.random((256, 256)) < 0.5)
    assert max(tiles(draw.random(len(positions)), positions).shape) <= 640


def test_captions_tell_the_error_of_each_mesh(run_folder: Path, made: SimpleNamespace) -> None:
    tensors = made.phases(["features.0"])
    tensors["features.0/u/realised"] = tensors["features.0/u/commanded"] + 0.25
    tensors["features.0/v/realised"] = tensors["features.0/v/commanded"] + 2 * math.pi
    metadata = {"size": str(made.size), "layout": "rectangle", "field": "real"}
    save_file(tensors, run_folder / "phases.safetensors", metadata)
    html = write_report(run_folder).read_text()
    assert "Realised is off by 0.25 rad in U and 0.00 rad in V (root mean square)." in html


def test_a_complex_mesh_and_one_side_only_are_drawn(run_folder: Path, made: SimpleNamespace) -> None:
    count = made.size * (made.size - 1) + made.size  # theta and phi per MZI, and the output phases
    tensors = {"fc/u/commanded": np.linspace(0, 6, count)}
    metadata = {"size": str(made.size), "layout": "rectangle", "field": "complex"}
    save_file(tensors, run_folder / "phases.safetensors", metadata)
    html = write_report(run_folder).read_text()
    assert "One of commanded and realised is not stored." in html


@pytest.mark.parametrize(
    ("metadata", "name", "count", "word"),
    [
        ({"size": "9", "layout": "rectangle", "field": "real"}, "fc/u/commanded", 35, "has 36 phases"),
        ({"size": "9", "layout": "spiral", "field": "real"}, "fc/u/commanded", 36, "spiral"),
        ({"layout": "rectangle", "field": "real"}, "fc/u/commanded", 36, "metadata"),
        ({"size": "9", "layout": "rectangle", "field": "real"}, "commanded", 36, "LAYER/u/commanded"),
        ({"size": "9", "layout": "rectangle", "field": "real"}, "fc/w/commanded", 36, "LAYER/u/commanded"),
    ],
)
def test_phases_that_fit_no_mesh_are_refused(
    run_folder: Path, metadata: dict[str, str], name: str, count: int, word: str
) -> None:
    save_file({name: np.zeros(count)}, run_folder / "phases.safetensors", metadata)
    with pytest.raises(RequestError, match=re.escape(word)) as caught:
        write_report(run_folder)
    assert "phases.safetensors" in str(caught.value)
