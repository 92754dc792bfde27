"""Run with a copy of the package that knows one more noise: find it in every place where phases are realised.

The noise is a curvature of heaters: a heater that should give h gives h (1 + c (1 - h / 2 pi)), with a c of its own.
"""

import csv
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightloom import chips, export, nn
from lightloom.chips import MeshChip
from lightloom.lab.mesh.instrument import BlockSettings, SimulatedInstrument

TURN = 2 * math.pi
CHIP = chips.preset("l2ight", MeshChip).replace(block_size=5, weight_bits=None, crosstalk=0.0, curvature_std=0.1)
SHIFTERS = 10


def layer(chip: MeshChip, *, installed: bool) -> nn.OpticalLinear:
    """The same layer on either chip, with `l2ight`'s other errors."""
    torch.manual_seed(0)
    optical = nn.OpticalLinear(5, 5, bias=False, chip=chip, name="layer")
    if installed:
        nn.install(optical, chip.specimen(3))
    return optical


def expected(commanded: Tensor, errors: dict[str, Tensor], side: str) -> Tensor:
    """The phases of one side, written out."""
    heat = torch.remainder(commanded, TURN) * errors[f"{side}_gamma"]
    return heat * (1 + errors[f"{side}_curvature"] * (1 - heat / TURN)) + errors[f"{side}_bias"]


def training(core: nn.MeshCore) -> None:
    """The weight is another one than without, and the gradient passes through the noise."""
    errors = CHIP.specimen(3).mesh_errors("layer", (1, 1, 1), SHIFTERS)._asdict()
    assert errors["u_curvature"].unique().numel() == SHIFTERS and errors["sigma_gamma"] is not None
    core.switch("phase")
    for side in ("u", "v"):
        commanded = getattr(core, f"{side}_phases").detach().requires_grad_()
        by_hand = expected(commanded, errors, side)
        torch.testing.assert_close(core.realised_phases(side), by_hand)
        (slope,) = torch.autograd.grad(core.realised_phases(side).sum(), getattr(core, f"{side}_phases"))
        torch.testing.assert_close(slope, torch.autograd.grad(by_hand.sum(), commanded)[0])
    without = layer(CHIP.replace(curvature_std=0.0), installed=True).core.weight()
    assert (core.weight() - without).abs().max() > 0.01


def many_specimens(core: nn.MeshCore) -> None:
    """64 specimens at once are those that are installed one after the other."""
    together = core.specimen_weights(range(64))
    for seed in range(64):
        core.install(CHIP.specimen(seed))
        torch.testing.assert_close(together[seed], core.weight().detach(), rtol=0, atol=1e-5)
    core.install(CHIP.specimen(3))


def bench(core: nn.MeshCore) -> None:
    """The instrument measures the matrix that the core computes, also where phases are moved one at a time."""
    instrument = SimulatedInstrument(CHIP, core.errors().map(lambda error: error.flatten(0, 2)), 1)
    moved = torch.zeros(1, SHIFTERS, dtype=torch.float64)
    for index in range(SHIFTERS):
        moved[:, index] = 1.0 + index / 3
        settings = BlockSettings(moved, moved.flip(-1), torch.full((1, 5), 0.7, dtype=torch.float64))
        instrument.reprogram(settings, [index], [SHIFTERS - 1 - index])
    measured = instrument.measure(torch.eye(5, dtype=torch.float64))
    other = SimulatedInstrument(CHIP, core.errors().map(lambda error: error.flatten(0, 2)), 1)
    other.program(settings)
    torch.testing.assert_close(measured, other.matrices(), rtol=0, atol=1e-12)
    twin = nn.MeshCore(CHIP, 5, 5, name="layer")
    twin.install(CHIP.specimen(3))
    with torch.no_grad():
        twin.u_phases.copy_(moved)
        twin.v_phases.copy_(moved.flip(-1))
        twin.sigma.fill_(0.7)
        twin.gain.fill_(1.0)
    torch.testing.assert_close(measured[0].float(), twin.weight().detach(), rtol=0, atol=1e-5)


def numbers(node: Any) -> Iterator[float]:
    """Every number in a netlist."""
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from numbers(part)
    elif isinstance(node, float):
        yield node


def netlist(core: nn.MeshCore) -> None:
    """The realised netlist sets every MZI to its realised phase."""
    written = torch.tensor(list(numbers(export.netlist(core, realised=True))))
    for side in ("u", "v"):
        for phase in core.realised_phases(side).detach().flatten():
            assert (written + phase).abs().min() < 1e-4, (side, phase)


def table(optical: nn.OpticalLinear, path: Path) -> None:
    """So does the table of phases."""
    export.phase_table(optical, path)
    with path.open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["device"] == "theta"]
    for side in ("u", "v"):
        written = torch.tensor([float(row["realised_rad"]) for row in rows if row["side"] == side])
        torch.testing.assert_close(written, optical.core.realised_phases(side).detach().flatten(), rtol=0, atol=1e-4)


if __name__ == "__main__":
    optical = layer(CHIP, installed=True)
    assert isinstance(optical.core, nn.MeshCore)
    training(optical.core)
    many_specimens(optical.core)
    bench(optical.core)
    netlist(optical.core)
    table(optical, Path(sys.argv[1]))
    sys.stdout.write("found in training, in many specimens, on the bench, in the netlist and in the table\n")
