"""A backbone: a stem, then stages in a row, each of which hands a map of features to the detector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightloom.common.errors import RequestError


class Backbone(nn.Module):
    """Images in, one map of features a stage out.

    Args:
        stem: From images to what the first stage takes.
        stages: Each takes the map of the one before.
        channels: Of the map of each stage.
        strides: Pixels of the image to one of the map, of each stage.
    """

    stages: nn.ModuleList

    def __init__(
        self, stem: nn.Module, stages: Sequence[nn.Module], channels: Sequence[int], strides: Sequence[int]
    ) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.channels = tuple(channels)
        self.strides = tuple(strides)
        self._frozen: list[nn.Module] = []

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """[B, 3, H, W], standardised -> a map [B, channels, H / stride, W / stride] of every stage."""
        maps = []
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)

    def freeze(self, stages: int, *, norms: bool = False) -> None:
        """Hold the stem and the first stages as they are: no gradients, running means of batch norm untouched.

        Args:
            stages: How many of them; 0 holds the stem alone.
            norms: Hold the running means of every other batch norm that there is now as well, but not its weights.

        Raises:
            RequestError: There are not so many stages.
        """
        if not 0 <= stages <= len(self.stages):
            raise RequestError(f"Cannot freeze {stages} stages of {len(self.stages)}; give 0 to {len(self.stages)}.")
        parts = [self.stem, *list(self.stages)[:stages]]
        for module in parts:
            module.requires_grad_(False)
        self._frozen = parts + (list(_batch_norms(self)) if norms else [])
        self.train(self.training)

    def train(self, mode: bool = True) -> Backbone:
        """Set the mode as every module does, but leave in eval what is frozen."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self


def _batch_norms(module: nn.Module) -> Iterator[nn.Module]:
    return (part for part in module.modules() if isinstance(part, _BatchNorm))
