"""Moments and boxes against scipy's rotations, motion in closed form, and tables broken by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lightloom.common.errors import RequestError
from lightloom.data.nuscenes import (
    CLASSES,
    BoxSpec,
    CameraSpec,
    CaptureSpec,
    FrameSpec,
    SceneSpec,
    Tables,
    read_samples,
    read_tables,
    write_tables,
)
from lightloom.data.nuscenes.geometry import Pose, box_corners, global_to_sensor, pose, project, quaternion
from lightloom.data.nuscenes.write import token_of

K = [[120.0, 0.0, 82.0], [0.0, 118.0, 47.0], [0.0, 0.0, 1.0]]
VELOCITY = np.array([3.0, -1.5, 0.2])  # m/s of the car, global
TIMES = (0.0, 0.5, 1.0, 3.0, 3.5)  # s; a gap before the fourth frame


def wxyz(rotation: Rotation) -> list[float]:
    return rotation.as_quat(scalar_first=True).tolist()


FRONT = CameraSpec("CAM_FRONT", 160, 90, K, (1.5, 0.1, 1.5), (0.5, -0.5, 0.5, -0.5))
LEFT = CameraSpec(
    "CAM_LEFT",
    120,
    80,
    K,
    (1.0, 0.5, 1.4),
    tuple(wxyz(Rotation.from_euler("z", 80, degrees=True) * Rotation.from_quat([-0.5, 0.5, -0.5, 0.5]))),
)
POSES = [Rotation.from_euler("zyx", [0.3 + 0.2 * number, 0.02, -0.01]) for number in range(len(TIMES))]
HEADING = Rotation.from_euler("z", 2.5)


def boxes(time: float, number: int) -> tuple[BoxSpec, ...]:
    """A car that drives, a cone seen once, a rack, something undetected, and a pedestrian who stops being seen."""
    centre = (np.array([30.0, 20.0, 1.0]) + VELOCITY * time).tolist()
    car = BoxSpec("car", "car", centre, (1.9, 4.5, 1.6), wxyz(HEADING), "vehicle.moving", "3", 4, 2)
    rack = BoxSpec("rack", "static_object.bicycle_rack", (5, 5, 0.5), (1, 4, 1), (1, 0, 0, 0))
    debris = BoxSpec("debris", "movable_object.debris", (6, 5, 0.2), (1, 1, 0.4), (1, 0, 0, 0))
    cone = (BoxSpec("cone", "traffic_cone", (9, 1, 0.4), (0.4, 0.4, 0.8), (1, 0, 0, 0), lidar_points=0),)
    walker = (BoxSpec("walker", "pedestrian", (4.0, time, 0.9), (0.6, 0.7, 1.8), (1, 0, 0, 0), "pedestrian.moving"),)
    return (car, rack, debris, *(cone if number == 1 else ()), *(walker if number in (0, 1, 3, 4) else ()))


def scene(name: str = "one") -> SceneSpec:
    frames = [
        FrameSpec(
            timestamp=round(time * 1e6),
            ego_translation=(10.0 * time, 3.0, 0.5),
            ego_rotation=wxyz(POSES[number]),
            images={"CAM_FRONT": f"front/{number}.jpg"} | ({"CAM_LEFT": f"left/{number}.jpg"} if number != 2 else {}),
            boxes=boxes(time, number),
            captures={
                "CAM_LEFT": CaptureSpec(
                    round(time * 1e6) - 30_000,
                    (10.0 * time - 0.3, 3.1, 0.5),
                    wxyz(POSES[number] * Rotation.from_euler("z", -0.05)),
                )
            },
        )
        for number, time in enumerate(TIMES)
    ]
    return SceneSpec(name, (FRONT, LEFT), tuple(frames))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tables([scene("one"), scene("two")], tmp_path, "v")


@pytest.fixture
def tables(root: Path) -> Tables:
    return read_tables(root, "v")


def _edited(root: Path, table: str, change: Callable[[list[dict[str, Any]]], object]) -> Tables:
    file = root / "v" / f"{table}.json"
    rows = json.loads(file.read_text())
    change(rows)
    file.write_text(json.dumps(rows))
    return read_tables(root, "v")


# ---- moments ----


def test_moments_come_by_scene_and_time(tables: Tables) -> None:
    samples = read_samples(tables, ("two", "one"))
    assert [sample.scene for sample in samples] == ["two"] * 5 + ["one"] * 5
    assert [sample.timestamp for sample in samples] == [round(time * 1e6) for time in TIMES] * 2
    assert [sample.previous for sample in samples[:5]] == ["", *(sample.token for sample in samples[:4])]
    assert samples[5].previous == ""


def test_a_camera_without_an_image_is_left_out_of_its_moment(tables: Tables) -> None:
    seen = [[camera.channel for camera in sample.cameras] for sample in read_samples(tables, ("one",))]
    assert seen == [["CAM_FRONT", "CAM_LEFT"]] * 2 + [["CAM_FRONT"]] + [["CAM_FRONT", "CAM_LEFT"]] * 2
    turned = read_samples(tables, ("one",), ("CAM_LEFT", "CAM_FRONT"))[0]
    assert [camera.channel for camera in turned.cameras] == ["CAM_LEFT", "CAM_FRONT"]
    with pytest.raises(RequestError, match=f"`{token_of('sample', 'one', 2)}` .* has no image of `CAM_LEFT`"):
        read_samples(tables, ("one",), ("CAM_LEFT",))


def test_matrices_lead_through_the_vehicle_at_the_time_of_the_image(tables: Tables) -> None:
    """Against the steps one by one: ego to global, to the vehicle as it was then, to the camera, to pixels."""
    rng = np.random.default_rng(0)
    checked = 0
    for sample in read_samples(tables, ("one",)):
        around = rng.uniform([-20, -20, -2], [40, 30, 4], (300, 3))
        for camera in sample.cameras:
            record = tables["sample_data"][camera.token]
            then = pose(tables["ego_pose"][record["ego_pose_token"]])
            mounted = pose(tables["calibrated_sensor"][record["calibrated_sensor_token"]])
            points = global_to_sensor(sample.ego.to_parent(around), then, mounted)
            front = points[:, 2] > 0.1
            image = np.concatenate([around, np.ones((300, 1))], axis=1) @ camera.matrix.T
            np.testing.assert_allclose(image[:, 2], points[:, 2], atol=1e-9)
            np.testing.assert_allclose(image[:, 3], 1, atol=1e-12)
            np.testing.assert_allclose(
                (image[:, :2] / image[:, 2:3])[front], project(points[front], K), rtol=1e-6, atol=1e-6
            )
            assert (camera.width, camera.height) == ((160, 90) if camera.channel == "CAM_FRONT" else (120, 80))
            checked += int(front.sum())
    assert checked > 500


def test_a_point_straight_ahead_is_at_the_principal_point(tables: Tables) -> None:
    """The camera is 1.5 m ahead, .1 m to the left, 1.5 m up, and has the frame's own pose."""
    front = read_samples(tables, ("one",))[0].cameras[0]
    np.testing.assert_allclose(front.matrix @ [11.5, 0.1, 1.5, 1], [820, 470, 10, 1], atol=1e-9)
    np.testing.assert_allclose(front.matrix @ [11.5, -0.9, 1.5, 1], [820 + 120, 470, 10, 1], atol=1e-9)
    np.testing.assert_allclose(front.matrix @ [11.5, 0.1, 0.5, 1], [820, 470 + 118, 10, 1], atol=1e-9)


