"""Own data: one world described in three frames gives one set of tables; what is wrong is named where it is."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.spatial.transform import Rotation

from lightloom.common.errors import RequestError
from lightloom.data.nuscenes import CLASSES, Sample, convert_own, export_2d, read_samples, read_tables, scene_splits

MOUNTED = np.array([[0.0, 0, 1, 1.6], [-1, 0, 0, 0.1], [0, -1, 0, 1.5], [0, 0, 0, 1]])  # a camera that looks ahead
LIDAR = np.eye(4)
LIDAR[:3, :3], LIDAR[:3, 3] = Rotation.from_euler("zyx", [-1.57, 0.02, 0.01]).as_matrix(), [0.9, 0, 1.8]
CENTRES = ([12.0, 1.0, 0.8], [14.0, 1.0, 0.8])  # of the car, in the ego frame of each moment
YAW = 0.4


def vehicle(number: int) -> np.ndarray:
    """The pose of the vehicle: level, so that a yaw says all in the global frame too."""
    whole = np.eye(4)
    whole[:3, :3] = Rotation.from_euler("z", 0.3 * number).as_matrix()
    whole[:3, 3] = [5.0 * number, 2.0, 0.0]
    return whole


def described() -> dict[str, Any]:
    """Two moments of one scene, boxes in the ego frame."""
    camera = {"name": "CAM_FRONT", "width": 64, "height": 40, "fx": 50, "fy": 51, "cx": 32, "cy": 20}
    frames = [
        {
            "time": 10 + 0.5 * number,
            "ego": {"matrix": vehicle(number).tolist()},
            "images": {"CAM_FRONT": f"front/{number}.png"},
            "boxes": [
                {"class": "car", "center": CENTRES[number], "size": [1.9, 4.5, 1.6], "yaw": YAW, "id": 7},
                {"class": "pedestrian", "center": [8, -2, 0.9], "size": [0.6, 0.7, 1.8], "yaw": -2.0},
            ],
        }
        for number in range(2)
    ]
    return {
        "cameras": [camera | {"matrix": MOUNTED.tolist()}],
        "lidar": {"matrix": LIDAR.tolist()},
        "scenes": [{"name": "drive", "frames": frames}],
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data" / "front").mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (64, 40)).save(tmp_path / "data" / "front" / f"{number}.png")
    return tmp_path / "data"


def converted(given: Any, root: Path, version: str = "v1.0-own") -> tuple[Sample, ...]:
    file = root.parent / "own.json"
    file.write_text(json.dumps(given))
    tables = read_tables(convert_own(file, root, version), version)
    return read_samples(tables, [name for names in scene_splits(tables).values() for name in names])


def test_boxes_return_in_the_ego_frame(root: Path) -> None:
    samples = converted(described(), root)
    assert [sample.timestamp for sample in samples] == [10_000_000, 10_500_000]
    for sample, centre in zip(samples, CENTRES, strict=True):
        framed = sample.boxes.to_frame(sample.ego)
        car = int(np.flatnonzero(sample.boxes.labels == CLASSES.index("car"))[0])
        np.testing.assert_allclose(framed.centers[car], centre, atol=1e-9)
        np.testing.assert_allclose(framed.yaws[car], YAW, atol=1e-9)
        np.testing.assert_allclose(framed.sizes[car], [1.9, 4.5, 1.6])
        assert sample.cameras[0].file == root / f"front/{sample is samples[1]:d}.png"


def test_an_object_with_an_id_has_a_velocity_and_one_without_has_none(root: Path) -> None:
    start, end = (vehicle(number)[:3, :3] @ CENTRES[number] + vehicle(number)[:3, 3] for number in range(2))
    for sample in converted(described(), root):
        car = sample.boxes.labels == CLASSES.index("car")
        np.testing.assert_allclose(sample.boxes.velocities[car], [(end - start)[:2] / 0.5], atol=1e-8)
        assert np.isnan(sample.boxes.velocities[~car]).all()


def _in_frame(frame: str, base: Callable[[int], np.ndarray]) -> dict[str, Any]:
    """The same boxes, given in a frame that `base` leads to the global frame."""
    given = described()
    given["boxes_in"] = frame
    for number, row in enumerate(given["scenes"][0]["frames"]):
        back = np.linalg.inv(base(number)) @ vehicle(number)
        for box in row["boxes"]:
            turn = back[:3, :3] @ Rotation.from_euler("z", box.pop("yaw")).as_matrix()
            box["rotation"] = Rotation.from_matrix(turn).as_quat(scalar_first=True).tolist()
            box["center"] = (back @ [*box["center"], 1])[:3].tolist()
    return given


@pytest.mark.parametrize("frame", ["global", "lidar"])
def test_one_world_in_three_frames_is_one_set(root: Path, frame: str) -> None:
    base = (lambda number: np.eye(4)) if frame == "global" else (lambda number: vehicle(number) @ LIDAR)
    ours = converted(_in_frame(frame, base), root)
    for sample, expected in zip(ours, converted(described(), root, "v1.0-ego"), strict=True):
        assert (sample.token, sample.boxes.tokens) == (expected.token, expected.boxes.tokens)
        np.testing.assert_allclose(sample.boxes.centers, expected.boxes.centers, atol=1e-9)
        np.testing.assert_allclose(sample.boxes.yaws, expected.boxes.yaws, atol=1e-9)
        np.testing.assert_allclose(sample.boxes.velocities, expected.boxes.velocities, atol=1e-7)


def test_a_camera_may_be_given_either_way(root: Path) -> None:
    other = described()
    other["cameras"] = [
        {
            "name": "CAM_FRONT",
            "width": 64,
            "height": 40,
            "intrinsic": [[50, 0, 32], [0, 51, 20], [0, 0, 1]],
            "translation": MOUNTED[:3, 3].tolist(),
            "rotation": [0.5, -0.5, 0.5, -0.5],
        }
    ]
    matrices = [
        samples[0].cameras[0].matrix for samples in (converted(described(), root), converted(other, root, "v2"))
    ]
    np.testing.assert_allclose(*matrices, atol=1e-9)
    np.testing.assert_allclose(matrices[0] @ [11.6, 0.1, 1.5, 1], [320, 200, 10, 1], atol=1e-9)
    np.testing.assert_allclose(matrices[0] @ [11.6, -0.9, 0.5, 1], [370, 251, 10, 1], atol=1e-9)


def test_a_camera_may_be_late(root: Path) -> None:
    """The camera looks from 0.2 m further on: what was 10 m away is 9.8 m away."""
    given = described()
    moved = vehicle(0)
    moved[0, 3] += 0.2
    given["scenes"][0]["frames"][0]["captures"] = {"CAM_FRONT": {"time": 10.02, "matrix": moved.tolist()}}
    camera = converted(given, root)[0].cameras[0]
    assert camera.timestamp == 10_020_000
    np.testing.assert_allclose(camera.matrix @ [11.6, 0.1, 1.5, 1], [32 * 9.8, 20 * 9.8, 9.8, 1], atol=1e-9)


def test_without_a_vehicle_pose_the_ego_frame_is_the_global_frame(root: Path) -> None:
    given = described()
    for row in given["scenes"][0]["frames"]:
        del row["ego"]
    for sample, centre in zip(converted(given, root), CENTRES, strict=True):
        np.testing.assert_allclose(sample.ego.matrix, np.eye(4))
        assert centre in sample.boxes.centers.tolist()


def test_yaml_and_json_are_the_same_and_splits_are_kept(root: Path) -> None:
    given = described() | {"splits": {"val": ["drive"]}}
    converted(given, root, "v-json")
    file = root.parent / "own.yaml"
    file.write_text(yaml.safe_dump(given))
    convert_own(file, root, "v-yaml")
    for table in (root / "v-json").iterdir():
        assert (root / "v-yaml" / table.name).read_bytes() == table.read_bytes()
    assert scene_splits(read_tables(root, "v-yaml")) == {"val": ("drive",)}


def test_the_example_in_the_documentation_is_right(root: Path) -> None:
    """It is cut out of the module's text and converted."""
    from lightloom.data.nuscenes import own

    assert own.__doc__ is not None
    file = root.parent / "own.yaml"
    file.write_text(own.__doc__.split("```")[1].removeprefix("yaml"))
    Image.new("RGB", (1600, 900)).save(root / "front" / "0001.jpg")
    tables = read_tables(convert_own(file, root), "v1.0-own")
    (sample,) = read_samples(tables, scene_splits(tables)["train"])
    np.testing.assert_allclose(sample.boxes.to_frame(sample.ego).centers, [[12, 1.5, 0.8]])


