"""Temporal self-attention of BEVFormer: cells of the ground look around themselves, now and at the moment before."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.tasks.detection3d.deformable import DeformableAttention

Shape = tuple[int, int]


def centres(shape: Shape, like: Tensor) -> Tensor:
    """Centres of the cells of a map [rows * columns, 2], row by row: x along columns, y along rows, 0 ... 1.

    Args:
        shape: Rows and columns.
        like: A tensor of the type and device to use.
    """
    y, x = ((torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / count for count in shape)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).view(-1, 2)


def warp(bev: Tensor, motion: Tensor, area: tuple[float, ...]) -> Tensor:
    """The BEV map of one moment, as it lies around the vehicle at the next.

    Args:
        bev: Map of moment t - 1 [B, C, rows, columns].
        motion: Points of the ego frame of moment t to that of moment t - 1 [B, 4, 4]; its planar part counts.
        area: x0, y0, z0, x1, y1, z1 of the map in metres.

    Returns:
        [B, C, rows, columns], bilinear, zero where moment t - 1 saw nothing.
    """
    rows, columns = bev.shape[-2:]
    low, high = (motion.new_tensor([area[at], area[at + 1]]) for at in (0, 3))
    metres = low + centres((rows, columns), motion) * (high - low)
    with torch.autocast(motion.device.type, enabled=False):  # half precision knows no cells
        before = metres @ motion[:, :2, :2].transpose(1, 2) + motion[:, None, :2, 3]
    grid = 2 * (before - low) / (high - low) - 1
    return F.grid_sample(bev.float(), grid.view(-1, rows, columns, 2).float(), align_corners=False).to(bev.dtype)


class TemporalAttention(nn.Module):
    """Deformable attention of cells to themselves and to the map of the moment before, averaged.

    Args:
        channels: Of the cells.
        heads: Of the attention.
        points: Of each head, in each of the two maps.
        dropout: Of what is added to the cells.
    """

    def __init__(self, channels: int, heads: int, points: int, dropout: float) -> None:
        super().__init__()
        self.attention = DeformableAttention(channels, heads, 2, points, 2 * channels, apart=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, cells: Tensor, position: Tensor, before: Tensor | None, linked: Tensor, shape: Shape) -> Tensor:
        """Cells with what is around them added.

        Args:
            cells: [B, cells, C], row by row.
            position: Of the cells, added where they aim [cells, C].
            before: Those of the moment before, as they lie now [B, cells, C]; None where no sample has one.
            linked: Which samples have one [B]; the others look at themselves twice.
            shape: Rows and columns of the map.
        """
        samples, count, channels = cells.shape
        past = cells if before is None else torch.where(linked[:, None, None], before, cells)
        query = torch.cat((past, cells + position), -1).flatten(0, 1)
        image = torch.arange(samples, device=cells.device).repeat_interleave(count)
        around = centres(shape, cells).repeat(samples, 1)[:, None, None]
        sampling = self.attention.sampling_locations(query, around, (shape, shape), image)
        maps = [part.transpose(1, 2).reshape(samples, channels, *shape) for part in (past, cells)]
        values = self.attention.sample_values(self.attention.project_values(maps), sampling)
        added: Tensor = self.dropout(self.attention.output(values))
        return cells + added.view_as(cells)
