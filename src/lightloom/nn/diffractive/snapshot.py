"""Masks, light and features of networks that are partly light, for the pictures of a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightloom.chips import DiffractiveChip
from lightloom.nn import DiffractiveConv2d, DiffractiveNetwork
from lightloom.physics import diffraction

_MASKS = 16  # paths whose masks are shown


class Seen(NamedTuple):
    """What goes into `optics.safetensors`."""

    tensors: dict[str, Tensor]
    """`CASE|LAYER|masks`, `|light`, `|image` and `CASE|features|STAGE`."""
    notes: dict[str, str]
    """`CASE|LAYER`: pixel, wavelength, distances, mixing and number of paths, as JSON."""


@torch.no_grad()
def look(case: str, model: nn.Module, image: Any) -> Seen:
    """Send one image through a model and note what its optics make of it.

    Args:
        case: What to call it.
        model: A detector, or any network with diffractive layers, or a diffractive network; left in eval mode.
        image: [1, ...], or a tuple of tensors [1, ...], as the model takes it.
    """
    snapshot = Seen({}, {})
    handles = [
        part.register_forward_hook(_watch(f"{case}|{name or 'network'}", snapshot))
        for name, part in model.named_modules()
        if isinstance(part, DiffractiveConv2d | DiffractiveNetwork)
    ]
    try:
        output = model.eval()(image)
    finally:
        for handle in handles:
            handle.remove()
    for stage, features in enumerate(getattr(output, "features", ())):
        snapshot.tensors[f"{case}|features|stage {stage}"] = features[0].mean(0)
    return snapshot


def _watch(key: str, snapshot: Seen) -> Callable[[nn.Module, tuple[Tensor, ...], Any], None]:
    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        if isinstance(layer, DiffractiveNetwork):
            light, mixing, paths = layer.fields(inputs[0])[:, 0, 0], "network", layer.shape[0]
            size, turns, detector = (layer.chip.mask, layer.chip.mask), layer.turns[None], "intensity"
        else:
            assert isinstance(layer, DiffractiveConv2d)
            light, mixing, paths = _brightest(layer, inputs[0]), layer.mixing, layer.optical_paths
            size = (inputs[0].shape[-2], inputs[0].shape[-1])
            turns, detector = layer.turns, layer.chip.detector
        snapshot.tensors[f"{key}|light"] = light
        if detector != "field":  # which has a sign that intensities have not
            image = diffraction.crop(light[-1], *size)
            snapshot.tensors[f"{key}|image"] = image if detector == "intensity" else image.sqrt()
        snapshot.tensors[f"{key}|masks"] = turns.detach().remainder(1).reshape(-1, *turns.shape[-3:])[:_MASKS]
        snapshot.notes[key] = json.dumps({**_geometry(layer.chip), "mixing": mixing, "paths": paths})

    return keep


def _brightest(layer: DiffractiveConv2d, x: Tensor) -> Tensor:
    """Light [planes, M, M] of the path of the brightest input, among those to the first output."""
    inputs = layer.in_channels // layer.groups  # a path of the first output each, whatever the mixing
    path = int(x[0, :inputs].square().sum((-2, -1)).argmax())
    return layer.fields(x, path + 1)[:, 0, path]


def _geometry(chip: DiffractiveChip) -> dict[str, Any]:
    return {
        "pixel": chip.pixel,
        "wavelength": chip.wavelength,
        "distances": [chip.distance_in, *[chip.distance] * chip.layers],
    }