def test_own_data_has_boxes_in_its_images(root: Path, tmp_path: Path) -> None:
    """The exporter of 2-D boxes reads it as any set; the car ahead is seen in both images."""
    converted(described(), root)
    content = json.loads(export_2d(root, "v1.0-own", tmp_path / "out")["all"].read_text())
    assert [row["file_name"] for row in content["images"]] == ["front/0.png", "front/1.png"]
    assert sum(row["category_id"] == CLASSES.index("car") for row in content["annotations"]) == 2


Change = Callable[[dict[str, Any]], object]


def _frame(given: dict[str, Any]) -> dict[str, Any]:
    return given["scenes"][0]["frames"][1]


def _box(given: dict[str, Any]) -> dict[str, Any]:
    return _frame(given)["boxes"][0]


def _camera(given: dict[str, Any]) -> dict[str, Any]:
    return given["cameras"][0]


MIRROR = np.diag([1.0, -1.0, 1.0, 1.0]).tolist()
HERE = "Scene `drive`, frame 1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda given: _frame(given)["images"].update(CAM_FRONT="front/2.png"),
            f"{HERE}.*`CAM_FRONT`.*2.png` is missing",
        ),
        (lambda given: _frame(given)["images"].update(CAM_FRONT="/front/1.png"), f"{HERE}.*relative to"),
        (lambda given: _frame(given)["images"].update(CAM_FRNT="front/1.png"), f"{HERE}.*Did you mean `CAM_FRONT`"),
        (lambda given: _frame(given).update(lidar="points.bin"), f"{HERE}, `lidar`.*points.bin` is missing"),
        (lambda given: _frame(given).update(images={}), f"{HERE} has no image"),
        (lambda given: _frame(given).update(time=10), f"{HERE}: `timestamp`"),
        (lambda given: _frame(given).update(time="noon"), f"{HERE}.time: .*'noon'"),
        (lambda given: _frame(given).update(tme=1), f"{HERE}: unknown key `tme`. Did you mean `time`"),
        (lambda given: _frame(given)["ego"].update(matrix=MIRROR), f"{HERE}.ego: .* not a rotation"),
        (lambda given: _frame(given).update(ego={"translation": [0, 0, 0]}), f"{HERE}.ego: a pose is"),
        (lambda given: _box(given).update({"class": "catr"}), f"{HERE}, object `id 7`.*Did you mean `car`"),
        (lambda given: _box(given).pop("class"), f"{HERE}, box 0: `class` should be"),
        (lambda given: _box(given).update(center=[1, 2, math.nan]), f"{HERE}, box 0.center.2: "),
        (lambda given: _box(given).update(size=[1, 0, 2]), f"{HERE}, box 0.size.1: .*greater than 0"),
        (lambda given: _box(given).update(size=[1, 2]), f"{HERE}, box 0.size"),
        (lambda given: _box(given).update(rotation=[1, 0, 0, 0]), f"{HERE}, box 0: a box has `yaw` or `rotation`"),
        (lambda given: _box(given).pop("yaw"), f"{HERE}, box 0: a box has `yaw` or `rotation`"),
        (lambda given: _box(given).update(attribute="moving"), f"{HERE}, object `id 7`: no attribute `moving`"),
        (lambda given: _frame(given)["boxes"].append(_box(given)), f"{HERE} has two boxes of the object `id 7`"),
        (lambda given: _camera(given).update(fx=-1), "cameras.0.fx: .*greater than 0"),
        (lambda given: _camera(given).pop("fy"), "cameras.0: a camera has `intrinsic`, or `fx`"),
        (lambda given: _camera(given).pop("matrix"), "cameras.0: a pose is `translation` with `rotation`"),
        (lambda given: _camera(given).update(width=128), "64 x 40 pixels and its camera `CAM_FRONT` 128 x 40"),
        (lambda given: given.update(boxes_in="world"), "boxes_in: .*'ego', 'global' or 'lidar'"),
        (lambda given: (given.update(boxes_in="lidar"), given.pop("lidar")), "needs the pose of the LiDAR"),
        (lambda given: given.update(splits={"val": ["drives"]}), "names the scene `drives`"),
        (lambda given: given.update(scenes=[]), "no scene"),
        (lambda given: given.pop("cameras"), "cameras: Field required"),
    ],
)
def test_what_is_not_right_is_named_where_it_is(root: Path, change: Change, message: str) -> None:
    given = copy.deepcopy(described())
    change(given)
    with pytest.raises(RequestError, match=message):
        converted(given, root)
    assert not (root / "v1.0-own").exists()


def test_broken_files_are_named(root: Path) -> None:
    (root / "front" / "1.png").write_text("no image")
    with pytest.raises(RequestError, match=r"1.png` is no image"):
        converted(described(), root)
    for name, text, message in (
        ("own.yaml", "cameras: [", "own.yaml` is not YAML"),
        ("own.json", "{", "own.json` is not JSON"),
        ("own.yml", "- 1", "should hold `cameras` and `scenes`"),
    ):
        (root.parent / name).write_text(text)
        with pytest.raises(RequestError, match=message):
            convert_own(root.parent / name, root)
    for name in ("gone.yaml", "gone.json"):
        with pytest.raises(RequestError, match=f"description .*{name}` is missing"):
            convert_own(root.parent / name, root)
