"""Feature pyramid network (Lin et al., CVPR 2017): every level knows what the deepest one has seen."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.common.errors import RequestError


def pyramid_on(backbone: nn.Module, first: int, levels: int, channels: int) -> tuple[FeaturePyramid, tuple[int, ...]]:
    """A pyramid on the later stages of a backbone, and the strides of its levels in pixels.

    Args:
        backbone: Gives the maps of its stages, each half as fine as the one before.
        first: Stage that the finest level is made of.
        levels: Levels that go out.
        channels: Of every level.

    Raises:
        RequestError: The backbone has no such stage, or there are fewer levels than stages.
    """
    widths, strides = tuple(backbone.channels), tuple(backbone.strides)  # type: ignore[arg-type]
    if first >= len(widths):
        raise RequestError(
            f"The pyramid is to start at stage {first}; the backbone has the stages 0 ... {len(widths) - 1}."
        )
    stage_widths = widths[first:]
    if levels < len(stage_widths):
        raise RequestError(
            f"{len(stage_widths)} stages make at least as many levels, and `levels` is {levels}; raise it, or `first`."
        )
    return FeaturePyramid(stage_widths, channels, levels), tuple(
        int(strides[first]) * 2**level for level in range(levels)
    )


class FeaturePyramid(nn.Module):
    """Maps of a backbone, brought to one width and joined from the deepest up.

    Args:
        widths: Channels of the maps that come in, finest first; each is half the size of the one before.
        channels: Of every level.
        levels: Levels that go out; those beyond the maps are made by convolutions of stride 2, each of what a ReLU
            leaves of the one before.

    Raises:
        ValueError: There are fewer levels than maps.
    """

    def __init__(self, widths: Sequence[int], channels: int, levels: int) -> None:
        super().__init__()
        if levels < len(widths):
            raise ValueError(f"{len(widths)} maps make at least as many levels, not {levels}; leave the finest out")
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in widths)
        self.extra = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(levels - len(widths))
        )
        for conv in (*self.lateral, *self.smooth, *self.extra):
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """[B, width, h, w] of each map to [B, channels, h, w] of each level, finest first."""
        merged = [lateral(each) for lateral, each in zip(self.lateral, maps, strict=True)]
        for finer in range(len(merged) - 2, -1, -1):
            size = merged[finer].shape[-2:]
            merged[finer] = merged[finer] + F.interpolate(merged[finer + 1], size=size, mode="nearest")
        levels = [smooth(each) for smooth, each in zip(self.smooth, merged, strict=True)]
        for number, conv in enumerate(self.extra):
            levels.append(conv(levels[-1] if number == 0 else F.relu(levels[-1])))
        return tuple(levels)
