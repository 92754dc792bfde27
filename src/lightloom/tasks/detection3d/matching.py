"""Which prediction answers for which box: the assignment of least cost (Carion et al., ECCV 2020)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lightloom.tasks.detection3d.geometry import encode_boxes

_ALPHA = 0.25
_TELLING = 8
"""Numbers of a code that say where and how large a box is; velocities come after them."""

_WORST = 1e6


class Matches(NamedTuple):
    """Pairs of a prediction and a box, over all layers and samples."""

    problem: Tensor
    """Places of layer and sample among the L * B [n], long."""
    query: Tensor
    """Places of the queries among those of the sample [n], long."""
    box: Tensor
    """Places of the boxes among the padded targets of the sample [n], long."""


def class_cost(logits: Tensor, labels: Tensor) -> Tensor:
    """Focal loss of calling a prediction by a label, less that of not calling it so.

    Args:
        logits: [..., Q, classes].
        labels: [..., G], long.

    Returns:
        [..., Q, G].
    """
    chances = logits.sigmoid()
    yes = _ALPHA * (1 - chances).square() * -F.logsigmoid(logits)
    no = (1 - _ALPHA) * chances.square() * -F.logsigmoid(-logits)
    index = labels.unsqueeze(-2).expand(*logits.shape[:-1], -1)
    return (yes - no).gather(-1, index)


@torch.no_grad()
def match(class_logits: Tensor, codes: Tensor, targets: Tensor, *, focal: float, box: float) -> Matches:
    """The cheapest assignment in each layer and sample; all costs go to the CPU at once.

    Args:
        class_logits: [L, B, Q, classes].
        codes: [L, B, Q, 10].
        targets: Padded boxes (x, y, z, w, l, h, yaw, vx, vy, label) [B, most, 10], label -1 for none.
        focal: Weight of the class cost.
        box: Weight of the L1 distance of codes, velocities left out.

    Predictions that are not finite match last: it is their loss that tells of them.
    """
    from scipy.optimize import linear_sum_assignment

    labels = targets[..., 9].long()
    box_codes = encode_boxes(targets[..., :9])[..., :_TELLING].to(codes.dtype)
    cost = focal * class_cost(class_logits.float(), labels.clamp(min=0))
    cost = cost + box * torch.cdist(
        codes[..., :_TELLING].float(), box_codes.float().expand(len(codes), -1, -1, -1), p=1
    )
    is_box = labels >= 0
    layers, samples = class_logits.shape[:2]
    costs, present = cost.flatten(0, 1).nan_to_num(_WORST, _WORST, -_WORST).cpu().numpy(), is_box.cpu().numpy()
    pairs = []
    for problem in range(layers * samples):
        (boxes,) = present[problem % samples].nonzero()
        queries, columns = linear_sum_assignment(costs[problem][:, boxes])
        pairs += [
            (problem, query, place) for query, place in zip(queries.tolist(), boxes[columns].tolist(), strict=True)
        ]
    table = torch.tensor(pairs, dtype=torch.long, device=codes.device).view(-1, 3)
    return Matches(*table.unbind(1))
