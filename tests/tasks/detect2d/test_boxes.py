"""Boxes against brute force."""

import pytest
import torch
from torch import Tensor

from lightloom.tasks.detection2d import Detections, iou, nms


def boxes(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    near = 80 * torch.rand(count, 2, generator=generator)
    return torch.cat((near, near + 1 + 40 * torch.rand(count, 2, generator=generator)), 1)


def painted(box: Tensor) -> Tensor:
    """The pixels of a box with whole edges."""
    x0, y0, x1, y1 = (int(edge) for edge in box)
    canvas = torch.zeros(130, 130, dtype=torch.bool)
    canvas[y0:y1, x0:x1] = True
    return canvas


def one_by_one(found: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> list[int]:
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        rivals = [other for other in kept if labels[other] == labels[index]]
        if all(iou(found[index : index + 1], found[other : other + 1]) <= threshold for other in rivals):
            kept.append(index)
    return kept


def test_overlap_is_that_of_painted_pixels() -> None:
    whole = boxes(12).round()
    expected = torch.tensor(
        [[float((painted(a) & painted(b)).sum() / (painted(a) | painted(b)).sum()) for b in whole] for a in whole]
    )
    torch.testing.assert_close(iou(whole, whole), expected)


def test_empty_boxes_overlap_nothing() -> None:
    empty = torch.tensor([[5.0, 5.0, 5.0, 9.0]])
    assert iou(empty, empty).item() == 0
    assert iou(empty, boxes(3)).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(4))
def test_suppression_is_that_of_going_down_the_list(seed: int, threshold: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    found = boxes(120, seed)
    scores, labels = torch.rand(120, generator=generator), torch.randint(3, (120,), generator=generator)
    assert nms(found, scores, labels, threshold).tolist() == one_by_one(found, scores, labels, threshold)


def test_a_chain_of_overlaps_is_settled_from_the_top() -> None:
    """Each overlaps its neighbours alone: every other one stays."""
    shifts = 4.0 * torch.arange(9.0)
    chain = torch.stack((shifts, torch.zeros(9), shifts + 10, torch.full((9,), 10.0)), 1)
    kept = nms(chain, torch.linspace(1, 0.1, 9), torch.zeros(9, dtype=torch.int64), 0.3)
    assert kept.tolist() == [0, 2, 4, 6, 8]


def test_nothing_found_stays_nothing() -> None:
    none = torch.zeros(0)
    assert nms(torch.zeros(0, 4), none, none.long(), 0.5).tolist() == []


def test_detections_are_those_of_the_image_without_its_padding() -> None:
    """An image of 20 x 10 at half scale, in a frame of 10 x 10: one box in it, one across its lower edge, one below."""
    boxes = torch.tensor([[1.0, 2, 3, 4], [5, 3, 7, 8], [1, 6, 4, 9], [2, 2, 3, 3]])
    found = Detections(boxes, torch.tensor([0.9, 0.8, 0.7, 0.2]), torch.tensor([1, 0, 2, 0]))
    kept = found.above(0.5).within(0.5, 20, 10)
    assert kept.boxes.tolist() == [[2, 4, 6, 8], [10, 6, 14, 10]]
    assert (kept.scores.tolist(), kept.labels.tolist()) == ([pytest.approx(0.9), pytest.approx(0.8)], [1, 0])
