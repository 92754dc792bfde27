"""The loss of predictions after every layer: focal for classes (Lin et al., ICCV 2017), L1 for the codes of boxes."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from lightloom.tasks.detection3d.sizes import Detector3DConfig
from lightloom.tasks.detection3d.geometry import CODE, encode_boxes
from lightloom.tasks.detection3d.matching import Matched, match

_ALPHA, _GAMMA = 0.25, 2.0


def focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """Focal loss of each logit; `wanted` is 1 or 0."""
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    chances = logits.sigmoid()
    wrong = torch.where(wanted > 0, 1 - chances, chances)
    balance = torch.where(wanted > 0, _ALPHA, 1 - _ALPHA)
    return balance * wrong**_GAMMA * entropy


class Said(Protocol):
    """What a decoder said, alone or within the output of a detector."""

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


def decoded_loss(said: Said, targets: Tensor, config: Detector3DConfig) -> dict[str, Tensor]:
    """`classes`, `boxes` and, where queries start from the ground, `heat`.

    Args:
        said: By a decoder.
        targets: As of `detection_loss`.
        config: Weights and area.
    """
    terms = detection_loss(said.class_logits, said.codes, targets, config)
    if said.heat is not None:
        terms["heat"] = config.heat * heat_loss(said.heat, targets, config)
    return terms


def heat_loss(heat: Tensor, targets: Tensor, config: Detector3DConfig) -> Tensor:
    """Focal loss of cells [B, classes, rows, columns], 1 where a box of the class has its centre; per box."""
    rows, columns = heat.shape[-2:]
    x0, y0, _, x1, y1, _ = config.area
    column = ((targets[..., 0] - x0) / (x1 - x0) * columns).floor().long()
    row = ((targets[..., 1] - y0) / (y1 - y0) * rows).floor().long()
    real = (targets[..., 9] >= 0) & (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    sample, place = real.nonzero(as_tuple=True)
    wanted = torch.zeros_like(heat, dtype=torch.float32)
    wanted[sample, targets[sample, place, 9].long(), row[sample, place], column[sample, place]] = 1
    return focal(heat.float(), wanted).sum() / (targets[..., 9] >= 0).sum().clamp(min=1)


def detection_loss(
    class_logits: Tensor, codes: Tensor, targets: Tensor, config: Detector3DConfig, matched: Matched | None = None
) -> dict[str, Tensor]:
    """`classes` and `boxes`: the two parts of the loss, over the boxes of the batch, summed over layers.

    Args:
        class_logits: [L, B, Q, classes].
        codes: [L, B, Q, 10].
        targets: Padded boxes (x, y, z, w, l, h, yaw, vx, vy, label) [B, most, 10], label -1 for none; a velocity
            that is not known is NaN, and counts for nothing.
        config: Weights.
        matched: Of `match`; None has it made here.
    """
    if matched is None:
        matched = match(class_logits, codes, targets, focal=config.focal, box=config.box)
    samples = targets.shape[0]
    boxes = targets[matched.problem % samples, matched.box]
    logits, predicted = class_logits.flatten(0, 1).float(), codes.flatten(0, 1).float()
    wanted = torch.zeros_like(logits)
    wanted[matched.problem, matched.query, boxes[:, 9].long()] = 1
    count = (targets[..., 9] >= 0).sum().clamp(min=1)
    weights = predicted.new_tensor([1.0] * (CODE - 2) + [config.velocity] * 2)
    truth = encode_boxes(boxes[:, :9]).to(predicted.dtype)
    known = truth.isfinite()
    apart = (predicted[matched.problem, matched.query] - truth.nan_to_num()).abs()
    off = torch.where(known, apart * weights, 0).sum()
    return {
        "classes": config.focal * focal(logits, wanted).sum() / count,
        "boxes": config.box * off / count,
    }
