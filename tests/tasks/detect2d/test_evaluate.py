"""COCO's figures: against pycocotools, and where they are known by hand."""

import contextlib
import io
from pathlib import Path

import pytest
import torch

from lightloom.common.errors import RequestError
from lightloom.data.detection import DetectionSet, Record
from lightloom.tasks.detect2d import Detections, evaluate
from lightloom.tasks.detect2d.evaluate import FIGURES


def scene(seed: int, images: int = 12, classes: int = 3) -> DetectionSet:
    """Random boxes of all sizes; some are crowds, some images are empty, ids are not in a row."""
    generator = torch.Generator().manual_seed(seed)
    records = []
    for number in range(images):
        count = 0 if number % 5 == 4 else int(torch.randint(1, 9, (), generator=generator))
        near = 300 * torch.rand(count, 2, generator=generator)
        sides = torch.exp(2 + 3.2 * torch.rand(count, 2, generator=generator))
        boxes = torch.cat((near, near + sides), 1)
        labels = torch.randint(classes, (count,), generator=generator)
        crowd = torch.rand(count, generator=generator) < 0.1
        records.append(Record(Path(f"{number}.jpg"), 7 * number + 3, str(number), 640, 480, boxes, labels, crowd))
    return DetectionSet("random", ("a", "b", "c"), tuple(records))


def guesses(truth: DetectionSet, seed: int) -> list[Detections]:
    """What is there, somewhat off, sometimes of another class, and much that is not there."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for record in truth.records:
        moved = record.boxes + 6 * torch.randn(record.boxes.shape, generator=generator)
        moved = torch.cat((moved[:, :2], torch.maximum(moved[:, 2:], moved[:, :2] + 1)), 1)
        wrong = torch.rand(len(moved), generator=generator) < 0.2
        labels = torch.where(wrong, (record.labels + 1) % 3, record.labels)
        near = 300 * torch.rand(15, 2, generator=generator)
        noise = torch.cat((near, near + 60 * torch.rand(15, 2, generator=generator) + 1), 1)
        boxes = torch.cat((moved, noise))
        labels = torch.cat((labels, torch.randint(3, (15,), generator=generator)))
        found.append(Detections(boxes, torch.rand(len(boxes), generator=generator), labels))
    return found


def by_pycocotools(truth: DetectionSet, found: list[Detections]) -> list[float]:
    pytest.importorskip("pycocotools", reason="pycocotools, the independent count, is not installed")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        wanted = COCO()
        wanted.dataset = {"info": {}, **truth.coco()}
        wanted.createIndex()
        rows = [
            {"image_id": record.image_id, "category_id": label, "score": score,
             "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]]}
            for record, seen in zip(truth.records, found, strict=True)
            for box, score, label in zip(*(part.tolist() for part in seen), strict=True)
        ]  # fmt: skip
        judge = COCOeval(wanted, wanted.loadRes(rows), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return [float(value) for value in judge.stats]


@pytest.mark.parametrize("seed", range(5))
def test_all_twelve_figures_are_those_of_pycocotools(seed: int) -> None:
    truth = scene(seed)
    found = guesses(truth, seed + 100)
    ours = evaluate(truth, found).figures
    assert [ours[name] for name in FIGURES] == pytest.approx(by_pycocotools(truth, found), abs=1e-4)
    assert 0 < ours["AP"] < 0.9


def test_finding_everything_is_1_and_nothing_is_0() -> None:
    truth = scene(0)
    right = [
        Detections(r.boxes[~r.crowd], torch.ones(int((~r.crowd).sum())), r.labels[~r.crowd]) for r in truth.records
    ]
    none = [Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64)) for _ in truth.records]
    best, worst = evaluate(truth, right), evaluate(truth, none)
    assert best.figures["AP"] == pytest.approx(1) and list(best.per_class.values()) == pytest.approx([1, 1, 1])
    assert worst.figures["AP"] == 0
    assert best.recall == pytest.approx([n / 100 for n in range(101)])
    assert best.curves["all"] == pytest.approx([1.0] * 101)


def test_a_class_of_which_there_is_nothing_does_not_count() -> None:
    truth = scene(1)
    kept = [
        Record(r.image, r.image_id, r.key, r.width, r.height, r.boxes[r.labels < 2], r.labels[r.labels < 2],
               r.crowd[r.labels < 2])
        for r in truth.records
    ]  # fmt: skip
    without = DetectionSet("two of three", truth.classes, tuple(kept))
    found = evaluate(without, guesses(without, 0))
    assert found.per_class["c"] == -1 and "c" not in found.curves
    assert found.figures["AP"] == pytest.approx((found.per_class["a"] + found.per_class["b"]) / 2)


def test_as_many_detections_as_images() -> None:
    with pytest.raises(RequestError, match="for 1 images, and the set has 12"):
        evaluate(scene(0), guesses(scene(0), 0)[:1])
