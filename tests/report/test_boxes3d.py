from __future__ import annotations

import gzip
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lightloom.data.nuscenes.geometry import box_corners
from lightloom.report.pictures.boxes2d import colour
from lightloom.report.pictures.boxes3d import NEAR, annotate3d, corners, wires

SIZE = (200, 120)
FOCAL = 100.0
CLASSES = ["car", "truck"]


def ahead(yaw: float = 0.0, height: float = 0.0) -> NDArray[np.float64]:
    """A camera at the origin of the ego frame that looks along x, turned to the left by `yaw`."""
    intrinsic = np.array([[FOCAL, 0, 100, 0], [0, FOCAL, 60, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    axes = np.array([[0, -1, 0, 0], [0, 0, -1, height], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=float)
    cos, sin = math.cos(yaw), math.sin(yaw)
    turn = np.array([[cos, sin, 0, 0], [-sin, cos, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    return np.asarray(intrinsic @ axes @ turn)


def pixels(project: NDArray[np.float64], points: NDArray[np.float64]) -> tuple[NDArray[np.float64], Any]:
    """u, v [n, 2] and depth [n], by the definition of `project`."""
    seen = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ project.T
    return seen[:, :2] / seen[:, 2:3], seen[:, 2]


def area(polygon: NDArray[np.float64]) -> float:
    x, y = polygon.T
    return abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())) / 2


def rows(sets: NDArray[np.float64]) -> NDArray[np.float64]:
    return sets[np.lexsort(sets.T)]


@pytest.mark.parametrize("yaw", [0.0, 0.7, -2.4])
def test_corners_are_those_of_the_turned_box_and_the_front_comes_first(yaw: float) -> None:
    center, size = [3.0, -2.0, 0.5], [1.8, 4.5, 1.6]
    found = corners([[*center, *size, yaw, 9.0, 9.0]])[0]
    turned = box_corners(center, size, [math.cos(yaw / 2), 0, 0, math.sin(yaw / 2)])
    np.testing.assert_allclose(rows(found), rows(turned), atol=1e-9)
    along = (found - center) @ [math.cos(yaw), math.sin(yaw), 0]
    np.testing.assert_allclose(along, [2.25] * 4 + [-2.25] * 4)


def test_a_box_in_sight_has_its_twelve_edges() -> None:
    box = [10.0, 0.5, 0.2, 2.0, 4.0, 1.5, 0.3]
    (wire,) = wires([box], ahead(), SIZE)
    assert wire is not None and wire.depth == pytest.approx(10)
    points, _ = pixels(ahead(), corners([box])[0])
    assert wire.edges.shape == (12, 2, 2)
    ends = {tuple(np.round(end, 6)) for end in wire.edges.reshape(-1, 2)}
    assert ends == {tuple(np.round(point, 6)) for point in points}
    lengths = sorted(np.linalg.norm(corners([box])[0][:, None] - corners([box])[0][None], axis=-1)[0])[1:4]
    assert lengths == pytest.approx([1.5, 2.0, 2.5])  # height, width, and the diagonal of both
    np.testing.assert_allclose(wire.front, points[:4])
    assert wire.extent == pytest.approx((*points.min(0), *points.max(0)))


def test_edges_end_where_they_leave_the_picture() -> None:
    draw = np.random.default_rng(0)
    count = 0
    for _ in range(40):
        box = [*draw.uniform(-6, 6, 2), draw.uniform(-1, 1), *draw.uniform(0.5, 5, 3), draw.uniform(-3, 3)]
        project = ahead(draw.uniform(-3, 3))
        (wire,) = wires([box], project, SIZE)
        edges = np.zeros((0, 2, 2)) if wire is None else wire.edges
        assert ((edges > -1e-6) & (edges < np.array(SIZE) + 1e-6)).all()
        ring = corners([box])[0]
        sides = [(a, b) for a in range(8) for b in range(a) if _neighbours(a, b)]
        assert len(sides) == 12
        for a, b in sides:
            along = np.linspace(0, 1, 4001)[:, None]
            points, depth = pixels(project, ring[a] + along * (ring[b] - ring[a]))
            inside = (depth >= NEAR) & ((points >= 0) & (points <= SIZE)).all(-1)
            if inside.any():
                seen = points[inside][[0, -1]]
                reach = np.abs(np.diff(points[inside], axis=0)).max(initial=0.1) * 2
                apart = [min(np.abs(edge - seen).max(), np.abs(edge[::-1] - seen).max()) for edge in edges]
                assert min(apart) <= reach
                count += 1
    assert count > 100


def _neighbours(a: int, b: int) -> bool:
    """Whether two of the eight corners share an edge: along a ring, or from one ring to the other."""
    return abs(a - b) == 4 or (a // 4 == b // 4 and (a - b) % 4 in (1, 3))


def test_a_box_behind_or_beside_the_camera_is_not_seen() -> None:
    box = [-8.0, 0.0, 0.0, 2.0, 4.0, 1.5, 0.0]
    assert wires([box], ahead(), SIZE) == [None]
    assert wires([[2.0, 30.0, 0.0, 2.0, 4.0, 1.5, 0.0]], ahead(), SIZE) == [None]
    assert wires([box], ahead(math.pi), SIZE) != [None]
    assert wires([], ahead(), SIZE) == []


def test_the_front_is_cut_where_the_picture_ends() -> None:
    whole = [12.0, 0.0, 0.0, 4.0, 4.0, 2.0, math.pi]  # its front at a depth of 10 m
    half = [12.0, 10.0, 0.0, 4.0, 4.0, 2.0, math.pi]  # the same about the left border
    fronts = [wire.front for wire in wires([whole, half], ahead(), SIZE) if wire is not None]
    assert [area(front) for front in fronts] == pytest.approx([40 * 20, 20 * 20])
    assert fronts[1][:, 0].min() == pytest.approx(0)


def test_a_box_around_the_camera_is_drawn_without_end() -> None:
    (wire,) = wires([[0.0, 0.0, 0.0, 6.0, 6.0, 3.0, 0.0]], ahead(), SIZE)
    assert wire is not None and np.isfinite(wire.edges).all()
    assert area(wire.front) == pytest.approx(2 * 100 * 100)  # 6 m by 3 m at 3 m: 200 px across by 100 px


def painted(picture: Image.Image, text: str) -> NDArray[np.bool_]:
    tint = tuple(int(text[at : at + 2], 16) for at in (1, 3, 5))
    return np.asarray((np.asarray(picture) == tint).all(-1))


GREY = np.full((SIZE[1], SIZE[0], 3), 120, dtype=np.uint8)
BOX = [12.0, 0.0, 0.0, 4.0, 4.0, 2.0, math.pi]


def test_a_box_is_painted_in_the_colour_of_its_class_and_its_front_is_filled() -> None:
    picture = annotate3d(GREY, ahead(), [BOX], [1], None, [""] * 2)
    edge = painted(picture, colour(1))
    assert edge[50, 90] and edge[69:71, 90].any() and edge[60, 79:82].any() and edge[60, 119:122].any()
    middle = np.asarray(picture)[60, 100].astype(int)
    mixed = 120 + (np.array([int(colour(1)[at : at + 2], 16) for at in (1, 3, 5)]) - 120) * 90 / 255
    assert np.abs(middle - mixed).max() <= 2
    assert (np.asarray(picture)[:30] == 120).all() and (GREY == 120).all()


def test_truth_is_white_and_dashed() -> None:
    bare = annotate3d(GREY, ahead(), np.zeros((0, 7)), [], [], CLASSES, truth=[BOX])
    row = painted(bare, "#ffffff")[50, 82:118]
    assert 0.3 < row.mean() < 0.8
    assert not painted(bare, "#ffffff")[60, 95:105].any()


def test_near_boxes_lie_on_far_ones() -> None:
    far = [22.0, 0.0, 0.0, 4.0, 4.0, 2.0, math.pi]
    for order in ([BOX, far], [far, BOX]):
        labels = [0 if box is BOX else 1 for box in order]
        picture = annotate3d(GREY, ahead(), order, labels, None, [""] * 2)
        assert painted(picture, colour(0))[70, 82:118].all()


def test_a_wider_picture_has_its_boxes_where_they_belong() -> None:
    picture = annotate3d(Image.fromarray(GREY), ahead(), [BOX], [0], [0.5], [""], width=400)
    assert picture.size == (400, 240)
    assert painted(picture, colour(0))[140, 170:230].all()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"image": GREY.transpose(2, 0, 1)}, "Transpose"),
        ({"image": GREY / 255}, "float64"),
        ({"labels": [0, 1]}, "2 labels"),
        ({"scores": []}, "0 scores"),
        ({"boxes": [[1, 2, 3, 4, 5, 6]]}, "n, 7 or more"),
        ({"boxes": [[*BOX[:6], math.nan]]}, "not finite"),
        ({"boxes": [[5, 0, 0, -1, 1, 1, 0]]}, "below 0"),
        ({"project": np.eye(3)}, "4, 4"),
        ({"project": np.full((4, 4), math.inf)}, "finite"),
    ],
)
def test_what_does_not_fit_together_is_refused(change: dict[str, Any], word: str) -> None:
    given: dict[str, Any] = {
        "image": GREY,
        "project": ahead(),
        "boxes": [BOX],
        "labels": [0],
        "scores": None,
        "classes": CLASSES,
    }
    with pytest.raises(ValueError, match=word):
        annotate3d(**given | change)


def test_real_boxes_are_where_others_saw_them_in_the_real_pictures() -> None:
    """The extents in the picture of a frame of nuScenes, as mmdetection3d has them in its own description of it."""
    root = os.environ.get("LIGHTLOOM_DATA")
    folder = Path(root or "") / "nuscenes_real" / "frameA_ca9a282c"
    if root is None or not folder.is_dir():
        pytest.skip("needs `nuscenes_real/frameA_ca9a282c` in the folder that LIGHTLOOM_DATA names")
    (path,) = folder.glob("*.json.gz")
    with gzip.open(path) as stream:
        frame = json.load(stream)["data_list"][0]
    # x, y, z, length, width, height, yaw in the frame of the LiDAR
    boxes = np.array([entry["bbox_3d"] for entry in frame["instances"]])[:, [0, 1, 2, 4, 3, 5, 6]]
    matched = []
    for channel, camera in frame["images"].items():
        intrinsic = np.eye(4)
        intrinsic[:3, :3] = np.array(camera["cam2img"])[:3, :3]
        seen = [
            wire.extent
            for wire in wires(boxes, intrinsic @ np.array(camera["lidar2cam"]), (1600, 900))
            if wire is not None
        ]
        matched += [max(_overlap(entry["bbox"], box) for box in seen) for entry in frame["cam_instances"][channel]]
    assert len(matched) == 84
    assert min(matched) > 0.9 and float(np.median(matched)) > 0.94


def _overlap(one: Any, other: Any) -> float:
    (a0, b0, a1, b1), (c0, d0, c1, d1) = one, other
    shared = max(min(a1, c1) - max(a0, c0), 0.0) * max(min(b1, d1) - max(b0, d0), 0.0)
    return float(shared / ((a1 - a0) * (b1 - b0) + (c1 - c0) * (d1 - d0) - shared))
