"""2-D boxes of nuScenes against dense sampling of the boxes' surfaces, scipy, and a published conversion."""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import ConvexHull, HalfspaceIntersection
from scipy.spatial.transform import Rotation

from lightloom.common.errors import RequestError
from lightloom.data.detection import load_detection
from lightloom.data.detection.coco import read_coco
from lightloom.data.nuscenes import CLASSES, TABLES, class_of, export_2d, read_tables, scene_splits
from lightloom.data.nuscenes.export2d import box_2d
from lightloom.data.nuscenes.geometry import (
    Pose,
    box_corners,
    clip,
    convex_hull,
    global_to_sensor,
    project,
    rotation_matrix,
)

Rows = dict[str, list[dict[str, Any]]]
W, H = 160, 90
K = [[120.0, 0.0, 82.0], [0.0, 118.0, 47.0], [0.0, 0.0, 1.0]]
FORWARD = [0.5, -0.5, 0.5, -0.5]  # a camera that looks along the vehicle's x axis
LEFT = (Rotation.from_euler("z", 90, degrees=True) * Rotation.from_quat([-0.5, 0.5, -0.5, 0.5])).as_quat()
CAMERAS = {"CAM_FRONT": FORWARD, "CAM_LEFT": [LEFT[3], *LEFT[:3]]}
OFFSET = [0.5, 0.0, 1.5]


def yaw(angle: float) -> list[float]:
    return [math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)]


# name: category, centre in the vehicle's frame, (width, length, height), yaw, visibility
BOXES: dict[str, tuple[str, list[float], list[float], float, str]] = {
    "ahead": ("vehicle.car", [20.0, 1.0, 1.0], [1.8, 4.5, 1.6], 0.4, "4"),
    "half-out": ("vehicle.bus.rigid", [12.0, 9.0, 1.6], [2.9, 11.0, 3.4], 0.1, "3"),
    "behind": ("human.pedestrian.adult", [-9.0, 0.0, 0.9], [0.7, 0.7, 1.8], 0.0, "4"),
    "beside": ("vehicle.truck", [8.0, -40.0, 1.4], [2.5, 7.0, 3.0], 0.0, "2"),
    "unknown-visibility": ("movable_object.trafficcone", [9.0, -1.0, 0.4], [0.4, 0.4, 0.9], 0.0, ""),
    "hidden": ("vehicle.bicycle", [15.0, -3.0, 0.7], [0.6, 1.7, 1.2], 1.2, "1"),
    "no-class": ("static_object.bicycle_rack", [14.0, 2.0, 0.5], [1.0, 3.0, 1.0], 0.3, "4"),
    "around": ("vehicle.trailer", [1.5, 2.5, 1.5], [2.6, 12.0, 3.6], 0.0, "4"),
}
SPEED = 0.7  # m from one sample to the next, along the vehicle's x axis


def tables(samples: int = 2) -> Rows:
    """Two scenes of moving boxes; the vehicle stands elsewhere, and turned, in every sample."""
    rows: Rows = {name: [] for name in TABLES}
    categories = sorted({box[0] for box in BOXES.values()})
    rows["category"] = [{"token": name, "name": name} for name in categories]
    rows["attribute"] = [{"token": "moving", "name": "vehicle.moving"}]
    rows["visibility"] = [{"token": token, "level": f"v{token}"} for token in "1234"]
    rows["instance"] = [{"token": name, "category_token": box[0]} for name, box in BOXES.items()]
    rows["log"] = [{"token": "log", "logfile": "day"}]
    rows["map"] = [{"token": "map", "log_tokens": ["log"], "filename": ""}]
    for channel in (*CAMERAS, "LIDAR_TOP"):
        rows["sensor"].append(
            {"token": channel, "channel": channel, "modality": "camera" if channel in CAMERAS else "lidar"}
        )
        rows["calibrated_sensor"].append(
            {
                "token": channel,
                "sensor_token": channel,
                "translation": OFFSET,
                "rotation": CAMERAS.get(channel, yaw(-math.pi / 2)),
                "camera_intrinsic": K if channel in CAMERAS else [],
            }
        )
    for scene in ("one", "two"):
        names = [f"{scene}-{number}" for number in range(samples)]
        ends = {"first_sample_token": names[0], "last_sample_token": names[-1]}
        rows["scene"].append({"token": scene, "log_token": "log", "name": f"scene-{scene}", **ends})
        for number, name in enumerate(names):
            _add_sample(rows, scene, names, number)
            rows["ego_pose"].append(
                {
                    "token": name,
                    "timestamp": number,
                    "translation": [100.0 * number, 30.0, 2.0],
                    "rotation": Rotation.from_euler("zyx", [0.3 + number, 0.02, -0.01])
                    .as_quat()[[3, 0, 1, 2]]
                    .tolist(),
                }
            )
    return rows


