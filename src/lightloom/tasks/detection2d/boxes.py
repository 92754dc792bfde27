"""Boxes in pixels, (x0, y0, x1, y1) with the far edges outside: overlap, and one detection where there were many."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Detections(NamedTuple):
    """What was found in one image, the most certain first."""

    boxes: Tensor
    """Edges of the boxes x0, y0, x1, y1 in pixels [n, 4]."""
    scores: Tensor
    """Scores of the boxes, 0 ... 1 [n]."""
    labels: Tensor
    """Class numbers of the boxes [n]."""

    def above(self, threshold: float) -> Detections:
        """Those with at least this score."""
        selected = self.scores >= threshold
        return Detections(self.boxes[selected], self.scores[selected], self.labels[selected])

    def within(self, scale: float, width: int, height: int) -> Detections:
        """The same in pixels of the image that was letterboxed, cut at its edges; what lies in the padding alone goes.

        Args:
            scale: Pixels of the frame per pixel of the image.
            width: Of the image.
            height: Likewise.
        """
        edges = torch.tensor([width, height, width, height], dtype=self.boxes.dtype, device=self.boxes.device)
        boxes = torch.minimum((self.boxes / scale).clamp(min=0), edges)
        selected = area(boxes) > 0
        return Detections(boxes[selected], self.scores[selected], self.labels[selected])


def area(boxes: Tensor) -> Tensor:
    """Area of boxes [..., 4]; 0 where a box is inside out."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of each of [n, 4] with each of [m, 4], as [n, m]; 0 where both are empty.

    Args:
        one: Boxes (x0, y0, x1, y1) [n, 4].
        other: Boxes in the same unit [m, 4].
    """
    near = torch.maximum(one[:, None, :2], other[None, :, :2])
    far = torch.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = (far - near).clamp(min=0).prod(-1)
    union = area(one)[:, None] + area(other)[None] - shared
    return torch.where(union > 0, shared / union.clamp(min=torch.finfo(union.dtype).tiny), 0)


def nms(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Non-maximum suppression within each class: which boxes stay, the most certain first.

    Going down the scores, a box goes where one of its class that stays overlaps it by more than `threshold`. All rows
    of the overlap matrix are settled together: a box that stays can only change what it suppresses, so the decision
    spreads down every chain of overlaps by one box in a round, and the rounds end when nothing changes.

    Args:
        boxes: [n, 4].
        scores: [n].
        labels: [n].
        threshold: Intersection over union.

    Returns:
        Indices [m].
    """
    order = scores.argsort(descending=True, stable=True)
    boxes, labels = boxes[order], labels[order]
    rivals = (iou(boxes, boxes) > threshold) & (labels[:, None] == labels)
    beaten_by = rivals.triu(1).to(torch.float32)  # row beats column
    stays = torch.ones(len(order), dtype=torch.bool, device=boxes.device)
    while True:
        settled = stays.to(torch.float32) @ beaten_by == 0
        if torch.equal(settled, stays):
            return order[stays]
        stays = settled
