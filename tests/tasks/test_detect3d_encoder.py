"""The BEV map: how it moves with the vehicle, and what its cells take from the cameras."""

import math

import pytest
import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError
from lightloom.tasks.detection3d.camera_attention import CameraAttention, pillars
from lightloom.tasks.detection3d.cameras import CameraMaps
from lightloom.tasks.detection3d.encoder import Encoder, PreviousBEV
from lightloom.tasks.detection3d.sizes import Detector3DConfig
from lightloom.tasks.detection3d.temporal import TemporalAttention, centres, warp

AREA = (-8.0, -4.0, -2.0, 8.0, 4.0, 2.0)  # cells of 1 m on a map of 8 x 16
SHAPE = (8, 16)
FRAME = (32, 48)


def planar(x: float, y: float, yaw: float) -> Tensor:
    motion = torch.eye(4)
    motion[0, 0] = motion[1, 1] = math.cos(yaw)
    motion[0, 1], motion[1, 0] = -math.sin(yaw), math.sin(yaw)
    motion[0, 3], motion[1, 3] = x, y
    return motion


def test_a_map_stays_where_the_vehicle_stands() -> None:
    bev = torch.randn(2, 3, *SHAPE)
    torch.testing.assert_close(warp(bev, torch.eye(4).expand(2, 4, 4), AREA), bev)


def test_what_was_ahead_comes_nearer() -> None:
    bev = torch.randn(2, 3, *SHAPE)
    ahead, left = planar(3.0, 0.0, 0.0), planar(0.0, 2.0, 0.0)  # of the vehicle, each in one sample
    moved = warp(bev, torch.stack((ahead, left)), AREA)
    torch.testing.assert_close(moved[0, :, :, :13], bev[0, :, :, 3:])
    torch.testing.assert_close(moved[1, :, :6], bev[1, :, 2:])
    assert not moved[0, :, :, 13:].any() and not moved[1, :, 6:].any()


def test_a_quarter_turn_of_a_square_map() -> None:
    area, bev = (-4.0, -4.0, -2.0, 4.0, 4.0, 2.0), torch.randn(1, 3, 8, 8)
    moved = warp(bev, planar(0.0, 0.0, math.pi / 2)[None], area)
    # the vehicle turned left: what was at its left is ahead
    for row in range(8):
        for column in range(8):
            torch.testing.assert_close(moved[0, :, row, column], bev[0, :, column, 7 - row], atol=1e-5, rtol=1e-5)


def test_a_landmark_keeps_its_place_in_the_world() -> None:
    """A Gaussian hill that is drawn into the map of one moment lies where the next moment sees its place."""
    y, x = torch.meshgrid(torch.arange(80) / 5 - 7.9, torch.arange(80) / 5 - 7.9, indexing="ij")
    area = (-8.0, -8.0, -2.0, 8.0, 8.0, 2.0)
    for motion in (planar(1.3, -0.7, 0.4), planar(-2.0, 1.1, -1.1)):
        now = torch.tensor([2.0, 1.5])
        before = motion[:2, :2] @ now + motion[:2, 3]
        hills = [(-((x - at[0]).square() + (y - at[1]).square())).exp() for at in (before, now)]
        torch.testing.assert_close(warp(hills[0][None, None], motion[None], area)[0, 0], hills[1], atol=0.02, rtol=0)


def test_centres_of_cells_go_row_by_row() -> None:
    rows = centres((2, 4), torch.zeros(1))
    assert rows.tolist() == [[(j + 0.5) / 4, (i + 0.5) / 2] for i in range(2) for j in range(4)]


def stirred(module: nn.Module) -> nn.Module:
    """With no weight at zero, so that everything counts."""
    for part in module.parameters():
        nn.init.normal_(part, std=0.3)
    return module.eval()


def test_samples_without_a_past_look_at_themselves_twice() -> None:
    attention = stirred(TemporalAttention(8, 2, 3, 0.0))
    cells, past = torch.randn(3, 128, 8), torch.randn(3, 128, 8)
    linked = torch.tensor([True, False, True])
    mixed = attention(cells, torch.randn(1, 8), past, linked, SHAPE)
    position = torch.zeros(128, 8)
    mixed = attention(cells, position, past, linked, SHAPE)
    alone = attention(cells, position, None, ~linked, SHAPE)
    twice = attention(cells, position, cells, torch.ones(3, dtype=torch.bool), SHAPE)
    torch.testing.assert_close(mixed[1], alone[1])
    torch.testing.assert_close(alone, twice)
    assert not torch.allclose(mixed[0], alone[0])


def test_a_cell_sees_the_average_of_now_and_then() -> None:
    """With no offsets, each of the two maps gives the value right at the cell."""
    attention = stirred(TemporalAttention(8, 2, 3, 0.0))
    nn.init.zeros_(attention.attention.offsets.weight)
    nn.init.zeros_(attention.attention.offsets.bias)
    cells, past = torch.randn(2, 128, 8), torch.randn(2, 128, 8)
    seen = attention(cells, torch.zeros(128, 8), past, torch.ones(2, dtype=torch.bool), SHAPE)
    inner = attention.attention
    values = [part @ inner.values.weight[:, :, 0, 0].t() + inner.values.bias for part in (cells, past)]
    torch.testing.assert_close(seen, cells + inner.output((values[0] + values[1]) / 2))