def _add_sample(rows: Rows, scene: str, names: list[str], number: int) -> None:
    name = names[number]
    chain = {"prev": names[number - 1] if number else "", "next": (*names, "")[number + 1]}
    rows["sample"].append({"token": name, "timestamp": number, "scene_token": scene, **chain})
    for channel in (*CAMERAS, "LIDAR_TOP"):
        for key in (True, False):
            rows["sample_data"].append(
                {
                    "token": f"{name}-{channel}-{key}",
                    "sample_token": name,
                    "ego_pose_token": name,
                    "calibrated_sensor_token": channel,
                    "filename": f"{'samples' if key else 'sweeps'}/{channel}/{name}.jpg",
                    "timestamp": number,
                    "is_key_frame": key,
                    "width": W,
                    "height": H,
                    "prev": "",
                    "next": "",
                }
            )
    ego = Pose(Rotation.from_euler("zyx", [0.3 + number, 0.02, -0.01]).as_matrix(), np.array([100.0 * number, 30, 2]))
    for box, (_, centre, size, angle, visibility) in BOXES.items():
        turned = Rotation.from_matrix(ego.rotation) * Rotation.from_euler("z", angle)
        rows["sample_annotation"].append(
            {
                "token": f"{name}-{box}",
                "sample_token": name,
                "instance_token": box,
                "visibility_token": visibility,
                "attribute_tokens": ["moving"],
                "translation": (
                    ego.rotation @ (np.array(centre) + np.array([SPEED * number, 0, 0])) + ego.translation
                ).tolist(),
                "size": size,
                "rotation": turned.as_quat()[[3, 0, 1, 2]].tolist(),
                "prev": "",
                "next": "",
            }
        )


def write(rows: Rows, root: Path, version: str = "toy") -> Path:
    (root / version).mkdir(parents=True, exist_ok=True)
    for name, records in rows.items():
        (root / version / f"{name}.json").write_text(json.dumps(records))
    return root


SPLITS = {"train": ["scene-one"], "val": ["scene-two"]}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return write(tables(), tmp_path / "set")


def sampled_extent(box: str, number: int, channel: str) -> tuple[float, ...] | None:
    """Extent in the image of a cloud of points on the box, in the vehicle's frame from the start: no library code."""
    _, centre, (width, length, height), angle, _ = BOXES[box]
    line = np.linspace(-0.5, 0.5, 221)
    u, v = (grid.ravel() for grid in np.meshgrid(line, line))
    faces = [np.insert(np.stack([u, v], 1), axis, end, axis=1) for axis in range(3) for end in (-0.5, 0.5)]
    cloud = np.concatenate(faces) * [length, width, height]
    turned = Rotation.from_euler("z", angle).apply(cloud) + centre + np.array([SPEED * number, 0, 0])
    w, x, y, z = CAMERAS[channel]
    seen = Rotation.from_quat([x, y, z, w]).inv().apply(turned - OFFSET)
    assert (seen[:, 2] > 0).all(), "the rule leaves out corners behind the camera; sample boxes that have none"
    pixels = seen @ np.array(K).T
    pixels = pixels[:, :2] / pixels[:, 2:]
    inside = pixels[((pixels >= 0) & (pixels <= [W, H])).all(1)]
    return (*inside.min(0), *inside.max(0)) if len(inside) else None


def read(file: Path) -> tuple[dict[str, Any], dict[tuple[str, str], dict[str, Any]]]:
    """The file, and its annotations by camera and annotation token."""
    content = json.loads(file.read_text())
    cameras = {image["id"]: image["camera"] for image in content["images"]}
    return content, {(cameras[row["image_id"]], row["token"]): row for row in content["annotations"]}


