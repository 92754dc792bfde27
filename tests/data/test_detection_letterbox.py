"""Framing against torch's own resizing, rectangles found again in the pixels, and the training loop's batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from lightloom.common.errors import RequestError, WorkError
from lightloom.data import Batches
from lightloom.data.detection import GRAY, DetectionSet, LazyImages, Record, letterbox, read_pixels


def record(path: Path, number: int, size: tuple[int, int], boxes: list[list[float]], crowd: list[bool]) -> Record:
    return Record(
        image=path,
        image_id=number,
        key=path.stem,
        width=size[0],
        height=size[1],
        boxes=torch.tensor(boxes).reshape(-1, 4),
        labels=torch.arange(len(boxes)) % 3,
        crowd=torch.tensor(crowd, dtype=torch.bool),
    )


@pytest.fixture
def mixed(tmp_path: Path) -> DetectionSet:
    """Wide, tall and small black images with a white rectangle each; the second has a crowd, the last no box."""
    records = []
    for number, (size, box) in enumerate(
        [((120, 60), [30, 12, 90, 48]), ((40, 100), [8, 10, 32, 60]), ((20, 15), [5, 5, 15, 10]), ((33, 47), [])], 1
    ):
        pixels = np.zeros((size[1], size[0], 3), np.uint8)
        if box:
            pixels[box[1] : box[3], box[0] : box[2]] = 255
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        boxes = [[float(side) for side in box]] if box else []
        if number == 2:
            boxes.append([0.0, 0.0, 5.0, 5.0])
        records.append(record(path, number, size, boxes, [i > 0 for i in range(len(boxes))]))
    return DetectionSet("mixed", ("a", "b", "c"), tuple(records))


def test_boxes_lie_on_their_pixels_and_the_rest_is_gray(mixed: DetectionSet) -> None:
    made = letterbox(mixed, 48, 64)
    assert made.images.shape == (4, 3, 48, 64) and made.images.dtype == torch.uint8
    assert made.labels.shape == (4, 1, 5)
    torch.testing.assert_close(made.scales, torch.tensor([64 / 120, 0.48, 3.2, 48 / 47]))
    for place, (width, height) in enumerate([(64, 32), (19, 48), (64, 48), (34, 48)]):
        inside = torch.zeros(48, 64, dtype=torch.bool)
        inside[:height, :width] = True
        outside = made.images[place][:, ~inside]
        assert torch.equal(outside, torch.tensor(GRAY, dtype=torch.uint8)[:, None].expand_as(outside))
        if place < 3:
            rows, columns = (made.images[place, 0].ge(128) & inside).nonzero().unbind(1)
            found = [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
            assert made.labels[place, 0, :4].tolist() == pytest.approx(found, abs=1.01)
    assert made.labels[3].tolist() == [[0, 0, 0, 0, -1]]
    assert made.labels[:3, 0, 4].tolist() == [0, 0, 0]


@pytest.mark.parametrize("size", [(90, 120), (17, 23), (45, 60)])
def test_resizing_is_the_antialiased_bilinear_one(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = torch.randint(0, 256, (3, 45, 60), dtype=torch.uint8)
    path = tmp_path / "noise.png"
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)
    one = DetectionSet("one", ("a",), (record(path, 1, (60, 45), [], []),))
    made = letterbox(one, *size).images[:][0].float()
    height, width = round(45 * min(size[0] / 45, size[1] / 60)), round(60 * min(size[0] / 45, size[1] / 60))
    expected = F.interpolate(pixels[None].float(), (height, width), mode="bilinear", antialias=True)[0]
    assert (made[:, :height, :width] - expected).abs().max() <= 1.01
    assert torch.equal(read_pixels(one.records[0]), pixels)


def test_a_large_jpeg_is_read_as_its_pixels_are(tmp_path: Path) -> None:
    blocks = torch.randint(0, 256, (3, 60, 80), dtype=torch.uint8)
    pixels = blocks.repeat_interleave(10, 1).repeat_interleave(10, 2)
    path = tmp_path / "blocks.jpg"
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path, quality=95, subsampling=0)
    made = letterbox(DetectionSet("one", ("a",), (record(path, 1, (800, 600), [], []),)), 60, 80).images[:][0]
    exact = F.interpolate(pixels[None].float(), (60, 80), mode="bilinear", antialias=True)[0]
    assert (made.float() - exact).abs().mean() < 3


def test_images_of_other_kinds_become_rgb(tmp_path: Path) -> None:
    deep = (np.arange(64, dtype=np.uint16) * 1000).reshape(8, 8)
    kinds = {
        "deep": Image.fromarray(deep),
        "gray": Image.fromarray((deep // 256).astype(np.uint8)),
        "clear": Image.fromarray((deep // 256).astype(np.uint8)).convert("RGBA"),
    }
    for name, image in kinds.items():
        image.save(tmp_path / f"{name}.png")
        pixels = read_pixels(record(tmp_path / f"{name}.png", 1, (8, 8), [], []))
        assert torch.equal(pixels, torch.from_numpy((deep // 256).astype(np.uint8)).expand(3, 8, 8))


def test_held_and_decoded_images_are_the_same(mixed: DetectionSet) -> None:
    held, lazy = letterbox(mixed, 48, 64, memory=True), letterbox(mixed, 48, 64, memory=False)
    assert isinstance(held.images, Tensor) and isinstance(lazy.images, LazyImages)
    assert lazy.images.shape == tuple(held.images.shape) and len(lazy) == len(held) == 4
    index = torch.tensor([2, 0, 2])
    assert torch.equal(lazy.images[index], held.images[index])
    assert torch.equal(lazy.images[1:3], held.images[1:3])


def test_batches_take_either(mixed: DetectionSet) -> None:
    def batches(memory: bool) -> list[tuple[Tensor, Tensor]]:
        made = letterbox(mixed, 48, 64, memory=memory).to(torch.device("cpu"))
        source = Batches(made.images, made.labels, batch_size=3, seed=1)  # type: ignore[arg-type]
        return [(batch.inputs, batch.targets) for batch in source.epoch(0)]

    for held, lazy in zip(batches(True), batches(False), strict=True):
        assert torch.equal(held[0], lazy[0]) and torch.equal(held[1], lazy[1])


def test_an_image_that_breaks_later_is_named(mixed: DetectionSet) -> None:
    lazy = letterbox(mixed, 48, 64, memory=False)
    path = mixed.records[1].image
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WorkError, match=r"2\.png"):
        lazy.images[torch.tensor([0, 1])]
    Image.new("RGB", (5, 5)).save(path)
    with pytest.raises(WorkError, match=r"2\.png` is 5 x 5 and was 40 x 100"):
        letterbox(mixed, 48, 64)


def test_frames_and_records_that_cannot_be_are_refused(mixed: DetectionSet) -> None:
    with pytest.raises(RequestError, match="no image to letterbox"):
        letterbox(mixed.subset([]), 48, 64)
    with pytest.raises(RequestError, match="0 x 64"):
        letterbox(mixed, 0, 64)
    with pytest.raises(RequestError, match="no image 4"):
        mixed.subset([4])
    with pytest.raises(RequestError, match="share"):
        mixed.subset([1, 1])
    with pytest.raises(RequestError, match="allow 0"):
        DetectionSet("few", (), mixed.records)
    with pytest.raises(RequestError, match="`boxes`"):
        Record(Path("a"), 1, "a", 5, 5, torch.zeros(1, 3), torch.zeros(1).long(), torch.zeros(1).bool())


def test_a_subset_keeps_ids_and_order(mixed: DetectionSet) -> None:
    assert [one.image_id for one in mixed.subset([2, 0]).records] == [3, 1]
