"""Stages of a backbone replaced by optical ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from lightloom.chips import DiffractiveChip, diffractive
from lightloom.common.errors import RequestError
from lightloom.nn.backbones.backbone import Backbone
from lightloom.nn.backbones.blocks import FeatureNoise, OpticalBlock, OpticalStage
from lightloom.nn.backbones.config import HybridConfig
from lightloom.nn.backbones.fit import fit_chip, refuse_larger
from lightloom.nn.backbones.trace import StageTrace, stages_of, trace_stages
from lightloom.nn.backbones.vit import VisionTransformer

_PUBLISHED = ("phoenix-stage0", "phoenix-stage1", "phoenix-stage2", "phoenix")


def replace_stages(
    model: nn.Module,
    chip: DiffractiveChip | Sequence[DiffractiveChip],
    hybrid: HybridConfig,
    *,
    sample_shape: tuple[int, int],
    keep_width: bool | None = None,
) -> None:
    """Put optical stages in the place of electronic ones; where anything is wrong, nothing changes.

    Where an electronic stage follows, a 1x1 convolution brings an optical one back to the width it replaces.

    Args:
        model: A `Backbone`, or any backbone of `transformers` with `encoder.stages`, also inside a detector.
        chip: Diffractive hardware, one for all stages or one for each.
        hybrid: Which stages, and how.
        sample_shape: Rows and columns of an image as the detector takes it, to find the sizes of the maps.
        keep_width: Whether every optical stage comes back to the width it replaces, also where none follows. None does
            so in a model other than a `Backbone`, whose neck expects it.

    Raises:
        RequestError: It is a vision transformer, there is no such stage, there are fewer chips than stages, or a map is
            larger than the grid of its chip.
    """
    if isinstance(model, VisionTransformer):
        raise RequestError("A vision transformer has blocks and no stages; replace them with `replace_blocks`.")
    stages = stages_of(model)
    chips = _chips(hybrid, len(stages), chip)
    channels = dict(zip(hybrid.stages, hybrid.channels or (), strict=False))
    keep_width = not isinstance(model, Backbone) if keep_width is None else keep_width
    optical: dict[int, OpticalStage] = {}
    widths: dict[int, int] = {}
    for stage, trace in enumerate(trace_stages(model, sample_shape)):
        if stage not in chips:
            continue
        own = trace.output[1]
        inner = channels.get(stage, own)
        electronic_follows = stage + 1 < len(stages) and stage + 1 not in chips
        restore = own if inner != own and (keep_width or electronic_follows) else None
        inputs = widths.get(stage - 1, trace.input[1])
        row = _blocks(stage, trace, (inputs, inner), chips[stage], hybrid)
        optical[stage] = OpticalStage(row, feature_noise(hybrid), None if restore is None else (inner, restore))
        widths[stage] = restore or inner
    _swap(model, stages, optical, widths)


def _chips(
    hybrid: HybridConfig, count: int, chip: DiffractiveChip | Sequence[DiffractiveChip]
) -> dict[int, DiffractiveChip]:
    """The hardware of each stage, with the layers and the size that are asked for."""
    for stage in hybrid.stages:
        if not 0 <= stage < count:
            raise RequestError(f"There is no stage {stage}: the backbone has {count}; give 0 to {count - 1}.")
    if len(set(hybrid.stages)) != len(hybrid.stages):
        raise RequestError(f"The stages {list(hybrid.stages)} name one twice; give each once.")
    chips = list(chip) if isinstance(chip, Sequence) else [chip] * len(hybrid.stages)
    if len(chips) != len(hybrid.stages):
        raise RequestError(
            f"`chip` has {len(chips)} values for the {len(hybrid.stages)} stages {list(hybrid.stages)}; give as many."
        )
    if hybrid.fit == "published":
        sizes = [diffractive(_PUBLISHED[min(stage, len(_PUBLISHED) - 1)]) for stage in hybrid.stages]
        chips = [sized(own, size) for own, size in zip(chips, sizes, strict=True)]
    if hybrid.layers is not None:
        chips = [own.replace(layers=layers) for own, layers in zip(chips, hybrid.layers, strict=True)]
    return dict(zip(hybrid.stages, chips, strict=True))


def sized(chip: DiffractiveChip, size: DiffractiveChip) -> DiffractiveChip:
    """A chip with the grid, masks and layers of another.

    Args:
        chip: All the rest.
        size: Grid, masks and layers.
    """
    return chip.replace(grid=size.grid, mask=size.mask, layers=size.layers)


def feature_noise(hybrid: HybridConfig) -> FeatureNoise | None:
    """The noise behind an optical stage, None where there is none."""
    return FeatureNoise(hybrid.noise_std, hybrid.noise_fraction) if hybrid.noise_std else None


def _blocks(
    stage: int, trace: StageTrace, widths: tuple[int, int], chip: DiffractiveChip, hybrid: HybridConfig
) -> list[OpticalBlock]:
    """The optical blocks of one stage; the first takes the channels and has the stride of the stage."""
    rows, columns = (trace.input if hybrid.before_downsample else trace.output)[2:]
    if hybrid.fit == "map":
        chip = fit_chip(chip, rows, columns)
    refuse_larger(f"Stage {stage}", rows, columns, chip)
    inputs, outputs = widths
    first = OpticalBlock(inputs, outputs, trace.stride, chip, hybrid)
    return [first, *(OpticalBlock(outputs, outputs, 1, chip, hybrid) for _ in range(hybrid.blocks - 1))]


def _swap(
    model: nn.Module, stages: nn.ModuleList, optical: Mapping[int, OpticalStage], widths: Mapping[int, int]
) -> None:
    like = next(model.parameters())
    for stage, replacement in optical.items():
        stages[stage] = replacement.to(like.device, like.dtype).train(model.training)
    if isinstance(model, Backbone):
        model.channels = tuple(widths.get(stage, own) for stage, own in enumerate(model.channels))
