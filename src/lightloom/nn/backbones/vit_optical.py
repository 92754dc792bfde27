"""Blocks of a vision transformer replaced by optical ones.

Source: the hybrid detector PHOENIX (2025), whose block this is: ten blocks, then one with light in the place of
attention.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from lightloom.chips import DiffractiveChip, diffractive
from lightloom.common.errors import RequestError
from lightloom.nn.backbones.blocks import FeatureNoise, light
from lightloom.nn.backbones.config import HybridConfig
from lightloom.nn.backbones.fit import fit_chip, refuse_larger
from lightloom.nn.backbones.optical import feature_noise, sized
from lightloom.nn.backbones.trace import trace_stages
from lightloom.nn.backbones.vit import ChannelNorm, SimplePyramid, VisionTransformer

_MLP_RATIO = 4
_WIDTH = 128
"""Channels of an optical block where nothing is asked for."""


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
        optics: HybridConfig,
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
        output: Tensor = self.up(x)
        return output

    def _drop(self, x: Tensor) -> Tensor:
        """Stochastic depth: whole images pass by, the others count for them."""
        if not self.training or self.drop_path == 0:
            return x
        passing = torch.rand(len(x), 1, 1, 1, dtype=x.dtype, device=x.device) >= self.drop_path
        return x * passing / (1 - self.drop_path)


def replace_blocks(
    model: VisionTransformer,
    chip: DiffractiveChip,
    hybrid: HybridConfig,
    *,
    sample_shape: tuple[int, int],
    merge: bool = True,
    keep_width: bool = True,
    drop_path: float = 0.0,
) -> None:
    """Put optical blocks in the place of the last ones of a ViT; where anything is wrong, nothing changes.

    Args:
        model: Whose blocks.
        chip: Diffractive hardware.
        hybrid: Which blocks, as its `stages`: neighbours, from 0, up to the last. Published are the last two of twelve.
            They become blocks without a stride, so `blocks` and `before_downsample` stay as they are.
        sample_shape: Rows and columns of an image as the detector takes it.
        merge: Whether one optical block stands for all of them; published is so.
        keep_width: Whether the last block comes back to the width of the ViT. Otherwise the pyramid is a new one, with
            as many channels as the block.
        drop_path: Chance that an image passes by a part of a block while training.

    Raises:
        RequestError: The blocks are not the last ones, the map is larger than the grid of the chip, or something is
            asked for that only stages have.
    """
    blocks, count = hybrid.stages, len(model.stages)
    if not blocks or list(blocks) != list(range(blocks[0], count)):
        raise RequestError(
            f"The blocks {list(blocks)} cannot be replaced; give neighbours up to the last, which is {count - 1}, such "
            f"as {list(range(max(0, count - 2), count))}."
        )
    _check_blocks(hybrid)
    rows, columns = trace_stages(model, sample_shape)[blocks[0]].input[2:]
    chip = sized(chip, diffractive("phoenix-vit")) if hybrid.fit == "published" else chip
    chip = chip if hybrid.layers is None else chip.replace(layers=hybrid.layers[0])
    chip = fit_chip(chip, rows, columns) if hybrid.fit == "map" else chip
    refuse_larger(f"Block {blocks[0]}", rows, columns, chip)
    width, inner = model.channels[0], _WIDTH if hybrid.channels is None else hybrid.channels[0]
    optical = []
    number = 1 if merge else len(blocks)
    for remaining in reversed(range(number)):
        back = width if keep_width or remaining else None
        optical.append(OpticalViTBlock(width, inner, back, chip, hybrid, drop_path))
    _swap(model, blocks[0], optical, None if keep_width else inner, feature_noise(hybrid))


def _check_blocks(hybrid: HybridConfig) -> None:
    several = hybrid.channels is not None and len(set(hybrid.channels)) > 1
    if hybrid.blocks != 1 or not hybrid.before_downsample or several:
        raise RequestError(
            "Blocks of a ViT become one optical block without a stride: leave `hybrid.blocks` and "
            "`.before_downsample` as they are, and give all `.channels` the same number."
        )


def _swap(
    model: VisionTransformer, first: int, optical: list[OpticalViTBlock], width: int | None, noise: FeatureNoise | None
) -> None:
    like = next(model.parameters())
    tail: nn.Module = nn.Sequential(optical[-1], noise) if noise is not None else optical[-1]
    new = nn.ModuleList([*optical[:-1], tail]).to(like.device, like.dtype).train(model.training)
    model.stages = nn.ModuleList([*list(model.stages)[:first], *new])
    if width is not None:
        model.pyramid = SimplePyramid(width).to(like.device, like.dtype).train(model.training)
        model.channels = (width,) * len(model.channels)