def cameras(samples: int, channels: int, number: int = 3, yaws: tuple[float, ...] = (0.0, 2.1, -2.1)) -> CameraMaps:
    """Wide cameras around the vehicle, turned a little further in each sample."""
    project = torch.zeros(samples, number, 4, 4)
    for sample in range(samples):
        for camera in range(number):
            yaw = yaws[camera] + 0.2 * sample
            c, s = math.cos(yaw), math.sin(yaw)
            optical = torch.tensor([[s, -c, 0.0], [0.0, 0.0, -1.0], [c, s, 0.0]])
            lens = torch.tensor([[20.0, 0, FRAME[1] / 2], [0, 20.0, FRAME[0] / 2], [0, 0, 1]])
            project[sample, camera, :3, :3] = lens @ optical
            project[sample, camera, 3, 3] = 1
    maps = tuple(torch.randn(samples * number, channels, FRAME[0] // s, FRAME[1] // s) for s in (8, 16))
    extent = torch.tensor([FRAME[1], FRAME[0]]).float().expand(samples, number, 2).clone()
    return CameraMaps(maps, (8, 16), project, extent, FRAME)


def test_cells_take_the_mean_over_the_cameras_that_see_them() -> None:
    """Against a loop over samples, cameras and cells, each pair computed by itself."""
    module = stirred(CameraAttention(8, 2, 2, 4, 0.0))
    given = cameras(2, 8)
    given.extent[1, 0] = 0
    points = pillars(*SHAPE, 2, AREA)
    cells, position = torch.randn(2, 128, 8), torch.randn(128, 8)
    hits = given.hits(points)
    seen = module(cells, position, given, hits, given.within(hits.places))
    inner = module.attention
    for sample in range(2):
        for cell in range(0, 128, 9):
            found = []
            for camera in range(3):
                one = CameraMaps(
                    tuple(level[[sample * 3 + camera]] for level in given.maps), given.strides,
                    given.project[sample, camera][None, None], given.extent[sample, camera][None, None], FRAME,
                )  # fmt: skip
                hit = one.hits(points[[cell]])
                if len(hit.query):
                    sampling = inner.sampling_locations(
                        (cells[sample, cell] + position[cell])[None], one.within(hit.places), one.shapes, hit.image
                    )
                    found.append(inner.sample_values(inner.project_values(one.maps), sampling)[0])
            mean = torch.stack(found).mean(0) if found else torch.zeros(8)
            torch.testing.assert_close(seen[sample, cell], cells[sample, cell] + inner.output(mean))


SMALL = Detector3DConfig(
    channels=8, heads=2, queries=4, decoder_layers=1, feedforward=16, levels=2, rows=8, columns=16, encoder_layers=2,
    pillars=2, points=4, ground_points=2, area=AREA, dropout=0.0, cameras=4,
)  # fmt: skip


def test_looking_into_all_cameras_gives_the_same_map() -> None:
    encoder, given = stirred(Encoder(SMALL)), cameras(2, 8)
    few = encoder(given)
    encoder.config = SMALL.replace(hits_only=False)
    torch.testing.assert_close(encoder(given), few)


def test_a_batch_of_two_is_two_batches_of_one() -> None:
    encoder, given = stirred(Encoder(SMALL)), cameras(2, 8)
    given.extent[0, 1] = torch.tensor([30.0, 20.0])
    motion = torch.stack((planar(1.0, 0.2, 0.1), planar(0.5, 0.0, -0.3)))
    before = PreviousBEV(torch.randn(2, 8, *SHAPE), motion, torch.tensor([True, False]))
    both = encoder(given, before)
    for sample in range(2):
        own = slice(sample, sample + 1)
        maps = tuple(level[sample * 3 : sample * 3 + 3] for level in given.maps)
        one = given._replace(maps=maps, project=given.project[own], extent=given.extent[own])
        torch.testing.assert_close(both[own], encoder(one, PreviousBEV(*(part[own] for part in before))))


def test_the_moment_before_counts_only_where_it_is_linked() -> None:
    encoder, given = stirred(Encoder(SMALL)), cameras(2, 8)
    before = PreviousBEV(torch.randn(2, 8, *SHAPE), torch.eye(4).expand(2, 4, 4), torch.tensor([True, False]))
    alone, led = encoder(given), encoder(given, before)
    torch.testing.assert_close(led[1], alone[1])
    assert not torch.allclose(led[0], alone[0])


def test_an_absent_camera_is_one_that_was_left_out() -> None:
    encoder, given = stirred(Encoder(SMALL)), cameras(2, 8)
    less = given.extent.clone()
    less[:, 2] = 0
    maps = tuple(level.view(2, 3, *level.shape[1:])[:, :2].flatten(0, 1) for level in given.maps)
    out = given._replace(maps=maps, project=given.project[:, :2], extent=given.extent[:, :2])
    torch.testing.assert_close(encoder(given._replace(extent=less)), encoder(out))
    blind = encoder(given._replace(extent=torch.zeros_like(less)))
    assert blind.isfinite().all()


def test_more_cameras_than_weights_are_refused() -> None:
    encoder = Encoder(SMALL)
    with pytest.raises(RequestError, match="5 cameras are given to a detector with weights for 4"):
        encoder(cameras(1, 8, 5, (0.0, 1.0, 2.0, 3.0, 4.0)))
    assert encoder(cameras(1, 8, 4, (0.0, 1.0, 2.0, 3.0))).shape == (1, 8, *SHAPE)
