"""Stages of a backbone replaced by optical ones."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from torch import nn

from lightloom.common.errors import RequestError
from lightloom.nn.backbones.backbone import Backbone
from lightloom.nn.backbones.blocks import FeatureNoise, OpticalBlock, OpticalStage, Optics
from lightloom.nn.backbones.fit import fit_chip, refuse_larger
from lightloom.nn.backbones.trace import StageTrace, stages_of, trace_stages
from lightloom.nn.backbones.vit import VisionTransformer
from lightloom.nn.diffractive.conv import Mixing

if TYPE_CHECKING:
    from lightloom.chips import DiffractiveChip

_T = TypeVar("_T")


class _Wanted(NamedTuple):
    """What was asked for in the place of one stage."""

    chip: DiffractiveChip
    channels: int | None
    layers: int | None


def replace_stages(
    model: nn.Module,
    stages: Sequence[int],
    chip: DiffractiveChip | Sequence[DiffractiveChip],
    *,
    sample_shape: tuple[int, int],
    channels: int | Sequence[int] | None = None,
    layers: int | Sequence[int] | None = None,
    blocks: int = 1,
    mixing: Mixing = "dense",
    groups: int = 1,
    bias: bool = False,
    memory_mb: float = 256.0,
    before_downsample: bool = True,
    fit: bool = False,
    keep_width: bool | None = None,
    noise: FeatureNoise | None = None,
) -> None:
    """Put optical stages in the place of electronic ones; where anything is wrong, nothing changes.

    Where an electronic stage follows, a 1x1 convolution brings an optical one back to the width it replaces.

    Args:
        model: A `Backbone`, or any backbone of `transformers` with `encoder.stages`, also inside a detector.
        stages: Which, from 0.
        chip: One for all of them, or one for each.
        sample_shape: Rows and columns of an image as the detector takes it, to find the sizes of the maps.
        channels: Of the optical blocks of each; None keeps the stage's own.
        layers: Phase layers of the chip of each; None keeps the chip's own.
        blocks: Optical blocks of a stage; published is one.
        mixing: Which pairs of channels have masks of their own; with `groups`, `bias` and `memory_mb` as in
            `DiffractiveConv2d`.
        groups: Of channels, where the mixing is grouped.
        bias: Whether every optical path has one.
        memory_mb: Bound of the complex fields of a layer.
        before_downsample: Whether light takes the map before the strided convolution makes it smaller; published is so.
        fit: Whether the grid and the masks of each chip are made to fit the map; see `fit_chip`.
        keep_width: Whether every optical stage comes back to the width it replaces, also where none follows. None does
            so in a model other than a `Backbone`, whose neck expects it.
        noise: Of the features behind each stage.

    Raises:
        RequestError: It is a vision transformer, there is no such stage, a list is of another length than `stages`, or
            a map is larger than the grid of its chip.
    """
    if isinstance(model, VisionTransformer):
        raise RequestError("A vision transformer has blocks and no stages; replace them with `replace_blocks`.")
    held = stages_of(model)
    wanted = _wanted(stages, len(held), chip, channels, layers)
    optics = Optics(mixing, groups, bias, memory_mb, before_downsample)
    keep_width = not isinstance(model, Backbone) if keep_width is None else keep_width
    made: dict[int, OpticalStage] = {}
    widths: dict[int, int] = {}
    for stage, trace in enumerate(trace_stages(model, sample_shape)):
        if stage not in wanted:
            continue
        own = trace.output[1]
        inner = wanted[stage].channels or own
        restore = own if inner != own and (keep_width or _is_electronic(stage + 1, held, wanted)) else None
        row = _blocks(stage, trace, widths.get(stage - 1, trace.input[1]), wanted[stage], blocks, optics, fit)
        made[stage] = OpticalStage(row, copy.deepcopy(noise), None if restore is None else (inner, restore))
        widths[stage] = restore or inner
    _swap(model, held, made, widths)


def _wanted(
    stages: Sequence[int],
    count: int,
    chip: DiffractiveChip | Sequence[DiffractiveChip],
    channels: int | Sequence[int] | None,
    layers: int | Sequence[int] | None,
) -> dict[int, _Wanted]:
    for stage in stages:
        if not 0 <= stage < count:
            raise RequestError(f"There is no stage {stage}: the backbone has {count}; give 0 to {count - 1}.")
    if len(set(stages)) != len(stages):
        raise RequestError(f"The stages {list(stages)} name one twice; give each once.")
    parts = zip(
        _each(chip, stages, "chip"),
        _each(channels, stages, "channels"),
        _each(layers, stages, "layers"),
        strict=True,
    )
    return {stage: _Wanted(*part) for stage, part in zip(stages, parts, strict=True)}


def _each(given: _T | Sequence[_T], stages: Sequence[int], name: str) -> list[_T]:
    """One value for each stage, from one for all or a list of them."""
    if not isinstance(given, Sequence):
        return [given] * len(stages)
    if len(given) != len(stages):
        raise RequestError(
            f"`{name}` has {len(given)} values for the {len(stages)} stages {list(stages)}; give as many."
        )
    return list(given)


def _is_electronic(stage: int, held: nn.ModuleList, wanted: Mapping[int, _Wanted]) -> bool:
    return stage < len(held) and stage not in wanted


def _blocks(
    stage: int, trace: StageTrace, inputs: int, wanted: _Wanted, count: int, optics: Optics, fit: bool
) -> list[OpticalBlock]:
    """The optical blocks of one stage; the first takes the channels and has the stride of the stage."""
    if count < 1:
        raise RequestError(f"Stage {stage} is to have {count} optical blocks; give 1 or more.")
    rows, columns = (trace.input if optics.before_downsample else trace.output)[2:]
    chip = wanted.chip if wanted.layers is None else wanted.chip.replace(layers=wanted.layers)
    if fit:
        chip = fit_chip(chip, rows, columns)
    refuse_larger(f"Stage {stage}", rows, columns, chip)
    outputs = wanted.channels or trace.output[1]
    first = OpticalBlock(inputs, outputs, trace.stride, chip, optics)
    return [first, *(OpticalBlock(outputs, outputs, 1, chip, optics) for _ in range(count - 1))]


def _swap(model: nn.Module, held: nn.ModuleList, made: Mapping[int, OpticalStage], widths: Mapping[int, int]) -> None:
    like = next(model.parameters())
    for stage, optical in made.items():
        held[stage] = optical.to(like.device, like.dtype).train(model.training)
    if isinstance(model, Backbone):
        model.channels = tuple(widths.get(stage, own) for stage, own in enumerate(model.channels))
