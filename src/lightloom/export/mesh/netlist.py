"""A block of a mesh core as a netlist of MZIs, in the form that circuit simulators such as SAX read.

Light enters a block at `in0 ... in{k-1}` and passes the mesh of V, one attenuator per singular value, the mesh of U and
one receiver per output, whose gain is electronic: the block's gain, with the sign that a real mesh leaves over. The
block's matrix is M[i, j] = S(in j -> out i); of a complex mesh, its real part is the weight.

Every MZI is a netlist of its own, of two couplers and four phase shifters, which light meets in this order:

    in0 -- outer(phi) --- first =-= upper(-theta) ------ second -- out0
    in1 -- static(pi) --- coupler   lower(theta + pi) -- coupler -- out1

with couplers [[1, i], [i, 1]] / sqrt(2) and phase shifters e^{i phase}. That is push-pull: the phase between the arms
is 2 theta + pi, and the MZI makes exactly the T(theta, phi) of `lightloom.physics.mesh`, without a phase left over.
What it loses, it loses in the second coupler.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.export.mesh.settings import DeviceSettings, chosen_blocks, commanded, realised
from lightloom.export.technology import Block
from lightloom.nn import MeshCore, OpticalLayer, TensorCore
from lightloom.physics.mesh import Field, Layout, wiring

MODELS = {
    "coupler": "S(in0,out0) = S(in1,out1) = a sqrt(1 - coupling), S(in0,out1) = S(in1,out0) = i a sqrt(coupling), "
    "a = 10^(-loss_db / 20)",
    "phase_shifter": "S(in0,out0) = e^(i phase), phase in rad",
    "attenuator": "S(in0,out0) = transmission, of the field, -1 to 1",
    "receiver": "S(in0,out0) = gain, electronic, with its sign",
}
"""What the devices do that a simulator has to know; all of them alike in both directions, without reflection."""

_BATCH = 4096  # blocks whose numbers are held at once


@checked
def netlist(core: TensorCore | OpticalLayer, block: Block = (0, 0, 0), *, realised: bool = False) -> dict[str, Any]:
    """One k x k block as a recursive netlist: "block", made of MZIs, and "mzi", made of couplers and phase shifters.

    Args:
        core: A mesh core, or a layer that has one.
        block: (group, block row, block column).
        realised: Whether devices are set as light meets them on the core's specimen, with the chip's loss; otherwise as
            the controller asks, without. Dynamic noise is left out of both.

    Returns:
        {"block": {"instances", "connections", "ports", "models"}, "mzi": the same without "models"}.

    Raises:
        RequestError: It is no mesh, an electronic twin, or has no such block.
    """
    mesh_core = as_mesh(core)
    (text,) = netlist_texts(mesh_core, chosen_blocks(mesh_core, [block]), realised_phases=realised)
    content: dict[str, Any] = json.loads(text)
    return content


def netlist_texts(core: MeshCore, blocks: Sequence[Block], *, realised_phases: bool) -> Iterator[str]:
    """The netlists of several blocks as JSON, one after the other.

    Args:
        core: A mesh core.
        blocks: (group, block row, block column) of each.
        realised_phases: Whether devices are set as light meets them, otherwise as the controller asks.

    Raises:
        RequestError: The core is an electronic twin.
    """
    chip = core.chip
    template = _template(chip.block_size, chip.layout, chip.field, chip.insertion_loss_db if realised_phases else 0.0)
    for start in range(0, len(blocks), _BATCH):
        some = blocks[start : start + _BATCH]
        settings = realised(core, some) if realised_phases else commanded(core, some)
        for row in _numbers(settings, core).tolist():
            yield template % tuple(row)


def as_mesh(core: TensorCore | OpticalLayer) -> MeshCore:
    """The mesh core of a layer, or the core itself.

    Raises:
        RequestError: It is none of a mesh.
    """
    own = core.core if isinstance(core, OpticalLayer) else core
    if not isinstance(own, MeshCore):
        name = getattr(own, "name", type(own).__name__)
        raise RequestError(
            f"`{name}` is no mesh, so it has no netlist of MZIs. `pcm_levels` writes what crossbars hold."
        )
    return own


def _numbers(settings: DeviceSettings, core: MeshCore) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[blocks, numbers] in the order of the template."""
    mzis = wiring(core.chip.block_size, core.chip.layout).mzis
    parts = [*_mesh_numbers(settings.v, mzis), torch.cos(settings.attenuators)]
    parts += [*_mesh_numbers(settings.u, mzis), settings.signs * settings.gain.unsqueeze(-1)]
    numbers: np.ndarray[Any, np.dtype[np.float64]] = torch.cat([part.flatten(1) for part in parts], dim=1).numpy()
    return numbers


