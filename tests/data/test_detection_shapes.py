"""The synthetic set against geometry, and sets written and read again."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lightloom.common.errors import RequestError
from lightloom.data.detection import (
    SHAPES,
    DetectionSet,
    letterbox,
    read_coco,
    read_pixels,
    read_voc,
    read_yolo,
    shapes,
    write_coco,
    write_voc,
    write_yolo,
)
from lightloom.data.detection.shapes import mask, outline

AREAS = {  # of a shape with radius 1
    "circle": math.pi,
    "ring": math.pi,
    "triangle": 0.75 * math.sqrt(3),
    "rectangle": 2 * math.sin(2 * math.atan(0.5)),  # sides 2 cos and 2 sin of atan(aspect)
    "star": 10 * 0.5 * 0.45 * math.sin(math.pi / 5),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_has_its_area_and_fills_its_box(shape: str) -> None:
    corners = outline(shape, 20.0, 0.3, 0.5) + np.array([32.0, 30.0], np.float32)
    cover = mask(corners, 64, 64)
    assert cover.sum() == pytest.approx(400 * AREAS[shape], rel=0.02)
    rows, columns = (cover > 0.3).nonzero()  # the drawing is an eighth of a pixel wider
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert [*corners.min(0), *corners.max(0)] == pytest.approx(found, abs=1.0)


def test_a_ring_has_a_hole() -> None:
    corners = outline("ring", 20.0, 0.0, 1.0)
    centre = np.array([32.0, 32.0], np.float32)
    cover = mask(corners + centre, 64, 64, corners * np.float32(0.5) + centre)
    assert cover[32, 32] == 0 and cover.sum() == pytest.approx(0.75 * math.pi * 400, rel=0.02)


def test_the_set_is_sound_and_has_every_class_and_size() -> None:
    made = shapes(60, (96, 128), seed=3)
    assert made.classes == SHAPES and made.problems == ()
    labels = torch.cat([record.labels for record in made.records])
    assert set(labels.tolist()) == set(range(5))
    assert {len(record.labels) for record in made.records} >= {1, 2, 3, 4}
    boxes = torch.cat([record.boxes for record in made.records])
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= torch.tensor([128.0, 96.0])).all()
    sides = (boxes[:, 2:] - boxes[:, :2]).amax(1)
    assert sides.min() < 14 and sides.max() > 40


def test_a_shape_stands_out_from_what_is_around_its_box() -> None:
    made = shapes(80, 64, seed=1, most=1)
    apart = 0
    for record in made.records:
        if not len(record.boxes) or int(record.labels[0]) in (3, 4):  # a hole, or little of the box
            continue
        x0, y0, x1, y1 = record.boxes[0].round().int().tolist()
        pixels = read_pixels(record).float()
        middle = pixels[:, (3 * y0 + y1) // 4 : (y0 + 3 * y1) // 4 + 1, (3 * x0 + x1) // 4 : (x0 + 3 * x1) // 4 + 1]
        ring = torch.ones(64, 64, dtype=torch.bool)
        ring[y0:y1, x0:x1] = False
        ring[: max(y0 - 6, 0)] = ring[y1 + 6 :] = ring[:, : max(x0 - 6, 0)] = ring[:, x1 + 6 :] = False
        apart += bool((middle.mean((1, 2)) - pixels[:, ring].mean(1)).abs().max() > 20)
    eligible = sum(len(r.boxes) > 0 and int(r.labels[0]) not in (3, 4) for r in made.records)
    assert apart > 0.85 * eligible > 20


def test_an_image_depends_on_the_seed_and_its_number_alone() -> None:
    large, small, other = shapes(6, 48, seed=5), shapes(3, 48, seed=5), shapes(3, 48, seed=6)
    for one, two in zip(small.records, large.records, strict=False):
        assert torch.equal(read_pixels(one), read_pixels(two)) and torch.equal(one.boxes, two.boxes)
    assert not torch.equal(read_pixels(small.records[0]), read_pixels(other.records[0]))
    assert {record.key for record in small.records}.isdisjoint(record.key for record in other.records)


def test_numbers_too_small_are_refused() -> None:
    with pytest.raises(RequestError, match="at least 1 image"):
        shapes(0)
    with pytest.raises(RequestError, match="32 x 32 pixels"):
        shapes(1, (8, 64))


Trip = Callable[[DetectionSet, Path], DetectionSet]


def voc_trip(source: DetectionSet, root: Path) -> DetectionSet:
    write_voc(source, root)
    return read_voc(root, "train", classes=source.classes, on_invalid="fail", decode=True)


def coco_trip(source: DetectionSet, root: Path) -> DetectionSet:
    write_coco(source, root)
    return read_coco(root / "annotations/instances_train.json", root / "train", on_invalid="fail", decode=True)


def yolo_trip(source: DetectionSet, root: Path) -> DetectionSet:
    write_yolo(source, root)
    return read_yolo(root, "train", on_invalid="fail", decode=True)


@pytest.mark.parametrize("trip", [voc_trip, coco_trip, yolo_trip])
def test_what_is_written_is_read_again(tmp_path: Path, trip: Trip) -> None:
    source = shapes(5, (40, 56), seed=2)
    read = trip(source, tmp_path)
    assert read.classes == source.classes and len(read) == 5
    for one, two in zip(source.records, read.records, strict=True):
        assert two.image.stem == one.image.stem and two.image_id == one.image_id
        assert torch.equal(read_pixels(two), read_pixels(one)) and torch.equal(two.labels, one.labels)
        torch.testing.assert_close(two.boxes, one.boxes, atol=1e-4, rtol=0)
    assert torch.equal(letterbox(read, 20, 28).images[:], letterbox(source, 20, 28).images[:])


def test_names_are_escaped_and_crowds_survive_where_the_form_has_them(tmp_path: Path) -> None:
    source = shapes(1, 40)
    record = source.records[0]
    crowd = torch.ones_like(record.crowd)
    odd = type(record)(**{**vars(record), "crowd": crowd})
    named = DetectionSet("odd", ("<a&b>", 'c"d', "e", "f: g", "h"), (odd,))
    for trip in (voc_trip, coco_trip, yolo_trip):
        read = trip(named, tmp_path / trip.__name__)
        assert read.classes == named.classes
        record = read.records[0]
        # a crowd comes back from VOC as difficult, which is the nearest that it has
        kept = {voc_trip: record.ignored, coco_trip: record.crowd, yolo_trip: record.crowd}[trip]
        assert kept.tolist() == ([] if trip is yolo_trip else crowd.tolist())
        assert not record.targets.any()


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    one, two = shapes(2, 40).records
    clash = DetectionSet("clash", SHAPES, (one, type(two)(**{**vars(two), "image": one.image})))
    with pytest.raises(RequestError, match="one file name"):
        write_coco(clash, tmp_path)
