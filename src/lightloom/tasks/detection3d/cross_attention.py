"""How queries look: at a BEV map (BEVFormer), or at the cameras themselves (DETR3D, Wang et al., CoRL 2021).

Each says where it samples, projects values and samples them, in separate steps: the same locations serve other maps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError
from lightloom.tasks.detection3d.cameras import CameraMaps
from lightloom.tasks.detection3d.deformable import DeformableAttention, SamplingLocations, attend
from lightloom.tasks.detection3d.feature_atlas import FeatureAtlas, pack
from lightloom.tasks.detection3d.geometry import inverse_sigmoid, to_metres
from lightloom.tasks.detection3d.sizes import Detector3DConfig


class BEVCrossAttention(nn.Module):
    """Deformable attention to a BEV map, around where a query is.

    Args:
        config: Channels, heads, `ground_points` and dropout.
    """

    def __init__(self, config: Detector3DConfig) -> None:
        super().__init__()
        self.attention = DeformableAttention(config.channels, config.heads, 1, config.ground_points)
        self.dropout = nn.Dropout(config.dropout)

    def sampling_locations(self, query: Tensor, references: Tensor, source: Tensor | CameraMaps) -> SamplingLocations:
        """Locations that the queries sample on the BEV map, and their weights.

        Args:
            query: [B, Q, C].
            references: Where the queries are, 0 ... 1 within the area [B, Q, 3].
            source: The BEV map [B, C, rows, columns].
        """
        assert isinstance(source, Tensor)
        samples, queries = query.shape[:2]
        image = torch.arange(samples, device=query.device).repeat_interleave(queries)
        rows, columns = source.shape[-2:]
        return self.attention.sampling_locations(
            query.flatten(0, 1), references[..., None, None, :2].flatten(0, 1), [(rows, columns)], image
        )

    def project_values(self, source: Tensor | CameraMaps) -> FeatureAtlas:
        """The values that can be sampled."""
        assert isinstance(source, Tensor)
        return self.attention.project_values([source])

    def sample_values(self, values: FeatureAtlas, sampling: SamplingLocations) -> Tensor:
        """Sampled values of the queries [B * Q, C], before the output projection.

        Args:
            values: Values of `project_values`.
            sampling: Locations of `sampling_locations`.
        """
        return self.attention.sample_values(values, sampling)

    def attend(self, source: Tensor | CameraMaps, sampling: SamplingLocations) -> Tensor:
        """Sampled values of this map [B * Q, C], before the output projection.

        Args:
            source: The BEV map [B, C, rows, columns].
            sampling: Locations of `sampling_locations`.
        """
        return self.sample_values(self.project_values(source), sampling)

    def combine(self, query: Tensor, values: Tensor, references: Tensor) -> Tensor:
        """Queries with their sampled values added [B, Q, C].

        Args:
            query: [B, Q, C].
            values: Sampled values [B * Q, C], before the output projection.
            references: Where the queries are, 0 ... 1 within the area [B, Q, 3].
        """
        added: Tensor = self.dropout(self.attention.output(values)).view_as(query)
        return query + added


class CameraCrossAttention(nn.Module):
    """One bilinear sample of every level and camera that sees a query's reference point, weighed by the query.

    Args:
        config: Channels, levels, cameras, area and dropout.
    """

    def __init__(self, config: Detector3DConfig) -> None:
        super().__init__()
        width = config.channels
        self.cameras, self.levels, self.area, self.hits_only = (
            config.cameras, config.levels, config.area, config.hits_only,
        )  # fmt: skip
        self.weigh = nn.Linear(width, config.cameras * config.levels)
        self.output = nn.Linear(width, width)
        self.where = nn.Sequential(
            nn.Linear(3, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU()
        )
        self.dropout = nn.Dropout(config.dropout)
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(self.weigh.bias)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def sampling_locations(self, query: Tensor, references: Tensor, source: Tensor | CameraMaps) -> SamplingLocations:
        """Locations that the queries sample in the cameras that see them, and their weights.

        Args:
            query: [B, Q, C].
            references: Where the queries are, 0 ... 1 within the area [B, Q, 3].
            source: The cameras.
        """
        assert isinstance(source, CameraMaps)
        cameras, queries = source.project.shape[1], query.shape[0] * query.shape[1]
        if cameras > self.cameras:
            raise RequestError(too_many(cameras, self.cameras))
        hits = source.hits(to_metres(references, self.area).unsqueeze(2), hits_only=self.hits_only)
        weights = self.weigh(query.flatten(0, 1)).sigmoid().view(queries, self.cameras, self.levels)
        weights = weights[hits.query, hits.image % cameras] * hits.sees
        places = source.within(hits.places)  # [K, 1, levels, 2]
        locations = places.permute(2, 1, 3, 0)[None]  # [1, levels, 1, 2, K]
        return SamplingLocations(locations, weights.t()[None, :, None], hits.image, hits.query, queries)

    def project_values(self, source: Tensor | CameraMaps) -> FeatureAtlas:
        """The values that can be sampled: the maps as they are."""
        assert isinstance(source, CameraMaps)
        return pack(source.maps, 1)

    def sample_values(self, values: FeatureAtlas, sampling: SamplingLocations) -> Tensor:
        """Sampled values of the queries [B * Q, C], before the output projection.

        Args:
            values: Values of `project_values`.
            sampling: Locations of `sampling_locations`.
        """
        return attend(values, sampling)

    def attend(self, source: Tensor | CameraMaps, sampling: SamplingLocations) -> Tensor:
        """Sampled values of these cameras [B * Q, C], before the output projection.

        Args:
            source: The cameras.
            sampling: Locations of `sampling_locations`.
        """
        return self.sample_values(self.project_values(source), sampling)

    def combine(self, query: Tensor, values: Tensor, references: Tensor) -> Tensor:
        """Queries with their sampled values and where they are added [B, Q, C].

        Args:
            query: [B, Q, C].
            values: Sampled values [B * Q, C], before the output projection.
            references: Where the queries are, 0 ... 1 within the area [B, Q, 3].
        """
        added: Tensor = self.dropout(self.output(values)).view_as(query)
        where: Tensor = self.where(inverse_sigmoid(references))
        return query + added + where


def too_many(cameras: int, most: int) -> str:
    """The message for more cameras than there are weights for.

    Args:
        cameras: Cameras of the set.
        most: Cameras of the detector.
    """
    return (
        f"{cameras} cameras are given to a detector with weights for {most}; leave some out, or train one with "
        f"`cameras: {cameras}`."
    )
