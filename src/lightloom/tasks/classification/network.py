"""The images and the network that a config asks for, before it has learnt anything."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import cast

import torch
from torch import nn

from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_seed
from lightloom.data import Splits, load
from lightloom.nn import AllOptical, DiffractiveNetwork, SaturableAbsorber, constrain_weights, misalign, put_on_chip
from lightloom.tasks.base import Interface
from lightloom.tasks.classification.config import DIFFRACTIVE_NETWORK, ClassificationConfig, DataConfig
from lightloom.tasks.classification.models import build, scale_to_half_transmission

_SETTLING = 512
_ELECTRONIC: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "linear": nn.Identity,
}


@lru_cache(maxsize=2)  # the images of a training stay for the next one, which mostly has the same
def read_images(data: DataConfig, seed: int) -> Splits:
    """The images that a config asks for.

    Args:
        data: Which set, and in which form.
        seed: Divides them into training and validation.
    """
    return load(data.name, data.root, seed=seed, limit=data.limit, size=data.size, pixels=data.pixels)


def interface_of(splits: Splits) -> Interface:
    """Shape of an image and names of the classes: what weights that learned from these images are for."""
    return {"shape": list(splits.shape), "classes": list(splits.classes)}


def build_network(config: ClassificationConfig, interface: Interface, splits: Splits | None = None) -> nn.Module:
    """The network of a config with first weights drawn from its seed: electronic, with absorbers, or made for light.

    Args:
        config: Of the run, or of one case of it.
        interface: Shape of the images and names of the classes.
        splits: The images, for the scale that absorbers ask of first weights; None where trained weights follow.
    """
    torch.manual_seed(named_seed(config.seed, "model"))
    shape, classes = tuple(interface["shape"]), len(interface["classes"])
    description, optics = config.model, config.optics
    if description.name == DIFFRACTIVE_NETWORK:
        light = DiffractiveNetwork(shape, classes, optics.diffraction)
        misalign(light, config.specimen)
        return light
    model = build(
        description.name,
        shape=shape,
        classes=classes,
        width=description.width,
        depth=description.depth,
        activation=_activation(config),
        input_scale=description.input_scale,
    )
    if optics.settle is not None and splits is not None:
        images = splits.train.images[:_SETTLING]
        scale_to_half_transmission(_sequential(model), images, optics.settle, transmission=optics.light.transmission)
    _limit(model, config)
    return _on_chip(model, config) if optics.on_chip else model


def _on_chip(model: nn.Module, config: ClassificationConfig) -> nn.Module:
    """The network on the chip of the run, from its first step on."""
    if "static" in {chip.range for chip in config.chips}:
        raise RequestError(
            "`range=static` is measured on a trained network, and `optics.on_chip` trains on the chip from the "
            "start; choose `chip.range=dynamic`."
        )
    places = tuple(config.places.items())
    return put_on_chip(model, config.chip, config.specimen, skip=config.electronic, places=places, inplace=True).model


def with_optical_backward(model: nn.Module, config: ClassificationConfig) -> nn.Module:
    """The network wrapped so that its backward pass is that of light, where the config asks for it.

    Args:
        model: The network or detector.
        config: Config of the run, or of one case of it.
    """
    light = config.optics.light
    return AllOptical(_sequential(model), light) if light.active else model


def _sequential(model: nn.Module) -> nn.Sequential:
    return cast(nn.Sequential, model)  # who takes it says what is wrong where it is none


def _activation(config: ClassificationConfig) -> Callable[[], nn.Module] | None:
    name, optics = config.model.activation, config.optics
    if name is None:
        return None
    if name != "absorber":
        return _ELECTRONIC[name]
    return lambda: SaturableAbsorber.of(optics.absorber, optics.gradient, optics.trainable)


def _limit(model: nn.Module, config: ClassificationConfig) -> None:
    optics = config.optics
    if optics.weight_range is None and optics.weight_norm is None:
        return
    for layer in list(model.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            constrain_weights(layer, weight_range=optics.weight_range, norm=optics.weight_norm)
