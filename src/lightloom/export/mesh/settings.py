"""What each device of a mesh core is set to: as the controller asks for it, or as light meets it; in float64."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError, nearest
from lightloom.export.technology import Block
from lightloom.nn import MeshCore, cores
from lightloom.physics import attenuators, phases


class DeviceSettings(NamedTuple):
    """Devices of B blocks of k waveguides, n phase shifters in each mesh."""

    u: Tensor
    """[B, n] phases of U in rad, in the order of `lightloom.physics.mesh`."""
    v: Tensor
    """[B, n] phases of V."""
    attenuators: Tensor
    """[B, k] angles in rad, within [0, pi] as commanded: an attenuator leaves their cosine of the field."""
    gain: Tensor
    """[B] electronic gain of the block."""
    signs: Tensor
    """[B, k] of +1 and -1, electronic, at the outputs."""


def commanded(core: MeshCore, blocks: Sequence[Block]) -> DeviceSettings:
    """What the controller asks of the devices of some blocks, phases within [0, 2 pi).

    Args:
        core: A mesh core.
        blocks: (group, block row, block column) of each.

    Raises:
        RequestError: The core is an electronic twin.
    """
    if core.matrix is not None:
        raise RequestError(
            f"Core `{core.name}` is an electronic twin (mode `weight`), whose devices are set to nothing. Put it on "
            'the chip first: `nn.switch(model, "usv")`.'
        )
    places = _places(core, blocks)
    sigma = _chosen(core.sigma, places)
    gain = torch.maximum(sigma.abs().amax(-1), _chosen(core.gain, places))
    # a block of zeros has no gain, and its attenuators stand half way, where nothing passes
    share = sigma / torch.where(gain > 0, gain, 1).unsqueeze(-1)
    signs = torch.ones_like(sigma) if core.u_signs is None else _chosen(core.u_signs, places)
    u, v = (phases.wrap(_chosen(side, places)) for side in (core.u_phases, core.v_phases))
    return DeviceSettings(u, v, torch.acos(share.clamp(-1, 1)), gain, signs)


def realised(core: MeshCore, blocks: Sequence[Block]) -> DeviceSettings:
    """What light meets on the core's specimen, without dynamic noise.

    Args:
        core: A mesh core.
        blocks: (group, block row, block column) of each.

    Raises:
        RequestError: The core is an electronic twin.
    """
    settings, places = commanded(core, blocks), _places(core, blocks)
    drive = core.chip.drive(core.neighbours.cpu())._replace(noise_std=0.0)
    errors = core.errors().map(lambda error: _chosen(error, places))
    return settings._replace(
        u=phases.realise(settings.u, drive, errors.of("u")),
        v=phases.realise(settings.v, drive, errors.of("v")),
        attenuators=attenuators.realise(
            settings.attenuators, bits=core.chip.weight_bits, gamma_ratio=errors.of("sigma").gamma
        ),
    )


def mesh_cores(model: nn.Module, layers: str | Iterable[str] | None = None) -> dict[str, MeshCore]:
    """The mesh cores of a model by layer, each once.

    Args:
        model: A converted model.
        layers: Names or globs of layers; None is all.

    Raises:
        RequestError: There is no mesh in the model, or a name fits no layer with one.
    """
    meshes = cores(model, MeshCore)
    if not meshes:
        raise RequestError("No layer of this network is on a mesh, and only meshes have phases and MZIs.")
    if layers is None:
        return meshes
    rules = (layers,) if isinstance(layers, str) else tuple(layers)
    for rule in rules:
        if not any(fnmatchcase(name, rule) for name in meshes):
            raise RequestError(f"No layer on a mesh is called `{rule}`. {nearest(rule, meshes)}")
    return {name: core for name, core in meshes.items() if any(fnmatchcase(name, rule) for rule in rules)}


def chosen_blocks(core: MeshCore, blocks: int | Sequence[Block] | None = None) -> list[Block]:
    """Blocks of a core: all, the first so many, or those named.

    Args:
        core: A mesh core.
        blocks: How many, or which; None is all.

    Raises:
        RequestError: There is no such block, or none is asked for.
    """
    groups, p, q = core.blocks
    if blocks is None or isinstance(blocks, int):
        if blocks is not None and blocks < 1:
            raise RequestError(
                f"`blocks` is {blocks}; give how many of each layer, at least 1, or leave it out for all."
            )
        number = groups * p * q if blocks is None else min(blocks, groups * p * q)
        return [(place // (p * q), place // q % p, place % q) for place in range(number)]
    for block in blocks:
        if len(block) != 3 or not all(0 <= index < count for index, count in zip(block, core.blocks, strict=True)):
            raise RequestError(
                f"Core `{core.name}` has no block {tuple(block)}; they are (group, row, column) below {core.blocks}."
            )
    return list(blocks)


def _places(core: MeshCore, blocks: Sequence[Block]) -> Tensor:
    _, p, q = core.blocks
    return torch.tensor([(group * p + row) * q + column for group, row, column in blocks], dtype=torch.long)


def _chosen(tensor: Tensor, places: Tensor) -> Tensor:
    """The chosen blocks of [groups, p, q, ...], as [B, ...]."""
    return tensor.detach().cpu().flatten(0, 2)[places].double()
