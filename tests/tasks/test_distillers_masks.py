"""Masks of objects against points in polygons, points on boxes and cells one by one."""

import math

import torch
from torch import Tensor

from lightloom.tasks.detection3d.distillers.masks import (
    Objects,
    bev_mask,
    corners,
    detected_objects,
    extents,
    joined,
    view_mask,
)
from lightloom.tasks.detection3d.geometry import encode_boxes

AREA = (-10.0, -8.0, -2.0, 14.0, 8.0, 2.0)
FRAME = (48, 80)


def box(x: float, y: float, size: tuple[float, float, float], yaw: float, z: float = 0.0) -> list[float]:
    return [x, y, z, *size, yaw, 0.0, math.nan]


def objects(*boxes: list[float], valid: list[bool] | None = None) -> Objects:
    return Objects(torch.tensor([boxes]), torch.tensor([valid or [True] * len(boxes)]))


def camera(degrees: float) -> Tensor:
    """At (0, 0, 1), looking to an angle from ahead to the left, 90 degrees wide."""
    angle, focal = math.radians(degrees), FRAME[1] / 2
    ahead = torch.tensor([math.cos(angle), math.sin(angle), 0.0])
    left = torch.tensor([-math.sin(angle), math.cos(angle), 0.0])
    turned = torch.stack((-left, torch.tensor([0.0, 0.0, -1.0]), ahead))
    intrinsic = torch.tensor([[focal, 0, FRAME[1] / 2], [0, focal, FRAME[0] / 2], [0, 0, 1]])
    matrix = torch.eye(4)
    matrix[:3, :3] = intrinsic @ turned
    matrix[:3, 3] = intrinsic @ turned @ torch.tensor([0.0, 0.0, -1.0])
    return matrix


BOXES = (
    box(3.1, 2.2, (2.0, 5.0, 1.5), 0.4),
    box(-6.3, -3.1, (3.0, 9.0, 3.0), 2.6),
    box(12.9, 7.7, (2.0, 4.0, 1.5), -1.0),
    box(5.3, -5.2, (0.3, 0.3, 1.0), 0.7),
)


def test_corners_are_the_centre_plus_turned_halves() -> None:
    made = corners(torch.tensor(BOXES[1]))
    expected = {
        (sx, sy, sz): -6.3 - 3.1j + complex(sx * 4.5, sy * 1.5) * complex(math.cos(2.6), math.sin(2.6))
        for sx in (-1, 1) for sy in (-1, 1) for sz in (-1, 1)
    }  # fmt: skip
    wanted = sorted((value.real, value.imag, sz * 1.5) for (_, _, sz), value in expected.items())
    torch.testing.assert_close(torch.tensor(sorted(made.tolist())), torch.tensor(wanted))


