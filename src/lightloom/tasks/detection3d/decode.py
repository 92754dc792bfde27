"""Boxes from predictions: the best pairs of a query and a class, nothing suppressed."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.tasks.detection3d.geometry import decode_boxes


class Boxes(NamedTuple):
    """Boxes of one frame, best first, in its ego frame."""

    boxes: Tensor
    """(x, y, z, w, l, h, yaw, vx, vy) in metres, radians and m/s [n, 9]."""
    scores: Tensor
    """Scores of the boxes, 0 ... 1 [n]."""
    labels: Tensor
    """Class numbers of the boxes [n], long."""


@torch.no_grad()
def decode(class_logits: Tensor, codes: Tensor, *, most: int, score: float) -> list[Boxes]:
    """Boxes in each frame of a batch.

    Args:
        class_logits: Of the last layer [B, Q, classes].
        codes: [B, Q, 10].
        most: Boxes in a frame.
        score: Boxes that score no more are left out.
    """
    classes = class_logits.shape[-1]
    scores = class_logits.float().sigmoid().flatten(1)
    best = scores.topk(min(most, scores.shape[1]), dim=1)
    detections = []
    for values, places, code in zip(best.values, best.indices, codes.float(), strict=True):
        is_above = values > score
        places = places[is_above]
        detections.append(Boxes(decode_boxes(code[places // classes]), values[is_above], places % classes))
    return detections