def test_without_lidar_the_first_camera_leads(root: Path, tables: Tables) -> None:
    """Which cameras are chosen does not matter to the ego frame."""
    lidar = {token for token, row in tables["sample_data"].items() if tables.channel(row) == "LIDAR_TOP"}
    only = _edited(root, "sample_data", lambda rows: [rows.remove(row) for row in list(rows) if row["token"] in lidar])
    (whole,) = (row for row in only["scene"].values() if row["name"] == "one")
    only["sample"][whole["first_sample_token"]]["next"] = ""
    whole["last_sample_token"] = whole["first_sample_token"]
    for channels in (None, ("CAM_LEFT",)):
        (sample,) = read_samples(only, ("one",), channels)
        np.testing.assert_allclose(sample.ego.translation, [0, 3, 0.5])
        assert sample.lidar is None


def test_lidar_files_are_given_where_they_are(root: Path, tables: Tables) -> None:
    assert read_samples(tables, ("one",))[0].lidar is None
    record = tables["sample_data"][token_of("sample_data", "one", 0, "LIDAR_TOP")]
    (root / record["filename"]).parent.mkdir(parents=True)
    (root / record["filename"]).write_bytes(b"")
    assert read_samples(tables, ("one",))[0].lidar == root / record["filename"]


def test_sweeps_are_the_images_between_key_frames(root: Path) -> None:
    """Each key frame of the front camera gets one image before it, 0.2 s earlier and 2 m behind."""

    def add(rows: list[dict[str, Any]]) -> None:
        for number in range(1, 5):
            (key,) = (row for row in rows if row["token"] == token_of("sample_data", "one", number, "CAM_FRONT"))
            (before,) = (row for row in rows if row["token"] == key["prev"])
            extra = key | {"token": f"sweep-{number}", "is_key_frame": False, "filename": f"sweep/{number}.jpg"}
            extra |= {"timestamp": key["timestamp"] - 200_000, "ego_pose_token": before["ego_pose_token"]}
            extra |= {"prev": before["token"], "next": key["token"]}
            key["prev"], before["next"] = extra["token"], extra["token"]
            rows.append(extra)

    samples = read_samples(_edited(root, "sample_data", add), ("one",), ("CAM_FRONT",), sweeps=2)
    given = [[sweep.token for sweep in sample.cameras[0].sweeps] for sample in samples]
    assert given == [[], ["sweep-1"], ["sweep-2", "sweep-1"], ["sweep-3", "sweep-2"], ["sweep-4", "sweep-3"]]
    sweep = samples[1].cameras[0].sweeps[0]
    assert (sweep.file, sweep.timestamp) == (root / "sweep/1.jpg", 300_000)
    point = samples[0].ego.to_parent(np.array([11.5, 0.1, 1.5]))
    np.testing.assert_allclose(sweep.matrix @ [*samples[1].ego.to_child(point), 1], [820, 470, 10, 1], atol=1e-9)