def _mesh_numbers(phases: Tensor, mzis: int) -> Iterator[Tensor]:
    """Numbers of every MZI: upper, lower and, in a complex mesh, outer phase; then the output phases."""
    theta = phases[:, :mzis]
    arms = [-theta, theta + math.pi]
    if phases.shape[1] > mzis:
        yield torch.stack([*arms, phases[:, mzis : 2 * mzis]], dim=-1)
        yield phases[:, 2 * mzis :]
    else:
        yield torch.stack(arms, dim=-1)


class _Wires:
    """Grows a netlist along the light: where each waveguide has come to, and the devices on the way."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.ends: list[str] = [""] * size
        self.instances: list[str] = []
        self.connections: dict[str, str] = {}
        self.ports: dict[str, str] = {}

    def pass_through(self, name: str, component: str, settings: str, waveguides: Sequence[int]) -> None:
        """Send the light of `waveguides` through one more device."""
        self.instances.append(f'"{name}": {{"component": "{component}", "settings": {{{settings}}}}}')
        for port, waveguide in enumerate(waveguides):
            if self.ends[waveguide]:
                self.connections[self.ends[waveguide]] = f"{name},in{port}"
            else:
                self.ports[f"in{waveguide}"] = f"{name},in{port}"
            self.ends[waveguide] = f"{name},out{port}"

    def row(self, name: str, component: str, setting: str) -> None:
        """One device on every waveguide."""
        for waveguide in range(self.size):
            self.pass_through(f"{name}_w{waveguide}", component, f'"{setting}": %.17g', [waveguide])

    def mesh(self, side: str, layout: Layout, field: Field) -> None:
        """A mesh of MZIs, and the output phases of a complex one."""
        settings = '"upper": {"phase": %.17g}, "lower": {"phase": %.17g}'
        settings += ', "outer": {"phase": %.17g}' if field == "complex" else ""
        mzis = wiring(self.size, layout)
        for column, upper, lower in zip(mzis.column.tolist(), mzis.upper.tolist(), mzis.lower.tolist(), strict=True):
            self.pass_through(f"{side}_c{column}_w{upper}", "mzi", settings, [upper, lower])
        if field == "complex":
            self.row(f"{side}_out", "phase_shifter", "phase")


@lru_cache(maxsize=32)
def _template(size: int, layout: Layout, field: Field, loss_db: float) -> str:
    """The JSON of a block with a place for every number: the wiring is the same for all blocks of a chip."""
    wires = _Wires(size)
    wires.mesh("v", layout, field)
    wires.row("sigma", "attenuator", "transmission")
    wires.mesh("u", layout, field)
    wires.row("receiver", "receiver", "gain")
    ports = wires.ports | {f"out{waveguide}": end for waveguide, end in enumerate(wires.ends)}
    rest = {"connections": wires.connections, "ports": ports, "models": MODELS}
    tail = json.dumps(rest)[1:].replace("%", "%%")
    mzi = json.dumps(_mzi(loss_db)).replace("%", "%%")
    instances = ",\n".join(wires.instances)
    return f'{{"block": {{"instances": {{\n{instances}\n}},\n{tail},\n"mzi": {mzi}}}\n'


def _mzi(loss_db: float) -> dict[str, Any]:
    """An MZI as devices; the phases that differ between MZIs are settings of the instance."""
    shifters = {"outer": 0.0, "static": math.pi, "upper": 0.0, "lower": math.pi}
    instances: dict[str, Any] = {
        name: {"component": "phase_shifter", "settings": {"phase": phase}} for name, phase in shifters.items()
    }
    for name, loss in (("first", 0.0), ("second", loss_db)):
        instances[name] = {"component": "coupler", "settings": {"coupling": 0.5, "loss_db": loss}}
    return {
        "instances": instances,
        "connections": {
            "outer,out0": "first,in0",
            "static,out0": "first,in1",
            "first,out0": "upper,in0",
            "first,out1": "lower,in0",
            "upper,out0": "second,in0",
            "lower,out0": "second,in1",
        },
        "ports": {"in0": "outer,in0", "in1": "static,in0", "out0": "second,out0", "out1": "second,out1"},
    }
