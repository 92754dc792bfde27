"""COCO's figures: against pycocotools, and where they are known by hand."""

import contextlib
import io
from pathlib import Path

import pytest
import torch

from lightloom.common.errors import RequestError
from lightloom.data.detection import DetectionSet, Record
from lightloom.tasks.detection2d import Detections, evaluate
from lightloom.tasks.detection2d.boxes import iou
from lightloom.tasks.detection2d.evaluate import METRICS


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
    ours = evaluate(truth, found).metrics
    assert [ours[name] for name in METRICS] == pytest.approx(by_pycocotools(truth, found), abs=1e-4)
    assert 0 < ours["AP"] < 0.9


def test_finding_everything_is_1_and_nothing_is_0() -> None:
    truth = scene(0)
    right = [
        Detections(r.boxes[~r.crowd], torch.ones(int((~r.crowd).sum())), r.labels[~r.crowd]) for r in truth.records
    ]
    none = [Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64)) for _ in truth.records]
    best, worst = evaluate(truth, right), evaluate(truth, none)
    assert best.metrics["AP"] == pytest.approx(1) and list(best.per_class.values()) == pytest.approx([1, 1, 1])
    assert worst.metrics["AP"] == 0
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
    assert found.metrics["AP"] == pytest.approx((found.per_class["a"] + found.per_class["b"]) / 2)


def test_as_many_detections_as_images() -> None:
    with pytest.raises(RequestError, match="for 1 images, and the set has 12"):
        evaluate(scene(0), guesses(scene(0), 0)[:1])


def one_image(boxes: list[list[float]], difficult: list[bool], crowd: list[bool] | None = None) -> DetectionSet:
    count = len(boxes)
    record = Record(
        Path("a.jpg"), 1, "a", 640, 480, torch.tensor(boxes), torch.zeros(count, dtype=torch.int64),
        torch.tensor(crowd or [False] * count), difficult=torch.tensor(difficult),
    )  # fmt: skip
    return DetectionSet("one", ("a",), (record,))


def seen(*rows: tuple[list[float], float]) -> list[Detections]:
    boxes, scores = torch.tensor([box for box, _ in rows]), torch.tensor([score for _, score in rows])
    return [Detections(boxes, scores, torch.zeros(len(rows), dtype=torch.int64))]


def test_a_difficult_object_counts_as_in_the_challenge() -> None:
    plain, hard = [10.0, 10.0, 110.0, 110.0], [200.0, 200.0, 400.0, 400.0]
    inside, close = [220.0, 220.0, 260.0, 260.0], [205.0, 205.0, 405.0, 405.0]
    truth = one_image([plain, hard], [False, True])
    # missed, found, or found several times: it makes no difference
    for found in (seen((plain, 0.5)), seen((hard, 0.9), (plain, 0.5)), seen((hard, 0.9), (close, 0.8), (plain, 0.5))):
        assert evaluate(truth, found).metrics["AP50"] == pytest.approx(1)
        assert evaluate(truth, found).metrics["AR100"] == pytest.approx(1)
    # a small part of it overlaps too little, and is wrong as anywhere: a crowd would have taken it
    wrong = evaluate(truth, seen((inside, 0.9), (plain, 0.5))).metrics["AP50"]
    assert wrong == pytest.approx(0.5)
    crowd = one_image([plain, hard], [False, False], [False, True])
    assert evaluate(crowd, seen((inside, 0.9), (plain, 0.5))).metrics["AP50"] == pytest.approx(1)
    nothing = evaluate(one_image([hard], [True]), seen((hard, 0.9)))
    assert nothing.metrics["AP"] == -1 and nothing.per_class == {"a": -1}


def devkit(truth: DetectionSet, found: list[Detections], label: int) -> tuple[list[bool], int]:
    """Of each detection by falling score whether it is right, without those that the challenge ignores; and targets."""
    rows = [(float(s), number, b) for number, d in enumerate(found)
            for b, s, one in zip(d.boxes, d.scores, d.labels, strict=True) if int(one) == label]  # fmt: skip
    taken: set[tuple[int, int]] = set()
    right: list[bool] = []
    for _, number, box in sorted(rows, key=lambda row: -row[0]):
        record = truth.records[number]
        own = [place for place in range(len(record.labels)) if int(record.labels[place]) == label]
        overlaps = iou(box[None], record.boxes[own])[0].tolist() if own else []
        best = max(range(len(own)), key=lambda place: overlaps[place], default=-1)
        if best < 0 or overlaps[best] < 0.5:
            right.append(False)
        elif not record.ignored[own[best]]:
            right.append((number, own[best]) not in taken)
            taken.add((number, own[best]))
    targets = sum(int((record.targets & (record.labels == label)).sum()) for record in truth.records)
    return right, targets


@pytest.mark.parametrize("seed", range(4))
def test_precision_over_recall_is_that_of_the_challenge(seed: int) -> None:
    """Objects apart from each other, where COCO's and VOC's ways to pair are one."""
    generator = torch.Generator().manual_seed(seed)
    records, found = [], []
    for number in range(10):
        near = torch.tensor([[x, y] for x in (0.0, 200.0, 400.0) for y in (0.0, 240.0)])
        boxes = torch.cat((near, near + 60 + 60 * torch.rand(6, 2, generator=generator)), 1)
        labels = torch.randint(2, (6,), generator=generator)
        hard = torch.rand(6, generator=generator) < 0.4
        none = torch.zeros(6, dtype=torch.bool)
        records.append(
            Record(Path(f"{number}.jpg"), number + 1, str(number), 640, 480, boxes, labels, none, difficult=hard)
        )
        moved = boxes.repeat(3, 1) + 25 * torch.randn(18, 4, generator=generator)
        moved = torch.cat((moved[:, :2], torch.maximum(moved[:, 2:], moved[:, :2] + 5)), 1)
        found.append(Detections(moved, torch.rand(18, generator=generator), labels.repeat(3)))
    truth = DetectionSet("apart", ("a", "b"), tuple(records))
    precision = evaluate(truth, found)
    for label, name in enumerate(truth.classes):
        right, targets = devkit(truth, found, label)
        hits = 0
        points = []
        for place, hit in enumerate(right, 1):
            hits += hit
            points.append((hits / targets, hits / place))
        expected = [max((p for r, p in points if r >= recall), default=0.0) for recall in precision.recall]
        assert precision.curves[name] == pytest.approx(expected, abs=1e-6)
