"""The images and the network that a config asks for, before it has learnt anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_seed
from lightloom.config import DIFFRACTIVE_NETWORK, DataConfig, RunConfig
from lightloom.data import Splits, load
from lightloom.nn import (
    AllOptical,
    Conversion,
    DiffractiveNetwork,
    SaturableAbsorber,
    constrain_weights,
    convert,
    install,
    misalign,
)
from lightloom.tasks.classification import build, scale_to_half_transmission

_SETTLING = 512
_ELECTRONIC: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "linear": nn.Identity,
}


def read_images(data: DataConfig, seed: int) -> Splits:
    """The images that a config asks for; the seed divides them into training and validation."""
    return load(data.name, data.root, seed=seed, limit=data.limit, size=data.size, pixels=data.pixels)


def build_network(config: RunConfig, splits: Splits) -> nn.Module:
    """The network of a config with first weights drawn from its seed: electronic, with absorbers, or made for light.

    Args:
        config: Of the run, or of one case of it.
        splits: The images, for shapes, classes and the light that absorbers find.
    """
    torch.manual_seed(named_seed(config.seed, "model"))
    wanted, optics = config.model, config.optics
    if wanted.name == DIFFRACTIVE_NETWORK:
        light = DiffractiveNetwork(splits.shape, len(splits.classes), optics.diffraction)
        misalign(light, config.specimen)
        return light
    model = build(
        wanted.name,
        shape=splits.shape,
        classes=len(splits.classes),
        width=wanted.width,
        depth=wanted.depth,
        activation=_activation(config),
        input_scale=wanted.input_scale,
    )
    if optics.settle is not None:
        images = splits.train.images[:_SETTLING]
        scale_to_half_transmission(_row(model), images, optics.settle, transmission=optics.light.transmission)
    _limit(model, config)
    if optics.on_chip:
        if "static" in {chip.range for chip in config.chips}:
            raise RequestError(
                "`range=static` is measured on a trained network, and `optics.on_chip` trains on the chip from the "
                "start; choose `chip.range=dynamic`."
            )
        model = convert_as(model, config).model
        install(model, config.specimen)
    return model


def convert_as(model: nn.Module, config: RunConfig) -> Conversion:
    """Move layers of a network, in place, onto the chips that a config asks for."""
    return convert(model, config.chip, skip=config.electronic, places=tuple(config.places.items()), inplace=True)


def lit(model: nn.Module, config: RunConfig) -> nn.Module:
    """The network as it trains: the backward pass is that of light where the config asks for it."""
    light = config.optics.light
    return AllOptical(_row(model), light) if light.active else model


def _row(model: nn.Module) -> nn.Sequential:
    return cast(nn.Sequential, model)  # who takes it says what is wrong where it is none


def _activation(config: RunConfig) -> Callable[[], nn.Module] | None:
    name, optics = config.model.activation, config.optics
    if name is None:
        return None
    if name != "absorber":
        return _ELECTRONIC[name]
    return lambda: SaturableAbsorber.of(optics.absorber, optics.gradient, optics.trainable)


def _limit(model: nn.Module, config: RunConfig) -> None:
    optics = config.optics
    if optics.weight_range is None and optics.weight_norm is None:
        return
    for layer in list(model.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            constrain_weights(layer, weight_range=optics.weight_range, norm=optics.weight_norm)