def test_boxes_are_the_extents_of_sampled_surfaces(toy: Path, tmp_path: Path) -> None:
    files = export_2d(toy, "toy", tmp_path / "out", cameras=tuple(CAMERAS), splits=SPLITS)
    found = read(files["val"])[1]
    compared = 0
    for number in range(2):
        for box in ("ahead", "half-out", "unknown-visibility", "hidden"):
            row = found["CAM_FRONT", f"two-{number}-{box}"]
            x, y, width, height = row["bbox"]
            expected = sampled_extent(box, number, "CAM_FRONT")
            assert (x, y, x + width, y + height) == pytest.approx(expected, abs=0.3)
            assert row["area"] == pytest.approx(width * height)
            assert CLASSES[row["category_id"]] == class_of(BOXES[box][0])
            compared += 1
    assert compared == 8
    x, _, width, _ = found["CAM_FRONT", "two-0-half-out"]["bbox"]
    assert x == 0 and x + width < W, "the bus should be cut at the left edge"


def test_what_a_camera_cannot_see_is_not_there(toy: Path, tmp_path: Path) -> None:
    files = export_2d(toy, "toy", tmp_path / "out", cameras=tuple(CAMERAS), splits=SPLITS)
    found = {(camera, token.split("-", 2)[2]) for camera, token in read(files["train"])[1]}
    front = {box for camera, box in found if camera == "CAM_FRONT"}
    assert front == {"ahead", "half-out", "unknown-visibility", "hidden", "around"}
    assert sampled_extent("beside", 0, "CAM_FRONT") is None
    assert {box for camera, box in found if camera == "CAM_LEFT"} == {"around", "half-out"}


def test_corners_behind_the_camera_are_left_out() -> None:
    """Half of the box reaches behind: the extent is that of the four corners ahead, at depth 2 and 5 px from 0."""
    corners = box_corners([0, 0, 0.5], [2.0, 3.0, 1.0], [1, 0, 0, 0]) * [1, 1, 3]
    ahead = corners[corners[:, 2] > 0]
    assert len(ahead) == 4 and len(corners) == 8
    pixels = project(ahead, K)
    assert box_2d(corners, K, 10_000, 10_000) == pytest.approx(
        (max(0, pixels[:, 0].min()), max(0, pixels[:, 1].min()), *pixels.max(0))
    )


def test_a_box_that_only_touches_the_image_is_dropped() -> None:
    flat = [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]
    corners = box_corners([-1.0, 1.0, 5.0], [2.0, 2.0, 2.0], [1, 0, 0, 0])
    assert corners[:, 0].max() == 0
    assert box_2d(corners, flat, 100, 100) is None
    assert box_2d(corners + np.array([0.5, 0, 0]), flat, 100, 100) is not None


def test_images_have_integer_ids_and_a_map_of_tokens(toy: Path, tmp_path: Path) -> None:
    files = export_2d(toy, "toy", tmp_path / "out", splits=SPLITS)
    assert files == {"train": tmp_path / "out" / "train.json", "val": tmp_path / "out" / "val.json"}
    content, _ = read(files["train"])
    assert [image["id"] for image in content["images"]] == [1, 2]
    assert content["tokens"] == {"1": "one-0-CAM_FRONT-True", "2": "one-1-CAM_FRONT-True"}
    assert [image["file_name"] for image in content["images"]] == [
        "samples/CAM_FRONT/one-0.jpg",
        "samples/CAM_FRONT/one-1.jpg",
    ]
    assert [row["name"] for row in content["categories"]] == list(CLASSES)
    assert CLASSES[:5] == ("car", "truck", "construction_vehicle", "bus", "trailer")
    assert [row["id"] for row in content["annotations"]] == list(range(1, len(content["annotations"]) + 1))


def test_the_files_can_be_read_back_with_their_images(toy: Path, tmp_path: Path) -> None:
    files = export_2d(toy, "toy", tmp_path / "out", splits=SPLITS)
    content = json.loads(files["val"].read_text())
    for image in content["images"]:
        (toy / image["file_name"]).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (W, H)).save(toy / image["file_name"])
    read_back = read_coco(files["val"], toy, classes=CLASSES, on_invalid="fail")
    assert [record.key for record in read_back.records] == ["1", "2"]
    first = [row for row in content["annotations"] if row["image_id"] == 1]
    assert read_back.records[0].labels.tolist() == [row["category_id"] for row in first]
    x, y, width, height = first[0]["bbox"]
    assert read_back.records[0].boxes[0].tolist() == pytest.approx([x, y, x + width, y + height], abs=1e-4)


