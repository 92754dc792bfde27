from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from lightloom.common.errors import RequestError
from lightloom.report.readers.hybrid import Geometry
from lightloom.report.readers.run import read_run

BOX = {"box": [0, 0, 5, 5], "label": 0}


def image(**fields: Any) -> dict[str, Any]:
    return {"file": "pictures/0.jpg", "width": 320, "height": 208} | fields


def listed(**fields: Any) -> str:
    return json.dumps({"classes": ["a"], "images": [image(**fields)]})


def curve(**fields: Any) -> str:
    return json.dumps({"curves": [{"case": "a", "class": "all", "recall": [0, 1], "precision": [1, 0]} | fields]})


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("detections.json", "{", "is not JSON"),
        ("detections.json", "null", "does not hold"),
        ("detections.json", '{"classes": []}', "classes"),
        ("detections.json", listed(truth=[BOX | {"label": 1}]), "label 1"),
        ("detections.json", listed(truth=[BOX | {"box": [5, 0, 0, 5]}]), "x0 <= x1"),
        ("detections.json", listed(cases={"a": [BOX]}), "score"),
        ("detections.json", listed(cases={"a": [BOX | {"score": 1.5}]}), "score"),
        ("detections.json", listed(width=300), "320 x 208"),
        ("detections.json", listed(file="../summary.json"), "outside the run folder"),
        ("detections.json", listed(file="/etc/hostname"), "outside the run folder"),
        ("detections.json", listed(file="pictures/9.jpg"), "is missing"),
        ("detections.json", listed(file="summary.json"), "summary.json"),
        ("pr.json", "[]", "does not hold"),
        ("pr.json", curve(precision=[1]), "2 values of recall"),
        ("pr.json", curve(recall=[1, 0]), "ascends"),
        ("pr.json", curve(precision=[1, -1]), "precision"),
        ("hybrid.json", '{"cases": [{}]}', "case"),
        ("hybrid.json", '{"cases": [{"case": "a", "published": {"macs": -1}}]}', "macs"),
        ("optics.safetensors", "not tensors", "not a safetensors file"),
        ("sweep.json", '[{"case": "a", "figures": {"AP50": 46.5}}]', "AP50"),
    ],
)
def test_a_broken_file_is_named(folder: Path, name: str, content: str, word: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(RequestError, match=re.escape(word)) as caught:
        read_run(folder)
    assert str(folder) in str(caught.value) and name in str(caught.value)


def test_a_picture_cut_short_is_named(folder: Path) -> None:
    path = folder / "pictures" / "0.jpg"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(RequestError, match=re.escape(str(path))):
        read_run(folder)


@pytest.mark.parametrize(
    ("name", "tensor", "word"),
    [
        ("masks", np.zeros((1, 1, 4, 4)), "CASE|LAYER|masks"),
        ("a|b|mask", np.zeros((1, 1, 4, 4)), "`masks`"),
        ("a|b|masks", np.zeros((2, 4, 4)), "[paths, K, N, N]"),
        ("a|b|light", np.full((2, 4, 4), -1.0), "below 0"),
        ("a|b|image", np.full((4, 4), np.nan), "not finite"),
        ("a|features|s1", np.zeros((0, 4)), "[h, w]"),
    ],
)
def test_a_tensor_that_is_no_optics_is_named(folder: Path, name: str, tensor: np.ndarray, word: str) -> None:
    save_file({name: tensor.astype(np.float32)}, folder / "optics.safetensors")
    with pytest.raises(RequestError, match=re.escape(word)) as caught:
        read_run(folder)
    assert str(folder / "optics.safetensors") in str(caught.value) and f"`{name}`" in str(caught.value)


@pytest.mark.parametrize(("text", "word"), [("{", "not JSON"), ('{"pixel": 0, "wavelength": 1e-6}', "pixel")])
def test_metadata_that_is_no_geometry_is_named(folder: Path, text: str, word: str) -> None:
    path = folder / "optics.safetensors"
    save_file({"a|b|image": np.zeros((2, 2), np.float32)}, path, {"a|b": text})
    with pytest.raises(RequestError, match=word) as caught:
        read_run(folder)
    assert str(path) in str(caught.value)


def test_names_of_cases_may_hold_bars(folder: Path, made: SimpleNamespace) -> None:
    tensors = {"x|y|conv|masks": np.zeros((1, 1, 2, 2), np.float32), "x|y|features|s1": np.ones((2, 2), np.float32)}
    made.save_optics(folder, tensors)
    optics = read_run(folder).optics
    assert [(layer.case, layer.name) for layer in optics.layers] == [("x|y", "conv")]
    assert list(optics.features) == ["x|y"]


def test_depths_add_up_and_the_last_distance_holds_for_what_follows() -> None:
    geometry = Geometry(pixel=1e-6, wavelength=1e-6, distances=[1.0, 3.0])
    assert geometry.depths(4) == [0.0, 1.0, 4.0, 7.0]
    assert Geometry(pixel=1e-6, wavelength=1e-6).depths(4) == []


def test_minus_one_is_what_coco_says_where_there_is_nothing(folder: Path, made: SimpleNamespace) -> None:
    sweep = read_run(folder).sweep
    assert sweep is not None and sweep.metric.name == "AP"
    case = sweep.cases[0]
    assert case.spread("APs").mean is None and case.of_class(made.classes[3]).mean is None
    assert case.spread("AP50").mean == pytest.approx(1.6 * 0.298)
    assert case.spread("AP50").std == pytest.approx(1.6 * 0.004)


@pytest.mark.parametrize("name", ["detections.json", "pr.json", "optics.safetensors", "hybrid.json"])
def test_each_file_alone_is_a_run(folder: Path, name: str, tmp_path: Path, made: SimpleNamespace) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / name).write_bytes((folder / name).read_bytes())
    if name == "detections.json":
        made.detections(alone)
    run = read_run(alone)
    assert run.sweep is None
    assert bool(run.detections) + bool(run.precisions) + bool(run.optics.layers) + bool(run.hybrid.cases) == 1