# ---- boxes ----


def test_boxes_are_of_the_ten_classes_and_racks_apart(tables: Tables) -> None:
    sample = read_samples(tables, ("one",))[1]
    assert sorted(CLASSES[label] for label in sample.boxes.labels) == ["car", "pedestrian", "traffic_cone"]
    assert (len(sample.racks), sample.racks.labels.tolist()) == (1, [-1])
    np.testing.assert_allclose(sample.racks.centers, [[5, 5, 0.5]])
    car = sample.boxes.chosen(sample.boxes.labels == 0)
    assert (car.attributes, car.visibilities, car.points.tolist()) == (("vehicle.moving",), ("3",), [6])
    assert car.tokens == (token_of("sample_annotation", "one", 1, "car"),)
    assert car.instances == (token_of("instance", "one", "car"),)
    np.testing.assert_allclose(car.yaws, [2.5])
    np.testing.assert_allclose(car.sizes, [[1.9, 4.5, 1.6]])
    cone = sample.boxes.chosen(np.flatnonzero(sample.boxes.labels == CLASSES.index("traffic_cone")))
    assert (cone.attributes, cone.points.tolist(), len(cone)) == (("",), [0], 1)


def test_velocities_are_differences_no_longer_than_published(tables: Tables) -> None:
    """Central ones up to 3 s, those at an end up to 1.5 s; one appearance has none."""
    samples = read_samples(tables, ("one",))

    def of(name: str) -> list[list[float]]:
        label = CLASSES.index(name)
        return [
            sample.boxes.velocities[sample.boxes.labels == label][0].tolist()
            for sample in samples
            if label in sample.boxes.labels
        ]

    assert of("traffic_cone") == [[pytest.approx(math.nan, nan_ok=True)] * 2]
    np.testing.assert_allclose(of("car"), [VELOCITY[:2]] * 5)
    walker = of("pedestrian")  # at 0, 0.5, 3 and 3.5 s: 3 s apart around the second and the third
    np.testing.assert_allclose(walker, [[0, 1]] * 4)


