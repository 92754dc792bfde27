"""Losses on maps in bird's-eye view (BEV) and for objects on it: where objects are counts, each is 0 at a match.

Pure functions of tensors. `teacher` never needs a gradient; half precision is widened before anything is summed.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from lightloom.learn.distil.terms import paired

_TINY = 1e-6
_SHORT = 1e-3  # vectors shorter than this have no direction to compare; it bounds the gradient there
_CORNERS = 6  # (x0, y0, z0, x1, y1, z1)
_BOX = 10  # (x, y, z, w, l, h, yaw, vx, vy, label)


def gaussian_radius(length: Tensor, width: Tensor, overlap: float = 0.1) -> Tensor:
    """How far, in cells, a box may be moved so that the intersection over union with itself stays above `overlap`.

    The least of three roots, r_i = (b_i + sqrt(b_i^2 - k_i c_i)) / 2, with h, w the sides and o the overlap:
    b_1 = h + w, k_1 c_1 = 4 h w (1 - o) / (1 + o); b_2 = 2 (h + w), k_2 c_2 = 16 h w (1 - o); b_3 = -2 o (h + w),
    k_3 c_3 = -16 o h w (1 - o). The division by 2, and not by 2 a of each equation, is as in the code in use.

    Source: Law and Deng, "CornerNet", ECCV 2018; Zhou et al., "Objects as Points", 2019.

    Args:
        length: [...], in cells.
        width: [...], in cells.
        overlap: o, above 0 and below 1.
    """
    around, area = length + width, length * width
    first = around + (around.square() - 4 * area * (1 - overlap) / (1 + overlap)).clamp(min=0).sqrt()
    second = 2 * around + (4 * around.square() - 16 * (1 - overlap) * area).clamp(min=0).sqrt()
    part = 2 * overlap * around
    third = -part + (part.square() + 16 * overlap * (1 - overlap) * area).sqrt()
    return torch.stack((first, second, third)).amin(0) / 2


@torch.no_grad()
def gaussian_heatmap(
    boxes: Tensor,
    area: tuple[float, float, float, float, float, float],
    shape: tuple[int, int],
    overlap: float = 0.1,
    least: int = 2,
) -> Tensor:
    """A map of where objects are on the ground: 1 in the cell of each centre, falling around it as a Gaussian.

    The radius in whole cells is r = max(floor(`gaussian_radius`), `least`), the deviation (2 r + 1) / 6 cells, and
    nothing is drawn beyond r cells along either side. Where objects meet, the greater value stands. Boxes whose centre
    is outside are not drawn.

    Source: the heatmaps of CenterPoint (Yin et al., CVPR 2021), as the masks of FocalDistiller draw them.

    Args:
        boxes: (x, y, z, w, l, h, yaw, vx, vy, label) in metres and radians [B, most, 10]; label -1 where there is none.
        area: (x0, y0, z0, x1, y1, z1) in metres; columns lie along x, rows along y.
        shape: Rows and columns of the map.
        overlap: Of `gaussian_radius`.
        least: Least radius in cells.

    Returns:
        [B, 1, rows, columns], between 0 and 1; 0 everywhere without boxes.

    Raises:
        ValueError: The boxes have another form.
    """
    if boxes.ndim != 3 or boxes.shape[-1] != _BOX or len(area) != _CORNERS:
        raise ValueError(
            f"boxes are {tuple(boxes.shape)} in an area of {len(area)} numbers; "
            f"give [batch, most, {_BOX}] and {_CORNERS} numbers"
        )
    rows, columns = shape
    cell_x, cell_y = (area[3] - area[0]) / columns, (area[4] - area[1]) / rows
    column, row = ((boxes[..., 0] - area[0]) / cell_x).floor(), ((boxes[..., 1] - area[1]) / cell_y).floor()
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows) & (boxes[..., 9] >= 0)
    radius = gaussian_radius(boxes[..., 4] / cell_x, boxes[..., 3] / cell_y, overlap).floor().clamp(min=least)
    across = _bell(column, radius, columns) * inside[..., None]
    down = _bell(row, radius, rows)
    heat = boxes.new_zeros(len(boxes), 1, rows, columns)
    if boxes.shape[1]:
        # sample by sample: all pairs of boxes and cells of a batch at once would be the largest tensor of a training
        for number in range(len(boxes)):
            heat[number, 0] = (down[number, :, :, None] * across[number, :, None, :]).amax(0)
    return heat


def _bell(centre: Tensor, radius: Tensor, cells: int) -> Tensor:
    """[B, most] -> [B, most, cells]."""
    distance = (torch.arange(cells, device=centre.device) - centre[..., None]).abs()
    deviation = (2 * radius[..., None] + 1) / 6
    return torch.exp(-distance.square() / (2 * deviation.square())) * (distance <= radius[..., None])


def masked_l2(teacher: Tensor, student: Tensor, mask: Tensor) -> Tensor:
    """Square distance of two maps where the mask is: sum over all of (m S - m T)^2 / sum of m; 0 without a mask.

    Summed over channels and averaged over what the mask covers; the mask counts squared above, as published.

    Source: HeatmapDistiller, in the code of FocalDistiller (Zeng et al., CVPR 2023).

    Args:
        teacher: [B, C, h, w].
        student: [B, C, h, w], restored to the teacher's width and positions.
        mask: [B, 1, h, w], at least 0.

    Raises:
        ValueError: The shapes differ.
    """
    teacher, student = paired(teacher, student)
    return (mask * (student - teacher)).square().sum() / mask.sum().clamp(min=_TINY)


def masked_kl(teacher: Tensor, student: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """Divergence of the channels of each cell: T^2 x sum of m KL(p_T || p_S) / sum of m, p = softmax over channels.

    Blind to the scale that a whole cell is shifted by, unlike `masked_l2`.

    Args:
        teacher: [B, C, h, w].
        student: [B, C, h, w], restored to the teacher's width and positions.
        mask: [B, 1, h, w], at least 0.
        temperature: T, above 0.

    Raises:
        ValueError: The shapes differ.
    """
    teacher, student = paired(teacher, student)
    log_teacher, log_student = (F.log_softmax(x / temperature, dim=1) for x in (teacher, student))
    divergence = F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(1, keepdim=True)
    return temperature**2 * (mask * divergence).sum() / mask.sum().clamp(min=_TINY)


def generative(teacher: Tensor, generated: Tensor, weight: Tensor) -> Tensor:
    """Square distance of what a generator made of a part of the student's map: weighted mean over cells and channels.

    L = sum of w (G - T)^2 / (C sum of w); 0 where nothing has a weight. A mean, unlike the published sum over an image,
    keeps its size whatever the number of cells, channels and objects.

    Source: Yang et al., "Masked Generative Distillation", ECCV 2022.

    Args:
        teacher: [B, C, h, w].
        generated: [B, C, h, w].
        weight: [B, 1, h, w], at least 0.

    Raises:
        ValueError: The shapes differ.
    """
    teacher, generated = paired(teacher, generated)
    distance = (generated - teacher).square().mean(1, keepdim=True)
    return (weight * distance).sum() / weight.sum().clamp(min=_TINY)


def focal_pairs(teacher: Tensor, student: Tensor, weight: Tensor) -> Tensor:
    """Square distance of directions of paired vectors, weighted mean: sum of w ||t / |t| - s / |s|||^2 / sum of w.

    Between 0 and 4; 0 where nothing has a weight.

    Source: the focal distillation of FD3D (Zeng et al., "Distilling Focal Knowledge from Imperfect Expert for 3D Object
    Detection", CVPR 2023). Its loss is not public; the directions and the weighted mean are this library's.

    Args:
        teacher: [..., C], sampled from the teacher's map.
        student: [..., C], sampled from the student's map at the same places.
        weight: [...], at least 0.

    Raises:
        ValueError: The shapes differ.
    """
    teacher, student = paired(teacher, student)
    teacher, student = (F.normalize(x, dim=-1, eps=_SHORT) for x in (teacher, student))
    return (weight * (teacher - student).square().sum(-1)).sum() / weight.sum().clamp(min=_TINY)
