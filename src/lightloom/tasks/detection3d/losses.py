"""The loss of predictions after every layer: focal for classes (Lin et al., ICCV 2017), L1 for the codes of boxes."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from lightloom.tasks.detection3d.geometry import CODE, encode_boxes
from lightloom.tasks.detection3d.matching import Matches, match
from lightloom.tasks.detection3d.sizes import Detector3DConfig

_ALPHA, _GAMMA = 0.25, 2.0


def focal(logits: Tensor, labels: Tensor) -> Tensor:
    """Focal loss of each logit.

    Args:
        logits: [...], of one sigmoid per class.
        labels: [...], 1 or 0.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    chances = logits.sigmoid()
    wrong = torch.where(labels > 0, 1 - chances, chances)
    balance = torch.where(labels > 0, _ALPHA, 1 - _ALPHA)
    return balance * wrong**_GAMMA * entropy


class HeadOutput(Protocol):
    """The output of a decoder, alone or within the output of a detector."""

    @property
    def class_logits(self) -> Tensor:
        """[L, B, Q, classes]."""
        ...

    @property
    def codes(self) -> Tensor:
        """[L, B, Q, 10]."""
        ...

    @property
    def heat(self) -> Tensor | None:
        """[B, classes, rows, columns]."""
        ...


def decoded_loss(output: HeadOutput, targets: Tensor, config: Detector3DConfig) -> dict[str, Tensor]:
    """`classes`, `boxes` and, where queries start from the ground, `heat`.

    Args:
        output: Output of a decoder, or of a detector.
        targets: Padded boxes, as of `detection_loss`.
        config: Weights of the terms, and the range of the BEV map.
    """
    terms = detection_loss(output.class_logits, output.codes, targets, config)
    if output.heat is not None:
        terms["heat"] = config.heat * heat_loss(output.heat, targets, config)
    return terms


def heat_loss(heat: Tensor, targets: Tensor, config: Detector3DConfig) -> Tensor:
    """Focal loss of cells [B, classes, rows, columns], 1 where a box of the class has its centre; per box.

    Args:
        heat: Logits [B, classes, rows, columns].
        targets: Padded boxes, as of `detection_loss`.
        config: The range of the BEV map.
    """
    rows, columns = heat.shape[-2:]
    x0, y0, _, x1, y1, _ = config.area
    column = ((targets[..., 0] - x0) / (x1 - x0) * columns).floor().long()
    row = ((targets[..., 1] - y0) / (y1 - y0) * rows).floor().long()
    real = (targets[..., 9] >= 0) & (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    sample, place = real.nonzero(as_tuple=True)
    labels = torch.zeros_like(heat, dtype=torch.float32)
    labels[sample, targets[sample, place, 9].long(), row[sample, place], column[sample, place]] = 1
    return focal(heat.float(), labels).sum() / (targets[..., 9] >= 0).sum().clamp(min=1)


def detection_loss(
    class_logits: Tensor, codes: Tensor, targets: Tensor, config: Detector3DConfig, matches: Matches | None = None
) -> dict[str, Tensor]:
    """`classes` and `boxes`: the two parts of the loss, over the boxes of the batch, summed over layers.

    Args:
        class_logits: [L, B, Q, classes].
        codes: [L, B, Q, 10].
        targets: Padded boxes (x, y, z, w, l, h, yaw, vx, vy, label) [B, most, 10], label -1 for none; a velocity
            that is not known is NaN, and counts for nothing.
        config: Weights.
        matches: Of `match`; None has it made here.
    """
    if matches is None:
        matches = match(class_logits, codes, targets, focal=config.focal, box=config.box)
    samples = targets.shape[0]
    boxes = targets[matches.problem % samples, matches.box]
    logits, predicted = class_logits.flatten(0, 1).float(), codes.flatten(0, 1).float()
    labels = torch.zeros_like(logits)
    labels[matches.problem, matches.query, boxes[:, 9].long()] = 1
    count = (targets[..., 9] >= 0).sum().clamp(min=1)
    weights = predicted.new_tensor([1.0] * (CODE - 2) + [config.velocity] * 2)
    truth = encode_boxes(boxes[:, :9]).to(predicted.dtype)
    is_known = truth.isfinite()
    apart = (predicted[matches.problem, matches.query] - truth.nan_to_num()).abs()
    off = torch.where(is_known, apart * weights, 0).sum()
    return {
        "classes": config.focal * focal(logits, labels).sum() / count,
        "boxes": config.box * off / count,
    }
