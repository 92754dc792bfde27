from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from lightloom.common.errors import RequestError
from lightloom.report.readers.run import read_run


def _first(listed: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return listed | {"frames": [listed["frames"][0] | fields]}


BOX = {"center": [1, 2, 0], "size": [1, 1, 1], "yaw": 0, "label": 0}
CAMERA = {
    "channel": "a",
    "file": "pictures/000-CAM_FRONT.jpg",
    "width": 160,
    "height": 96,
    "project": np.eye(4).tolist(),
}


@pytest.mark.parametrize(
    ("name", "wrong", "word"),
    [
        ("detections3d.json", lambda listed: listed | {"classes": []}, "classes"),
        ("detections3d.json", lambda listed: listed | {"area": [0, 0, 0, -1, 1, 1]}, "an area is"),
        ("detections3d.json", lambda listed: _first(listed, truth=[BOX | {"label": 9}]), "label 9 in frame 0"),
        ("detections3d.json", lambda listed: _first(listed, truth=[BOX | {"size": [1, 0, 1]}]), "size"),
        ("detections3d.json", lambda listed: _first(listed, truth=[BOX | {"yaw": "far"}]), "yaw"),
        ("detections3d.json", lambda listed: _first(listed, cases={"a": [BOX]}), "score"),
        ("detections3d.json", lambda listed: _first(listed, queries={"a": [[0, 0, 2]]}), "queries"),
        ("detections3d.json", lambda listed: _first(listed, cameras=[CAMERA | {"width": 80}]), "160 x 96"),
        ("detections3d.json", lambda listed: _first(listed, cameras=[CAMERA | {"file": "../a.jpg"}]), "outside"),
        ("detections3d.json", lambda listed: _first(listed, cameras=[CAMERA | {"file": "pictures/9.jpg"}]), "missing"),
        ("detections3d.json", lambda listed: _first(listed, cameras=[CAMERA | {"project": [[1]]}]), "project"),
        ("pr3d.json", lambda _: {"curves": [{"case": "a", "recall": [0, 1], "precision": [1, 0]}]}, "distance"),
        ("sweep.json", lambda rows: [rows[0] | {"figures": {"mAP": 1.4}}], "mAP"),
    ],
)
def test_a_broken_file_is_named(folder: Path, change: Callable[..., None], name: str, wrong: Any, word: str) -> None:
    change(name, wrong)
    with pytest.raises(RequestError, match=re.escape(word)) as caught:
        read_run(folder)
    assert str(folder) in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "tensor", "word"),
    [
        ("expert/9/ground", np.zeros((4, 4)), "`9` is neither the number nor the token"),
        ("0/ground", np.zeros((4, 4)), "`CASE/FRAME/ground`"),
        ("expert/0/map", np.zeros((4, 4)), "`CASE/FRAME/ground`"),
        ("expert/0/ground", np.zeros((4, 4, 4)), "[rows, columns]"),
        ("0/heatmap", np.full((4, 4), np.nan), "all finite"),
    ],
)
def test_a_wrong_map_of_the_ground_is_named(folder: Path, name: str, tensor: Any, word: str) -> None:
    save_file({name: tensor.astype(np.float32)}, folder / "ground.safetensors")
    with pytest.raises(RequestError, match=re.escape(word)) as caught:
        read_run(folder)
    assert str(folder / "ground.safetensors") in str(caught.value)


def test_maps_of_cases_with_slashes_in_their_names_are_theirs(folder: Path) -> None:
    save_file({"a/b/sample-1/ground": np.eye(3, dtype=np.float32)}, folder / "ground.safetensors")
    run = read_run(folder)
    assert run.detections3d is not None
    assert [list(ground.cases) for ground in run.detections3d.ground] == [[], ["a/b"]]