@pytest.mark.parametrize(("gap", "known"), [(1.5, True), (1.6, False)])
def test_a_long_gap_leaves_no_velocity(tmp_path: Path, gap: float, known: bool) -> None:
    def at(time: float, place: float) -> FrameSpec:
        box = BoxSpec("car", "car", (place, 0, 1), (2, 4, 1.5), (1, 0, 0, 0))
        return FrameSpec(round(time * 1e6), (0, 0, 0), (1, 0, 0, 0), {"CAM_FRONT": "x.jpg"}, (box,))

    frames = (at(0, 0), at(gap, 3), at(2 * gap, 7))
    tables = read_tables(write_tables([SceneSpec("s", (FRONT,), frames)], tmp_path, "v"), "v")
    found = [sample.boxes.velocities[0] for sample in read_samples(tables, ("s",))]
    expected = [[3 / gap, 0], [7 / (2 * gap), 0], [4 / gap, 0]] if known else [[math.nan] * 2] * 3
    np.testing.assert_allclose(found, expected)


def test_boxes_in_the_ego_frame_have_the_same_corners(tables: Tables) -> None:
    """For a vehicle that stands level, centre, size and yaw say all."""
    boxes = read_samples(tables, ("one",))[1].boxes
    level = Pose(Rotation.from_euler("z", 1.1).as_matrix(), np.array([4.0, -2.0, 0.3]))
    framed = boxes.to_frame(level)
    for place in range(len(boxes)):
        expected = level.to_child(box_corners(boxes.centers[place], boxes.sizes[place], boxes.rotations[place]))
        turn = wxyz(Rotation.from_euler("z", framed.yaws[place]))
        np.testing.assert_allclose(box_corners(framed.centers[place], framed.sizes[place], turn), expected, atol=1e-9)
    car = boxes.labels == 0
    turned = Rotation.from_euler("z", -1.1).apply([*VELOCITY[:2], 0])[:2]
    np.testing.assert_allclose(framed.velocities[car], [turned])
    assert np.isnan(framed.velocities[boxes.labels == CLASSES.index("traffic_cone")]).all()
    assert np.abs(framed.yaws).max() <= math.pi


def test_no_boxes_are_boxes(tmp_path: Path) -> None:
    empty = replace(scene(), frames=(replace(scene().frames[0], boxes=()),))
    (sample,) = read_samples(read_tables(write_tables([empty], tmp_path, "v"), "v"), ("one",))
    framed = sample.boxes.to_frame(sample.ego)
    assert [part.shape for part in framed] == [(0, 3), (0, 3), (0,), (0, 2)]
    assert (len(sample.boxes), sample.boxes.yaws.shape, len(sample.boxes.chosen(np.zeros(0, bool)))) == (0, (0,), 0)


def test_quaternions_are_those_of_the_matrices() -> None:
    turns = Rotation.random(20, rng=np.random.default_rng(3))
    found = quaternion(turns.as_matrix())
    assert (found[:, 0] >= 0).all()
    np.testing.assert_allclose(Rotation.from_quat(found, scalar_first=True).as_matrix(), turns.as_matrix(), atol=1e-12)


