"""Where objects are on maps: rotated rectangles on the ground, and the extents of boxes in each camera."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.tasks.detection3d.geometry import decode_boxes

_NEAR = 0.1  # metres along the optical axis; a box is cut there, so that its extent in the image is finite
_UNIT = tuple((x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5))
_EDGES = tuple(
    (i, j) for i in range(8) for j in range(i) if sum(a != b for a, b in zip(_UNIT[i], _UNIT[j], strict=True)) == 1
)


class Objects(NamedTuple):
    """Boxes that masks are made of."""

    boxes: Tensor
    """(x, y, z, w, l, h, yaw, vx, vy) in metres and radians [B, K, 9]."""
    valid: Tensor
    """Whether there is such a box [B, K], bool."""


@torch.no_grad()
def detected_objects(class_logits: Tensor, codes: Tensor, most: int, score: float) -> Objects:
    """The boxes of the queries that are surest of an object.

    Args:
        class_logits: [B, Q, classes].
        codes: [B, Q, 10].
        most: How many at most.
        score: Only those above it.
    """
    scores, best = class_logits.float().sigmoid().amax(-1).topk(min(most, class_logits.shape[1]), dim=1)
    there = scores > score
    most_valid = int(there.sum(1).amax())  # best first, so what is there comes first
    best_codes = codes.float().gather(1, best[:, :most_valid, None].expand(-1, -1, codes.shape[-1]))
    return Objects(decode_boxes(best_codes), there[:, :most_valid])


def joined(parts: Sequence[Objects]) -> Objects:
    """All objects of several sets, of which there is at least one."""
    boxes, valid = (torch.cat(part, 1) for part in zip(*parts, strict=True))
    return Objects(boxes, valid)


def corners(boxes: Tensor) -> Tensor:
    """The eight corners of boxes (x, y, z, w, l, h, yaw, ...) [..., >= 7], in metres [..., 8, 3]."""
    unit = boxes.new_tensor(_UNIT)
    across, along, up = boxes[..., 3, None], boxes[..., 4, None], boxes[..., 5, None]
    ahead, aside = unit[:, 0] * along, unit[:, 1] * across
    cosine, sine = boxes[..., 6, None].cos(), boxes[..., 6, None].sin()
    offsets = torch.stack((ahead * cosine - aside * sine, ahead * sine + aside * cosine, unit[:, 2] * up), -1)
    return boxes[..., None, :3] + offsets


@torch.no_grad()
def bev_mask(objects: Objects, area: tuple[float, float, float, float, float, float], shape: tuple[int, int]) -> Tensor:
    """Cells of the ground whose centre is within the rotated rectangle of a box, and those that hold a box's centre.

    The second keeps objects smaller than a cell.

    Args:
        objects: In the frame of the area.
        area: (x0, y0, z0, x1, y1, z1) in metres; columns lie along x, rows along y.
        shape: Rows and columns.

    Returns:
        [B, 1, rows, columns], 0 or 1.
    """
    rows, columns = shape
    cell_x, cell_y = (area[3] - area[0]) / columns, (area[4] - area[1]) / rows
    boxes = objects.boxes
    x = area[0] + (torch.arange(columns, device=boxes.device) + 0.5) * cell_x
    y = area[1] + (torch.arange(rows, device=boxes.device) + 0.5) * cell_y
    mask = boxes.new_zeros(len(boxes), 1, rows, columns)
    for sample, valid in enumerate(objects.valid):
        present = boxes[sample, valid][..., None, None]  # [k, 9, 1, 1]
        right, up = x - present[:, 0], y[:, None] - present[:, 1]  # [k, 1, columns], [k, rows, 1]
        cosine, sine = present[:, 6].cos(), present[:, 6].sin()
        along, aside = right * cosine + up * sine, up * cosine - right * sine
        inside = (along.abs() <= present[:, 4] / 2) & (aside.abs() <= present[:, 3] / 2)
        holds = (right.abs() <= cell_x / 2) & (up.abs() <= cell_y / 2)
        mask[sample, 0] = (inside | holds).any(0)
    return mask


@torch.no_grad()
def extents(objects: Objects, project: Tensor, extent: Tensor) -> Tensor:
    """The rectangles that hold boxes in each camera, cut at its image.

    A box that reaches behind the camera is cut just before it.

    Args:
        objects: In the ego frame.
        project: Ego frame to (u d, v d, d, 1) [B, N, 4, 4].
        extent: Width and height in pixels of the image in each frame [B, N, 2].

    Returns:
        (u0, v0, u1, v1) in pixels [B, N, K, 4], u0 >= u1 where a camera sees nothing of a box.
    """
    points = corners(objects.boxes)[:, None]  # [B, 1, K, 8, 3]
    matrix = project[:, :, None, None]  # [B, N, 1, 1, 4, 4]
    # no matrix product: under autocast it would be one of half precision, which knows no pixels
    in_camera = (matrix[..., :3, :3] * points[..., None, :]).sum(-1) + matrix[..., :3, 3]  # [B, N, K, 8, 3]
    first, second = (in_camera[..., [edge[end] for edge in _EDGES], :] for end in (0, 1))
    near, far = first[..., 2], second[..., 2]
    share = (_NEAR - near) / torch.where(near == far, math.inf, far - near)
    cut = first + share[..., None] * (second - first)
    points = torch.cat((in_camera, cut), -2)
    ahead = torch.cat((in_camera[..., 2] > _NEAR, (near > _NEAR) != (far > _NEAR)), -1)[..., None]
    pixels = points[..., :2] / points[..., 2:].clamp(min=_NEAR / 2)
    low = torch.where(ahead, pixels, math.inf).amin(-2).clamp(min=0)
    high = torch.minimum(torch.where(ahead, pixels, -math.inf).amax(-2), extent[:, :, None])
    empty = ~((low < high).all(-1) & objects.valid[:, None])
    return torch.cat((low, high), -1).masked_fill(empty[..., None], 0)


@torch.no_grad()
def view_mask(rectangles: Tensor, shape: tuple[int, int], frame: tuple[int, int]) -> Tensor:
    """Cells of a camera's map that a rectangle touches.

    Args:
        rectangles: Of `extents` [B, N, K, 4].
        shape: Rows and columns of the map.
        frame: Height and width of the frame in pixels.

    Returns:
        [B * N, 1, rows, columns], 0 or 1.
    """
    left, top, right, bottom = rectangles.flatten(0, 1).unbind(-1)
    across = _touched(left, right, shape[1], frame[1] / shape[1])
    down = _touched(top, bottom, shape[0], frame[0] / shape[0])
    return (down.transpose(1, 2) @ across > 0).to(rectangles.dtype)[:, None]


def _touched(low: Tensor, high: Tensor, cells: int, size: float) -> Tensor:
    """[images, K] -> [images, K, cells], 1 where a cell of `size` pixels meets low ... high."""
    start = torch.arange(cells, device=low.device) * size
    meets = (high[..., None] > start) & (low[..., None] < start + size) & (high > low)[..., None]
    return meets.to(low.dtype)
