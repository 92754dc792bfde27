"""Points in cameras, who sees what, codes of boxes, and which cell of the ground is where."""

import math

import pytest
import torch
from torch import Tensor

from lightloom.tasks.detection3d.camera_attention import pillars
from lightloom.tasks.detection3d.cameras import CameraMaps, shrunk
from lightloom.tasks.detection3d.geometry import (
    decode_boxes,
    encode_boxes,
    find_hits,
    inverse_sigmoid,
    project_points,
    to_metres,
    visible_points,
)

FRAME = (48, 80)
AREA = (-20.0, -10.0, -5.0, 20.0, 10.0, 3.0)


def rotation(axis: int, angle: float) -> Tensor:
    """About one axis, in a 4 x 4 matrix."""
    made = torch.eye(4, dtype=torch.float64)
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    made[first, first] = made[second, second] = math.cos(angle)
    made[first, second], made[second, first] = -math.sin(angle), math.sin(angle)
    return made


def camera(yaw: float, focal: float = 40.0, place: tuple[float, float, float] = (1.0, 0.3, 1.5)) -> Tensor:
    """That looks along `yaw`, in float64: the ego frame to (u d, v d, d, 1)."""
    to_ego = rotation(2, yaw)
    to_ego[:3, 3] = torch.tensor(place)
    optical = torch.tensor([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=torch.float64)
    lens = torch.eye(4, dtype=torch.float64)
    lens[0, 0] = lens[1, 1] = focal
    lens[0, 2], lens[1, 2] = FRAME[1] / 2, FRAME[0] / 2
    return lens @ optical @ to_ego.inverse()


def test_a_pinhole_camera_that_looks_ahead() -> None:
    project = camera(0.0, place=(0.0, 0.0, 0.0))
    points = torch.tensor([[10.0, 0, 0], [10, 2, 0], [10, 0, -1], [20, -4, 2]], dtype=torch.float64)
    pixels, depth = project_points(points, project)
    # left in the world is left in the image, down is down
    torch.testing.assert_close(pixels, torch.tensor([[40, 24], [32, 24], [40, 28], [48, 20]], dtype=torch.float64))
    assert depth.tolist() == [10, 10, 10, 20]


def test_pixels_stay_when_points_and_camera_move_together() -> None:
    points = torch.randn(30, 3).double() * 10
    motion = rotation(2, 0.7) @ rotation(0, 0.2)
    motion[:3, 3] = torch.tensor([3.0, -2.0, 0.5])
    moved = points @ motion[:3, :3].t() + motion[:3, 3]
    for yaw in (0.0, 1.3, -2.8):
        before = project_points(points, camera(yaw))
        after = project_points(moved, camera(yaw) @ motion.inverse())
        ahead = before[1] > 0.1
        torch.testing.assert_close(after[1], before[1])
        torch.testing.assert_close(after[0][ahead], before[0][ahead])


def test_a_point_is_seen_within_the_extent_and_in_front() -> None:
    pixels = torch.tensor([[1.0, 1], [0, 1], [1, 0], [59.9, 39.9], [60, 1], [1, 40], [1, 1], [1, 1]])
    depth = torch.tensor([1.0, 1, 1, 1, 1, 1, 1e-5, -3])
    assert (
        visible_points(pixels, depth, torch.tensor([60.0, 40.0])).tolist() == [True, False, False, True] + [False] * 4
    )
    assert not visible_points(pixels, depth, torch.zeros(2)).any()


def rig(samples: int = 3) -> tuple[Tensor, Tensor]:
    """Three cameras of each sample, of other directions and extents, one of them absent."""
    project = torch.stack(
        [torch.stack([camera(0.4 * sample + turn) for turn in (0.0, 2.0, -2.0)]) for sample in range(samples)]
    )
    extent = torch.tensor([[80.0, 48], [60, 40], [70, 48]], dtype=torch.float64).repeat(samples, 1, 1)
    extent[1, 2] = 0
    return project, extent


@pytest.mark.parametrize("own", [False, True])
def test_hits_are_those_of_loops_over_samples_cameras_and_queries(own: bool) -> None:
    project, extent = rig()
    points = torch.randn(3, 20, 4, 3).double() * 8
    given = points if own else points[0]
    hits = find_hits(given, project, extent, FRAME)
    wanted, counts = {}, torch.zeros(60)
    for sample in range(3):
        for number in range(3):
            for query in range(20):
                where, depth = project_points(points[sample if own else 0, query], project[sample, number])
                sees = visible_points(where, depth, extent[sample, number])
                if sees.any():
                    wanted[sample * 3 + number, sample * 20 + query] = (sees, where / torch.tensor([80.0, 48.0]))
                    counts[sample * 20 + query] += 1
    assert 0 < len(wanted) < 120
    assert list(zip(hits.image.tolist(), hits.query.tolist(), strict=True)) == list(wanted)
    assert torch.equal(hits.counts, counts)
    for row, (sees, where) in enumerate(wanted.values()):
        assert torch.equal(hits.sees[row], sees)
        torch.testing.assert_close(hits.places[row][sees], where[sees])


def test_all_pairs_say_the_same_of_those_that_see() -> None:
    project, extent = rig()
    points = torch.randn(20, 4, 3).double() * 8
    few, all_pairs = (find_hits(points, project, extent, FRAME, hits_only=only) for only in (True, False))
    assert len(all_pairs.image) == 3 * 3 * 20 and torch.equal(few.counts, all_pairs.counts)
    kept = all_pairs.sees.any(-1)
    assert all(torch.equal(part[kept], other) for part, other in zip(all_pairs[:4], few[:4], strict=True))
    assert all_pairs.places.isfinite().all()


def test_codes_come_back_as_boxes() -> None:
    boxes = torch.randn(50, 9).double() * 3
    boxes[:, 3:6] = boxes[:, 3:6].abs() + 0.1
    boxes[:, 6] = (torch.rand(50) * 2 - 1) * math.pi
    codes = encode_boxes(boxes)
    torch.testing.assert_close(decode_boxes(codes), boxes)
    codes[:, 6:8] *= 7  # heads are not asked to keep sine and cosine on a circle
    torch.testing.assert_close(decode_boxes(codes), boxes)
    flat = torch.zeros(9)
    assert encode_boxes(flat).isfinite().all()


def test_an_unknown_velocity_stays_unknown() -> None:
    box = torch.tensor([1.0, 2, 0, 1, 1, 1, 0.5, math.nan, math.nan])
    assert encode_boxes(box).isnan().tolist() == [False] * 8 + [True] * 2


def test_shares_of_the_area_are_metres_and_back() -> None:
    shares = torch.tensor([[0.0, 0, 0], [1, 1, 1], [0.5, 0.25, 0.5]])
    assert to_metres(shares, AREA).tolist() == [[-20, -10, -5], [20, 10, 3], [0, -5, -1]]
    drawn = torch.rand(40).double() * 0.98 + 0.01
    torch.testing.assert_close(inverse_sigmoid(drawn).sigmoid(), drawn)
    assert inverse_sigmoid(torch.tensor([0.0, 1.0])).isfinite().all()


def test_rows_of_the_ground_lie_along_y_and_columns_along_x() -> None:
    points = pillars(4, 8, 2, AREA).view(4, 8, 2, 3)
    for row in range(4):
        for column in range(8):
            x, y = -20 + (column + 0.5) / 8 * 40, -10 + (row + 0.5) / 4 * 20
            assert points[row, column].tolist() == [[x, y, -3], [x, y, 1]]


def test_smaller_images_see_the_same_at_smaller_pixels() -> None:
    project, extent = rig()
    points = torch.randn(10, 3).double() * 8 + torch.tensor([12.0, 0, 0])
    small, less = shrunk(project, extent, 4)
    before, after = project_points(points, project), project_points(points, small)
    torch.testing.assert_close(after[0] * 4, before[0])
    torch.testing.assert_close(after[1], before[1])
    assert torch.equal(less * 4, extent)


def test_places_in_a_map_whose_last_cells_reach_beyond_the_frame() -> None:
    maps = (torch.zeros(1, 2, 6, 10), torch.zeros(1, 2, 2, 3))
    cameras = CameraMaps(maps, (8, 32), torch.eye(4)[None, None], torch.ones(1, 1, 2), FRAME)
    places = torch.tensor([[[0.5, 0.5], [1.0, 1.0]]])
    within = cameras.within(places)
    assert torch.equal(within[:, :, 0], places)  # 8 x 10 = 80, 8 x 6 = 48
    # pixel 40 of 80 is 1.25 cells of 32, of 3; pixel 24 of 48 is 0.75 cells, of 2
    torch.testing.assert_close(within[0, :, 1], torch.tensor([[1.25 / 3, 0.75 / 2], [2.5 / 3, 1.5 / 2]]))
