"""The decoder of DETR3D and BEVFormer: queries look at a BEV map or at the cameras, and refine a box each.

It stands alone: a copy of it can be led to other maps, and a `Recorder` sees where each of its layers looks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightloom.tasks.detection3d.cross_attention import BEVCrossAttention, CameraCrossAttention
from lightloom.tasks.detection3d.deformable import SamplingLocations
from lightloom.tasks.detection3d.geometry import CODE, inverse_sigmoid, to_metres, widened
from lightloom.tasks.detection3d.queries import BEVQueries, LearntQueries, Source, class_bias
from lightloom.tasks.detection3d.sizes import Detector3DConfig

Recorder = Callable[[int, BEVCrossAttention | CameraCrossAttention, SamplingLocations], None]
"""Called in each layer with its number, its cross-attention, and the locations that this samples."""


class Decoded(NamedTuple):
    """What a decoder says after each of its L layers."""

    class_logits: Tensor
    """Class logits of the queries after each layer [L, B, Q, classes]."""
    codes: Tensor
    """[L, B, Q, 10]: centres in metres, sizes as logarithms; see `geometry.encode_boxes`."""
    references: Tensor
    """[L, B, Q, 3]: centres, 0 ... 1 within the area."""
    heat: Tensor | None = None
    """Logits of each class having a box in each cell of the ground [B, classes, rows, columns], where asked for."""


class DecoderLayer(nn.Module):
    """Queries look at each other, then at what there is to see, then think.

    Args:
        config: Kind, channels, heads, points, feed-forward width, dropout.
    """

    def __init__(self, config: Detector3DConfig) -> None:
        super().__init__()
        width, dropout = config.channels, config.dropout
        self.among = nn.MultiheadAttention(width, config.heads, dropout, batch_first=True)
        self.cross: BEVCrossAttention | CameraCrossAttention = (
            BEVCrossAttention(config) if config.kind == "bevformer" else CameraCrossAttention(config)
        )
        self.think = nn.Sequential(
            nn.Linear(width, config.feedforward), nn.ReLU(), nn.Dropout(dropout), nn.Linear(config.feedforward, width),
            nn.Dropout(dropout),
        )  # fmt: skip
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        query: Tensor,
        position: Tensor,
        references: Tensor,
        source: Source,
        record: Callable[[SamplingLocations], None] | None,
    ) -> Tensor:
        """Queries [B, Q, C] -> the same.

        Args:
            query: [B, Q, C].
            position: What tells queries apart [Q, C] or [B, Q, C].
            references: Where they are, 0 ... 1 within the area [B, Q, 3].
            source: The maps that queries attend to.
            record: Called with the locations that they sample, if given.
        """
        keys = query + position
        mixed = self.among(keys, keys, query, need_weights=False)[0]
        query = self.norms[0](query + self.dropout(mixed))
        sampling = self.cross.sampling_locations(query + position, references, source)
        if record is not None:
            record(sampling)
        query = self.norms[1](self.cross.combine(query, self.cross.attend(source, sampling), references))
        thought: Tensor = self.norms[2](query + self.think(query))
        return thought


class Decoder(nn.Module):
    """Queries, the layers that they go through, and heads of each layer for class and box.

    Args:
        config: Everything but the pyramid and the encoder.
        classes: How many there are to tell apart.
    """

    def __init__(self, config: Detector3DConfig, classes: int) -> None:
        super().__init__()
        width = config.channels
        self.config = config
        self.start: LearntQueries | BEVQueries = (
            LearntQueries(config) if config.start == "learnt" else BEVQueries(config, classes)
        )
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.classify = nn.ModuleList(_class_head(width, classes) for _ in self.layers)
        self.regress = nn.ModuleList(_box_head(width) for _ in self.layers)

    def forward(self, source: Source, recorder: Recorder | None = None) -> Decoded:
        """What is there.

        Args:
            source: A BEV map [B, C, rows, columns], or the cameras; of the kind of the config.
            recorder: Called in each layer with its number, its cross-attention, and the locations that this
                samples; the layer's own values and those of another map may then be sampled there.
        """
        query, position, references, heat = self.start(source)
        logits, codes, places = [], [], []
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, DecoderLayer)
            record = None if recorder is None else partial(recorder, number, layer.cross)
            query = layer(query, position, references, source, record)
            moves = widened(self.regress[number](query))  # half precision knows a centre to decimetres only
            centres = (moves[..., [0, 1, 4]] + inverse_sigmoid(references)).sigmoid()
            logits.append(self.classify[number](query))
            codes.append(_with_centres(moves, to_metres(centres, self.config.area)))
            places.append(centres)
            references = centres.detach()
        return Decoded(torch.stack(logits), torch.stack(codes), torch.stack(places), heat)


def _with_centres(code: Tensor, centres: Tensor) -> Tensor:
    return torch.cat((centres[..., :2], code[..., 2:4], centres[..., 2:], code[..., 5:CODE]), -1)


def _class_head(width: int, classes: int) -> nn.Sequential:
    last = nn.Linear(width, classes)
    class_bias(last)
    return nn.Sequential(
        nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width), nn.LayerNorm(width),
        nn.ReLU(), last,
    )  # fmt: skip


def _box_head(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CODE))
