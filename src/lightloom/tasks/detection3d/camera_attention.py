"""Spatial cross-attention of BEVFormer (Li et al., ECCV 2022): cells of the ground look into the cameras that see them.

Only pairs of a cell and a camera that see each other are computed, found for every sample of a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightloom.tasks.detection3d.cameras import CameraMaps
from lightloom.tasks.detection3d.deformable import DeformableAttention
from lightloom.tasks.detection3d.geometry import Hits


class CameraAttention(nn.Module):
    """Deformable attention around the points of a pillar over each cell, and the mean over the cameras that see it.

    Args:
        channels: Of cells and maps.
        heads: Of the attention.
        levels: Of the maps.
        points: Of each level and head, shared out among the points of a pillar.
        dropout: Of what is added to the cells.
    """

    def __init__(self, channels: int, heads: int, levels: int, points: int, dropout: float) -> None:
        super().__init__()
        self.attention = DeformableAttention(channels, heads, levels, points)
        self.dropout = nn.Dropout(dropout)

    def forward(self, cells: Tensor, position: Tensor, cameras: CameraMaps, hits: Hits, places: Tensor) -> Tensor:
        """Cells with what they see added.

        Args:
            cells: [B, cells, C].
            position: Of the cells, added where they aim [cells, C].
            cameras: Their maps have what tells cameras and levels apart added already.
            hits: Pairs of `cameras` and the pillars over the cells.
            places: Those of `hits` in each level [K, Z, levels, 2].
        """
        query = (cells + position).flatten(0, 1)
        sampling = self.attention.sampling_locations(
            query.index_select(0, hits.query), places, cameras.shapes, hits.image, rows=hits.query, queries=len(query)
        )
        blind = ~hits.sees.any(-1)
        sampling = sampling._replace(weights=sampling.weights.masked_fill(blind, 0))
        values = self.attention.sample_values(self.attention.project_values(cameras.maps), sampling)
        mean = values / hits.counts.clamp(min=1).unsqueeze(-1).to(values.dtype)
        added: Tensor = self.dropout(self.attention.output(mean))
        return cells + added.view_as(cells)


def pillars(
    rows: int, columns: int, heights: int, area: tuple[float, ...], device: torch.device | None = None
) -> Tensor:
    """Points over the centres of the cells of a BEV map [rows * columns, heights, 3], row by row, in metres.

    Heights are the centres of as many equal parts of the area's.

    Args:
        rows: Rows of the BEV map.
        columns: Columns of the BEV map.
        heights: Points over each cell.
        area: x0, y0, z0, x1, y1, z1 of the map in metres.
        device: Where the points go.
    """

    def centres(low: float, high: float, count: int) -> Tensor:
        return low + (torch.arange(count, device=device) + 0.5) * ((high - low) / count)

    y, x, z = torch.meshgrid(
        centres(area[1], area[4], rows), centres(area[0], area[3], columns), centres(area[2], area[5], heights),
        indexing="ij",
    )  # fmt: skip
    return torch.stack((x, y, z), -1).flatten(0, 1)
