"""Blocks of a vision transformer replaced by optical ones.

Source: the hybrid detector PHOENIX (2025), whose block this is: ten blocks, then one with light in the place of
attention.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError
from lightloom.nn.backbones.blocks import FeatureNoise, Optics, light
from lightloom.nn.backbones.fit import fit_chip, refuse_larger
from lightloom.nn.backbones.trace import trace_stages
from lightloom.nn.backbones.vit import ChannelNorm, SimplePyramid, VisionTransformer
from lightloom.nn.diffractive.conv import Mixing

if TYPE_CHECKING:
    from lightloom.chips import DiffractiveChip

_MLP_RATIO = 4


class OpticalViTBlock(nn.Module):
    """A narrow block whose patches meet in light and not in attention.

    A linear layer down, then, each beside a shortcut: norm and optics, norm and MLP; then a linear layer back, if any.

    Args:
        inputs: Channels of the map of patches.
        width: Channels in the block.
        outputs: Channels to come back to; None stays at `width`.
        chip: That does the optics.
        optics: How its light is arranged.
        drop_path: Chance that an image of a batch passes by each of the two while training.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        outputs: int | None,
        chip: DiffractiveChip,
        optics: Optics,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.down = nn.Conv2d(inputs, width, 1)
        self.norm1 = ChannelNorm(width, eps=1e-6)
        self.optics = light(width, width, chip, optics)
        self.norm2 = ChannelNorm(width, eps=1e-6)
        inner = _MLP_RATIO * width
        self.mlp = nn.Sequential(
            OrderedDict(fc1=nn.Conv2d(width, inner, 1), gelu=nn.GELU(), fc2=nn.Conv2d(inner, width, 1))
        )
        self.up: nn.Module = nn.Identity() if outputs is None else nn.Conv2d(width, outputs, 1)
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, outputs or width, h, w]."""
        x = self.down(x)
        x = x + self._drop(self.optics(self.norm1(x)))
        x = x + self._drop(self.mlp(self.norm2(x)))
        made: Tensor = self.up(x)
        return made

    def _drop(self, x: Tensor) -> Tensor:
        """Stochastic depth: whole images pass by, the others count for them."""
        if not self.training or self.drop_path == 0:
            return x
        kept = torch.rand(len(x), 1, 1, 1, dtype=x.dtype, device=x.device) >= self.drop_path
        return x * kept / (1 - self.drop_path)


def replace_blocks(
    model: VisionTransformer,
    blocks: Sequence[int],
    chip: DiffractiveChip,
    *,
    sample_shape: tuple[int, int],
    merge: bool = True,
    channels: int = 128,
    layers: int | None = None,
    mixing: Mixing = "dense",
    groups: int = 1,
    bias: bool = False,
    memory_mb: float = 256.0,
    fit: bool = False,
    keep_width: bool = True,
    drop_path: float = 0.0,
    noise: FeatureNoise | None = None,
) -> None:
    """Put optical blocks in the place of the last ones of a ViT; where anything is wrong, nothing changes.

    Args:
        model: Whose blocks.
        blocks: Which: neighbours, from 0, up to the last. Published are the last two of twelve.
        chip: That does the optics.
        sample_shape: Rows and columns of an image as the detector takes it.
        merge: Whether one optical block stands for all of them; published is so.
        channels: In an optical block.
        layers: Phase layers of the chip; None keeps its own.
        mixing: With `groups`, `bias` and `memory_mb` as in `DiffractiveConv2d`.
        groups: Of channels, where the mixing is grouped.
        bias: Whether every optical path has one.
        memory_mb: Bound of the complex fields of a layer.
        fit: Whether the grid and the masks of the chip are made to fit the map; see `fit_chip`.
        keep_width: Whether the last block comes back to the width of the ViT. Otherwise the pyramid is a new one, with
            as many channels as the block.
        drop_path: Chance that an image passes by a part of a block while training.
        noise: Of the features behind the last block.

    Raises:
        RequestError: The blocks are not the last ones, or the map is larger than the grid of the chip.
    """
    count = len(model.stages)
    if not blocks or list(blocks) != list(range(blocks[0], count)):
        raise RequestError(
            f"The blocks {list(blocks)} cannot be replaced; give neighbours up to the last, which is {count - 1}, such "
            f"as {list(range(max(0, count - 2), count))}."
        )
    rows, columns = trace_stages(model, sample_shape)[blocks[0]].input[2:]
    chip = chip if layers is None else chip.replace(layers=layers)
    chip = fit_chip(chip, rows, columns) if fit else chip
    refuse_larger(f"Block {blocks[0]}", rows, columns, chip)
    width, optics = model.channels[0], Optics(mixing, groups, bias, memory_mb)
    made = []
    number = 1 if merge else len(blocks)
    for left in reversed(range(number)):
        back = width if keep_width or left else None
        made.append(OpticalViTBlock(width, channels, back, chip, optics, drop_path))
    _swap(model, blocks[0], made, None if keep_width else channels, noise)


def _swap(
    model: VisionTransformer, first: int, made: list[OpticalViTBlock], width: int | None, noise: FeatureNoise | None
) -> None:
    like = next(model.parameters())
    tail: nn.Module = nn.Sequential(made[-1], copy.deepcopy(noise)) if noise is not None else made[-1]
    new = nn.ModuleList([*made[:-1], tail]).to(like.device, like.dtype).train(model.training)
    model.stages = nn.ModuleList([*list(model.stages)[:first], *new])
    if width is not None:
        model.pyramid = SimplePyramid(width).to(like.device, like.dtype).train(model.training)
        model.channels = (width,) * len(model.channels)
