"""One watched forward pass of a hybrid network: the multiply-adds of its parts, and the maps that light takes.

Multiply-adds are those of convolutions and matrix products, attention's among them, as torch counts them where they are
executed. The optics are not simulated: a layer of light is a map of zeros meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lightloom.common.errors import RequestError
from lightloom.cost.diffraction import LightUse, diffractive_layers, unlit
from lightloom.cost.trace import countable_attention, require_tensors
from lightloom.cost.workload import ChipLayer, layers_of, listening
from lightloom.nn import OpticalLayer
from lightloom.nn.backbones.trace import stages_of
from lightloom.nn.diffractive import DiffractiveConv2d


@dataclass(frozen=True)
class BackboneWork:
    """What one image takes. Multiply-adds leave out the sums over channels of optical layers."""

    stem_macs: int
    """Multiply-adds before the first stage."""
    stem_parameters: int
    """Parameters before the first stage."""
    stage_macs: tuple[int, ...]
    """Multiply-adds of each stage."""
    stage_parameters: tuple[int, ...]
    """Parameters of each stage, phases of masks among them."""
    optical_stages: tuple[int, ...]
    """Numbers of the stages that hold light."""
    backbone_macs: int
    """Multiply-adds of stem, stages, and what else the backbone has."""
    whole_macs: int
    """Multiply-adds of the backbone, a neck and a head."""
    uses: tuple[LightUse, ...]
    """Diffractive layers, and the maps that they take."""
    layers: tuple[ChipLayer, ...] = ()
    """Layers on tensor cores, and their work; no multiply-add of theirs is counted."""

    @property
    def before_light(self) -> int:
        """Number of stages before the first that holds light."""
        return min(self.optical_stages, default=len(self.stage_macs))


@torch.no_grad()
def count_work(model: nn.Module, sample: Any) -> BackboneWork:
    """Multiply-adds and optical maps of one sample: an image, or one moment of several cameras.

    A backbone is the first module with `stages` or `encoder.stages`; in a model without one, all is backbone and stem.

    Args:
        model: Any network; it is left as it was found.
        sample: One image [1, ...], or a tuple of tensors [1, ...], as the model takes it.

    Raises:
        ValueError: There is more than one sample.
        RequestError: A map is larger than the grid of its chip.
    """
    require_tensors(sample)
    if isinstance(sample, Mapping):
        raise RequestError("`sample` is a mapping; give one image [1, ...], or a tuple of tensors [1, ...].")
    count = len(sample if isinstance(sample, Tensor) else sample[0])
    if count != 1:
        raise ValueError(f"costs are those of one image or moment; got a batch of {count}, give the first alone")
    backbone, stages = _find_backbone(model)
    layers = layers_of(model, [])
    watch = _Watch(backbone, stages)
    with ExitStack() as stack:
        stack.enter_context(_evaluated(model))
        stack.enter_context(countable_attention())
        maps = stack.enter_context(unlit(model))
        for module, layer in layers.items():
            stack.enter_context(listening(module, layer, watch.paused))
        stack.enter_context(watch.hooks())
        stack.enter_context(watch.counter)
        model(sample)
    of_stages = {id(parameter) for stage in stages for parameter in stage.parameters()}
    stem = {id(p): p.numel() for part in watch.early for p in part.parameters() if id(p) not in of_stages}
    return BackboneWork(
        stem_macs=watch.macs["stem"],
        stem_parameters=sum(stem.values()),
        stage_macs=tuple(watch.macs[stage] for stage in stages),
        stage_parameters=tuple(sum(p.numel() for p in stage.parameters()) for stage in stages),
        optical_stages=tuple(number for number, stage in enumerate(stages) if _has_light(stage)),
        backbone_macs=watch.macs[backbone],
        whole_macs=watch.total(),
        uses=tuple(LightUse(name, part, tuple(maps[name])) for name, part in diffractive_layers(model).items()),
        layers=tuple(layers.values()),
    )


class _Watch:
    """Multiply-adds between the beginning and the end of the backbone, its stem and its stages."""

    def __init__(self, backbone: nn.Module, stages: list[nn.Module]) -> None:
        self.counter = FlopCounterMode(display=False)
        self.macs: dict[Any, int] = defaultdict(int)
        self.early: list[nn.Module] = []
        """Children of the backbone that ran before its first stage."""
        self._backbone, self._stages = backbone, stages
        self._begun: dict[nn.Module, int] = {}
        self._left_out = 0

    def total(self) -> int:
        """Number of multiply-adds so far."""
        return int(self.counter.get_total_flops()) // 2 - self._left_out

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out what is multiplied meanwhile."""
        before = self.total()
        yield
        self._left_out += self.total() - before

    @contextmanager
    def hooks(self) -> Iterator[None]:
        handles = [part.register_forward_pre_hook(self._begin) for part in (self._backbone, *self._stages)]
        handles += [part.register_forward_hook(self._end) for part in (self._backbone, *self._stages)]
        handles += [part.register_forward_pre_hook(self._note) for part in self._backbone.children()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        if not self._stages:
            self.early, self.macs["stem"] = [self._backbone], self.macs[self._backbone]

    def _begin(self, part: nn.Module, inputs: Any) -> None:
        self._begun[part] = self.total()
        if self._stages and part is self._stages[0]:
            self.macs["stem"] += self.total() - self._begun[self._backbone]

    def _end(self, part: nn.Module, inputs: Any, outputs: Any) -> None:
        self.macs[part] += self.total() - self._begun[part]

    def _note(self, child: nn.Module, inputs: Any) -> None:
        if not self._stages or self._stages[0] not in self._begun:
            self.early.append(child)


def _find_backbone(model: nn.Module) -> tuple[nn.Module, list[nn.Module]]:
    for part in model.modules():
        try:
            return part, list(stages_of(part))
        except RequestError:
            continue
    return model, []


def _has_light(stage: nn.Module) -> bool:
    return any(isinstance(part, DiffractiveConv2d | OpticalLayer) for part in stage.modules())


@contextmanager
def _evaluated(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    # the counter hooks what has a gradient, and a weight that is handed to a module has none of its own yet
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for parameter in trained:
            parameter.requires_grad_(True)
