"""What each point of a pyramid has to say of the objects in an image, and what it costs to say something else."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lightloom.tasks.detection2d.boxes import area
from lightloom.tasks.detection2d.fcos import FCOSConfig

ALPHA, GAMMA = 0.25, 2.0
"""Weight and exponent of the focal loss (Lin et al., ICCV 2017)."""


class Assigned(NamedTuple):
    """Targets of P points in each of B images."""

    labels: Tensor
    """Class of each point, -1 for background [B, P]."""
    distances: Tensor
    """Distances to left, top, right and bottom edge in pixels; of no meaning in the background [B, P, 4]."""


def assign(places: Tensor, strides: Tensor, reach: Tensor, targets: Tensor, centre: float | None = None) -> Assigned:
    """The object that each point answers for: the smallest around it that is in the reach of its level.

    Args:
        places: (x, y) of all points of all levels [P, 2], in pixels.
        strides: Of the level of each point [P].
        reach: Least and greatest distance to the farthest edge, of the level of each point [P, 2], both included.
        targets: (x0, y0, x1, y1, label) [B, most, 5]; label -1 where there is no object.
        centre: Points further than so many strides from an object's centre do not answer for it; None: all inside do.
    """
    boxes, labels = targets[..., :4], targets[..., 4].to(torch.int64)
    near = places[None, :, None] - boxes[:, None, :, :2]
    far = boxes[:, None, :, 2:] - places[None, :, None]
    distances = torch.cat((near, far), -1)  # [B, P, most, 4]
    farthest = distances.amax(-1)
    answers = (farthest >= reach[:, :1]) & (farthest <= reach[:, 1:]) & (labels >= 0)[:, None]
    answers &= _inside(distances, places, strides, boxes, centre)
    sizes = torch.where(answers, area(boxes)[:, None], torch.inf)
    if sizes.shape[-1] == 0:
        nothing = torch.full(sizes.shape[:2], -1, device=places.device)
        return Assigned(nothing, torch.ones(*sizes.shape[:2], 4, device=places.device))
    smallest, which = sizes.min(-1)
    assigned_labels = torch.where(smallest.isfinite(), labels.gather(1, which), -1)
    return Assigned(assigned_labels, distances.gather(2, which[..., None, None].expand(-1, -1, 1, 4)).squeeze(2))


def _inside(distances: Tensor, places: Tensor, strides: Tensor, boxes: Tensor, centre: float | None) -> Tensor:
    if centre is None:
        return distances.amin(-1) > 0
    middle = (boxes[:, None, :, :2] + boxes[:, None, :, 2:]) / 2
    offset = (places[None, :, None] - middle).abs().amax(-1)
    return (distances.amin(-1) > 0) & (offset < centre * strides[:, None])


def centerness(distances: Tensor) -> Tensor:
    """How central a point is in its object [..., 4]: 1 in the middle, 0 at an edge."""
    across, down = distances[..., ::2], distances[..., 1::2]
    return (across.amin(-1) / across.amax(-1) * (down.amin(-1) / down.amax(-1))).clamp(min=0).sqrt()


def focal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum over points and classes of the focal loss of logits [n, C] for labels [n], -1 for none of the classes.

    Args:
        logits: [n, C], of one sigmoid per class.
        labels: [n], long; -1 for none of the classes.
    """
    one_hot = F.one_hot(labels.clamp(min=0), logits.shape[-1]).to(logits.dtype) * (labels >= 0)[:, None]
    chance = logits.sigmoid()
    wrong = torch.where(one_hot > 0, 1 - chance, chance)
    weight = torch.where(one_hot > 0, ALPHA, 1 - ALPHA) * wrong**GAMMA
    return (weight * F.binary_cross_entropy_with_logits(logits, one_hot, reduction="none")).sum()


def overlap_loss(predicted: Tensor, truth: Tensor, kind: str) -> Tensor:
    """Loss of distances [n, 4] from one point to the edges of two boxes: [n].

    `log` is -log(IoU), `giou` is 1 - IoU + the share of the box around both that neither fills (Rezatofighi et al.,
    CVPR 2019).

    Args:
        predicted: Predicted distances to left, top, right and bottom [n, 4].
        truth: True distances in the same unit [n, 4].
        kind: `log` or `giou`.
    """
    shared = _area(torch.minimum(predicted, truth))
    union = _area(predicted) + _area(truth) - shared
    iou = shared / union
    if kind == "log":
        return -iou.clamp(min=1e-6).log()
    around = _area(torch.maximum(predicted, truth))
    return 1 - iou + (around - union) / around


def _area(distances: Tensor) -> Tensor:
    return (distances[..., 0] + distances[..., 2]) * (distances[..., 1] + distances[..., 3])


def fcos_loss(
    logits: Tensor, distances: Tensor, centres: Tensor, assigned: Assigned, config: FCOSConfig
) -> dict[str, Tensor]:
    """The three losses: focal over the number of points with an object, overlap weighted by centerness, centerness.

    Args:
        logits: [B, P, C].
        distances: [B, P, 4] in pixels.
        centres: [B, P] logits.
        assigned: Targets.
        config: Which loss of boxes.

    Returns:
        `classes`, `boxes` and `centres`, scalars; the last two are 0 where nothing is to be found.
    """
    labels = assigned.labels.flatten()
    positive = labels >= 0
    count = positive.sum().clamp(min=1)
    losses = {"classes": focal_loss(logits.flatten(0, 1).float(), labels) / count}
    predicted, truth = distances.flatten(0, 1)[positive], assigned.distances.flatten(0, 1)[positive]
    centre, centre_logits = centerness(truth), centres.flatten()[positive].float()
    weight = centre.sum().clamp(min=1e-6)
    losses["boxes"] = (overlap_loss(predicted, truth, config.overlap) * centre).sum() / weight
    losses["centres"] = F.binary_cross_entropy_with_logits(centre_logits, centre, reduction="sum") / count
    return losses