def within(x: float, y: float, polygon: list[list[float]]) -> bool:
    """On one side of all edges."""
    sides = []
    for (ax, ay), (bx, by) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        sides.append((bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0)
    return all(sides) or not any(sides)


def test_ground_cells_are_those_within_the_rectangles_and_those_that_hold_a_centre() -> None:
    shape = (16, 24)  # cells of 1 m
    made = bev_mask(objects(*BOXES), AREA, shape)
    assert made.shape == (1, 1, *shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            x, y = AREA[0] + j + 0.5, AREA[1] + i + 0.5
            expected = False
            for each in BOXES:
                around = corners(torch.tensor(each))[[0, 2, 6, 4], :2].tolist()
                holds = math.floor(each[0] - AREA[0]) == j and math.floor(each[1] - AREA[1]) == i
                expected |= holds or within(x, y, around)
            assert bool(made[0, 0, i, j]) == expected, (i, j)
    assert 40 < float(made.sum()) < 60


def test_what_is_not_there_is_on_no_map() -> None:
    nothing = objects(*BOXES, valid=[False] * 4)
    assert not bev_mask(nothing, AREA, (16, 24)).any()
    seen = extents(nothing, camera(0)[None, None], torch.tensor([[[80.0, 48.0]]]))
    assert not view_mask(seen, (6, 10), FRAME).any()
    none = Objects(torch.zeros(1, 0, 9), torch.zeros(1, 0, dtype=torch.bool))
    assert not bev_mask(none, AREA, (4, 4)).any()
    assert not view_mask(extents(none, camera(0)[None, None], torch.ones(1, 1, 2)), (6, 10), FRAME).any()


def test_objects_beside_each_other_stay_with_their_sample() -> None:
    pair = Objects(torch.tensor([[BOXES[0]], [BOXES[1]]]), torch.ones(2, 1, dtype=torch.bool))
    both = bev_mask(pair, AREA, (16, 24))
    torch.testing.assert_close(both[:1], bev_mask(objects(BOXES[0]), AREA, (16, 24)))
    torch.testing.assert_close(both[1:], bev_mask(objects(BOXES[1]), AREA, (16, 24)))
    assert not torch.equal(both[0], both[1])


def seen_of(each: list[float], matrix: Tensor, width: float, height: float) -> list[float] | None:
    """The extent of very many points of a box that are in front of a camera."""
    steps = torch.linspace(-0.5, 0.5, 81)
    x, y, z = torch.meshgrid(steps * each[4], steps * each[3], steps * each[5], indexing="ij")
    cos, sin = math.cos(each[6]), math.sin(each[6])
    points = torch.stack(
        (x * cos - y * sin + each[0], x * sin + y * cos + each[1], z + each[2], torch.ones_like(x)), -1
    )
    u, v, depth, _ = (points.view(-1, 4) @ matrix.T).unbind(-1)
    ahead = depth > 0.1
    if not ahead.any():
        return None
    u, v = u[ahead] / depth[ahead], v[ahead] / depth[ahead]
    found = [max(u.amin(), 0), max(v.amin(), 0), min(u.amax(), width), min(v.amax(), height)]
    return [float(number) for number in found] if found[0] < found[2] and found[1] < found[3] else None


def test_extents_hold_the_points_of_a_box() -> None:
    """In front, beside, behind, reaching behind the camera, and around it."""
    around = (
        box(0.2, 0.1, (2.0, 4.0, 1.5), 0.1),
        box(1.0, 1.4, (1.0, 6.0, 2.0), 0.3),
        box(-3.0, 0.0, (2.0, 4.0, 1.0), 0),
    )
    boxes = (*BOXES, *around)
    matrices = torch.stack([camera(degrees) for degrees in (0, 70, 180)])
    sizes = torch.tensor([[80.0, 48.0], [60.0, 48.0], [80.0, 40.0]])
    made = extents(objects(*boxes), matrices[None], sizes[None])
    seen = 0
    for n in range(3):
        for k, each in enumerate(boxes):
            expected = seen_of(each, matrices[n], *sizes[n].tolist())
            if expected is None:
                assert made[0, n, k, 0] >= made[0, n, k, 2], (n, k)
            else:
                seen += 1
                torch.testing.assert_close(made[0, n, k], torch.tensor(expected), rtol=0, atol=1.5)
    assert 8 <= seen < 21


def test_view_cells_are_those_that_a_rectangle_touches() -> None:
    rectangles = torch.tensor(
        [[[[9.0, 5.0, 30.5, 11.0], [79.2, 0.0, 80.0, 3.0]], [[16.1, 20.0, 16.3, 20.1], [0.0] * 4]]]
    )
    shape = (6, 10)
    made = view_mask(rectangles, shape, FRAME)
    for n in range(2):
        for i in range(shape[0]):
            for j in range(shape[1]):
                expected = any(
                    u1 > u0 and u0 < 8 * (j + 1) and u1 > 8 * j and v0 < 8 * (i + 1) and v1 > 8 * i
                    for u0, v0, u1, v1 in rectangles[0, n].tolist()
                )
                assert bool(made[n, 0, i, j]) == expected, (n, i, j)
    assert made.sum((1, 2, 3)).tolist() == [7, 1]


def test_an_absent_camera_sees_nothing() -> None:
    seen = extents(objects(BOXES[0]), camera(0)[None, None].expand(1, 2, 4, 4), torch.tensor([[[80.0, 48.0], [0, 0]]]))
    assert seen[0, 0].any() and not seen[0, 1].any()


def test_the_surest_queries_are_objects() -> None:
    boxes = torch.tensor([BOXES, BOXES])
    logits = torch.full((2, 4, 3), -5.0)
    logits[0, 2, 1], logits[0, 0, 2], logits[0, 3, 0] = 3.0, 1.0, 2.0
    made = detected_objects(logits, encode_boxes(boxes), most=2, score=0.5)
    assert made.valid.tolist() == [[True, True], [False, False]]
    torch.testing.assert_close(made.boxes[0, :, :7], boxes[0, [2, 3], :7])
    assert detected_objects(logits[1:], encode_boxes(boxes[1:]), most=2, score=0.5).boxes.shape == (1, 0, 9)
    whole = joined([made, Objects(boxes, torch.ones(2, 4, dtype=torch.bool))])
    assert whole.boxes.shape == (2, 6, 9) and whole.valid.sum(1).tolist() == [6, 4]


def test_masks_are_as_exact_under_half_precision() -> None:
    sizes = torch.tensor([[[80.0, 48.0]]])
    exact = extents(objects(*BOXES), camera(0)[None, None], sizes)
    with torch.autocast("cpu", torch.bfloat16):
        made = extents(objects(*BOXES), camera(0)[None, None], sizes)
        torch.testing.assert_close(made, exact)
        assert torch.equal(view_mask(made, (6, 10), FRAME), view_mask(exact, (6, 10), FRAME))
        torch.testing.assert_close(corners(torch.tensor(BOXES[1])), corners(torch.tensor(BOXES[1]).double()).float())