def test_poses_compose_as_their_matrices() -> None:
    rng = np.random.default_rng(4)
    outer, inner = (Pose(turn.as_matrix(), rng.normal(size=3)) for turn in Rotation.random(2, rng=rng))
    np.testing.assert_allclose(outer.compose(inner).matrix, outer.matrix @ inner.matrix, atol=1e-12)


# ---- refusals ----

CAR_ONE = token_of("sample_annotation", "one", 1, "car")


def _set(token: str, **fields: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: next(row for row in rows if row["token"] == token).update(fields)


@pytest.mark.parametrize(
    ("table", "token", "fields", "message"),
    [
        ("sample_annotation", CAR_ONE, {"translation": [1, math.nan, 0]}, "`translation` .* 3 finite numbers"),
        ("sample_annotation", CAR_ONE, {"translation": [1, 2]}, "`translation` .* 3 finite numbers"),
        ("sample_annotation", CAR_ONE, {"size": [1, "2", 3]}, "`size` .* 3 finite numbers"),
        ("sample_annotation", CAR_ONE, {"size": [1, 0, 3]}, "`size` .* above 0"),
        ("sample_annotation", CAR_ONE, {"size": [1, -2, 3]}, "`size` .* above 0"),
        ("sample_annotation", CAR_ONE, {"rotation": [math.inf, 0, 0, 0]}, "`rotation` .* 4 finite numbers"),
        ("sample_annotation", CAR_ONE, {"rotation": [0, 0, 0, 0]}, "`rotation` .* length above 0"),
        ("sample_annotation", CAR_ONE, {"num_lidar_pts": None}, "needs `num_lidar_pts`"),
        (
            "sample_annotation",
            CAR_ONE,
            {"attribute_tokens": [token_of("attribute", "vehicle.moving")] * 2},
            "has 2 attri",
        ),
        (
            "ego_pose",
            token_of("ego_pose", "one", 1, ""),
            {"translation": [0, 0, math.nan]},
            "`translation` .* 3 finite",
        ),
        ("ego_pose", token_of("ego_pose", "one", 1, "CAM_LEFT"), {"rotation": [0, 0, 0, 0]}, "`rotation` .* not all"),
        (
            "calibrated_sensor",
            token_of("calibrated_sensor", "one", "CAM_LEFT"),
            {"camera_intrinsic": []},
            "3 x 3 finite",
        ),
        (
            "calibrated_sensor",
            token_of("calibrated_sensor", "one", "CAM_LEFT"),
            {"camera_intrinsic": [[1, 0, 0]] * 3},
            "fx and fy",
        ),
        ("sample_data", token_of("sample_data", "one", 1, "CAM_FRONT"), {"width": 0}, "`width` .* pixels above 0"),
    ],
)
def test_broken_records_are_named(root: Path, table: str, token: str, fields: dict[str, Any], message: str) -> None:
    broken = _edited(root, table, _set(token, **fields))
    with pytest.raises(RequestError, match=message) as caught:
        read_samples(broken, ("one",))
    assert token in str(caught.value)
    assert len(read_samples(broken, ("two",))) == 5, "the other scene is whole"


def test_objects_out_of_time_are_named(root: Path) -> None:
    broken = _edited(root, "sample", _set(token_of("sample", "one", 1), timestamp=0))
    with pytest.raises(
        RequestError, match=f"{token_of('sample_annotation', 'one', 0, 'car')}.* not in the order of time"
    ):
        read_samples(broken, ("one",))


def test_unknown_scenes_and_cameras_are_named(tables: Tables) -> None:
    with pytest.raises(RequestError, match=r"No scene `ones`.* Did you mean `one`"):
        read_samples(tables, ("ones",))
    with pytest.raises(RequestError, match="Did you mean `CAM_LEFT`"):
        read_samples(tables, ("one",), ("CAM_LFT",))
    with pytest.raises(RequestError, match="No camera was named"):
        read_samples(tables, ("one",), ())
