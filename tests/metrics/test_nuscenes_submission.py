"""Results files: what is written is read back, and files of others are checked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightloom.common.errors import RequestError
from lightloom.data.nuscenes import CLASSES
from lightloom.metrics.nuscenes import Results, read_results, write_results


@pytest.fixture
def found(sets: Any) -> Results:
    return sets.mixed().found


@pytest.fixture
def tokens(sets: Any) -> tuple[str, ...]:
    return sets.mixed().tokens


def test_what_is_written_is_read_back(found: Results, tokens: tuple[str, ...], tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", found, tokens, inputs=("camera", "map"))
    read = read_results(tmp_path / "results.json", tokens)
    for name, values in vars(found).items():
        if name == "yaws":
            np.testing.assert_allclose(np.exp(1j * read.yaws), np.exp(1j * values), atol=1e-12)
        else:
            np.testing.assert_array_equal(vars(read)[name], values)


def test_the_file_has_the_official_fields_and_every_sample(
    found: Results, tokens: tuple[str, ...], tmp_path: Path
) -> None:
    write_results(tmp_path / "results.json", found, tokens)
    content = json.loads((tmp_path / "results.json").read_text())
    flags = ("use_camera", "use_lidar", "use_radar", "use_map", "use_external")
    assert content["meta"] == {name: name == "use_camera" for name in flags}
    assert tuple(content["results"]) == tokens
    assert [] in content["results"].values()
    box = next(boxes for boxes in content["results"].values() if boxes)[0]
    assert set(box) == {
        *("sample_token", "translation", "size", "rotation", "velocity"),
        *("detection_name", "detection_score", "attribute_name"),
    }
    assert isinstance(box["detection_score"], float) and len(box["rotation"]) == 4


def test_no_box_at_all_is_a_file_too(found: Results, tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", found.chosen(np.zeros(len(found), dtype=bool)), ("a", "b"))
    assert len(read_results(tmp_path / "results.json", ("a", "b"))) == 0


def test_files_that_would_be_refused_are_not_written(found: Results, tokens: tuple[str, ...], tmp_path: Path) -> None:
    many = found.chosen(np.flatnonzero(found.sample == found.sample[0])[:1].repeat(501))
    still = Results(**(vars(found) | {"velocities": np.full((len(found), 2), np.nan)}))
    named = Results(**(vars(found) | {"attributes": np.full(len(found), "vehicle.flying")}))
    token = tokens[found.sample[0]]
    for given, message in (
        (many, rf"Sample `{token}` has 501 boxes, and a results file may have 500"),
        (still, rf"box of sample `{token}` has no velocity"),
        (named, r"no attribute `vehicle.flying`"),
    ):
        with pytest.raises(RequestError, match=message):
            write_results(tmp_path / "results.json", given, tokens)
    with pytest.raises(RequestError, match=r"no input `cameras`. Did you mean `camera`"):
        write_results(tmp_path / "results.json", found, tokens, inputs=("cameras",))
    assert not list(tmp_path.iterdir())


def box(**changes: Any) -> dict[str, Any]:
    plain = {
        "sample_token": "a",
        "translation": [1, 2.5, 0],
        "size": [2, 4, 1.5],
        "rotation": [0, 0, 0, 2],
        "velocity": [float("nan"), 0],
        "detection_name": "car",
        "detection_score": 1,
        "attribute_name": "",
    }
    return {key: value for key, value in (plain | changes).items() if value is not None}


def written(tmp_path: Path, results: Any) -> Path:
    (tmp_path / "results.json").write_text(json.dumps({"meta": {}, "results": results}))
    return tmp_path / "results.json"


def test_files_of_others_may_leave_velocities_unknown(tmp_path: Path) -> None:
    read = read_results(written(tmp_path, {"b": [], "a": [box(), box(detection_name="bus")]}), ("a", "b"))
    assert read.sample.tolist() == [0, 0] and np.isnan(read.velocities[:, 0]).all()
    assert [CLASSES[label] for label in read.labels] == ["car", "bus"]
    assert np.abs(read.yaws) == pytest.approx(np.pi)


def test_boxes_keep_the_order_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, {"b": [box(sample_token="b")], "a": [box()]})
    assert read_results(path, ("a", "b")).sample.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({}, r"lacks the sample `a`\. .* the 1 samples"),
        ({"a": [], "x": [], "y": []}, r"has an unknown sample `x` and 1 more"),
        ([], r"should hold"),
        ({"a": [box()] * 501}, r"sample `a`: 501 boxes, and the task allows 500"),
        ({"a": [box(), box(translation=None)]}, r"sample `a`: box 1 has no `translation`"),
        ({"a": [3]}, r"sample `a`: box 0 has no `sample_token`"),
        ({"a": [box(sample_token="b")]}, r"sample `a`: box 0 says that it belongs to sample `b`"),
        ({"a": [box(detection_name="cars")]}, r"sample `a`: no class `cars`. Did you mean `car`"),
        ({"a": [box(attribute_name="vehicle.parking")]}, r"sample `a`: no attribute .* mean `vehicle.parked`"),
        ({"a": [box(detection_score=float("nan"))]}, r"sample `a`: `detection_score` of box 0 is not finite"),
        ({"a": [box(), box(translation=[0, float("nan"), 0])]}, r"`translation` of box 1 is not finite"),
        ({"a": [box(velocity=[float("inf"), 0])]}, r"`velocity` of box 0 is not finite"),
        ({"a": [box(size=[1, 2])]}, r"`size` of every box should be a list of 3 numbers"),
        ({"a": [box(size=[1, 2, 0])]}, r"`size` of box 0 should be above 0"),
        ({"a": [box(detection_score=-1)]}, r"`detection_score` of box 0 should be 0 or above"),
        ({"a": [box(size=[10**400, 1, 1])]}, r"`size` of every box should be a list of 3 numbers"),
        ({"a": [box(detection_score="high")]}, r"`detection_score` of every box should be a number"),
        ({"a": [box(rotation=[0, 0, 0, 0])]}, r"a `rotation` is a quaternion of length 0"),
    ],
)
def test_broken_files_are_refused_and_say_where(results: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=message):
        read_results(written(tmp_path, results), ("a",))


DAMAGE: list[Any] = [None, "x", [], {}, [[]], True, -1, 1e300, 10**400, float("nan"), [1e300] * 3, [10**400] * 4]


@pytest.mark.parametrize("key", box())
def test_damage_anywhere_is_refused_or_harmless(key: str, tmp_path: Path) -> None:
    for value in DAMAGE:
        try:
            read = read_results(written(tmp_path, {"a": [{**box(), key: value}]}), ("a",))
        except RequestError:
            continue
        assert len(read) == 1


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_text("{"), lambda path: path.mkdir()])
def test_what_is_no_file_of_results_is_refused(make: Callable[[Path], Any], tmp_path: Path) -> None:
    make(tmp_path / "results.json")
    with pytest.raises(RequestError, match=r"results\.json"):
        read_results(tmp_path / "results.json", ("a",))