@pytest.mark.parametrize("writable", [True, False])
def test_a_set_is_read_as_it_is_downloaded(writable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables and images below `nuscenes/`; what was computed is kept beside them, or in the cache."""
    root = write(tables(samples=3), tmp_path / "nuscenes", "v1.0-toy")
    (root / "v1.0-toy" / "splits.json").write_text(json.dumps(SPLITS))
    for row in tables(samples=3)["sample_data"]:
        (root / row["filename"]).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (W, H)).save(root / row["filename"])
    cache = tmp_path / "cache"
    monkeypatch.setenv("LIGHTLOOM_CACHE", str(cache))
    if not writable:
        (root / "boxes2d").write_text("a file where the folder would be")
    splits = load_detection("nuscenes2d", tmp_path)
    assert (len(splits.train) + len(splits.validation), len(splits.test)) == (3, 3)
    assert splits.classes == CLASSES and splits.test.box_count > 0
    kept = (root / "boxes2d" / "v1.0-toy" if writable else next(cache.iterdir()) / "v1.0-toy") / "val.json"
    before = kept.stat().st_mtime_ns
    assert load_detection(f"nuscenes:{root}").test.box_count == splits.test.box_count
    assert kept.stat().st_mtime_ns == before, "computed once"


def test_a_set_without_tables_says_what_it_looked_for(tmp_path: Path) -> None:
    (tmp_path / "nuscenes").mkdir()
    with pytest.raises(RequestError, match=r"no tables of nuScenes.*v1\.0-mini"):
        load_detection("nuscenes2d", tmp_path)


def test_visibility_can_be_asked_for(toy: Path, tmp_path: Path) -> None:
    files = export_2d(toy, "toy", tmp_path / "out", splits=SPLITS, visibilities=("3", "4"))
    assert {row["visibility"] for row in read(files["train"])[0]["annotations"]} == {"3", "4"}
    with pytest.raises(RequestError, match="No visibility `5`"):
        export_2d(toy, "toy", tmp_path / "out", splits=SPLITS, visibilities=("5",))


def test_an_unknown_camera_and_a_missing_folder_are_named(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="Did you mean `CAM_FRONT`"):
        export_2d(toy, "toy", tmp_path / "out", cameras=("CAM_FRNT",), splits=SPLITS)
    with pytest.raises(RequestError, match="Versions there: `toy`"):
        read_tables(toy, "v1.0-mini")


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("ego_pose", None, "Missing in .*`ego_pose.json`"),
        ("sample", lambda rows: rows[0].update(scene_token="gone"), "'gone', which is no token of `scene.json`"),
        ("sample_annotation", lambda rows: rows[0].update(attribute_tokens=["x"]), "no token of `attribute.json`"),
        ("sample_annotation", lambda rows: rows[0].update(attribute_tokens="x"), "should be a list"),
        ("sample_data", lambda rows: rows[3].pop("width"), "Record 3 of .*sample_data.json` has no `width`"),
        ("category", lambda rows: rows.append(rows[0]), "needs a token of its own"),
    ],
)
def test_broken_tables_are_named(tmp_path: Path, table: str, change: Any, message: str) -> None:
    rows = tables()
    if change is not None:
        change(rows[table])
    root = write(rows, tmp_path)
    if change is None:
        (root / "toy" / f"{table}.json").unlink()
    with pytest.raises(RequestError, match=message):
        read_tables(root, "toy")


def test_a_chain_of_samples_that_runs_in_a_circle_is_refused(tmp_path: Path) -> None:
    rows = tables()
    rows["sample"][1]["next"] = "one-0"
    read = read_tables(write(rows, tmp_path), "toy")
    with pytest.raises(RequestError, match="do not lead from its first to its last"):
        read.samples(read["scene"]["one"])


def test_splits_come_from_the_folder_and_are_checked(toy: Path) -> None:
    read = read_tables(toy, "toy")
    with pytest.raises(RequestError, match="no official splits"):
        scene_splits(read)
    (toy / "toy" / "splits.json").write_text(json.dumps(SPLITS))
    assert scene_splits(read) == {"train": ("scene-one",), "val": ("scene-two",)}
    (toy / "toy" / "splits.json").write_text(json.dumps({"a": ["scene-one"], "b": ["scene-one"]}))
    with pytest.raises(RequestError, match="in split `a` and in `b`"):
        scene_splits(read)
    (toy / "toy" / "splits.json").write_text(json.dumps({"a": ["scene-1"]}))
    with pytest.raises(RequestError, match="names the scene `scene-1`"):
        scene_splits(read)


def test_official_splits_have_the_published_sizes(tmp_path: Path) -> None:
    """All 850 numbers are not known here: of 1110 possible names, 150 are for validation, as published."""
    rows = tables()
    scene = rows["scene"][0]
    rows["scene"] = [scene | {"token": str(n), "name": f"scene-{n:04}"} for n in range(1, 1111)]
    for sample in rows["sample"]:
        sample["scene_token"] = "1"
    full = scene_splits(read_tables(write(rows, tmp_path, "v1.0-trainval"), "v1.0-trainval"))
    assert {name: len(scenes) for name, scenes in full.items()} == {"train": 960, "val": 150}
    assert {"scene-0103", "scene-0916"} <= set(full["val"]) and "scene-0061" in full["train"]
    mini = scene_splits(read_tables(write(rows, tmp_path, "v1.0-mini"), "v1.0-mini"))
    assert {name: len(scenes) for name, scenes in mini.items()} == {"mini_train": 8, "mini_val": 2}


def test_rotations_are_those_of_scipy() -> None:
    quaternions = np.random.default_rng(0).normal(size=(50, 4))
    expected = Rotation.from_quat(quaternions[:, [1, 2, 3, 0]]).as_matrix()
    np.testing.assert_allclose(rotation_matrix(quaternions), expected, atol=1e-12)
    with pytest.raises(ValueError, match="no rotation"):
        rotation_matrix([0, 0, 0, 0])


def test_poses_undo_themselves() -> None:
    rng = np.random.default_rng(1)
    ego, sensor = (Pose(rotation_matrix(rng.normal(size=4)), rng.normal(size=3)) for _ in range(2))
    points = rng.normal(size=(7, 3))
    seen = global_to_sensor(points, ego, sensor)
    np.testing.assert_allclose(ego.to_parent(sensor.to_parent(seen)), points, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(seen[0] - seen[1]), np.linalg.norm(points[0] - points[1]))


@pytest.mark.parametrize("seed", range(8))
def test_hull_and_clip_are_those_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(8, 2)) * 6 + [5, 4]
    hull = ConvexHull(points)
    assert {tuple(p) for p in convex_hull(points)} == {tuple(p) for p in points[hull.vertices]}
    canvas = np.array([[-1.0, 0, 0], [1, 0, -10], [0, -1, 0], [0, 1, -8]])
    centre = np.clip(points.mean(0), 0.01, [9.99, 7.99])
    inside = (hull.equations @ [*centre, 1] < 0).all()
    assert inside, "choose points around the canvas"
    corners = HalfspaceIntersection(np.concatenate([hull.equations, canvas]), centre).intersections
    cut = clip(convex_hull(points), 10, 8)
    np.testing.assert_allclose([*cut.min(0), *cut.max(0)], [*corners.min(0), *corners.max(0)], atol=1e-9)
    assert _area(cut) == pytest.approx(ConvexHull(corners).volume)


def _area(corners: np.ndarray) -> float:
    x, y = corners.T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)


def test_points_on_a_line_have_a_flat_hull() -> None:
    line = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [1.0, 1.0]])
    assert convex_hull(line).tolist() == [[0, 0], [2, 2]]
    assert convex_hull(line[:1]).tolist() == [[0, 0]]


# ---- real frames: annotations in the LiDAR's frame, written back as tables ----


def _infos(real_data: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    folder = real_data / "nuscenes_real" / "mini_infos"
    files = [folder / "nuscenes_infos_val.json.gz", folder / "nuscenes_infos_val_mono3d.coco.json.gz"]
    if not all(file.is_file() for file in files):
        pytest.skip(f"no nuScenes mini annotations in {folder}")
    infos, published = (json.loads(gzip.decompress(file.read_bytes())) for file in files)
    return infos["infos"], published


def _general(name: str) -> str:
    """Some category whose class is `name`."""
    known = {class_of(row): row for row in ("vehicle.car", "vehicle.truck", "vehicle.bus.rigid", "vehicle.motorcycle")}
    known |= {"bicycle": "vehicle.bicycle", "pedestrian": "human.pedestrian.adult"}
    known |= {"traffic_cone": "movable_object.trafficcone"}
    return known.get(name, name)


def _global_box(info: dict[str, Any], box: list[float]) -> dict[str, Any]:
    """Boxes stand upright on the map: of the turn in the LiDAR's frame, only the level part in the map was written."""
    lidar = rotation_matrix(info["lidar2ego_rotation"])
    ego = rotation_matrix(info["ego2global_rotation"])
    centre = ego @ (lidar @ np.array(box[:3]) + info["lidar2ego_translation"]) + info["ego2global_translation"]
    to_map = ego @ lidar
    angle = -box[6] - np.pi / 2  # the older convention of its writer
    # what was written is the angle in the LiDAR's frame between the first row of the box's rotation and x
    across = math.atan2(to_map[1, 0], to_map[0, 0])
    return {
        "translation": centre.tolist(),
        "size": box[3:6],
        "rotation": yaw(angle + across),
    }


def _real_tables(infos: list[dict[str, Any]], cameras: list[str]) -> Rows:
    rows: Rows = {name: [] for name in TABLES}
    names = sorted({name for info in infos for name in info["gt_names"]})
    rows["category"] = [{"token": name, "name": _general(name)} for name in names]
    rows["instance"] = [{"token": name, "category_token": name} for name in names]
    rows["sensor"] = [{"token": camera, "channel": camera, "modality": "camera"} for camera in cameras]
    rows["log"] = [{"token": "log", "logfile": ""}]
    tokens = [info["token"] for info in infos]
    ends = {"first_sample_token": tokens[0], "last_sample_token": tokens[-1]}
    rows["scene"] = [{"token": "all", "log_token": "log", "name": "all", **ends}]
    for number, info in enumerate(infos):
        chain = {"prev": "", "next": (*tokens, "")[number + 1]}
        rows["sample"].append({"token": info["token"], "timestamp": 0, "scene_token": "all", **chain})
        for camera in cameras:
            _add_view(rows, info["token"], camera, info["cams"][camera])
        for order, (box, name) in enumerate(zip(info["gt_boxes"], info["gt_names"], strict=True)):
            rows["sample_annotation"].append(
                {
                    "token": f"{info['token']}-{order}",
                    "sample_token": info["token"],
                    "instance_token": name,
                    "visibility_token": "",
                    "attribute_tokens": [],
                    **_global_box(info, box),
                    "prev": "",
                    "next": "",
                }
            )
    return rows


def _add_view(rows: Rows, sample: str, camera: str, view: dict[str, Any]) -> None:
    token = view["sample_data_token"]
    sensor = {"translation": view["sensor2ego_translation"], "rotation": view["sensor2ego_rotation"]}
    intrinsic = {"camera_intrinsic": view["cam_intrinsic"]}
    rows["calibrated_sensor"].append({"token": token, "sensor_token": camera, **sensor, **intrinsic})
    ego = {"translation": view["ego2global_translation"], "rotation": view["ego2global_rotation"]}
    rows["ego_pose"].append({"token": token, "timestamp": view["timestamp"], **ego})
    rows["sample_data"].append(
        {
            "token": token,
            "sample_token": sample,
            "ego_pose_token": token,
            "calibrated_sensor_token": token,
            "filename": f"samples/{camera}/{token}.jpg",
            "timestamp": view["timestamp"],
            "is_key_frame": True,
            "width": 1600,
            "height": 900,
            "prev": "",
            "next": "",
        }
    )


def test_real_frames_have_the_boxes_of_a_published_conversion(real_data: Path, tmp_path: Path) -> None:
    infos, published = _infos(real_data)
    cameras = sorted(infos[0]["cams"])
    write(_real_tables(infos, cameras), tmp_path)
    file = export_2d(tmp_path, "toy", tmp_path / "out", cameras=cameras, splits={"val": ["all"]})["val"]
    content = json.loads(file.read_text())
    ours, theirs = defaultdict(list), defaultdict(list)
    for row in content["annotations"]:
        key = (content["tokens"][str(row["image_id"])], CLASSES[row["category_id"]])
        ours[key].append(row["bbox"])
    for row in published["annotations"]:
        theirs[row["image_id"], row["category_name"]].append(row["bbox"])
    worst = []
    assert Counter({k: len(v) for k, v in ours.items()}) == Counter({k: len(v) for k, v in theirs.items()})
    for key, boxes in theirs.items():
        distance = np.abs(np.array(boxes)[:, None] - np.array(ours[key])[None]).max(-1)
        worst += distance.min(1).tolist()
    assert len(worst) == 5441
    assert max(worst) < 1e-6
