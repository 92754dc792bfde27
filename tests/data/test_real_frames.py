"""Two real frames from their publications to moments: LiDAR points, published 2-D boxes and matrices agree."""

from __future__ import annotations

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest

from lightloom.data.nuscenes import CLASSES, Sample, convert_own, read_samples, read_tables, scene_splits
from lightloom.data.nuscenes.geometry import box_corners, convex_hull, pose


def _helper() -> ModuleType:
    spec = spec_from_file_location("real_frames", Path(__file__).with_name("real_frames.py"))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


real_frames = _helper()


class Real(NamedTuple):
    name: str
    given: dict
    sample: Sample
    points: np.ndarray  # LiDAR points [n, 3] in the ego frame


@pytest.fixture(params=["A", "B"])
def real(request: pytest.FixtureRequest, real_data: Path, tmp_path: Path) -> Real:
    source = real_data / "nuscenes_real" / real_frames.FRAMES[request.param]
    if not source.is_dir():
        pytest.skip(f"no frame {request.param} of nuScenes in {source}")
    root = tmp_path / "root"
    root.mkdir()
    for file in source.iterdir():
        (root / file.name).symlink_to(file)
    (tmp_path / "own.json").write_text(json.dumps(real_frames.describe(request.param, source)))
    tables = read_tables(convert_own(tmp_path / "own.json", root), "v1.0-own")
    (sample,) = read_samples(tables, scene_splits(tables)["val"])
    mounted = next(
        row
        for row in tables["calibrated_sensor"].values()
        if tables["sensor"][row["sensor_token"]]["channel"] == "LIDAR_TOP"
    )
    points = pose(mounted).to_parent(real_frames.lidar_points(request.param, source))
    return Real(request.param, real_frames.publication(request.param, source), sample, points)


def _corners(sample: Sample) -> list[np.ndarray]:
    """Of all boxes, in the ego frame."""
    boxes = sample.boxes
    return [
        sample.ego.to_child(box_corners(*box)) for box in zip(boxes.centers, boxes.sizes, boxes.rotations, strict=True)
    ]


def _inside(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Points within a box with the corners of `box_corners`, by the three edges at its first corner."""
    offset = points - corners[0]
    edges = [corners[place] - corners[0] for place in (1, 2, 4)]
    along = np.stack([offset @ edge / (edge @ edge) for edge in edges])
    return ((along >= 0) & (along <= 1)).all(0)


def _seen(points: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and depths."""
    image = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    return image[:, :2] / image[:, 2:3], image[:, 2]


def test_all_that_was_published_is_there(real: Real) -> None:
    sample = real.sample
    assert len(sample.cameras) == 6 and all(camera.file.is_file() for camera in sample.cameras)
    assert (sample.previous, len(sample.racks)) == ("", 0)
    assert sample.lidar is not None and sample.lidar.is_file()
    if real.name == "A":
        names = [
            real_frames.CLASSES["A"][row["bbox_label_3d"]]
            for row in real.given["instances"]
            if row["bbox_label_3d"] >= 0
        ]
        assert sample.timestamp == 1532402927647951
    else:
        names = real.given["gt_names"]
        assert sample.timestamp == real.given["timestamp"]
    assert [CLASSES[label] for label in sample.boxes.labels] == names


def test_boxes_hold_the_lidar_points_that_were_counted_in_them(real: Real) -> None:
    """Their numbers were published; points on a face, and the other project's rounding, leave a little."""
    found = np.array([_inside(real.points, corners).sum() for corners in _corners(real.sample)])
    expected = real.sample.boxes.points
    assert expected.sum() > 800
    assert np.abs(found - expected).sum() < 0.05 * expected.sum()
    assert (found == expected).mean() > 0.8


def test_lidar_points_of_a_box_are_inside_its_outline(real: Real) -> None:
    checked = 0
    for camera in real.sample.cameras:
        for corners in _corners(real.sample):
            pixels, depths = _seen(corners, camera.matrix)
            if depths.min() < 0.5:
                continue
            hull = convex_hull(pixels)
            within = real.points[_inside(real.points, corners)]
            seen, _ = _seen(within, camera.matrix)
            in_image = ((seen > 0) & (seen < [camera.width, camera.height])).all(-1)
            ends = np.roll(hull, -1, axis=0)
            for point in seen[in_image]:
                turns = np.cross(np.pad(ends - hull, ((0, 0), (0, 1))), np.pad(point - hull, ((0, 0), (0, 1))))[:, 2]
                assert turns.min() > -1e-6
                checked += 1
    assert checked > 500


def test_matrices_are_the_published_ones(real: Real) -> None:
    """From LiDAR to each camera at its own time, as the publication gives it in one step."""
    if real.name == "A":
        lidar = np.array(real.given["lidar_points"]["lidar2ego"])
    else:
        lidar = pose(
            {"translation": real.given["lidar2ego_translation"], "rotation": real.given["lidar2ego_rotation"]}
        ).matrix
    for camera in real.sample.cameras:
        if real.name == "A":
            published = np.array(real.given["images"][camera.channel]["lidar2cam"])
        else:
            backward = np.eye(4)
            backward[:3, :3] = real.given["cams"][camera.channel]["sensor2lidar_rotation"]
            backward[:3, 3] = real.given["cams"][camera.channel]["sensor2lidar_translation"]
            published = np.linalg.inv(backward)
        around = np.random.default_rng(0).uniform([-40, -40, -2, 1], [40, 40, 4, 1], (200, 4))
        expected = around @ published.T
        front = expected[:, 2] > 1
        pixels, depths = _seen((around @ lidar.T)[:, :3], camera.matrix)
        seen = expected[:, :3] @ camera.intrinsic.T
        np.testing.assert_allclose(depths[front], expected[front, 2], atol=2e-4)
        np.testing.assert_allclose(pixels[front], (seen[:, :2] / seen[:, 2:])[front], rtol=1e-4, atol=0.2)


@pytest.mark.parametrize("real", ["A"], indirect=True)
def test_outlines_are_the_published_boxes_in_the_images(real: Real) -> None:
    """What others computed with the original tables: every box they found is the extent of one of ours.

    The original boxes stand upright on the map; an angle in the frame of a tilted LiDAR leaves that tilt in ours.
    """
    away = []
    for camera in real.sample.cameras:
        size = np.array([camera.width, camera.height])
        ours = []
        for corners, label in zip(_corners(real.sample), real.sample.boxes.labels, strict=True):
            pixels, depths = _seen(corners, camera.matrix)
            if depths.min() > 0.1:
                ours.append((CLASSES[label], np.concatenate([pixels.min(0), pixels.max(0)])))
        for row in real.given["cam_instances"][camera.channel]:
            published = np.array(row["bbox"])
            if row["bbox_label_3d"] < 0 or (published[:2] < 1).any() or (published[2:] > size - 2).any():
                continue  # the extent of an outline that the image's edge cuts is another
            name = real_frames.CLASSES["A"][row["bbox_label_3d"]]
            nearest = min(np.abs(box - published).max() for other, box in ours if other == name)
            away.append(nearest / (published[2:] - published[:2]).max())
    assert len(away) > 40
    assert np.mean(away) < 0.03 and max(away) < 0.06
