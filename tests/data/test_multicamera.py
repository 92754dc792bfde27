"""Views of several cameras: history, motion, frames of another form, changes that keep boxes where they are seen."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightloom.common.errors import RequestError
from lightloom.data.detection.letterbox import GRAY
from lightloom.data.multicamera import MultiCameraSet, letterbox_samples, mirror, turn
from lightloom.data.nuscenes import BoxSpec, CameraSpec, FrameSpec, SceneSpec, read_samples, read_tables, write_tables

AREA = (-30.0, -30.0, -5.0, 30.0, 30.0, 5.0)
FORWARD = (0.5, -0.5, 0.5, -0.5)  # the camera looks along x of the vehicle
BACK = (0.5, -0.5, -0.5, 0.5)


def about_z(angle: float) -> tuple[float, float, float, float]:
    return math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)


def camera(channel: str, rotation: tuple[float, float, float, float], width: int, height: int) -> CameraSpec:
    intrinsic = ((80.0, 0.0, width / 2), (0.0, 80.0, height / 2), (0.0, 0.0, 1.0))
    return CameraSpec(channel, width, height, intrinsic, (0.0, 0.0, 1.5), rotation)


def picture(path: Path, width: int, height: int, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((height, width, 3), value, np.uint8)
    pixels[:, : width // 4] = 255  # the left quarter is white
    Image.fromarray(pixels).save(path)


@pytest.fixture
def samples(tmp_path: Path):
    """Two scenes of three and two moments; the vehicle drives 2 m and turns 0.1 rad each time; a car stands ahead."""
    cameras = (camera("CAM_FRONT", FORWARD, 64, 32), camera("CAM_BACK", BACK, 48, 32))
    scenes = []
    for name, count in (("one", 3), ("two", 2)):
        frames = []
        for number in range(count):
            images = {}
            for spec in cameras:
                if (name, number, spec.channel) == ("one", 1, "CAM_BACK"):
                    continue  # a camera that fails once
                file = f"samples/{spec.channel}/{name}-{number}.png"
                picture(tmp_path / file, spec.width, spec.height, 10 * number + 20)
                images[spec.channel] = file
            box = BoxSpec("car", "car", (10.0, 1.0, 0.8), (1.9, 4.5, 1.6), about_z(0.3), lidar_points=number)
            ego = (2.0 * number, 0.5, 0.0)
            frames.append(FrameSpec(500_000 * (number + 1), ego, about_z(0.1 * number), images, (box,)))
        scenes.append(SceneSpec(name, cameras, tuple(frames)))
    write_tables(scenes, tmp_path, "v1.0-own", {"train": ["one", "two"]})
    return read_samples(read_tables(tmp_path, "v1.0-own"), ["one", "two"])


@pytest.fixture
def letterboxed(samples) -> MultiCameraSet:
    return letterbox_samples(samples, ("CAM_FRONT", "CAM_BACK"), (32, 64), area=AREA, history=3, least_points=0)


def test_history_ends_where_a_scene_begins(letterboxed: MultiCameraSet) -> None:
    assert letterboxed.before.tolist() == [-1, 0, 1, -1, 3]
    views = letterboxed.images[torch.tensor([2, 0, 4])]
    assert views.images.shape == (3, 3, 2, 3, 32, 64)
    assert views.linked.tolist() == [[False, True, True], [False, False, False], [False, False, True]]
    shades = views.images[:, :, 0, 0, 0, -1]  # of the front camera, one per moment
    assert shades.tolist() == [[20, 30, 40], [20, 20, 20], [20, 20, 30]]


def test_motion_takes_what_stands_still_to_where_it_was(letterboxed: MultiCameraSet) -> None:
    views = letterboxed.images[torch.tensor([2])]
    now, earlier = letterboxed.labels[2, 0], letterboxed.labels[1, 0]
    point = torch.cat((now[:3], torch.ones(1)))
    torch.testing.assert_close((views.motion[0, 2] @ point)[:3], earlier[:3], atol=1e-4, rtol=0)
    assert torch.equal(views.motion[0, 0], torch.eye(4))


def test_a_missing_camera_is_gray_and_sees_nothing(letterboxed: MultiCameraSet) -> None:
    views = letterboxed.images[torch.tensor([1])]
    assert views.extent[0, -1].tolist() == [[64, 32], [0, 0]]
    assert views.images[0, -1, 1].unique(dim=-1).squeeze().unique(dim=-1).squeeze().tolist() == list(GRAY)


def test_projection_follows_the_frame(samples, letterboxed: MultiCameraSet) -> None:
    half = letterbox_samples(samples, ("CAM_FRONT", "CAM_BACK"), (16, 40), area=AREA)
    point = torch.tensor([12.0, 1.0, 0.5, 1.0])
    full_pixel, half_pixel = ((part.project[0, 0] @ point) for part in (letterboxed, half))
    u, v, d = (full_pixel[:3] / torch.tensor([full_pixel[2], full_pixel[2], 1.0])).tolist()
    assert (u, v) == pytest.approx((32 - 80 * 1 / 12, 16 + 80 * 1.0 / 12))  # by hand: left is +y, up is +z
    assert d == pytest.approx(12)
    assert (half_pixel[:2] / half_pixel[2]).tolist() == pytest.approx([u / 2, v / 2])
    assert half.extent[0].tolist() == [[32, 16], [24, 16]]


def test_targets_are_in_the_ego_frame_with_unknown_velocities(letterboxed: MultiCameraSet) -> None:
    assert letterboxed.labels.shape == (5, 1, 10)
    assert letterboxed.labels[0, 0, :7].tolist() == pytest.approx([10, 0.5, 0.8, 1.9, 4.5, 1.6, 0.3])
    moved = letterboxed.labels[1, 0]
    cos, sin = math.cos(0.1), math.sin(0.1)
    assert moved[:2].tolist() == pytest.approx([8 * cos + 0.5 * sin, -8 * sin + 0.5 * cos], abs=1e-5)
    assert moved[6].item() == pytest.approx(0.2)
    assert moved[7:9].tolist() == pytest.approx([0, 0])


def test_boxes_without_points_or_outside_are_no_targets(samples) -> None:
    seen = letterbox_samples(samples, ("CAM_FRONT",), (32, 64), area=AREA, least_points=1)
    assert (seen.labels[..., -1] >= 0).sum(1).tolist() == [0, 1, 1, 0, 1]
    near = letterbox_samples(samples, ("CAM_FRONT",), (32, 64), area=(-5, -5, -5, 5, 5, 5), least_points=0)
    assert not (near.labels[..., -1] >= 0).any()


@pytest.mark.parametrize("lazy", [False, True])
def test_images_in_memory_and_on_disk_are_the_same(samples, lazy: bool) -> None:
    held, read = (
        letterbox_samples(samples, ("CAM_FRONT", "CAM_BACK"), (32, 64), area=AREA, history=2, memory=memory)
        for memory in (True, not lazy)
    )
    index = torch.tensor([4, 1, 2])
    for one, other in zip(held.images[index], read.images[index], strict=True):
        assert torch.equal(one, other)


def test_a_mirrored_world_is_seen_in_mirrored_images(letterboxed: MultiCameraSet) -> None:
    views, targets = letterboxed.images[torch.tensor([2, 2])], letterboxed.labels[[2, 2]]
    made, moved = mirror(views, targets, torch.tensor([True, False]))
    assert torch.equal(made.images[1], views.images[1])
    assert torch.equal(moved[1], targets[1])
    assert moved[0, 0, [1, 6]].tolist() == pytest.approx((-targets[0, 0, [1, 6]]).tolist())
    for number, width in ((0, 64), (1, 48)):
        whole = made.images[0, -1, number, 0]
        assert (whole[:, :width] == views.images[0, -1, number, 0, :, :width].flip(-1)).all()
        assert (whole[:, width:] == GRAY[0]).all()
        point = torch.tensor([10.0 if number == 0 else -10.0, 1.0, 0.5, 1.0])
        across = point * torch.tensor([1.0, -1.0, 1.0, 1.0])
        before, after = views.project[0, -1, number] @ point, made.project[0, -1, number] @ across
        assert (after[0] / after[2]).item() == pytest.approx(width - (before[0] / before[2]).item(), abs=1e-4)
        assert (after[1] / after[2]).item() == pytest.approx((before[1] / before[2]).item(), abs=1e-4)


def test_a_turned_frame_sees_the_same_pixels(letterboxed: MultiCameraSet) -> None:
    views, targets = letterboxed.images[torch.tensor([2])], letterboxed.labels[[2]]
    made, moved = turn(views, targets, torch.tensor([0.7]))
    before = views.project[0, -1, 0] @ torch.cat((targets[0, 0, :3], torch.ones(1)))
    after = made.project[0, -1, 0] @ torch.cat((moved[0, 0, :3], torch.ones(1)))
    torch.testing.assert_close(after, before, atol=1e-3, rtol=1e-4)
    assert moved[0, 0, 6].item() == pytest.approx(targets[0, 0, 6].item() + 0.7)
    earlier, turned_earlier = (
        (motion[0, 2] @ torch.cat((box[0, 0, :3], torch.ones(1))))
        for motion, box in ((views.motion, targets), (made.motion, moved))
    )
    rotation = torch.tensor([[math.cos(0.7), -math.sin(0.7)], [math.sin(0.7), math.cos(0.7)]])
    torch.testing.assert_close(turned_earlier[:2], rotation @ earlier[:2], atol=1e-4, rtol=0)


def test_no_camera_and_no_frame_are_refused(samples) -> None:
    with pytest.raises(RequestError, match="0 cameras"):
        letterbox_samples(samples, (), (32, 64), area=AREA)
    with pytest.raises(RequestError, match="frame is 0"):
        letterbox_samples(samples, ("CAM_FRONT",), (0, 64), area=AREA)
