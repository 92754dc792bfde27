"""Augmentation against the pixels: a bright rectangle is drawn, and found again where its box went."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightloom.common.errors import RequestError
from lightloom.data.detection import Augment, AugmentConfig, augmentation, colour, compose, flip, mosaic, zoom

H, W = 60, 80
Make = Callable[[], Augment]


def scene(count: int = 12, dtype: torch.dtype = torch.uint8) -> tuple[Tensor, Tensor]:
    """Black images with one white rectangle each, and its padded target."""
    images = torch.zeros(count, 3, H, W)
    targets = torch.zeros(count, 3, 5)
    targets[..., 4] = -1
    for index in range(count):
        x0, y0 = int(torch.randint(W - 20, ())), int(torch.randint(H - 20, ()))
        x1, y1 = x0 + int(torch.randint(8, 20, ())), y0 + int(torch.randint(8, 20, ()))
        images[index, :, y0:y1, x0:x1] = 1
        targets[index, 1] = torch.tensor([x0, y0, x1, y1, index % 4])
    return ((images * 255).to(dtype) if dtype == torch.uint8 else images), targets


def white(image: Tensor) -> Tensor:
    return image.float().mean(0) > (200 if image.dtype == torch.uint8 else 200 / 255)


def extent(mask: Tensor) -> list[int]:
    rows, columns = mask.nonzero().unbind(1)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(
    "make",
    [
        lambda: flip(1.0),
        lambda: flip(1.0, vertical=True),
        lambda: zoom(0.6, 1.4),
        lambda: compose(flip(0.5), zoom(0.7, 1.6), flip(0.5, vertical=True)),
    ],
)
def test_boxes_follow_their_pixels(make: Make, dtype: torch.dtype) -> None:
    images, targets = scene(dtype=dtype)
    changed, moved = make()(images, targets)
    assert changed.shape == images.shape and changed.dtype == dtype and moved.shape == targets.shape
    found = 0
    for image, rows, before in zip(changed, moved, targets, strict=True):
        kept = rows[rows[:, 4] >= 0]
        assert len(kept) <= 1
        for row in kept:
            assert row[4] == before[1, 4]
            assert row[:4].tolist() == pytest.approx(extent(white(image)), abs=1.1)
            found += 1
        assert (rows[rows[:, 4] < 0][:, :4] == 0).all()
    assert found >= len(images) // 2


def test_what_is_dropped_has_left() -> None:
    images, targets = scene(64)
    changed, moved = zoom(1.5, 3.0)(images, targets)
    gone = (moved[:, 1, 4] < 0).nonzero().flatten().tolist()
    assert 5 < len(gone) < 60
    for index in gone:
        width, height = (targets[index, 1, 2:4] - targets[index, 1, :2]).tolist()
        # what is left of it is less than a fifth at the largest zoom, or a line
        left = white(changed[index]).sum()
        assert left <= 0.2 * width * height * 9 + 2 * max(W, H)


def test_lines_are_dropped() -> None:
    targets = torch.tensor([[[5.0, 5, 6, 30, 0], [5, 5, 30, 6.5, 1], [5, 5, 7, 7, 2], [0, 0, 0, 0, -1]]])
    moved = zoom(1.0, 1.0)(torch.zeros(1, 3, H, W), targets)[1]
    assert moved[0].tolist() == [[0, 0, 0, 0, -1], [0, 0, 0, 0, -1], [5, 5, 7, 7, 2], [0, 0, 0, 0, -1]]


def test_mirroring_twice_gives_back_the_same() -> None:
    images, targets = scene()
    for vertical in (False, True):
        once = flip(1.0, vertical=vertical)(images, targets)
        assert not torch.equal(once[0], images) and not torch.equal(once[1], targets)
        again = flip(1.0, vertical=vertical)(*once)
        assert torch.equal(again[0], images) and torch.equal(again[1], targets)
    assert torch.equal(flip(0.0)(images, targets)[0], images)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_every_white_rectangle_of_a_mosaic_has_its_box(dtype: torch.dtype) -> None:
    images, targets = scene(16, dtype)
    changed, moved = mosaic(1.0)(images, targets)
    assert changed.dtype == dtype and moved.shape[1] > 1
    for image, rows in zip(changed, moved, strict=True):
        mask = white(image)
        uncovered = mask.clone()
        for row in rows[rows[:, 4] >= 0]:
            x0, y0, x1, y1 = (round(side) for side in row[:4].tolist())
            assert mask[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2].all()
            uncovered[max(y0 - 2, 0) : y1 + 2, max(x0 - 2, 0) : x1 + 2] = False
        # cuts that were too small to stay: at most a fifth of four rectangles
        assert uncovered.sum() <= 4 * 0.2 * 19 * 19
    labels = torch.cat([rows[rows[:, 4] >= 0][:, 4] for rows in moved])
    assert set(labels.tolist()) == {0, 1, 2, 3}


def test_a_mosaic_leaves_no_pixel_unset_and_works_on_one_image() -> None:
    images, targets = torch.full((1, 3, 31, 47), 0.5), torch.tensor([[[0.0, 0, 47, 31, 2]]])
    changed, moved = mosaic(1.0)(images, targets)
    torch.testing.assert_close(changed, images)
    assert moved.shape == (1, 4, 5)
    assert float((moved[0, :, 2:4] - moved[0, :, :2]).prod(1).sum()) == 31 * 47
    unchanged, same = mosaic(0.0)(images, targets)
    assert torch.equal(unchanged, images) and torch.equal(same, targets)


def test_colour_changes_brightness_contrast_and_saturation_alone() -> None:
    images = torch.rand(6, 3, H, W) * 0.3 + 0.3
    gray = torch.tensor([0.299, 0.587, 0.114])
    luma = torch.einsum("bchw,c->bhw", images, gray)
    _, targets = scene(6)
    brighter, same = colour(0.4, 0.0, 0.0)(images, targets)
    assert same is targets
    ratio = brighter / images
    assert (ratio.amax((1, 2, 3)) - ratio.amin((1, 2, 3))).max() < 1e-5 and ratio.std() > 0.05
    sharper = colour(0.0, 0.4, 0.0)(images, targets)[0]
    torch.testing.assert_close(torch.einsum("bchw,c->b", sharper, gray), luma.sum((1, 2)), rtol=1e-4, atol=0)
    assert (sharper.std((1, 2, 3)) / images.std((1, 2, 3)) - 1).abs().max() > 0.05
    richer = colour(0.0, 0.0, 0.4)(images, targets)[0]
    torch.testing.assert_close(torch.einsum("bchw,c->bhw", richer, gray), luma, rtol=1e-4, atol=1e-4)
    assert (richer - images).abs().max() > 0.01
    bytes_ = (images * 255).round().to(torch.uint8)
    torch.manual_seed(3)
    coloured = colour(0.2, 0.2, 0.2)(bytes_, targets)[0]
    torch.manual_seed(3)
    exact = colour(0.2, 0.2, 0.2)(bytes_.float() / 255, targets)[0]
    assert coloured.dtype == torch.uint8 and (coloured.float() / 255 - exact).abs().max() < 0.51 / 255


def test_the_global_generator_decides() -> None:
    images, targets = scene()
    change = augmentation(AugmentConfig(mosaic=0.5, vertical=0.5))
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(change(images, targets))
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])
    assert not torch.equal(results[0][0], results[2][0])


def test_a_config_with_everything_off_changes_nothing() -> None:
    images, targets = scene()
    same = augmentation(AugmentConfig(flip=0, scale=0, colour=0))(images, targets)
    assert same[0] is images and same[1] is targets


def test_numbers_out_of_range_are_refused() -> None:
    for make in (
        lambda: flip(1.5),
        lambda: mosaic(-0.1),
        lambda: colour(2.0),
        lambda: zoom(0.0, 1.0),
        lambda: zoom(2, 1),
    ):
        with pytest.raises(RequestError, match="give 0"):
            make()
    with pytest.raises(RequestError, match="vertical"):
        AugmentConfig.parse({"vertcal": 0.5})
