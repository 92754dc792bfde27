"""Written tables against the published schema, their own chains, and numbers counted by hand."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lightloom.common.errors import RequestError
from lightloom.data.nuscenes import (
    CATEGORIES,
    CLASSES,
    BoxSpec,
    CameraSpec,
    CaptureSpec,
    FrameSpec,
    SceneSpec,
    class_of,
    read_tables,
    scene_splits,
    write_tables,
)
from lightloom.data.nuscenes.classes import category_of
from lightloom.data.nuscenes.write import token_of

SCHEMA = {
    "category": "token name description",
    "attribute": "token name description",
    "visibility": "token level description",
    "instance": "token category_token nbr_annotations first_annotation_token last_annotation_token",
    "sensor": "token channel modality",
    "calibrated_sensor": "token sensor_token translation rotation camera_intrinsic",
    "ego_pose": "token translation rotation timestamp",
    "log": "token logfile vehicle date_captured location",
    "scene": "token name description log_token nbr_samples first_sample_token last_sample_token",
    "sample": "token timestamp scene_token next prev",
    "sample_data": "token sample_token ego_pose_token calibrated_sensor_token filename fileformat width height "
    "timestamp is_key_frame next prev",
    "sample_annotation": "token sample_token instance_token attribute_tokens visibility_token translation size "
    "rotation num_lidar_pts num_radar_pts next prev",
    "map": "token log_tokens category filename",
}
"""Fields of the nuScenes schema, v1.0."""

FRONT = CameraSpec("CAM_FRONT", 160, 90, [[120, 0, 80], [0, 120, 45], [0, 0, 1]], (1.5, 0, 1.5), (0.5, -0.5, 0.5, -0.5))
BACK = replace(FRONT, channel="CAM_BACK", translation=(0, 0, 1.5), rotation=(0.5, -0.5, -0.5, 0.5))
UPRIGHT = (1.0, 0.0, 0.0, 0.0)
CAR = BoxSpec("7", "car", (10, 2, 1), (1.9, 4.5, 1.6), (math.cos(0.2), 0, 0, math.sin(0.2)), "vehicle.moving")
WALKER = BoxSpec("8", "human.pedestrian.child", (6, -3, 0.6), (0.5, 0.5, 1.2), UPRIGHT, visibility="", lidar_points=0)


def frame(number: int, *boxes: BoxSpec, back: bool = True) -> FrameSpec:
    images = {"CAM_FRONT": f"front/{number}.jpg"} | ({"CAM_BACK": f"back/{number}.png"} if back else {})
    return FrameSpec(500_000 * number, (2.0 * number, 0, 0), UPRIGHT, images, boxes)


def scenes() -> list[SceneSpec]:
    """The car is gone in the second frame of the first scene; the camera at the back failed there."""
    first = (frame(0, CAR, WALKER), frame(1, WALKER, back=False), frame(2, CAR, WALKER))
    return [
        SceneSpec("one", (FRONT, BACK), first, "a drive"),
        SceneSpec("two", (FRONT,), (frame(5, CAR, back=False), frame(6, back=False))),
    ]


def rows(root: Path, table: str, version: str = "v") -> list[dict[str, Any]]:
    return json.loads((root / version / f"{table}.json").read_text())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tables(scenes(), tmp_path / "set", "v", {"train": ["one"], "val": ["two"]})


def test_every_table_has_the_fields_of_the_schema(root: Path) -> None:
    for table, fields in SCHEMA.items():
        found = rows(root, table)
        assert found, table
        assert all(set(row) == set(fields.split()) for row in found), table
        assert len({row["token"] for row in found}) == len(found), table
    assert read_tables(root, "v").version == "v", "the reader checks all links"
    assert {path.name for path in (root / "v").iterdir()} == {f"{name}.json" for name in SCHEMA} | {"splits.json"}


def test_counts_are_those_of_the_scenes(root: Path) -> None:
    count = {table: len(rows(root, table)) for table in SCHEMA}
    assert (count["scene"], count["sample"], count["instance"], count["sample_annotation"]) == (2, 5, 3, 6)
    assert (count["sensor"], count["calibrated_sensor"], count["ego_pose"]) == (3, 5, 5)
    channels = Counter(read_tables(root, "v").channel(row) for row in rows(root, "sample_data"))
    assert channels == {"CAM_FRONT": 5, "CAM_BACK": 2, "LIDAR_TOP": 5}
    assert [row["nbr_samples"] for row in rows(root, "scene")] == [3, 2]
    assert sorted(row["nbr_annotations"] for row in rows(root, "instance")) == [1, 2, 3]


@pytest.mark.parametrize("table", ["sample", "sample_data", "sample_annotation"])
def test_chains_lead_forward_and_back(root: Path, table: str) -> None:
    """Each record is in one chain, in the order of time, within one scene and one sensor or object."""
    tables = read_tables(root, "v")
    found = tables[table]

    def line(row: dict[str, Any]) -> tuple[str, ...]:
        sample = row if table == "sample" else tables["sample"][row["sample_token"]]
        return sample["scene_token"], row.get("calibrated_sensor_token", row.get("instance_token", ""))

    def time(row: dict[str, Any]) -> int:
        return row["timestamp"] if "timestamp" in row else tables["sample"][row["sample_token"]]["timestamp"]

    for row in found.values():
        if row["next"]:
            after = found[row["next"]]
            assert after["prev"] == row["token"] and line(after) == line(row) and time(after) > time(row)
    starts = [row for row in found.values() if not row["prev"]]
    assert len(starts) == len({line(row) for row in found.values()})
    assert len(starts) == sum(not row["next"] for row in found.values())


def test_ends_of_scenes_and_objects_are_ends_of_their_chains(root: Path) -> None:
    tables = read_tables(root, "v")
    for scene in tables["scene"].values():
        assert tables["sample"][scene["first_sample_token"]]["prev"] == ""
        assert len(tables.samples(scene)) == scene["nbr_samples"]
    for instance in tables["instance"].values():
        first, last = (tables["sample_annotation"][instance[f"{end}_annotation_token"]] for end in ("first", "last"))
        assert (first["prev"], last["next"]) == ("", "")


def test_what_other_readers_open_is_there(root: Path) -> None:
    """A mask for every log, one pose of the LiDAR in every sample; split names are as given."""
    (whole,) = rows(root, "map")
    assert set(whole["log_tokens"]) == {row["token"] for row in rows(root, "log")}
    with Image.open(root / whole["filename"]) as mask:
        assert mask.mode == "L"
    tables = read_tables(root, "v")
    with_lidar = [row["sample_token"] for row in rows(root, "sample_data") if tables.channel(row) == "LIDAR_TOP"]
    assert sorted(with_lidar) == sorted(tables["sample"])
    assert scene_splits(tables) == {"train": ("one",), "val": ("two",)}


def test_values_arrive_as_given(root: Path) -> None:
    tables = read_tables(root, "v")
    car = tables["sample_annotation"][token_of("sample_annotation", "one", 0, "7")]
    assert tables.category(car) == "vehicle.car"
    assert (car["translation"], car["size"]) == ([10, 2, 1], [1.9, 4.5, 1.6])
    assert [tables["attribute"][token]["name"] for token in car["attribute_tokens"]] == ["vehicle.moving"]
    child = tables["sample_annotation"][token_of("sample_annotation", "one", 1, "8")]
    assert (child["visibility_token"], child["num_lidar_pts"], child["attribute_tokens"]) == ("", 0, [])
    image = tables["sample_data"][token_of("sample_data", "one", 2, "CAM_BACK")]
    assert (image["filename"], image["fileformat"], image["width"], image["height"]) == ("back/2.png", "png", 160, 90)
    assert tables["ego_pose"][image["ego_pose_token"]]["translation"] == [4, 0, 0]


def test_a_camera_may_be_late(tmp_path: Path) -> None:
    moved = replace(frame(0), captures={"CAM_FRONT": CaptureSpec(20_000, (0.3, 0, 0), UPRIGHT)})
    tables = read_tables(write_tables([SceneSpec("s", (FRONT, BACK), (moved,))], tmp_path, "v"), "v")
    where = {tables.channel(row): row for row in tables["sample_data"].values()}
    at = {name: tables["ego_pose"][row["ego_pose_token"]] for name, row in where.items()}
    assert (where["CAM_FRONT"]["timestamp"], at["CAM_FRONT"]["timestamp"]) == (20_000, 20_000)
    assert at["CAM_FRONT"]["translation"] == [0.3, 0, 0]
    assert at["CAM_BACK"] is at["LIDAR_TOP"] and at["CAM_BACK"]["translation"] == [0, 0, 0]


def test_the_same_scenes_give_the_same_bytes(root: Path, tmp_path: Path) -> None:
    again = write_tables(scenes(), tmp_path / "again", "v", {"train": ["one"], "val": ["two"]})
    for file in sorted((root / "v").iterdir()):
        assert (again / "v" / file.name).read_bytes() == file.read_bytes(), file.name


def test_without_splits_all_scenes_are_in_one(tmp_path: Path) -> None:
    assert scene_splits(read_tables(write_tables(scenes(), tmp_path, "v"), "v")) == {"all": ("one", "two")}


def test_every_class_has_a_category_of_its_own() -> None:
    assert [class_of(category_of(name)) for name in CLASSES] == list(CLASSES)
    assert all(category_of(name) == name for name in CATEGORIES)
    assert len(set(CATEGORIES)) == 23, "as published"


def _changed(scene: dict[str, Any] | None = None, shot: dict[str, Any] | None = None, **box: Any) -> list[SceneSpec]:
    """One scene of two frames, with something changed in the scene, its second frame, or the box there."""
    second = replace(frame(1, replace(CAR, **box)), **(shot or {}))
    return [replace(SceneSpec("one", (FRONT, BACK), (frame(0, CAR), second)), **(scene or {}))]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no scene to write"),
        (_changed() * 2, "Two scenes have the name `one`"),
        (_changed({"frames": ()}), "`one` needs a name, a camera and a frame"),
        (_changed({"cameras": (FRONT, FRONT)}), "two cameras `CAM_FRONT`"),
        (_changed({"cameras": (FRONT, replace(BACK, width=0))}), "camera `CAM_BACK`: an image of 0 x 90"),
        (_changed({"cameras": (FRONT, replace(BACK, intrinsic=[[1, 0], [0, 1]]))}), "`intrinsic` should be 3 x 3"),
        (_changed({"cameras": (FRONT, replace(BACK, intrinsic=[[0, 0, 1]] * 3))}), "fx and fy above 0"),
        (_changed({"cameras": (FRONT, replace(BACK, channel="LIDAR_TOP"))}), "should be the name of a camera"),
        (_changed({"lidar_rotation": (1, 1, 0, 0)}), "LiDAR: `rotation` should be a quaternion .* of length 1"),
        (_changed(shot={"timestamp": 0}), "frame 1: `timestamp` 0 is not above 0"),
        (_changed(shot={"images": {}}), "frame 1 has no image"),
        (_changed(shot={"images": {"CAM_FRNT": "x"}}), "Did you mean `CAM_FRONT`"),
        (_changed(shot={"images": {"CAM_FRONT": ""}}), "has no file name"),
        (_changed(shot={"ego_translation": (0, math.inf, 0)}), "frame 1, ego pose: `translation` should be 3 finite"),
        (_changed(shot={"captures": {"CAM_X": CaptureSpec(0, (0, 0, 0), UPRIGHT)}}), "`captures` names no camera"),
        (_changed(shot={"boxes": (CAR, CAR)}), "frame 1 has two boxes of the object `7`"),
        (_changed(category="truck"), "frame 1: the object `7` is `vehicle.truck` here and `vehicle.car` before"),
        (_changed(category="cat"), r"frame 1, object `7`: No class or category `cat`.*"),
        (_changed(attribute="vehicle.movin"), "Did you mean `vehicle.moving`"),
        (_changed(visibility="5"), "no visibility `5`"),
        (_changed(lidar_points=-1), "number of points below 0"),
        (_changed(size=(1, 0, 1)), "object `7`: `size` should be width, length and height above 0"),
        (_changed(translation=(1, math.nan, 1)), "object `7`: `translation` should be 3 finite"),
        (_changed(rotation=(0, 0, 0, 0)), "length 1"),
        (_changed(rotation=("a", 0, 0, 0)), "`rotation` should be 4 finite"),
    ],
)
def test_what_is_not_right_is_named_and_nothing_is_written(tmp_path: Path, given: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        write_tables(given, tmp_path / "set", "v")
    assert not (tmp_path / "set").exists()


def test_splits_name_scenes_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="names the scene `three`"):
        write_tables(scenes(), tmp_path / "set", "v", {"train": ["one", "three"]})
    assert not (tmp_path / "set").exists()
